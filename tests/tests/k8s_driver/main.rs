//! The command with the Kubernetes driver on the real control plane, beside what kubectl does there.

mod automatic;
mod bad_input;
mod checks;
mod faults;
mod recorded;
mod scenes;
mod select;

use std::path::Path;
use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::kubernetes::{ControlPlane, EXIT_CODE, LAST_WORDS, SLOW, Space};
use rollback_tests::servers::need;
use rollback_tests::{Binaries, Ran, Site};
use serde_json::json;

const BINARIES: Binaries = rollback_tests::binaries!();
const BACK: &str = "run web --to previous --yes";
/// The exit code of a run after which one part is there and another is not.
const PARTIAL: i32 = 5;
/// The exit code of a run that arrived at what is not well.
const UNHEALTHY: i32 = 8;
/// The exit code of a run that was not begun.
const REFUSED: i32 = 3;

fn main() -> ExitCode {
    Suite::new("k8s-driver")
        .case("a_bad_release_goes_back_to_the_one_before", true, back)
        .case("all_three_kinds_go_back", true, kinds)
        .case("going_back_to_what_crashes_is_told_at_once", true, to_crashing)
        .case(
            "going_back_to_an_image_that_is_gone_tells_what_the_registry_said",
            true,
            to_what_no_registry_has,
        )
        .case("a_release_that_missed_its_deadline_is_left_all_the_same", true, after_a_missed_deadline)
        .case("what_crashes_after_it_was_ready_is_seen_by_its_soak", true, scenes::decays)
        .case("where_kubectl_fails_its_users", true, scenes::all)
        .case("two_bad_releases_and_one_that_was_recorded_as_good", true, scenes::last_good)
        .case("controllers_that_lag_do_not_mislead", true, scenes::lag)
        .case("an_answer_that_is_lost_is_not_asked_for_again", true, faults::lost_answer)
        .case("a_request_that_is_lost_is_sent_again", true, faults::lost_request)
        .case("an_api_server_that_is_busy_is_waited_for", true, faults::busy)
        .case("watches_that_are_too_old_and_reads_that_have_to_wait", true, faults::gone)
        .case("an_api_server_that_is_started_again_in_the_middle", true, faults::restarted)
        .case("budgets_are_told_where_a_rollout_goes_beyond_them", true, checks::budgets)
        .case("quotas_are_told_before_and_when_they_bind", true, checks::quotas)
        .case("what_no_status_says_is_read_in_events", true, checks::quotas_in_events)
        .case("images_are_known_as_far_as_nodes_tell", true, checks::images)
        .case("what_cannot_be_is_refused_and_nothing_is_changed", true, bad_input::refused)
        .case("who_may_not_is_told_the_verb", true, bad_input::forbidden)
        .case("who_may_only_look_plans_and_is_told_the_verb_to_patch", true, bad_input::may_only_look)
        .case("a_version_that_nobody_has_seen_is_warned_of", true, bad_input::never_seen)
        .case("a_revision_that_was_pruned_is_made_of_what_is_kept", true, recorded::pruned)
        .case("configuration_alone_is_put_back", true, recorded::configuration)
        .case("a_workload_that_was_deleted_is_made_again", true, recorded::gone)
        .case("a_selector_stands_for_all_that_it_selects", true, select::many)
        .case("a_selector_that_selects_nothing_says_what_was_asked", true, select::nothing)
        .case("a_workload_of_another_controller_is_refused_with_its_name", true, bad_input::owned)
        .case("a_release_that_crashes_is_rolled_back_by_itself", true, automatic::crashes)
        .run()
}

/// A namespace, and somebody's machine with the command.
pub(crate) struct Shop {
    pub(crate) space: Space<'static>,
    pub(crate) site: Site,
}

impl Shop {
    pub(crate) fn new() -> Result<Self, Failure> {
        let plane = need(ControlPlane::shared())?;
        let (space, site) = (plane.namespace()?, Site::plain(BINARIES)?);
        let shop = Self { space, site };
        shop.is("deployment", &plane.kubeconfig("admin")?)?;
        Ok(shop)
    }

    /// What the component `web` is, and by which kubeconfig it is asked about.
    pub(crate) fn is(&self, kind: &str, kubeconfig: &Path) -> CaseResult {
        configure(&self.site, kind, kubeconfig, self.space.name())
    }

    pub(crate) fn run(&self, line: &str, code: i32) -> Result<Ran, Failure> {
        ran(&self.site, line, code)
    }

