//! The target as core sees it, on real folders and with a real process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollback_core::strategy::Proposal;
use rollback_core::target::{
    Certainty, Goal, Health, HistoryQuery, Phase, Proof, Reading, Severity, Standing,
};
use rollback_core::{
    ActionContext, ComponentName, Decision, DriverRegistry, DynTarget, Effect, Envelope, ErrorKind,
    IdempotencyKey, Landing, Revision, RunId, Snapshot as _, SnapshotRecord, StepId, Token, View,
};
use rollback_driver_local::{LocalConfig, LocalDriver, LocalRelease, LocalTarget};
use serde_json::json;

use self::site::Site;

impl Site {
    /// Releases v1 and v2, `current` at v2.
    fn new() -> Self {
        Self::with(&["v1", "v2"])
    }

    fn config(&self) -> LocalConfig {
        LocalTarget::builder(self.home.join("releases"))
    }

    fn target(&self) -> Arc<dyn DynTarget> {
        self.config().connect().unwrap()
    }

    /// A restart script that stops the old process and starts one in `current`.
    fn service(&self) -> (Arc<dyn DynTarget>, Service) {
        let script = self.home.join("restart.sh");
        let text = "if [ -s pid ]; then kill \"$(cat pid)\"; fi\n\
                    pid_file=$PWD/pid\n\
                    cd current/ || exit 1\n\
                    sleep 1000 >/dev/null 2>&1 &\n\
                    echo $! > \"$pid_file\"\n";
        fs::write(&script, text).unwrap();
        let pid_file = self.home.join("pid");
        let config = self.config().restart(["sh", script.to_str().unwrap()]).pid_file(&pid_file);
        (config.connect().unwrap(), Service(pid_file))
    }
}

/// Stops the process that the pid file names.
struct Service(PathBuf);

