//! Several components: order, and a run that is only as good as its worst part.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::progress::{Event, Progress};
use rollback_core::{Approval, Engine, OnFailure, Request, State};
use rollback_testkit::sim::{Settings, ToyTarget, Trouble, World};

use crate::setup::{Setup, ended, gate, name, plan};

/// `web` after `db`, both at release 3, both with release 2 recorded as good.
async fn two() -> (Setup, World, Engine, rollback_core::progress::Events) {
    let setup = Setup::new(Settings::default()).await;
    let db = World::new(Settings::default(), Arc::clone(&setup.clock));
    let (progress, events) = Progress::channel();
    let engine = setup
        .builder("ana")
        .component(name("db"), ToyTarget::new("db", db.clone()).erase())
        .after(name("web"), name("db"))
        .progress(progress)
        .build();
    db.deploy(2, "pipeline").unwrap();
    engine.record(&name("db"), &Claim::good()).await.unwrap();
    db.deploy(3, "pipeline").unwrap();
    (setup, db, engine, events)
}

fn both(setup: &Setup) -> Request {
    setup.request(None).component(name("db"), None)
}

#[tokio::test(start_paused = true)]
async fn components_act_in_their_order() {
    let (setup, db, engine, mut events) = two().await;
    let plan = plan(&engine, &both(&setup)).await;
    ended(&engine.apply(&plan, &Approval::yes()).await.unwrap(), State::Restored);
    assert_eq!((db.look().everywhere(), setup.world.look().everywhere()), (Some(2), Some(2)));
    let mut sent = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::StepStarted { component, .. } = event {
            sent.push(component.to_string());
        }
    }
    assert_eq!(sent, ["db", "web"]);
}

#[tokio::test(start_paused = true)]
async fn two_names_for_one_target_are_refused() {
    let (setup, _db, _engine, _events) = two().await;
    let again = ToyTarget::new("web", setup.world.clone()).erase();
    let engine = setup.builder("ana").component(name("again"), again).build();
    let error = engine.plan(&setup.request(None).component(name("again"), None)).await.unwrap_err();
    assert!(error.message().contains("again and web are the same target"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_failure_is_not_begun() {
    let (setup, db, engine, _events) = two().await;
    db.trouble([Trouble::Refuse; 40]);
    let plan = plan(&engine, &both(&setup)).await;
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    assert!(!report.state.is_success());
    assert_eq!(report.components[&name("db")].state, State::FailedRestored);
    assert_eq!(report.components[&name("web")].state, State::Refused);
    assert_eq!(setup.effects(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_back_and_one_that_is_not_is_no_success() {
    let (setup, db, engine, _events) = two().await;
    setup.world.trouble([Trouble::Refuse; 40]);
    let plan = plan(&engine, &both(&setup)).await;
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    ended(&report, State::Partial);
    assert_eq!((db.look().everywhere(), setup.world.look().everywhere()), (Some(2), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn by_choice_all_go_back_when_one_fails() {
    let (setup, db, engine, _events) = two().await;
    setup.world.trouble([Trouble::Refuse; 4]);
    let plan = plan(&engine, &both(&setup).on_failure(OnFailure::Back)).await;
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    ended(&report, State::FailedRestored);
    assert_eq!((db.look().everywhere(), setup.world.look().everywhere()), (Some(3), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_guard_of_one_keeps_all_from_beginning() {
    let (setup, db, engine, _events) = two().await;
    let plan = plan(&engine, &both(&setup)).await;
    setup.deploy(4).await;
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    ended(&report, State::Refused);
    assert_eq!(db.look().everywhere(), Some(3), "nothing was done to the component whose guards passed");
}

/// The plan of all of them is larger than any one value that a store takes.
#[tokio::test(start_paused = true)]
async fn hundreds_of_components_are_one_run_that_is_kept_whole() {
    let setup = Setup::new(Settings::default()).await;
    let names: Vec<_> = (0..900).map(|number| name(&format!("part-{number:03}"))).collect();
    let mut builder = setup.builder("ana");
    let mut request = setup.request(Some("revision=r1"));
    for (number, component) in names.iter().enumerate() {
        let world = World::new(Settings::default(), Arc::clone(&setup.clock));
        world.deploy(2, "pipeline").unwrap();
        builder = builder.component(component.clone(), ToyTarget::new(component.as_str(), world).erase());
        if number > 0 {
            builder = builder.after(component.clone(), names[number - 1].clone());
        }
        request = request.component(component.clone(), Some("revision=r1".parse().unwrap()));
    }
    let engine = builder.build();
    let plan = plan(&engine, &request).await;
    assert!(plan.to_json().unwrap().to_string().len() > rollback_core::store::MAX_VALUE_BYTES);
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    ended(&report, State::Restored);
    assert_eq!(report.components.len(), 901);
    let kept = engine.run(report.run).await.unwrap();
    assert_eq!((kept.plan.digest(), kept.report.unwrap()), (plan.digest(), report));
    let listed = engine.runs(1).await.unwrap().remove(0);
    assert_eq!((listed.components.len(), listed.component_count), (100, 901));
}

#[tokio::test(start_paused = true)]
async fn what_arrived_and_passed_its_gates_is_restored_whatever_became_of_the_run() {
    let setup = Setup::new(Settings::default()).await;
    let (db, edge) = (World::new(Settings::default(), Arc::clone(&setup.clock)), slow_world(&setup));
    let engine = |who: &str| {
        let builder = setup
            .builder(who)
            .component(name("db"), ToyTarget::new("db", db.clone()).by(who).erase())
            .component(name("edge"), ToyTarget::new("edge", edge.clone()).by(who).erase())
            .gate(gate("good", r#"{"within":"30s","every":"1s"}"#));
        builder.after(name("web"), name("db")).after(name("edge"), name("web")).build()
    };
    let first = engine("ana");
    for (name, world) in [(name("db"), &db), (name("edge"), &edge)] {
        world.deploy(2, "pipeline").unwrap();
        setup.clock.sleep(Duration::from_secs(3_600)).await;
        first.record(&name, &Claim::good()).await.unwrap();
        world.deploy(3, "pipeline").unwrap();
        setup.clock.sleep(Duration::from_secs(3_600)).await;
    }
    let planned = plan(&first, &both(&setup).component(name("edge"), None)).await;
    let running = tokio::spawn(async move { first.apply(&planned, &Approval::yes()).await });
    while edge.look().heading != Some(2) {
        setup.clock.sleep(Duration::from_secs(1)).await;
    }
    running.abort();
    let _ = running.await;
    db.deploy(1, "a colleague").unwrap();

    let second = engine("bob");
    let run = second.runs(1).await.unwrap().remove(0).run;
    let report = second.resume(run).await.unwrap();
    assert_eq!(report.components[&name("db")].state, State::Superseded, "{report:#?}");
    let web = &report.components[&name("web")];
    assert_eq!(web.state, State::Restored, "{web:#?}");
    assert!(web.gates.iter().all(|gate| gate.passed) && !web.gates.is_empty(), "{web:#?}");
    assert!(web.summary.contains("as its gates passed before"), "{}", web.summary);
}

fn slow_world(setup: &Setup) -> World {
    World::new(Settings::default().rollout(Duration::from_secs(300)), Arc::clone(&setup.clock))
}