    /// It is set to this version, nothing else is ready, and everything that should be is.
    pub(crate) fn runs(&self, resource: &str, version: &str, replicas: usize) -> CaseResult {
        equal("what it is set to", &self.space.version(resource, "web")?.as_str(), &version)?;
        equal("what is ready", &self.space.ready_versions("web")?, &vec![version.to_owned(); replicas])
    }
}

pub(crate) fn configure(site: &Site, kind: &str, kubeconfig: &Path, namespace: &str) -> CaseResult {
    Ok(site.write_configuration(&format!(
        "[components.web]\ndriver = \"k8s\"\nkind = \"{kind}\"\nname = \"web\"\nnamespace = \"{namespace}\"\nkubeconfig = {kubeconfig:?}\n",
    ))?)
}

pub(crate) fn ran(site: &Site, line: &str, code: i32) -> Result<Ran, Failure> {
    let ran = site.run(line)?;
    ensure(ran.code == Some(code), format!("{line}: {ran}"))?;
    Ok(ran)
}

async fn back() -> CaseResult {
    let shop = Shop::new()?;
    rollback_tests::kubernetes::scenes::deploy(&shop.space, &["v1", "v2"])?;
    let ran = shop.run(BACK, 0)?;
    shop.runs("deployments", "v1", 2)?;
    ensure(ran.out.contains("restored"), format!("{ran}"))?;
    // Going back to where it is needs nothing to be done.
    shop.run("run web --to version=v1 --yes", 0)?;
    equal("the revision", &revision(&shop.space)?.as_str(), &"3")
}

fn revision(space: &Space<'_>) -> Result<String, Failure> {
    let web = space.get("deployments", "web")?;
    Ok(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap_or("").to_owned())
}

async fn kinds() -> CaseResult {
    use rollback_tests::kubernetes::{NODES, manifest};
    for (kind, resource, object, replicas) in [
        ("statefulset", "statefulsets", manifest::stateful_set("web", "v1", 2), 2),
        ("daemonset", "daemonsets", manifest::daemon_set("web", "v1"), NODES),
    ] {
        let shop = Shop::new()?;
        shop.is(kind, &shop.space.plane().kubeconfig("admin")?)?;
        shop.space.create(&object)?;
        shop.space.until_rolled_out(resource, "web")?;
        shop.space.set_image(resource, "web", "v2")?;
        shop.space.until_rolled_out(resource, "web")?;
        shop.run(BACK, 0)?;
        shop.runs(resource, "v1", replicas)?;
    }
    Ok(())
}

/// kubectl waits for the deadline of ten minutes here.
async fn to_crashing() -> CaseResult {
    let shop = Shop::new()?;
    rollback_tests::kubernetes::scenes::deploy(&shop.space, &["v1", "bad", "v2"])?;
    let ran = shop.run("run web --to version=bad --yes", PARTIAL)?;
    let told = format!("{}{}", ran.out, ran.err);
    let last = LAST_WORDS.trim_end().rsplit('\n').next().unwrap_or_default();
    for words in ["CrashLoopBackOff", &format!("exit code {EXIT_CODE}"), last] {
        ensure(told.contains(words), format!("{words:?} is not said: {told}"))?;
    }
    Ok(())
}

/// The condition of the bad release stays while the earlier one comes back, and `rollout status` fails by it at once.
async fn after_a_missed_deadline() -> CaseResult {
    let shop = Shop::new()?;
    rollback_tests::kubernetes::scenes::deploy(&shop.space, &["slow"])?;
    let pace = json!({ "rollingUpdate": { "maxUnavailable": 1 } });
    // Longer than the way back takes.
    let spec = json!({ "progressDeadlineSeconds": 2 * SLOW.as_secs().max(2), "strategy": pace });
    shop.space.patch("deployments", "web", &json!({ "spec": spec }))?;
    shop.space.set_image("deployments", "web", "bad")?;
    shop.space.until_one("the deadline to be over", "deployments", "web", |web| {
        let conditions = web["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["reason"] == "ProgressDeadlineExceeded")
    })?;
    shop.run(BACK, 0)?;
    shop.runs("deployments", "slow", 2)
}

async fn to_what_no_registry_has() -> CaseResult {
    let shop = Shop::new()?;
    rollback_tests::kubernetes::scenes::deploy(&shop.space, &["v1", "nopull", "v2"])?;
    let ran = shop.run("run web --to version=nopull --yes", PARTIAL)?;
    let told = format!("{}{}", ran.out, ran.err);
    for words in ["ImagePullBackOff", "code = NotFound desc = failed to pull"] {
        ensure(told.contains(words), format!("{words:?} is not said: {told}"))?;
    }
    Ok(())
}
