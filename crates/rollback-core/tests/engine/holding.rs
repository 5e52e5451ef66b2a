//! Taking a lease away from a holder that is gone, and from one that was thought to be.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::lease::Sign;
use rollback_core::store::{Condition, Key, Records};
use rollback_core::{Approval, Digest, ErrorKind, State};
use rollback_testkit::sim::{SeededEntropy, Settings, Trouble, Way};

use crate::setup::{Setup, cut_off, ended, name, plan, run};

/// A world that is changed part by part, each request landing only after ten seconds.
async fn slow() -> Setup {
    let settings = Settings::default().parts(6).way(Way::PartByPart);
    let setup = Setup::new(settings.keeps_keys(true).lag(Duration::from_secs(60))).await;
    setup.world.trouble([Trouble::Delay(Some(Duration::from_secs(10))); 6]);
    setup
}

#[tokio::test(start_paused = true)]
async fn nobody_holds_what_nobody_works_on() {
    let setup = slow().await;
    let engine = setup.engine("ben");
    assert_eq!(engine.holding(&name("web")).await.unwrap(), None);
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    assert_eq!(engine.holding(&name("web")).await.unwrap(), None, "it was given back");
}

#[tokio::test(start_paused = true)]
async fn a_holder_at_work_is_seen_beating_and_kept() {
    let setup = slow().await;
    let (ana, ben) = (setup.engine("ana"), setup.engine("ben"));
    let planned = plan(&ana, &setup.request(None)).await;
    let running = tokio::spawn(async move { ana.apply(&planned, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(7)).await;
    let asked = setup.clock.monotonic();
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    assert_eq!((holding.sign, holding.holder.user.as_str()), (Sign::Beating, "ana"));
    let watched = setup.clock.monotonic() - asked;
    assert!(watched < holding.ttl.as_duration(), "a beat ends the watch: {watched:?}");
    assert!(holding.beat_at >= holding.since && holding.since.is_some());
    let error = ben.unlock(&holding, None, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.next_step().unwrap().contains("--force"), "{error}");
    ended(&running.await.unwrap().unwrap(), State::Restored);
    assert!(!ben.unlock(&holding, None, true).await.unwrap(), "it was given back meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_is_fenced_and_its_run_resumed() {
    let setup = slow().await;
    cut_off(&setup, "ana").await;
    let ben = setup.engine("ben");
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    assert_eq!(holding.sign, Sign::Silent);
    assert!(ben.unlock(&holding, Some("ben"), false).await.unwrap());
    assert_eq!(ben.holding(&name("web")).await.unwrap(), None);
    assert!(!ben.unlock(&holding, Some("ben"), false).await.unwrap(), "once is enough");
    let report = ben.resume(holding.run).await.unwrap();
    ended(&report, State::Restored);
    assert_eq!(setup.effects(), 6, "what was sent is not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_wakes_ends_superseded_and_sends_nothing_more() {
    let setup = slow().await;
    let (ana, ben) = (setup.engine("ana"), setup.engine("ben"));
    let planned = plan(&ana, &setup.request(None)).await;
    let running = tokio::spawn(async move { ana.apply(&planned, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(30)).await;
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    assert!(ben.unlock(&holding, Some("ben@desk"), true).await.unwrap());
    let effects = setup.effects();
    let report = running.await.unwrap().unwrap();
    ended(&report, State::Superseded);
    let why = &report.components[&name("web")].summary;
    assert!(why.contains("ben@desk took the lease away"), "{why}");
    assert_eq!(setup.effects(), effects, "nothing was sent after it was fenced");
    assert!(effects < 6, "it was stopped in the middle");

    assert_eq!(ben.runs(1).await.unwrap()[0].state, None, "the run is still open");
    ended(&ben.resume(holding.run).await.unwrap(), State::Restored);
    assert_eq!(setup.effects(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_changed_hands_is_not_taken_away() {
    let setup = slow().await;
    cut_off(&setup, "ana").await;
    let (ben, eve) = (setup.engine("ben"), setup.engine("eve"));
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    let run = holding.run;
    let resumed = tokio::spawn(async move { ben.resume(run).await });
    setup.clock.sleep(Duration::from_secs(20)).await;
    let error = eve.unlock(&holding, None, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("ben@host"), "{error}");
    ended(&resumed.await.unwrap().unwrap(), State::Restored);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_open_is_settled_by_the_next_run() {
    let setup = slow().await;
    cut_off(&setup, "ana").await;
    let ben = setup.engine("ben");
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    assert!(ben.unlock(&holding, None, false).await.unwrap());
    ended(&run(&ben, &setup.request(None)).await, State::Restored);
    assert_eq!(setup.effects(), 6, "no part was changed twice");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_wakes_before_it_is_fenced_is_kept() {
    let setup = slow().await;
    let ben = setup.engine("ben");
    let target = plan(&ben, &setup.request(None)).await.components[&name("web")].target.id.clone();
    let segment = Digest::of_bytes(target.as_str().as_bytes()).hex()[..32].to_owned();
    let key = Key::new(format!("heads/{segment}")).unwrap();
    let entropy = Arc::new(SeededEntropy::new(3));
    let records = Records::new(Arc::new(setup.store.clone()), Arc::clone(&setup.clock), entropy);
    let beat = async |beat: u64| {
        let head = serde_json::json!({
            "holder": { "user": "ana", "host": "desk", "pid": 7 }, "owner": "mark", "epoch": 1, "beat": beat,
            "ttl": "15s", "run": "019aa3f0-0000-7000-8000-000000000001", "open": [],
        });
        records.put(&key, &head, &Condition::Any).await.unwrap();
    };
    beat(1).await;
    let holding = ben.holding(&name("web")).await.unwrap().unwrap();
    assert_eq!(holding.sign, Sign::Silent);
    beat(2).await;
    let error = ben.unlock(&holding, None, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("beats again"), "{error}");
    assert!(ben.unlock(&holding, None, true).await.unwrap(), "forced all the same");
}