impl Service {
    fn stop(&self) {
        if let Ok(pid) = fs::read_to_string(&self.0) {
            let _ = std::process::Command::new("kill").args(["-9", pid.trim()]).status();
            // The kernel ends it a moment after `kill` came back, and empties its command line before it calls it a
            // zombie: only the state tells.
            let stat = format!("/proc/{}/stat", pid.trim());
            let ended = |text: &String| {
                text.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X']))
            };
            while fs::read_to_string(&stat).is_ok_and(|text| !ended(&text)) {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn context(key: &str, expected: Option<Token>) -> ActionContext {
    let run: RunId = "019aa000-0000-7000-8000-000000000001".parse().unwrap();
    let name = ComponentName::new("web").unwrap();
    ActionContext::new(run, name, StepId::new("step").unwrap(), IdempotencyKey::new(key).unwrap())
        .expecting(expected)
}

async fn release(target: &Arc<dyn DynTarget>, name: &str) -> SnapshotRecord {
    let query = HistoryQuery::revision(Revision::new(name).unwrap());
    target.history(&query).await.unwrap().remove(0).snapshot
}

/// The one proposal there is, with its strategy.
async fn proposal(target: &Arc<dyn DynTarget>, goal: &SnapshotRecord) -> (String, Proposal<Envelope>) {
    let observed = target.observe(None).await.unwrap();
    let capabilities = target.info().await.unwrap().capabilities;
    let view = View::new(ComponentName::new("web").unwrap(), observed, goal.clone(), capabilities);
    let mut found =
        target.propose(&view).unwrap().into_iter().filter_map(|considered| match considered.decision {
            Decision::Propose(proposal) => Some((considered.strategy, proposal)),
            Decision::NotApplicable(_) => None,
        });
    let one = found.next().unwrap();
    assert!(found.next().is_none());
    one
}

/// Sends every step in order, each with the token that the one before returned.
async fn run(target: &Arc<dyn DynTarget>, steps: &Proposal<Envelope>) {
    let mut token = target.observe(None).await.unwrap().token;
    for step in &steps.steps {
        let landing =
            target.apply(&context(step.id.as_str(), Some(token.clone())), &step.action).await.unwrap();
        let Landing::Applied(receipt) = landing else { panic!("{landing:?}") };
        token = receipt.token.unwrap();
    }
}

async fn proof(target: &Arc<dyn DynTarget>, goal: &Goal<SnapshotRecord>) -> Proof {
    target.prove(goal).await.unwrap().judge(goal.snapshot.info.identity, goal)
}

fn against(proof: Proof) -> String {
    match proof {
        Proof::NotProven { against, .. } => against.join("; "),
        Proof::Proven => panic!("it must not be proven"),
    }
}

#[tokio::test]
async fn a_static_site_goes_back_and_is_proven() {
    let site = Site::new();
    let target = site.target();
    let goal = release(&target, "v1").await;
    assert!(!proof(&target, &Goal::runs(goal.clone())).await.is_proven());
    let (strategy, steps) = proposal(&target, &goal).await;
    assert_eq!(strategy, "switch-symlink");
    run(&target, &steps).await;
    let observed = target.observe(None).await.unwrap();
    assert_eq!(observed.settled.known().unwrap().info.revision.as_str(), "v1");
    assert_eq!(observed.phase, Phase::Settled);
    let evidence = target.prove(&Goal::runs(goal.clone())).await.unwrap();
    assert_eq!(evidence.parts[0].certainty, Certainty::Verified);
    assert!(evidence.compared[0].contains("1 files"), "{evidence:?}");
    assert!(proof(&target, &Goal::runs(goal)).await.is_proven());
}

#[tokio::test]
async fn the_proof_reads_every_byte_again() {
    let site = Site::new();
    let target = site.target();
    let goal = release(&target, "v2").await;
    assert!(proof(&target, &Goal::runs(goal.clone())).await.is_proven());
    fs::write(site.home.join("releases/v2/index.html"), "v3").unwrap();
    assert!(against(proof(&target, &Goal::runs(goal)).await).contains("wanted"));
}

#[tokio::test]
async fn history_is_newest_first_bounded_and_knows_only_what_runs() {
    let site = Site::new();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    fs::File::open(site.home.join("releases/v1")).unwrap().set_modified(old).unwrap();
    fs::create_dir(site.home.join("releases/upload-in-progress")).unwrap();
    let target = site.target();
    let history = target.history(&HistoryQuery::newest(20)).await.unwrap();
    let seen: Vec<_> =
        history.iter().map(|entry| (entry.snapshot.info.revision.as_str(), entry.standing)).collect();
    assert_eq!(seen, [("v2", Standing::Current), ("v1", Standing::Unknown)]);
    assert!(history[0].ran_at.is_some() && history[1].ran_at.is_none());
    assert_eq!(target.history(&HistoryQuery::newest(1)).await.unwrap().len(), 1);
    let unknown = HistoryQuery::revision(Revision::new("v9").unwrap());
    assert!(target.history(&unknown).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_hostile_or_broken_release_is_an_error_to_who_asks_for_it() {
    let site = Site::new();
    let target = site.target();
    for name in ["../../etc", "-rf", ".."] {
        let query = HistoryQuery::revision(Revision::new(name).unwrap());
        let error = target.history(&query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
    fs::create_dir(site.home.join("releases/empty")).unwrap();
    let query = HistoryQuery::revision(Revision::new("empty").unwrap());
    let error = target.history(&query).await.unwrap_err();
    assert!(error.to_string().contains("no file"), "{error}");
}

#[tokio::test]
async fn a_switch_without_its_restart_is_not_proven_and_is_repaired_by_a_restart() {
    let site = Site::new();
    let (target, service) = site.service();
    let goal = release(&target, "v1").await;
    // The bad release runs.
    let bad = release(&target, "v2").await;
    let (strategy, steps) = proposal(&target, &bad).await;
    assert_eq!(strategy, "restart-only");
    run(&target, &steps).await;
    assert!(proof(&target, &Goal::runs(bad)).await.is_proven());
    let before = target.observe(None).await.unwrap().incarnations();
    assert_eq!(before.len(), 1);

    // A run that was cut off between switch and restart.
    let (strategy, mut steps) = proposal(&target, &goal).await;
    assert_eq!((strategy.as_str(), steps.restarts), ("switch-and-restart", true));
    steps.steps.truncate(1);
    run(&target, &steps).await;
    let wanted = Goal::runs(goal.clone());
    let evidence = target.prove(&wanted).await.unwrap();
    assert!(evidence.compared.iter().any(|text| text.contains("started in release v2")), "{evidence:?}");
    assert!(against(proof(&target, &wanted).await).contains("runs"));

    let (strategy, steps) = proposal(&target, &goal).await;
    assert_eq!(strategy, "restart-only");
    run(&target, &steps).await;
    let wanted = Goal::runs(goal.clone()).restarted_since(before);
    assert!(proof(&target, &wanted).await.is_proven());
    // Nothing was restarted since now.
    let now = target.observe(None).await.unwrap().incarnations();
    let wanted = Goal::runs(goal.clone()).restarted_since(now);
    assert!(against(proof(&target, &wanted).await).contains("was not restarted"));

    // The process dies: nothing runs, so nothing is proven, and it is not at rest.
    service.stop();
    assert!(against(proof(&target, &Goal::runs(goal)).await).contains("no replica"));
    assert!(matches!(target.observe(None).await.unwrap().phase, Phase::Progressing(_)));
}

#[tokio::test]
async fn a_process_whose_release_was_removed_is_not_taken_for_the_one_of_that_name() {
    let site = Site::new();
    let (target, _service) = site.service();
    let goal = release(&target, "v2").await;
    let (_, steps) = proposal(&target, &goal).await;
    run(&target, &steps).await;
    // The same release is uploaded again under the same name.
    fs::rename(site.home.join("releases/v2"), site.home.join("old")).unwrap();
    fs::create_dir(site.home.join("releases/v2")).unwrap();
    fs::write(site.home.join("releases/v2/index.html"), "v2").unwrap();
    fs::rename(site.home.join("old"), site.home.join("releases/was-v2")).unwrap();
    fs::remove_dir_all(site.home.join("releases/was-v2")).unwrap();
    let proof = proof(&target, &Goal::runs(goal)).await;
    assert!(against(proof).contains("not known"));
}

#[tokio::test]
async fn a_restart_never_starts_somebody_elses_release() {
    let site = Site::new();
    let (target, service) = site.service();
    let goal = release(&target, "v1").await;
    let (_, steps) = proposal(&target, &goal).await;
    let restart = &steps.steps[1];
    // Without a token, `current` itself decides: it still names v2.
    for expected in [None, Some(Token::new("another"))] {
        let landing = target.apply(&context("k", expected), &restart.action).await.unwrap();
        assert!(matches!(landing, Landing::Superseded { .. }), "{landing:?}");
    }
    let cancelled = context("k", None);
    cancelled.cancel.cancel();
    let (_, live) = proposal(&target, &release(&target, "v2").await).await;
    let error = target.apply(&cancelled, &live.steps[0].action).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Cancelled, Effect::None));
    assert!(!service.0.exists(), "nothing was started");
    assert!(matches!(
        target.probe(&context("k", None), &restart.action).await.unwrap(),
        Landing::Unknown { .. }
    ));
}

#[tokio::test]
async fn a_restart_that_fails_says_what_the_command_said() {
    let site = Site::new();
    let target = site.config().restart(["sh", "-c", "echo the port is taken; exit 7"]).connect().unwrap();
    let goal = release(&target, "v2").await;
    let (_, steps) = proposal(&target, &goal).await;
    let error = target.apply(&context("k", None), &steps.steps[0].action).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unhealthy, Effect::Unknown));
    assert!(error.to_string().contains("the port is taken") && error.to_string().contains('7'), "{error}");

    let target = site.config().restart(["/no/such/program"]).connect().unwrap();
    let error = target.apply(&context("k", None), &steps.steps[0].action).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None));
}

#[tokio::test]
async fn the_health_command_decides_health_and_not_identity() {
    let site = Site::new();
    let well = site.config().health(["test", "-e", "well"]).connect().unwrap();
    let observed = well.observe(None).await.unwrap();
    assert!(matches!(observed.parts[0].health, Health::Unhealthy(_)));
    assert!(observed.parts[0].identity.is_some());
    let goal = Goal::runs(release(&well, "v2").await);
    let evidence = well.prove(&goal).await.unwrap();
    assert!(matches!(evidence.parts[0].health, Health::Unhealthy(_)));
    assert!(evidence.judge(goal.snapshot.info.identity, &goal).is_proven(), "gates judge health");
    fs::write(site.home.join("well"), "").unwrap();
    assert_eq!(well.observe(None).await.unwrap().parts[0].health, Health::Healthy);
}

fn codes(findings: &[rollback_core::Finding]) -> BTreeMap<&str, Severity> {
    findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect()
}

#[tokio::test]
async fn an_inspection_names_differences_and_what_stands_in_the_way() {
    let site = Site::new();
    let target = site.target();
    fs::write(site.home.join("releases/v1/only\nhere"), "").unwrap();
    let (from, to) = (release(&target, "v2").await, release(&target, "v1").await);
    let clean = target.inspect(Some(&from), &to).await.unwrap();
    let paths: Vec<_> = clean.diff.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["index.html", "only\\nhere"]);
    assert!(clean.findings.is_empty(), "{:?}", clean.findings);
    assert_eq!(clean.artifacts[0].presence, Reading::Known(None));

    symlink("/etc", site.home.join("releases/v1/etc")).unwrap();
    fs::create_dir(site.home.join("releases/-rf")).unwrap();
    fs::remove_file(site.home.join("current")).unwrap();
    symlink("/etc", site.home.join("current")).unwrap();
    let found = target.inspect(Some(&from), &to).await.unwrap().findings;
    let wanted = [
        ("current-outside", Severity::Blocker),
        ("not-a-release", Severity::Info),
        ("release-changed", Severity::Blocker),
        ("symlink-outside", Severity::Blocker),
    ];
    assert_eq!(codes(&found), BTreeMap::from(wanted));
    assert!(found.iter().filter(|finding| finding.severity == Severity::Blocker).all(|f| f.next.is_some()));
    assert!(matches!(target.observe(None).await.unwrap().settled, Reading::Unknown(_)));

    fs::remove_dir_all(site.home.join("releases/v1")).unwrap();
    let gone = target.inspect(Some(&from), &to).await.unwrap();
    assert_eq!(gone.artifacts[0].presence, Reading::Absent);
    assert_eq!(codes(&gone.findings)["release-missing"], Severity::Blocker);
}

#[tokio::test]
async fn the_list_of_differences_is_bounded() {
    let site = Site::new();
    for number in 0..500 {
        fs::write(site.home.join(format!("releases/v1/{number:03}")), "").unwrap();
    }
    let target = site.target();
    let (from, to) = (release(&target, "v2").await, release(&target, "v1").await);
    let inspection = target.inspect(Some(&from), &to).await.unwrap();
    assert_eq!(inspection.diff.len(), 200);
    assert!(inspection.findings.iter().any(|finding| finding.message.contains("501")));
}

#[tokio::test]
async fn two_operators_meet_in_one_id_however_they_write_the_path() {
    let site = Site::new();
    symlink(&site.home, site.home.with_extension("alias")).unwrap();
    let alias = site.home.with_extension("alias");
    let straight = site.target().info().await.unwrap();
    let round = LocalConfig::new(alias.join("releases/../releases"))
        .current(alias.join("current"))
        .connect()
        .unwrap();
    assert_eq!(round.info().await.unwrap().id, straight.id);
    fs::remove_file(&alias).unwrap();
    assert!(straight.id.as_str().ends_with("/current"), "{:?}", straight.id);
    assert!(straight.capabilities.keeps_keys && !straight.capabilities.restarts);
    assert!(site.service().0.info().await.unwrap().capabilities.restarts);
}

#[tokio::test]
async fn the_driver_connects_from_configuration_and_refuses_unknown_settings() {
    let site = Site::new();
    let registry = DriverRegistry::new().with(LocalDriver);
    let name = ComponentName::new("web").unwrap();
    let releases = site.home.join("releases");
    let target = registry.connect("local", &name, json!({ "releases": releases })).await.unwrap();
    assert!(target.observe(None).await.unwrap().settled.known().is_some());
    let error = registry.connect("local", &name, json!({ "relases": releases })).await.unwrap_err();
    assert!(error.to_string().contains("did you mean \"releases\""), "{error}");
    let error = registry.connect("local", &name, json!({})).await.unwrap_err();
    assert!(error.to_string().contains("releases"), "{error}");
}

#[tokio::test]
async fn a_vanished_releases_folder_changes_nothing_and_says_what_to_do() {
    let site = Site::new();
    let target = site.target();
    let goal = release(&target, "v1").await;
    let (_, steps) = proposal(&target, &goal).await;
    let token = target.observe(None).await.unwrap().token;
    fs::rename(site.home.join("releases"), site.home.join("away")).unwrap();
    let cx = context("k", Some(token));
    let action = &steps.steps[0].action;
    for error in [target.observe(None).await.unwrap_err(), target.apply(&cx, action).await.unwrap_err()] {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None));
        assert!(error.next_step().is_some(), "{error}");
    }
    assert_eq!(fs::read_link(site.home.join("current")).unwrap(), Path::new("releases/v2"));
}

