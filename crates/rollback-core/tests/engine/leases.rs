//! Leases: who runs, who is refused, who takes over; resume and break-glass.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::store::{Condition, Key, KeyPrefix, MemoryStore};
use rollback_core::{Approval, ErrorKind, State, Store as _};
use rollback_testkit::sim::{Settings, Trouble};

use crate::setup::{Setup, cut_off, ended, name, plan, run};

/// A world in which a rollout takes minutes.
fn slow() -> Settings {
    Settings::default().parts(6).rollout(Duration::from_secs(20))
}

#[tokio::test(start_paused = true)]
async fn a_second_operator_is_refused_naming_the_first() {
    let setup = Setup::new(slow()).await;
    let (ana, ben) = (setup.engine("ana"), setup.engine("ben"));
    let plans = (plan(&ana, &setup.request(None)).await, plan(&ben, &setup.request(None)).await);
    let first = tokio::spawn(async move { ana.apply(&plans.0, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_millis(10)).await;
    let second = ben.apply(&plans.1, &Approval::yes()).await.unwrap();
    ended(&second, State::Refused);
    let why = &second.components[&name("web")].summary;
    assert!(why.contains("ana@host (process 1) holds it"), "{why}");
    ended(&first.await.unwrap().unwrap(), State::Restored);
    assert_eq!(setup.effects(), 1);
}

/// Two watchers that saw the same failure: what the plan saw a moment ago does not count when another run ended since.
#[tokio::test(start_paused = true)]
async fn whoever_comes_a_moment_after_a_run_that_ended_looks_again() {
    let setup = Setup::new(Settings::default().rollout(Duration::from_millis(1))).await;
    let (ana, ben) = (setup.engine("ana"), setup.engine("ben"));
    let plans = (plan(&ana, &setup.request(None)).await, plan(&ben, &setup.request(None)).await);
    let began = setup.clock.monotonic();
    ended(&ana.apply(&plans.0, &Approval::yes()).await.unwrap(), State::Restored);
    assert!(setup.clock.monotonic().saturating_sub(began) < Duration::from_secs(2), "the look is not fresh");
    let second = ben.apply(&plans.1, &Approval::yes()).await.unwrap();
    ended(&second, State::Refused);
    let why = &second.components[&name("web")].summary;
    assert!(why.contains("was changed since the plan was made"), "{why}");
    assert_eq!(setup.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_is_taken_over_and_its_run_resumed() {
    let setup = Setup::new(slow()).await;
    cut_off(&setup, "ana").await;
    let ben = setup.engine("ben");
    let unfinished = ben.runs(1).await.unwrap().remove(0);
    assert_eq!(unfinished.state, None);
    let report = ben.resume(unfinished.run).await.unwrap();
    ended(&report, State::Restored);
    assert_eq!(setup.effects(), 1, "what was sent is not sent again");
    // The report is kept: resuming once more gives it again.
    assert_eq!(ben.resume(unfinished.run).await.unwrap(), report);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_settles_what_a_dead_one_left_open() {
    let setup = Setup::new(Settings::default().keeps_keys(true).lag(Duration::from_secs(60))).await;
    let ana = setup.engine("ana");
    let first = plan(&ana, &setup.request(Some("revision=r1"))).await;
    setup.world.trouble([Trouble::Delay(Some(Duration::from_secs(50)))]);
    let cut_off = tokio::spawn(async move { ana.apply(&first, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(2)).await;
    cut_off.abort();
    let _ = cut_off.await;
    // Planned before the late request lands: by the time the new run may act, the world has moved.
    let ben = setup.engine("ben");
    let report = run(&ben, &setup.request(None)).await;
    ended(&report, State::Refused);
    assert_eq!(setup.world.look().everywhere(), Some(1));
    ended(&run(&ben, &setup.request(None).allow_newer(true)).await, State::Restored);
    assert_eq!(setup.world.look().everywhere(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn resuming_what_is_still_running_is_refused() {
    let setup = Setup::new(slow()).await;
    let ana = setup.engine("ana");
    let planned = plan(&ana, &setup.request(None)).await;
    let running = tokio::spawn(async move { ana.apply(&planned, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(5)).await;
    let ben = setup.engine("ben");
    let id = ben.runs(1).await.unwrap()[0].run;
    let error = ben.resume(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    ended(&running.await.unwrap().unwrap(), State::Restored);
}

#[tokio::test(start_paused = true)]
async fn break_glass_needs_no_lease_and_is_merged_later() {
    let setup = Setup::new(Settings::default()).await;
    let local = MemoryStore::new();
    let engine = setup.builder("ana").break_glass(Arc::new(local.clone()), "the store is down").build();
    let report = run(&engine, &setup.request(Some("revision=r2"))).await;
    ended(&report, State::Restored);
    assert_eq!(report.break_glass.as_deref(), Some("the store is down"));
    let shared = setup.engine("ben");
    assert!(shared.runs(10).await.unwrap().is_empty());
    assert!(shared.merge_break_glass(Arc::new(local.clone())).await.unwrap() > 0);
    let merged = shared.run(report.run).await.unwrap();
    assert_eq!(merged.summary.break_glass.as_deref(), Some("the store is down"));
    assert!(!merged.journal[&name("web")].is_empty());
    assert_eq!(shared.merge_break_glass(Arc::new(local)).await.unwrap(), 0, "merging again adds nothing");
}

/// Changes what the head of the only target says.
async fn forge(setup: &Setup, change: impl FnOnce(&mut serde_json::Value)) {
    let heads = setup.store.list(&KeyPrefix::new("heads").unwrap(), None, 2).await.unwrap();
    let head = setup.store.get(&heads[0]).await.unwrap().unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&head.value).unwrap();
    change(&mut document["body"]);
    setup.store.put(&heads[0], document.to_string().as_bytes(), &Condition::Any).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_whose_epoch_cannot_rise_is_refused() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    run(&engine, &setup.request(None)).await;
    forge(&setup, |head| head["epoch"] = u64::MAX.into()).await;
    let report = run(&engine, &setup.request(Some("revision=r1"))).await;
    ended(&report, State::Refused);
    let why = &report.components[&name("web")].summary;
    assert!(why.contains("epoch cannot rise"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_asks_for_a_century_is_watched_for_minutes() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    run(&engine, &setup.request(None)).await;
    forge(&setup, |head| {
        head["ttl"] = "876000h".into();
        head["holder"] = serde_json::json!({ "user": "nobody", "host": "gone", "pid": 1 });
    })
    .await;
    let began = setup.clock.monotonic();
    let report = run(&engine, &setup.request(Some("revision=r1"))).await;
    ended(&report, State::Restored);
    assert!(setup.clock.monotonic() - began < Duration::from_secs(660));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_says_too_many_attempts_is_resumed() {
    let setup = Setup::new(slow()).await;
    let ana = setup.engine("ana");
    setup.world.trouble([Trouble::LoseRequest]);
    let report = run(&ana, &setup.request(None)).await;
    ended(&report, State::Restored);
    let journal = KeyPrefix::new(&format!("journal/{}", report.run)).unwrap();
    for key in setup.store.list(&journal, None, 100).await.unwrap() {
        let entry = setup.store.get(&key).await.unwrap().unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
        match document["body"]["event"].as_str().unwrap() {
            "begun" | "guarded" | "leg-started" => continue,
            "intent" if document["body"]["attempt"] == 1 => document["body"]["attempt"] = u32::MAX.into(),
            "outcome" if document["body"]["intent"] == 3 => {
                document["body"]["landing"] = serde_json::json!({ "not-applied": { "why": "it was lost" } });
            }
            _ => {
                setup.store.delete(&key, &entry.version).await.unwrap();
                continue;
            }
        }
        setup.store.put(&key, document.to_string().as_bytes(), &Condition::Any).await.unwrap();
    }
    let key = Key::new(format!("runs/{}", report.run)).unwrap();
    let record = setup.store.get(&key).await.unwrap().unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    document["body"]["report"] = serde_json::Value::Null;
    setup.store.put(&key, document.to_string().as_bytes(), &Condition::Any).await.unwrap();
    setup.world.deploy(3, "pipeline").unwrap();
    assert!(setup.engine("ben").resume(report.run).await.is_ok());
}
