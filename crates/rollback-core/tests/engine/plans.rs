//! Plans as data: choosing, comparing, saving, refusing.

use std::time::Duration;

use rollback_core::condition::Check;
use rollback_core::environment::FreezeWindow;
use rollback_core::plan::MethodVerdict;
use rollback_core::{Approval, Digest, ErrorKind, Plan, Planned, State};
use rollback_testkit::sim::{Random, Settings, Way};

use crate::setup::{Setup, ended, gate, name, plan, run};

fn blockers(plan: &Plan) -> Vec<String> {
    plan.blockers().map(|(_, finding)| finding.code.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn without_records_a_default_destination_is_not_guessed() {
    let setup = Setup::new(Settings::default()).await;
    let fresh = Setup { store: rollback_core::store::MemoryStore::new(), ..setup };
    let Planned::Undecided(undecided) = fresh.engine("ana").plan(&fresh.request(None)).await.unwrap() else {
        panic!("a destination was guessed");
    };
    let labels: Vec<_> = undecided[&name("web")].candidates.iter().map(|c| c.snapshot.info.label()).collect();
    assert_eq!(labels, ["r3 (1.3.0)", "r2 (1.2.0)", "r1 (1.1.0)"]);
}

#[tokio::test(start_paused = true)]
async fn every_destination_finds_its_release() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    for (destination, label) in [
        ("previous", "r2 (1.2.0)"),
        ("last-good", "r2 (1.2.0)"),
        ("revision=r1", "r1 (1.1.0)"),
        ("version=1.1.0", "r1 (1.1.0)"),
        ("as-of=30s", "r2 (1.2.0)"),
        ("as-of=90s", "r1 (1.1.0)"),
    ] {
        let plan = plan(&engine, &setup.request(Some(destination))).await;
        assert_eq!(plan.components[&name("web")].to.info.label(), label, "{destination}");
    }
    let error = engine.plan(&setup.request(Some("version=9.9.9"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.next_step().unwrap().contains("r3 (1.3.0), r2 (1.2.0), r1 (1.1.0)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_comparison_keeps_the_runner_up_and_says_why_others_are_out() {
    let setup = Setup::new(Settings::default().parts(2).way(Way::SwitchOrParts)).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    let methods = &plan.components[&name("web")].methods;
    assert!(matches!(methods[0].verdict, MethodVerdict::Chosen(_)));
    assert!(matches!(methods[1].verdict, MethodVerdict::Alternative(_)));
    assert_eq!(methods[0].strategy, "switch-all");
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_runs_in_another_process() {
    let setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    let saved = plan.to_json().unwrap().to_string();
    let read = Plan::from_json(&saved).unwrap();
    assert_eq!(read, plan);
    let approval = Approval::yes().digest(plan.digest());
    let report = setup.engine("ben").apply(&read, &approval).await.unwrap();
    ended(&report, State::Restored);
}

#[tokio::test(start_paused = true)]
async fn an_edited_plan_is_refused_whatever_was_edited() {
    let setup = Setup::new(Settings::default()).await;
    let saved = plan(&setup.engine("ana"), &setup.request(None)).await.to_json().unwrap();
    let text = saved.to_string();
    for (from, to) in
        [("r2", "r1"), ("it is bad", "it is fine"), ("\"expires_at\":\"2026", "\"expires_at\":\"2027")]
    {
        assert!(text.contains(from), "{from}");
        let error = Plan::from_json(&text.replace(from, to)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let mut added = saved.clone();
    added["plan"]["extra"] = true.into();
    assert_eq!(Plan::from_json(&added.to_string()).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(Plan::from_json(&text[..text.len() / 2]).unwrap_err().kind(), ErrorKind::Corrupt);
    let other = text.replace("rollback-plan/1", "rollback-plan/2");
    assert_eq!(Plan::from_json(&other).unwrap_err().kind(), ErrorKind::Unsupported);
    // The order of keys is no edit.
    let pretty = serde_json::to_string_pretty(&saved).unwrap();
    assert!(Plan::from_json(&pretty).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_expired_or_unapproved_plan_is_refused() {
    let mut setup = Setup::new(Settings::default()).await;
    setup.environment =
        setup.environment.clone().confirm("ROLLBACK-TEST").single_operator(true).require_reason(true);
    let engine = setup.engine("ana");
    let plan = plan(&engine, &setup.request(None)).await;
    let kind = async |approval: Approval| engine.apply(&plan, &approval).await.unwrap_err().kind();
    assert_eq!(kind(Approval::yes()).await, ErrorKind::Refused);
    assert_eq!(kind(Approval::yes().phrase("rollback-test")).await, ErrorKind::Refused);
    let other = Digest::of_bytes(b"another plan");
    assert_eq!(kind(Approval::yes().phrase("ROLLBACK-TEST").digest(other)).await, ErrorKind::Refused);
    setup.clock.sleep(Duration::from_secs(3_601)).await;
    assert_eq!(kind(Approval::yes().phrase("ROLLBACK-TEST")).await, ErrorKind::Stale);
    assert_eq!(setup.effects(), 0);
    assert!(engine.runs(10).await.unwrap().is_empty(), "a refused plan begins no run");
}

#[tokio::test(start_paused = true)]
async fn a_machine_local_store_is_refused_where_many_operate() {
    let mut setup = Setup::new(Settings::default()).await;
    setup.environment = setup.environment.clone().confirm("GO");
    let engine = setup.engine("ana");
    let plan = plan(&engine, &setup.request(None)).await;
    let error = engine.apply(&plan, &Approval::yes().phrase("GO")).await.unwrap_err();
    assert!(error.to_string().contains("single_operator"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn blockers_are_named_and_keep_the_plan_from_running() {
    let setup = Setup::new(Settings::default()).await;
    setup.world.remove(2);
    let engine = setup.engine("ana");
    let gone = plan(&engine, &setup.request(Some("version=1.2.0"))).await;
    assert!(blockers(&gone).contains(&"artifact-missing".to_owned()), "{:?}", blockers(&gone));
    assert_eq!(engine.apply(&gone, &Approval::yes()).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_target_in_another_account_is_refused_before_anything_is_read() {
    let mut setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    setup.environment = setup.environment.clone().expect_account("elsewhere");
    let engine = setup.engine("ana");
    let component = name("web");
    let refusals = [
        engine.plan(&setup.request(None)).await.map(drop).unwrap_err(),
        engine.status(&component).await.map(drop).unwrap_err(),
        engine.history(&component, 5).await.map(drop).unwrap_err(),
        engine.apply(&plan, &Approval::yes()).await.map(drop).unwrap_err(),
    ];
    for error in &refusals[..3] {
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("elsewhere"), "{error}");
    }
    // Made under other rules.
    assert_eq!(refusals[3].kind(), ErrorKind::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_release_is_not_a_destination() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    let back = setup.request(Some("revision=r3"));
    assert_eq!(blockers(&plan(&engine, &back).await), ["quarantined"]);
    let allowed = plan(&engine, &back.clone().allow_quarantined(true)).await;
    assert_eq!(blockers(&allowed), [""; 0]);
    // Under quarantine since the plan was made.
    ended(&engine.apply(&allowed, &Approval::yes()).await.unwrap(), State::Restored);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_stops_machines_and_warns_people() {
    let mut setup = Setup::new(Settings::default()).await;
    let window = FreezeWindow {
        from: "2026-11-21T00:00:00Z".parse().unwrap(),
        to: "2026-11-22T00:00:00Z".parse().unwrap(),
        reason: "sale".to_owned(),
    };
    setup.environment = setup.environment.clone().freeze(window);
    let engine = setup.engine("ana");
    let person = plan(&engine, &setup.request(None)).await;
    assert_eq!(blockers(&person), [""; 0]);
    assert!(person.findings().any(|(_, finding)| finding.code == "frozen"));
    assert_eq!(blockers(&plan(&engine, &setup.request(None).automatic(true)).await), ["frozen"]);
}

/// A saved plan with a change, under the digest of what it says now.
fn resealed(plan: &Plan, change: impl FnOnce(&mut serde_json::Value)) -> rollback_core::Result<Plan> {
    let mut document = plan.to_json().unwrap();
    change(&mut document["plan"]);
    document["digest"] = Digest::of(&document["plan"]).unwrap().to_string().into();
    Plan::from_json(&document.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_would_be_stored_differently_is_refused() {
    let setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    assert_eq!(resealed(&plan, |_| {}).unwrap(), plan);
    // Left out, unknown, and written in another way: each would be stored under a digest that is not its own.
    let changes: [fn(&mut serde_json::Value); 3] = [
        |plan| drop(plan["components"]["web"].as_object_mut().unwrap().remove("diff_omitted")),
        |plan| plan["components"]["web"]["target"]["colour"] = "red".into(),
        |plan| plan["environment"]["plan_expires_after"] = "60m".into(),
    ];
    for change in changes {
        assert_eq!(resealed(&plan, change).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_would_never_end_is_refused() {
    let setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    let waits = resealed(&plan, |plan| plan["components"]["web"]["after"] = serde_json::json!(["web"]));
    assert!(waits.unwrap_err().to_string().contains("web has to wait for itself"));
    let mut endless = (*plan).clone();
    endless.gates = vec![gate("bad", r#"{"every":"1s"}"#)];
    assert!(Plan::seal(endless).unwrap_err().to_string().contains("has no end"));
    let twice = resealed(&plan, |plan| {
        let steps = &mut plan["components"]["web"]["methods"][0]["verdict"]["chosen"]["steps"];
        let first = steps[0].clone();
        steps.as_array_mut().unwrap().push(first);
    });
    assert!(twice.unwrap_err().to_string().contains("two steps have the same id"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_run_could_not_be_read_back_is_refused() {
    let setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    let nested = |depth: usize| {
        resealed(&plan, |plan| {
            let inner = (0..depth).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
            plan["components"]["web"]["to"]["document"]["body"] = inner;
        })
    };
    assert!(nested(20).is_ok());
    assert!(nested(110).unwrap_err().to_string().contains("nested too deeply"));
}

#[tokio::test(start_paused = true)]
async fn every_number_of_a_plan_survives_being_saved() {
    let setup = Setup::new(Settings::default()).await;
    let plan = plan(&setup.engine("ana"), &setup.request(None)).await;
    let mut random = Random::new(7);
    for _ in 0..200 {
        let limit = f64::from_bits(random.next_u64());
        let mut gated = (*plan).clone();
        let rule = r#"{"within":"30s","all":[{"below":{"metric":"x","limit":0.5}}]}"#;
        gated.gates = vec![gate("bad", rule)];
        gated.gates[0].rule.all = vec![Check::Below { metric: "x".to_owned(), limit }];
        let Ok(plan) = Plan::seal(gated) else { continue };
        let saved = plan.to_json().unwrap().to_string();
        // What JSON cannot say is not a number there.
        assert!(!limit.is_finite() || Plan::from_json(&saved).is_ok_and(|read| read == plan), "{limit:e}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_urgent_plan_is_checked_beside_its_first_action() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    let request = setup.request(Some("version=1.2.0")).urgent(true);
    let plan = plan(&engine, &request).await;
    assert!(blockers(&plan).is_empty(), "{:?}", blockers(&plan));
    let found =
        |code: &str, findings: &[rollback_core::target::Finding]| findings.iter().any(|one| one.code == code);
    assert!(plan.components.values().all(|component| found("checked-beside", &component.findings)));
    setup.world.remove(2);
    let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
    let component = report.components.values().next().unwrap();
    assert!(found("artifact-missing", &component.findings), "{:?}", component.findings);
}

#[tokio::test(start_paused = true)]
async fn what_an_urgent_plan_left_out_is_not_left_out_for_another() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    let request = setup.request(Some("version=1.2.0"));
    let careful = plan(&engine, &request).await;
    setup.world.remove(2);
    // The look of this one is a moment old, and did not ask what is there.
    plan(&engine, &request.clone().urgent(true)).await;
    let report = engine.apply(&careful, &Approval::yes()).await.unwrap();
    assert_eq!(report.state, State::Refused, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_asked_for_is_the_only_one() {
    let setup = Setup::new(Settings::default().parts(3).way(Way::SwitchOrParts)).await;
    let engine = setup.engine("ana");
    let asked = |method: &str| setup.request(None).method(name("web"), method);
    let usual = plan(&engine, &setup.request(None)).await;
    let ways = |plan: &Plan| -> Vec<String> {
        plan.components[&name("web")].proposals().map(|(strategy, _)| strategy.to_owned()).collect()
    };
    assert_eq!(ways(&usual), ["switch-all", "part-by-part"]);
    let chosen = plan(&engine, &asked("part-by-part")).await;
    assert_eq!(ways(&chosen), ["part-by-part"]);
    let report = engine.apply(&chosen, &Approval::yes()).await.unwrap();
    ended(&report, State::Restored);
    assert_eq!(setup.effects(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_not_there_is_a_blocker_that_names_those_that_are() {
    let setup = Setup::new(Settings::default().way(Way::SwitchOrParts)).await;
    let engine = setup.engine("ana");
    let planned = plan(&engine, &setup.request(None).method(name("web"), "switch-al")).await;
    let told: Vec<_> = planned.blockers().map(|(_, finding)| finding.clone()).collect();
    let [finding] = told.as_slice() else { panic!("{told:#?}") };
    assert!(finding.message.contains("no method \"switch-al\""), "{finding:?}");
    assert!(finding.next.as_ref().is_some_and(|next| next.contains("switch-all")), "{finding:?}");
    let stray = setup.request(None).method(name("db"), "switch-all");
    let error = engine.plan(&stray).await.unwrap_err();
    assert!(error.to_string().contains("db has a method"), "{error}");
}
