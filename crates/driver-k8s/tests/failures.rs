//! What a failure says, how soon, and what is no failure yet; on the scripted double, through the engine.

#[path = "support/site.rs"]
#[expect(dead_code, reason = "what a workload is set to is not asked here")]
mod site;

use std::time::Duration;

use rollback_core::{Report, Result, State, Target as _};
use rollback_driver_k8s::Kind;
use rollback_scripted_kubernetes::Behaviour;
use serde_json::json;

use self::site::{NAMESPACE, Site, image};

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
const NO_TABLE: &str = "it wrote last: starting | fatal: no table \"orders\"";

/// Everything that a report says.
fn told(report: &Report) -> String {
    format!("{report:?}").replace("\\\"", "\"")
}

/// A workload whose first version does this now.
fn site(kind: Kind, behaviour: Behaviour) -> Site {
    let site = Site::new(kind, &["v1", "v2"]);
    site.cluster.behave(&image("v1"), behaviour);
    site.cluster.writes(&image("v1"), "starting\nfatal: no table \"orders\"\n");
    site
}

fn asked(site: &Site, verb: &str, resource: &str) -> usize {
    site.cluster.calls().iter().filter(|call| call.verb == verb && call.resource == resource).count()
}

/// Goes back to the first version, while somebody does something half a minute later.
async fn back_while(site: &Site, then: impl FnOnce()) -> Result<(Report, Duration)> {
    let began = site.clock.monotonic();
    let (report, ()) = tokio::join!(site.go("revision=1"), async {
        site.clock.sleep(Duration::from_secs(30)).await;
        then();
    });
    Ok((report?, site.clock.monotonic().saturating_sub(began)))
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_with_its_exit_code_and_the_last_lines() -> Result<()> {
    for kind in KINDS {
        let site = site(kind, Behaviour::Crash);
        let began = site.clock.monotonic();
        let report = site.go("revision=1").await?;
        assert!(!report.state.is_success(), "{kind}: {}", told(&report));
        for words in ["exit code 1", NO_TABLE] {
            assert!(told(&report).contains(words), "{kind}: {words}: {}", told(&report));
        }
        let took = site.clock.monotonic().saturating_sub(began);
        assert!(took.as_secs() < 60, "{kind}: it took {took:?}");
        // An instance is asked about once, however often it is looked at.
        let pods = site.cluster.list("pods", NAMESPACE).len();
        assert!((1..=pods).contains(&asked(&site, "get", "pods/log")), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_crash_is_read_once_however_often_it_is_looked_at() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1"]);
        site.cluster.behave(&image("bad"), Behaviour::Crash);
        site.deploy("bad");
        let target = site.target()?;
        for _ in 0..3 {
            let seen = target.observe(None).await?;
            assert!(format!("{:?}", seen.phase).contains("it wrote last"), "{kind}: {:?}", seen.phase);
        }
        assert_eq!(asked(&site, "get", "pods/log"), 1, "{kind}");
        // It crashed once more.
        for pod in site.cluster.list("pods", NAMESPACE) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            site.cluster.change("pods", NAMESPACE, name, |pod| {
                pod["status"]["containerStatuses"][0]["restartCount"] = json!(3);
            });
        }
        target.observe(None).await?;
        assert_eq!(asked(&site, "get", "pods/log"), 2, "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn where_nothing_fails_nobody_is_asked_why() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        assert_eq!(site.go("previous").await?.state, State::Restored, "{kind}");
        assert_eq!((asked(&site, "get", "pods/log"), asked(&site, "list", "events")), (0, 0), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_a_log_holds_is_tamed() -> Result<()> {
    let site = site(Kind::Deployment, Behaviour::Crash);
    let log = format!("{}\n\u{1b}[2Jpostgres://shop:hunter2@db/shop\u{7}\n", "x".repeat(100_000));
    site.cluster.writes(&image("v1"), log);
    let report = told(&site.go("revision=1").await?);
    assert!(report.contains("it wrote last: xxx") && !report.contains("hunter2"), "{report}");
    assert!(!report.contains(&"x".repeat(400)) && !report.contains("\\u{1b}"), "{report}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_read_logs_is_told_the_failure_as_soon() -> Result<()> {
    let (open, closed, mut silent) = (
        site(Kind::Deployment, Behaviour::Crash),
        site(Kind::Deployment, Behaviour::Crash),
        site(Kind::Deployment, Behaviour::Crash),
    );
    closed.cluster.deny("get pods/log");
    silent.config.show_logs = false;
    let mut took = Vec::new();
    for (site, words) in [
        (&open, NO_TABLE),
        (&closed, "its log could not be read: the caller needs verb get on pods/log"),
        (&silent, "exit code 1"),
    ] {
        let began = site.clock.monotonic();
        let report = site.go("revision=1").await?;
        took.push(site.clock.monotonic().saturating_sub(began));
        assert!(!report.state.is_success() && told(&report).contains(words), "{words}: {}", told(&report));
    }
    assert_eq!((took[0], took[0]), (took[1], took[2]));
    assert_eq!(asked(&silent, "get", "pods/log"), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_bad_release_that_is_left_says_why_too() -> Result<()> {
    let site = Site::new(Kind::StatefulSet, &["v1"]);
    site.cluster.behave(&image("bad"), Behaviour::Crash);
    site.cluster.writes(&image("bad"), "fatal: bad release\n");
    site.deploy("bad");
    let plan = site.plan("previous").await?;
    let found = &plan.components.values().next().unwrap().findings;
    let failed = found.iter().find(|one| one.code == "failed").unwrap();
    assert!(failed.message.contains("it wrote last: fatal: bad release"), "{failed:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_crashes_is_told_with_its_own_lines() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1"]);
        site.change(|object| {
            object["spec"]["template"]["spec"]["initContainers"] =
                json!([{ "name": "migrate", "image": "r/migrate:1" }]);
        });
        site.cluster.settle();
        site.deploy("v2");
        site.cluster.behave("r/migrate:1", Behaviour::Crash);
        site.cluster.writes("r/migrate:1", "no database\n");
        // From a template without it.
        site.change(|object| object["spec"]["template"]["spec"]["initContainers"] = json!([]));
        site.cluster.settle();
        let report = site.go("revision=3").await?;
        let wanted = "CrashLoopBackOff: container migrate ends with exit code 1, 2 restarts so far; it wrote last: no database";
        assert!(told(&report).contains(wanted), "{kind}: {}", told(&report));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_gone_is_told_with_what_the_registry_said() -> Result<()> {
    for kind in KINDS {
        let gone = site(kind, Behaviour::MissingImage);
        let report = gone.go("revision=1").await?;
        let wanted = format!("Failed to pull image \"{0}\": {0}: not found", image("v1"));
        assert!(
            told(&report).contains("ImagePullBackOff") && told(&report).contains(&wanted),
            "{kind}: {}",
            told(&report)
        );
        let closed = site(kind, Behaviour::MissingImage);
        closed.cluster.deny("list events");
        let report = told(&closed.go("revision=1").await?);
        assert!(
            report.contains("ImagePullBackOff") && report.contains("verb list on events"),
            "{kind}: {report}"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_waited_for_and_told_meanwhile() -> Result<()> {
    for kind in KINDS {
        for (behaviour, words) in [
            (Behaviour::NeverReady, "container web runs, and its readiness probe has not passed"),
            (Behaviour::Unschedulable, "cannot be scheduled: 0/2 nodes are available: 2 Insufficient cpu."),
        ] {
            let passes = site(kind, behaviour);
            let (report, took) =
                back_while(&passes, || passes.cluster.behave(&image("v1"), Behaviour::Start)).await?;
            assert_eq!(report.state, State::Restored, "{kind} {behaviour:?}: {}", told(&report));
            assert!(took >= Duration::from_secs(30), "{kind} {behaviour:?}: {took:?}");
            let never = site(kind, behaviour);
            let report = never.go("revision=1").await?;
            assert!(!report.state.is_success(), "{kind} {behaviour:?}");
            assert!(told(&report).contains(words), "{kind} {behaviour:?}: {}", told(&report));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_lets_no_pod_be_made_is_told_and_waited_for() -> Result<()> {
    const QUOTA: &str = "pods \"web-x\" is forbidden: exceeded quota: compute, requested: cpu=1";
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        site.cluster.refuse_pods(QUOTA);
        let report = told(&site.go("revision=1").await?);
        assert!(report.contains(&format!("pods cannot be made: {QUOTA}")), "{kind}: {report}");
        let events = asked(&site, "list", "events");
        assert_eq!(events, usize::from(kind != Kind::Deployment), "{kind}: a Deployment's status says it");
    }
    Ok(())
}

/// What the controller says when the deadline of the ReplicaSet with this version is over.
fn over(site: &Site, version: &str) -> serde_json::Value {
    let sets = site.cluster.list("replicasets", NAMESPACE);
    let set = sets.iter().find(|set| set.to_string().contains(&image(version))).expect("it ran");
    let message = format!("ReplicaSet {} has timed out progressing.", set["metadata"]["name"]);
    json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message }])
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_is_the_end_with_its_reason() -> Result<()> {
    let site = site(Kind::Deployment, Behaviour::NeverReady);
    let over = over(&site, "v1");
    let (report, took) =
        back_while(&site, || site.change(|object| object["status"]["conditions"] = over)).await?;
    for words in ["ProgressDeadlineExceeded: ReplicaSet", "has timed out", "readiness probe"] {
        assert!(told(&report).contains(words), "{}", told(&report));
    }
    assert!(took < Duration::from_secs(60), "{took:?}");
    Ok(())
}

/// Its condition stays until there is progress, and kubectl's `rollout status` fails by it at once.
#[tokio::test(start_paused = true)]
async fn a_release_that_missed_its_deadline_is_left_all_the_same() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    site.cluster.behave(&image("bad"), Behaviour::NeverReady);
    site.deploy("bad");
    let over = over(&site, "bad");
    site.change(|object| object["status"]["conditions"] = over);
    // What comes back takes a while.
    site.cluster.behave(&image("v1"), Behaviour::Slow(20));
    let pods = site.cluster.list("pods", NAMESPACE);
    let one = pods.iter().find(|pod| pod["spec"]["containers"][0]["image"] == image("v1")).unwrap();
    site.cluster.remove("pods", NAMESPACE, one["metadata"]["name"].as_str().unwrap_or_default());
    let report = site.go("previous").await?;
    assert_eq!(report.state, State::Restored, "{}", told(&report));
    Ok(())
}
