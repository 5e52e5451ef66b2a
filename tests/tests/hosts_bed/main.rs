//! Hosts as they are, without a driver of ours: what compose, Docker and SSH really do, on which a driver relies.
//!
//! What was seen is printed: `cargo test -p rollback-tests --test hosts_bed -- --nocapture`.
//!
//! | what | v2 (`docker compose`, 2.26.1) | v1 (`docker-compose`, 1.29.2) |
//! |---|---|---|
//! | a flag that it does not know | says so, fails with 16 | its usage on standard error, **exits with 0**, does nothing |
//! | `up --pull always` after a local retag | brings the bad image back, exits with 0 | has no such flag: see above |
//! | `up --wait`, `ps --format json`, `config --images` | there | not there |
//! | an override that pins `repository@sha256:…`, and `up -d --no-deps` | works, no tag is moved | the same |
//! | `images`, of an image with several names | tells the first one, whichever the service has | the same |
//! | `docker inspect -f '{{.Image}}' $(compose ps -q service)` | the image that runs | the same |
//! | `down && up`, the connection breaks meanwhile | nothing comes back | the same |
//! | the same under `setsid` | it ends, its exit code is there | the same |
//! | `up --no-deps`, killed in the middle | `created`, or `<hash>_name` beside the old one; the same again recovers | the same, or `exited` |
//! | `down && up`, the service ignores SIGTERM | it answers for ten seconds more, then goes | the same |
//! | `down && up`, its neighbour does | ten seconds without the service; none with `up -d --no-deps` | the same |
//!
//! Docker 20.10: when the daemon is stopped and started, containers with `unless-stopped` come back. When it is killed and started, it stops
//! them and takes that for somebody's wish: they stay `exited`.

mod end;
mod facts;
mod faults;
mod links;

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, equal};
use rollback_tests::hosts::{Bed, Compose, Host, Setup};
use rollback_tests::servers::need;

fn main() -> ExitCode {
    if std::env::var_os(end::OWN).is_some() {
        return end::own();
    }
    Suite::new("hosts-bed")
        .case("versions_are_what_they_say", true, facts::versions)
        .case("an_unknown_flag_is_ignored_by_v1", true, facts::unknown_flag)
        .case("pull_always_brings_the_bad_image_back", true, facts::pull_always)
        .case("what_v1_does_not_have", true, facts::only_in_v2)
        .case("an_override_pins_an_image_without_a_tag", true, facts::pinned)
        .case("what_images_says_of_repositories", true, facts::images)
        .case("the_runbook_stops_the_neighbour", true, facts::runbook)
        .case("a_service_that_ignores_sigterm", true, facts::stubborn)
        .case("a_neighbour_that_ignores_sigterm", true, facts::stubborn_neighbour)
        .case("a_cut_connection_leaves_the_project_down", true, links::cut)
        .case("what_was_detached_ends_without_the_connection", true, links::detached)
        .case("an_interrupted_up_is_recovered_by_another", true, links::interrupted)
        .case("the_way_to_a_host_can_be_slow_frozen_and_closed", true, links::way)
        .case("the_registry_can_be_away", true, faults::registry)
        .case("the_disk_can_be_full", true, faults::disk)
        .case("the_daemon_can_be_stopped_and_killed", true, faults::daemon)
        .case("hosts_share_nothing", true, end::apart)
        .case("hosts_of_one_machine_have_projects_of_their_own", true, end::shared)
        .case("everything_ends_when_it_is_dropped", true, end::dropped)
        .case("everything_ends_when_the_test_is_killed", true, end::killed)
        .run()
}

/// A bed with a host for each generation of compose.
fn both() -> Result<Bed, Failure> {
    need(Bed::start(Setup::hosts(2).compose_each(&[Compose::V2, Compose::V1])))
}

/// Does something on all hosts at a time.
fn on_each(bed: &Bed, act: impl Fn(&Host) -> CaseResult + Sync) -> CaseResult {
    std::thread::scope(|scope| {
        let acting: Vec<_> = bed.hosts.iter().map(|host| scope.spawn(|| act(host))).collect();
        acting.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Failure::new("it panicked on one of the hosts")))
        })
    })
}

/// What is printed is read beside what other cases print.
fn say(host: &Host, text: impl std::fmt::Display) {
    println!("{:>14}: {text}", host.compose_command());
}

/// That this image runs as the service, as Docker and the service itself say it.
fn runs(bed: &Bed, host: &Host, version: &str, status: u16) -> CaseResult {
    host.until_answers(status, version)?;
    equal("the image", &host.image_of("backend")?, &bed.registry.image_id("backend", version)?)
}
