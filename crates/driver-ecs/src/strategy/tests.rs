//! Situations, and who proposes what in which order.

use rollback_core::target::Finding;
use rollback_core::{
    Capabilities, ComponentName, Digest, Observation, PartId, PartState, Proposal, Reading, Risk, Strategy,
    Token,
};

use super::*;
use crate::circumstances::{CodeDeployGroup, CodeDeployment, NativeDeployment, Traffic, TrafficGroup};
use crate::fixtures::{arn, known, revision, rolling_out, snapshot};

fn all() -> Vec<Box<dyn Strategy<EcsSnapshot, EcsAction>>> {
    vec![
        Box::new(NativeStop),
        Box::new(CodeDeployStop),
        Box::new(CodeDeployDeployment),
        Box::new(UpdateService),
        Box::new(ReRegister),
        Box::new(ShiftTraffic),
    ]
}

fn at(number: u32, tag: &str, circumstances: &Circumstances) -> EcsSnapshot {
    let mut state = snapshot(number, tag);
    state.circumstances = Some(Box::new(circumstances.clone()));
    state
}

/// A service that runs web:42 and should go to web:41.
fn at_rest(circumstances: &Circumstances) -> View<EcsSnapshot> {
    let observed = Observation::settled(known(at(42, "v2", circumstances)), Token::new("t"));
    View::new(ComponentName::new("web").unwrap(), observed, snapshot(41, "v1"), Capabilities::default())
}

/// A service on its way from web:41 to web:42, which should go to web:41.
fn in_flight(circumstances: &Circumstances) -> View<EcsSnapshot> {
    let observed = Observation::settled(known(at(41, "v1", circumstances)), Token::new("t")).heading_to(at(
        42,
        "v2",
        circumstances,
    ));
    View::new(ComponentName::new("web").unwrap(), observed, snapshot(41, "v1"), Capabilities::default())
}

fn code_deploy() -> Circumstances {
    Circumstances {
        controller: Controller::CodeDeploy,
        group: Some(CodeDeployGroup::new("shop", "web", "web", 80)),
        ..Circumstances::default()
    }
}

fn moving() -> Circumstances {
    Circumstances { code_deploy: Some(CodeDeployment::new("d-1", Some(revision(41)))), ..code_deploy() }
}

fn divided(healthy: u32, weight: u16) -> Circumstances {
    let group = |name: &str, weight, healthy, number| {
        TrafficGroup::new(
            arn("elasticloadbalancing", &format!("targetgroup/{name}/1")),
            weight,
            healthy,
            Some(revision(number)),
        )
    };
    let groups = vec![group("blue", weight, healthy, 41), group("green", 100 - weight, 2, 42)];
    let traffic = Traffic::new(arn("elasticloadbalancing", "listener/app/x/1/2"), groups);
    Circumstances { traffic: Some(traffic), ..Circumstances::default() }
}

