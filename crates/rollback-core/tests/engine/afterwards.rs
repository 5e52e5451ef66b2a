//! What is left for afterwards: done once everything is proven, and no part of the rollback.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::{Approval, Report, State};
use rollback_testkit::sim::{Settings, ToyTarget, Trouble, World};

use crate::setup::{Setup, ended, gate, name, plan, run};

async fn setup() -> Setup {
    Setup::new(Settings::default().sweeps(true)).await
}

fn swept(world: &World) -> Vec<u32> {
    world.swept().iter().map(|swept| swept.release).collect()
}

fn untidied(report: &Report) -> Option<&str> {
    let mut findings = report.components[&name("web")].findings.iter();
    findings.find(|finding| finding.code == "not-tidied").map(|finding| finding.message.as_str())
}

#[tokio::test(start_paused = true)]
async fn what_was_left_is_swept_away_once_the_destination_is_proven() {
    let setup = setup().await;
    let engine = setup.engine("ana");
    let report = run(&engine, &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!((setup.world.look().everywhere(), swept(&setup.world)), (Some(2), vec![3]));
    let titles: Vec<_> =
        report.components[&name("web")].steps.iter().map(|step| step.title.as_str()).collect();
    assert_eq!(titles, ["roll out r2", "sweep r3 away"]);
    let told = engine.run(report.run).await.unwrap().journal;
    let told: Vec<_> = told[&name("web")].iter().map(|(_, line)| line.as_str()).collect();
    let at = |what: &str| told.iter().position(|line| line.starts_with(what)).unwrap();
    assert!(at("proven on") < at("tidies up after switch-all"), "{told:#?}");
    // Every outcome says of which step it is.
    for line in told.iter().filter(|line| line.ends_with(": about to be sent")) {
        let step = line.trim_end_matches("about to be sent");
        assert!(told.contains(&format!("{step}applied").as_str()), "{told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_fails_leaves_it_be() {
    let setup = setup().await;
    let engine = setup.builder("ana").gate(gate("bad", r#"{"every":"1s","within":"5s"}"#)).build();
    ended(&run(&engine, &setup.request(None)).await, State::RestoredUnhealthy);
    assert!(setup.world.swept().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_component_that_does_not_arrive_leaves_it_be() {
    let setup = setup().await;
    let db = World::new(Settings::default(), Arc::clone(&setup.clock));
    let engine = setup.builder("ana").component(name("db"), ToyTarget::new("db", db.clone()).erase()).build();
    db.deploy(2, "pipeline").unwrap();
    engine.record(&name("db"), &Claim::good()).await.unwrap();
    db.deploy(3, "pipeline").unwrap();
    db.trouble([Trouble::Refuse; 40]);
    let report = run(&engine, &setup.request(None).component(name("db"), None)).await;
    assert_eq!(report.components[&name("web")].state, State::Restored);
    assert!(setup.world.swept().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_fails_afterwards_is_told_and_the_target_is_restored() {
    let setup = setup().await;
    setup.world.trouble(std::iter::once(Trouble::Pass).chain([Trouble::Refuse; 40]));
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    assert!(setup.world.swept().is_empty());
    assert!(untidied(&report).is_some_and(|why| why.contains("too many requests")), "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_sent_twice() {
    let setup = setup().await;
    setup.world.trouble([Trouble::Pass, Trouble::LoseAnswer]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!((swept(&setup.world), untidied(&report)), (vec![3], None));
}

/// The process died between the first sending, which was refused, and the second.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_while_it_tidies_up_is_brought_to_its_end() {
    let setup = setup().await;
    let engine = setup.engine("ana");
    let planned = plan(&engine, &setup.request(None)).await;
    setup.world.trouble([Trouble::Pass, Trouble::Refuse]);
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.apply(&planned, &Approval::yes()).await }
    });
    setup.clock.sleep(Duration::from_millis(100)).await;
    running.abort();
    assert!(running.await.is_err(), "it was cut off");
    assert!(setup.world.swept().is_empty());
    let run = engine.runs(1).await.unwrap()[0].run;
    setup.clock.sleep(Duration::from_secs(120)).await;
    let report = setup.engine("bob").resume(run).await.unwrap();
    ended(&report, State::Restored);
    assert_eq!((swept(&setup.world), untidied(&report)), (vec![3], None));
    assert_eq!(setup.effects(), 1, "the rollback itself is not sent again");
}
