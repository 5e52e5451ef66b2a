//! The command with the driver for compose projects, on hosts that are real.

mod automatic;
mod commands;
mod cuts;
mod ecr;
mod faults;
mod health;
mod input;
mod instances;
mod middle;
mod pulled;
mod still;
mod unable;

use std::process::ExitCode;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::hosts::{BAD, Bed, Compose, GOOD, Host, Setup};
use rollback_tests::servers::need;
use rollback_tests::{Binaries, Ran, Site, until};

const BINARIES: Binaries = rollback_tests::binaries!();
/// The exit code of a run that was not begun.
const REFUSED: i32 = 3;

fn main() -> ExitCode {
    Suite::new("compose-driver")
        .limit(cuts::limit())
        .case("a_bad_release_goes_back_by_compose_2", true, async || back(Compose::V2))
        .case("a_bad_release_goes_back_by_compose_1", true, async || back(Compose::V1))
        .case("a_tag_is_moved_where_that_is_allowed", true, retag)
        .case("the_whole_project_by_choice", true, whole_project)
        .case("hosts_follow_one_after_the_other", true, hosts)
        .case("a_health_check_is_run_and_not_waited_for", true, health::asked)
        .case("a_health_check_that_hangs_is_run_once", true, health::hanging)
        .case("beside_the_runbook", true, beside_the_runbook)
        .case("a_command_that_is_killed_is_taken_up", true, faults::killed)
        .case("what_is_declared_is_run_once_where_it_is_declared_for", true, commands::declared)
        .case("a_command_that_fails_is_no_success", true, commands::failing)
        .case("what_a_command_is_fed_is_nowhere_else", true, commands::fed)
        .case("the_registry_is_not_needed_for_what_hosts_have", true, faults::without_the_registry)
        .case("what_crashes_is_told_and_nobody_else_is_touched", true, faults::crashing)
        .case("a_link_that_is_cut_changes_nothing", true, faults::cut)
        .case("cuts_at_random_moments_end_at_one_version_or_the_other", true, cuts::at_random_moments)
        .case("what_only_ecr_has_is_found_and_restored", true, ecr::only_there)
        .case("hosts_are_instances_with_a_tag", true, instances::by_tag)
        .case("instances_are_reached_by_session_manager", true, instances::by_session_manager)
        .case("what_is_started_meanwhile_is_not_passed_over", true, instances::stray)
        .case("strangers_are_not_let_near_and_what_nobody_has_is_not_found", true, input::strangers)
        .case("a_project_that_compose_cannot_read_is_left_alone", true, input::unreadable)
        .case("names_are_names_whatever_is_in_them", true, input::quoting)
        .case("a_host_without_docker_says_so", true, unable::docker)
        .case("a_host_without_room_says_so", true, unable::room)
        .case("nothing_is_touched_before_everything_was_pulled", true, pulled::refused)
        .case("another_image_is_never_accepted", true, pulled::another_image)
        .case("a_frozen_host_ends_the_wait", true, middle::frozen)
        .case("a_frozen_host_is_taken_up_again", true, middle::frozen_and_left)
        .case("a_session_that_is_killed_changes_nothing", true, middle::session_killed)
        .case("a_daemon_that_is_stopped_is_told", true, middle::daemon_stopped)
        .case("a_release_that_answers_badly_is_rolled_back_by_itself", true, automatic::answers_badly)
        .case("a_release_that_crashes_is_rolled_back_by_itself", true, automatic::crashes)
        .run()
}

/// Hosts, and somebody's machine with the command.
pub(crate) struct Shop {
    pub(crate) bed: Bed,
    pub(crate) site: Site,
}

impl Shop {
    pub(crate) fn new(setup: Setup, more: &str) -> Result<Self, Failure> {
        let shop = Self { bed: need(Bed::start(setup))?, site: Site::plain(BINARIES)? };
        shop.is(more)?;
        Ok(shop)
    }

    /// What the component `web` is.
    pub(crate) fn is(&self, more: &str) -> CaseResult {
        let hosts: Vec<_> = self.bed.hosts.iter().map(Host::name).collect();
        Ok(self.site.write_configuration(&format!(
            "[components.web]\ndriver = \"ec2-compose\"\nproject = \"app\"\nservices = [\"backend\"]\nask_ecr = false\nhosts = {hosts:?}\nssh = {{ config_file = {:?} }}\n{more}",
            self.bed.ssh_config(),
        ))?)
    }

    pub(crate) fn run(&self, line: &str, code: i32) -> Result<Ran, Failure> {
        let ran = self.site.run(line)?;
        ensure(ran.code == Some(code), format!("{line}: {ran}"))?;
        Ok(ran)
    }

    /// v1 ran and was recorded, and v2 is deployed: as a pipeline leaves it.
    pub(crate) fn deploy_badly(&self) -> CaseResult {
        self.rests()?;
        self.run("record web --good", 0)?;
        self.bed.registry.tag("backend", BAD, "latest")?;
        self.bed.each(|host| host.deploy(BAD))?;
        for host in &self.bed.hosts {
            host.until_answers(500, BAD)?;
        }
        Ok(())
    }