type Usable = Vec<(&'static str, Proposal<EcsAction>)>;

/// Who proposes, as core would rank them, and why the others do not.
fn ask(view: &View<EcsSnapshot>) -> (Usable, BTreeMap<&'static str, String>) {
    let (mut usable, mut not) = (Vec::new(), BTreeMap::new());
    for strategy in all() {
        match strategy.propose(view) {
            Decision::Propose(proposal) => usable.push((strategy.name(), proposal)),
            Decision::NotApplicable(why) => drop(not.insert(strategy.name(), why)),
        }
    }
    usable.sort_by(|a, b| a.1.preference(&b.1));
    (usable, not)
}

#[test]
fn situations_and_the_ways_that_are_open() {
    let native = |change: &dyn Fn(&mut NativeDeployment)| {
        let mut circumstances = rolling_out();
        change(circumstances.native.as_mut().unwrap());
        circumstances
    };
    let inactive = |mut view: View<EcsSnapshot>| {
        view.goal.registration = Registration::Inactive;
        view
    };
    let finding = |view: View<EcsSnapshot>, code| {
        let inspection = view.inspection.clone().finding(Finding::warning(code, "…"));
        view.with_inspection(inspection)
    };
    let plain = Circumstances::default();
    let external = Circumstances { controller: Controller::External, ..Circumstances::default() };
    let table: Vec<(&str, View<EcsSnapshot>, &[&str])> = vec![
        ("at rest", at_rest(&plain), &["update-service"]),
        ("rolling out", in_flight(&rolling_out()), &["native-stop", "update-service"]),
        (
            "baking",
            in_flight(&native(&|n| n.stage = Some("BAKE_TIME".into()))),
            &["native-stop", "update-service"],
        ),
        ("paused", in_flight(&native(&|n| n.hook = Some("h".into()))), &["native-stop", "update-service"]),
        (
            "going back already",
            in_flight(&native(&|n| n.returning = true)),
            &["native-stop", "update-service"],
        ),
        (
            "returns elsewhere",
            in_flight(&native(&|n| n.returns_to = Some(revision(40)))),
            &["update-service"],
        ),
        ("returns nobody knows where", in_flight(&native(&|n| n.returns_to = None)), &["update-service"]),
        ("inactive", inactive(at_rest(&plain)), &["re-register"]),
        ("found inactive", finding(at_rest(&plain), finding::REVISION_INACTIVE), &["re-register"]),
        ("tag moved", finding(at_rest(&plain), finding::IMAGE_MOVED), &["re-register"]),
        ("inactive and rolling out", inactive(in_flight(&rolling_out())), &["native-stop", "re-register"]),
        ("both run", at_rest(&divided(2, 0)), &["update-service", "shift-traffic"]),
        ("the earlier one is sick", at_rest(&divided(0, 0)), &["update-service"]),
        ("traffic is there", at_rest(&divided(2, 100)), &["update-service"]),
        ("CodeDeploy at rest", at_rest(&code_deploy()), &["codedeploy-deploy"]),
        ("CodeDeploy, inactive", inactive(at_rest(&code_deploy())), &["codedeploy-deploy"]),
        ("CodeDeploy in flight", in_flight(&moving()), &["codedeploy-stop"]),
        ("task sets of somebody else", at_rest(&external), &[]),
    ];
    for (what, view, expected) in table {
        let (usable, not) = ask(&view);
        let names: Vec<_> = usable.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected, "{what}: {not:?}");
        assert_eq!(usable.len() + not.len(), 6);
        for (name, proposal) in &usable {
            assert!(!proposal.steps.is_empty() && !proposal.preconditions.is_empty(), "{what}: {name}");
            assert!(proposal.is_reversible() && proposal.downtime == Lasting::from_secs(0), "{what}: {name}");
            assert!(!proposal.restarts, "the goal decides, not a restart");
        }
        assert!(not.values().all(|why| why.len() > 20), "{what}: {not:?}");
    }
}

#[test]
fn the_others_say_why_not() {
    let (_, not) = ask(&at_rest(&Circumstances::default()));
    assert_eq!(not["native-stop"], "no deployment of ECS is on its way");
    assert_eq!(not["codedeploy-stop"], "the service is moved by ECS, not by CodeDeploy");
    assert_eq!(not["re-register"], "web:41 can be used as it is");
    assert_eq!(not["shift-traffic"], "no listener divides requests between two releases");
    let (_, not) = ask(&at_rest(&code_deploy()));
    assert_eq!(not["update-service"], "the service is moved by CodeDeploy, not by ECS");
    let mut elsewhere = rolling_out();
    elsewhere.native.as_mut().unwrap().returns_to = Some(revision(40));
    let (_, not) = ask(&in_flight(&elsewhere));
    assert_eq!(not["native-stop"], "it would go back to web:40, and web:41 is wanted");
    let mut back = moving();
    back.code_deploy.as_mut().unwrap().returning = true;
    let (usable, not) = ask(&in_flight(&back));
    assert!(usable.is_empty() && not["codedeploy-stop"].contains("itself a rollback"), "{not:?}");
    let no_group = Circumstances { group: None, ..code_deploy() };
    assert!(ask(&at_rest(&no_group)).1["codedeploy-deploy"].contains("`codedeploy`"));
}

#[test]
fn without_knowing_what_goes_on_nothing_is_proposed() {
    let observed = Observation::settled(Reading::Unknown("denied".into()), Token::new("t"));
    let view =
        View::new(ComponentName::new("web").unwrap(), observed, snapshot(41, "v1"), Capabilities::default());
    let (usable, not) = ask(&view);
    assert!(usable.is_empty() && not.values().all(|why| why.contains("could not be read")), "{not:?}");
}

#[test]
fn a_service_that_is_there_is_left_alone_and_one_that_runs_other_images_is_not() {
    let there = Observation::settled(known(at(41, "v1", &Circumstances::default())), Token::new("t"));
    let mut view =
        View::new(ComponentName::new("web").unwrap(), there, snapshot(41, "v1"), Capabilities::default());
    let (usable, not) = ask(&view);
    assert!(usable.is_empty(), "{usable:?}");
    assert_eq!(not["update-service"], "the service already rests on the content of web:41");
    // The tag was moved and half of the tasks were replaced since: the same revision again would change nothing.
    let digest = Digest::of_bytes(b"the one that ran");
    view.goal.digests.insert("web".into(), digest);
    view.observed.parts =
        vec![PartState::verified(PartId::new("web:41").unwrap(), Some(snapshot(41, "v1").info().identity))];
    let (usable, _) = ask(&view);
    let [("re-register", proposal)] = &usable[..] else { panic!("{usable:?}") };
    let EcsAction::Register { pin, .. } = &proposal.steps[0].action else { panic!() };
    // The same where ECS once resolved the tag to what ran.
    let Reading::Known(settled) = &mut view.observed.settled else { panic!() };
    settled.digests.insert("web".into(), digest);
    assert_eq!(ask(&view).0[0].0, "re-register");
    assert_eq!(pin, &BTreeMap::from([("web".to_owned(), digest)]));
}