/// Plans and journals outlive releases of this crate: what was written once is read for ever.
#[test]
fn the_written_forms_stay_as_they_are() {
    let body = json!({
        "name": "v1",
        "digest": format!("sha256:{}", "ab".repeat(32)),
        "files": 3,
        "bytes": 4096,
        "made_at": "2026-11-20T18:30:00Z",
    });
    let envelope = Envelope { schema: "local-release/1".to_owned(), body };
    let release: LocalRelease = envelope.open().unwrap();
    assert_eq!(release.info().version.unwrap().as_str(), "v1");
    assert_eq!(Envelope::seal(&release).unwrap(), envelope);
    let action = json!({ "action": "switch", "to": "v1", "identity": format!("sha256:{}", "ab".repeat(32)) });
    let envelope = Envelope { schema: "local-action/1".to_owned(), body: action };
    let read: rollback_driver_local::LocalAction = envelope.open().unwrap();
    assert_eq!(Envelope::seal(&read).unwrap(), envelope);
    let hostile = json!({ "action": "restart", "on": "../../etc" });
    let hostile = Envelope { schema: "local-action/1".to_owned(), body: hostile };
    assert_eq!(hostile.open::<rollback_driver_local::LocalAction>().unwrap_err().kind(), ErrorKind::Corrupt);
}