    /// Waits until every health check has said something.
    pub(crate) fn rests(&self) -> CaseResult {
        for host in &self.bed.hosts {
            until("health checks", || {
                let starting = host.run("docker ps -q --filter health=starting").ok()?;
                starting.out.trim().is_empty().then_some(())
            })?;
        }
        Ok(())
    }

    /// Every host serves this version, with its image.
    pub(crate) fn serves(&self, version: &str) -> CaseResult {
        self.answers(200, version)
    }

    /// Every host answers so, with that version's image, and nothing was left half done.
    pub(crate) fn answers(&self, status: u16, version: &str) -> CaseResult {
        let wanted = self.bed.registry.image_id("backend", version)?;
        for host in &self.bed.hosts {
            equal(
                &format!("what {} answers", host.name()),
                &host.answer(),
                &Some((status, version.to_owned())),
            )?;
            equal(&format!("the image on {}", host.name()), &host.image_of("backend")?, &wanted)?;
            let odd: Vec<_> = host
                .containers()?
                .into_iter()
                .map(|one| one.name)
                .filter(|name| is_left_over(name))
                .collect();
            ensure(odd.is_empty(), format!("left over on {}: {odd:?}", host.name()))?;
        }
        Ok(())
    }
}

/// `<hash>_name` is what an `up` that was interrupted leaves.
fn is_left_over(name: &str) -> bool {
    name.split_once('_')
        .is_some_and(|(hash, _)| hash.len() == 12 && hash.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The container of the neighbour, which nobody may touch.
pub(crate) fn neighbour(host: &Host) -> Result<String, Failure> {
    let all = host.containers()?;
    let found = all
        .into_iter()
        .find(|one| one.labels.get("com.docker.compose.service").is_some_and(|service| service == "cache"));
    Ok(found.map(|one| one.id).unwrap_or_default())
}

/// What users see of it, by the runbook's commands and by ours. Times are printed: machines differ.
async fn beside_the_runbook() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let poller = host.poll()?;
    let (ran, took) = shop.bed.runbook(&[host], GOOD)?;
    host.until_answers(200, GOOD)?;
    let seen = poller.stop()?;
    println!("runbook: {:?} without an answer, {took:?} in all, exit code {:?}", seen.downtime(), ran.code);
    shop.bed.registry.tag("backend", BAD, "latest")?;
    host.deploy(BAD)?;
    host.until_answers(500, BAD)?;
    let began = SystemClock.monotonic();
    let poller = host.poll()?;
    shop.run("run web --to last-good --yes", 0)?;
    let took = SystemClock.monotonic().saturating_sub(began);
    println!("rollback: {:?} without an answer, {took:?} in all", poller.stop()?.downtime());
    shop.serves(GOOD)
}

fn back(compose: Compose) -> CaseResult {
    let shop = Shop::new(Setup::hosts(1).compose(compose), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    let poller = host.poll()?;
    let ran = shop.run("run web --yes", 0)?;
    let seen = poller.stop()?;
    println!("{compose:?}: {:?} without an answer, versions {:?}", seen.downtime(), seen.versions);
    shop.serves(GOOD)?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    ensure(ran.out.contains("restored"), format!("{ran}"))?;
    // Going back to where it is needs nothing to be done.
    shop.run("run web --to last-good --yes", 0).map(drop)
}

async fn retag() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "retag = true\n")?;
    shop.deploy_badly()?;
    shop.run("run web --method retag --yes", 0)?;
    shop.serves(GOOD)?;
    // What people do next keeps it: the tag is what they name.
    shop.bed.hosts[0].compose("up -d")?;
    shop.bed.hosts[0].until_answers(200, GOOD)?;
    shop.serves(GOOD)
}

async fn whole_project() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    shop.run("run web --method whole-project --yes", REFUSED)?;
    shop.is("whole_project = true\n")?;
    let before = neighbour(&shop.bed.hosts[0])?;
    shop.run("run web --method whole-project --yes", 0)?;
    ensure(neighbour(&shop.bed.hosts[0])? != before, "the neighbour was taken down as well")?;
    shop.serves(GOOD)
}

async fn hosts() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2).compose_each(&[Compose::V2, Compose::V1]), "")?;
    shop.deploy_badly()?;
    // One of them has it no longer, and pulls it before anything is touched.
    shop.bed.hosts[1].run("docker image prune -af")?;
    let plan = shop.run("plan web --explain", 0)?;
    for part in ["1. have ", "on host1 [host1]", "docker compose", "docker-compose", "next `up`"] {
        ensure(plan.out.contains(part), format!("no {part} in {plan}"))?;
    }
    shop.run("run web --yes", 0)?;
    shop.serves(GOOD)
}