#[test]
fn what_could_not_be_read_is_not_taken_for_absent() {
    let unread = |what: &str, circumstances: Circumstances| Circumstances {
        unread: BTreeMap::from([(what.to_owned(), "access denied".to_owned())]),
        ..circumstances
    };
    let (usable, not) = ask(&at_rest(&unread(Circumstances::NATIVE, Circumstances::default())));
    assert_eq!((usable.len(), usable[0].0), (1, "update-service"));
    assert_eq!(not["native-stop"], "what is on its way could not be read: access denied");
    let (usable, not) = ask(&at_rest(&unread(Circumstances::CODE_DEPLOY, code_deploy())));
    assert!(usable.is_empty() && not["codedeploy-deploy"].ends_with("access denied"), "{not:?}");
}

#[test]
fn a_failed_rollout_is_left_although_the_earlier_tasks_still_run() {
    // The circuit breaker gave up without rolling back: web:41 runs, and the service is set to web:42.
    let mut view = in_flight(&Circumstances::default());
    view.observed.phase = Phase::Failed("circuit breaker".into());
    assert_eq!(ask(&view).0[0].0, "update-service");
}

#[test]
fn a_goal_without_digests_is_there_when_its_content_is() {
    let mut runs = at(41, "v1", &Circumstances::default());
    runs.digests.insert("web".into(), Digest::of_bytes(b"1"));
    let part = PartState::verified(PartId::new("web:41").unwrap(), Some(runs.info().identity));
    let observed = Observation::settled(known(runs), Token::new("t")).part(part);
    let view =
        View::new(ComponentName::new("web").unwrap(), observed, snapshot(41, "v1"), Capabilities::default());
    assert!(ask(&view).0.is_empty());
}

#[test]
fn each_way_does_exactly_this() {
    let only = |view: &View<EcsSnapshot>, name: &str| {
        let (usable, not) = ask(view);
        usable.into_iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{name}: {not:?}")).1
    };
    let mut inactive = at_rest(&Circumstances::default());
    inactive.goal.registration = Registration::Inactive;
    let proposal = only(&inactive, "re-register");
    let [register, update] = &proposal.steps[..] else { panic!("{proposal:?}") };
    assert_eq!(update.after, std::slice::from_ref(&register.id));
    let EcsAction::UpdateService { to, .. } = &update.action else { panic!() };
    assert_eq!(*to, Destination::RegisteredBy(register.id.clone()));
    assert_eq!(proposal.risk, Risk::Medium);

    let proposal = only(&at_rest(&divided(2, 10)), "shift-traffic");
    let EcsAction::ShiftTraffic { weights, .. } = &proposal.steps[0].action else { panic!() };
    assert_eq!(weights.values().copied().collect::<Vec<_>>(), [100, 0]);
    assert_eq!(proposal.steps[1].after, std::slice::from_ref(&proposal.steps[0].id));

    let mut paused = rolling_out();
    paused.native.as_mut().unwrap().hook = Some("ecs-pause-1".into());
    let proposal = only(&in_flight(&paused), "native-stop");
    assert!(
        matches!(&proposal.steps[0].action, EcsAction::RollBackAtHook { hook, .. } if hook == "ecs-pause-1")
    );

    let mut inactive = at_rest(&code_deploy());
    inactive.goal.registration = Registration::Inactive;
    let proposal = only(&inactive, "codedeploy-deploy");
    assert_eq!((proposal.steps.len(), proposal.risk), (2, Risk::Medium));
}

#[test]
fn names_differ_and_everything_says_what_it_is() {
    let names: std::collections::BTreeSet<_> = all().iter().map(|strategy| strategy.name()).collect();
    assert_eq!(names.len(), 6);
    assert!(all().iter().all(|strategy| !strategy.summary().is_empty()));
}

#[test]
fn what_fails_where_it_should_go_is_not_sent_there_again() {
    let mut view = in_flight(&Circumstances::default());
    view.observed.heading = Some(at(41, "v1", &Circumstances::default()));
    view.observed.phase = Phase::Failed("4 tasks failed".to_owned());
    let (usable, not) = ask(&view);
    assert!(usable.is_empty(), "{usable:?}");
    assert!(not["update-service"].contains("4 tasks failed"), "{not:?}");
}
