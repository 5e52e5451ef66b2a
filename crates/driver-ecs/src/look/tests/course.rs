//! Where a service is and where it is going.

use super::*;

#[test]
fn a_service_at_rest() {
    let look = settled_look();
    let course = look.course();
    assert_eq!(course, Course { settled: known(revision(42)), heading: None, phase: Phase::Settled });
    assert!(proof(&look, &goal(42, "v2")).is_proven());
    assert!(!proof(&look, &goal(41, "v1")).is_proven());
    let observed = look.observation(|arn| known(snapshot(arn.revision(), "v2"))).unwrap();
    assert_eq!(observed.settled.known().unwrap().info().identity, goal(42, "v2").info().identity);
    assert_eq!(observed.parts.len(), 1);
}

#[test]
fn a_rollout_in_flight_is_told_as_heading_and_never_as_settled() {
    let look = rolling_look();
    let course = look.course();
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    assert_eq!(text(&course.phase), "1 of 2 tasks of web:42 run, in stage SCALE_UP");
    let going = look.circumstances().native.unwrap();
    assert_eq!(
        (going.returns_to.clone(), going.returning, going.both_run()),
        (Some(revision(41)), false, false)
    );
    assert!(!proof(&look, &goal(42, "v2")).is_proven());
    assert!(!proof(&look, &goal(41, "v1")).is_proven());
    // Every task looks right, and ECS still waits out the bake time.
    let mut baking = settled_look();
    baking.deployments = native("IN_PROGRESS", &json!({ "lifecycleStage": "BAKE_TIME" }));
    assert!(matches!(baking.course().phase, Phase::Progressing(_)), "{:?}", baking.course());
}

#[test]
fn a_hook_that_waits_is_a_pause() {
    let mut look = rolling_look();
    look.deployments = native(
        "IN_PROGRESS",
        &json!({
            "lifecycleStage": "POST_TEST_TRAFFIC_SHIFT",
            "lifecycleHookDetails": [
                { "hookId": "ecs-lambda-1", "status": "SUCCEEDED" },
                { "hookId": "ecs-pause-1", "status": "AWAITING_ACTION", "expiresAt": BEGAN, "timeoutAction": "CONTINUE" },
            ],
        }),
    );
    let Phase::Paused(why) = look.course().phase else { panic!() };
    let expected = "the deployment waits at a hook of POST_TEST_TRAFFIC_SHIFT for somebody to say how to go on; \
                    at 2026-11-21T10:00:00Z it goes on by itself";
    assert_eq!(why, expected);
    let native = look.circumstances().native.unwrap();
    assert_eq!((native.hook.as_deref(), native.both_run()), (Some("ecs-pause-1"), true));
}

#[test]
fn the_circuit_breaker_that_gave_up_is_seen_at_once() {
    let mut look = rolling_look();
    look.service.deployments[0].rollout_state = Some("FAILED".into());
    look.service.deployments[0].rollout_state_reason =
        Some("ECS deployment circuit breaker: tasks failed to start.".into());
    look.deployments = native(
        "STOPPED",
        &json!({ "deploymentCircuitBreaker": { "status": "TRIGGERED", "failureCount": 3, "threshold": 3 } }),
    );
    look.tasks = known(vec![task("a", 41, 41), stopped("x", 42)]);
    let course = look.course();
    assert!(matches!(course.phase, Phase::Failed(_)));
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    assert!(
        text(&course.phase).contains("circuit breaker: tasks failed to start"),
        "{}",
        text(&course.phase)
    );
    let reasons = look.reasons();
    assert_eq!(
        reasons,
        [
            "the circuit breaker gave up after 3 failed tasks (limit 3)",
            "task x of web:42 stopped: Essential container in task exited (web ended with 1)",
        ]
    );
}

#[test]
fn what_ends_as_fast_as_it_starts_is_given_up_where_no_circuit_breaker_does_it() {
    let crashing = |ended: &[&str], code: &str, started: &str| {
        let mut look = rolling_look();
        look.at = "2026-11-21T10:02:00Z".parse().ok();
        let stopped =
            |id: &&str| Task { stop_code: Some(code.to_owned()), stopped_at: look.at, ..stopped(id, 42) };
        let ended = ended.iter().map(stopped);
        let runs = Task { started_at: started.parse().ok(), ..task("c", 42, 42) };
        look.tasks = known(ended.chain([task("a", 41, 41), runs]).collect());
        look
    };
    let (exited, just_now) = ("EssentialContainerExited", "2026-11-21T10:01:58Z");
    let look = crashing(&["x", "y", "z"], exited, just_now);
    let course = look.course();
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    let Phase::Failed(why) = course.phase else { panic!("{:?}", course.phase) };
    assert!(why.starts_with("3 tasks of web:42 failed one after the other"), "{why}");
    assert!(why.contains("web ended with 1"), "{why}");
    // Too few; a person or the scheduler stopped them; one has been there for a minute; the breaker watches.
    let goes_on = |look: Look| matches!(look.course().phase, Phase::Progressing(_));
    assert!(goes_on(crashing(&["x", "y"], exited, just_now)));
    assert!(goes_on(crashing(&["x", "y", "z"], "UserInitiated", just_now)));
    assert!(goes_on(crashing(&["x", "y", "z"], exited, "2026-11-21T10:00:59Z")));
    let mut guarded = crashing(&["x", "y", "z"], exited, just_now);
    guarded.service.deployment_configuration.deployment_circuit_breaker.enable = true;
    assert!(goes_on(guarded));
}

#[test]
fn a_native_rollback_that_nobody_was_told_of_is_recognised() {
    let mut look = look(service(json!([deployment("3", "PRIMARY", 41, "COMPLETED", (2, 2))])));
    look.tasks = known(vec![task("a", 41, 41), task("b", 41, 41), stopped("x", 42)]);
    look.revisions = revisions();
    let back = json!({ "rollback": {
        "reason": "Service deployment rolled back because the circuit breaker threshold was exceeded.",
        "serviceRevisionArn": "rev/41",
    } });
    look.deployments = native("ROLLBACK_SUCCESSFUL", &back);
    assert_eq!(look.course(), Course { settled: known(revision(41)), heading: None, phase: Phase::Settled });
    let first = &look.reasons()[0];
    assert!(
        first.starts_with("ECS rolled web:42 back to web:41 by itself: Service deployment rolled back"),
        "{first}"
    );
    // "Stable" on the wrong task definition is no success.
    assert!(!proof(&look, &goal(42, "v2")).is_proven());
    assert!(look.evidence(&goal(42, "v2")).unwrap().compared.contains(first));
    assert!(proof(&look, &goal(41, "v1")).is_proven());

    let found = look.findings();
    assert_eq!((found.len(), found[0].code.as_str()), (1, "already-rolled-back"));
    assert!(settled_look().findings().is_empty());

    look.deployments = native("ROLLBACK_IN_PROGRESS", &back);
    assert!(look.findings().is_empty(), "it is on its way, and the phase says so");
    look.service.deployments[0].rollout_state = Some("IN_PROGRESS".into());
    let course = look.course();
    assert_eq!(course.heading, Some(revision(41)));
    assert!(text(&course.phase).starts_with("ECS is rolling back: Service deployment rolled back"));
    assert!(look.circumstances().native.unwrap().returning);
}

#[test]
fn why_nothing_is_placed_is_told_while_it_waits() {
    let mut look = rolling_look();
    let event = |at: &str, message: &str| -> Event {
        serde_json::from_value(json!({ "createdAt": at, "message": message })).unwrap()
    };
    let placed =
        "(service web) was unable to place a task because no container instance met all of its requirements.";
    look.service.events = vec![
        event("2026-11-21T10:02:00Z", "(service web) has started 1 tasks: (task 1)."),
        event("2026-11-21T10:01:00Z", placed),
        event("2026-11-21T09:00:00Z", "(service web) deployment failed: of yesterday"),
    ];
    assert_eq!(look.reasons(), [format!("ECS says: {placed}")]);
    assert!(text(&look.course().phase).ends_with(placed));
    // What was said before this deployment began is not held against it.
    look.service.events.remove(1);
    assert!(look.reasons().is_empty());
}

#[test]
fn code_deploy_in_flight_stuck_and_waiting() {
    let mut look = code_deploy_look("InProgress");
    look.at = "2026-11-21T10:10:00Z".parse().ok();
    let course = look.course();
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    assert_eq!(text(&course.phase), "deployment d-ABC of CodeDeploy is InProgress");
    let circumstances = look.circumstances();
    assert_eq!(circumstances.controller, Controller::CodeDeploy);
    assert_eq!(circumstances.code_deploy.unwrap().returns_to, Some(revision(41)));

    look.at = "2026-11-21T10:31:00Z".parse().ok();
    assert_eq!(
        text(&look.course().phase),
        "deployment d-ABC of CodeDeploy is stuck: InProgress for 31 minutes; it can be stopped, and goes back then"
    );
    assert!(look.circumstances().code_deploy.unwrap().stuck);
    assert!(matches!(code_deploy_look("Ready").course().phase, Phase::Paused(_)));

    let moving = code_deploy_look("InProgress").token();
    let ended = code_deploy_look("Succeeded");
    assert_eq!(ended.course(), Course { settled: known(revision(41)), heading: None, phase: Phase::Settled });
    assert_eq!(ended.token(), moving, "its end is no new intent");
    let mut failed = code_deploy_look("Failed");
    let Reading::Known(all) = &mut failed.code_deploy else { panic!() };
    all[0].error_information = Some(CodeDeployError {
        code: Some("HEALTH_CONSTRAINTS".into()),
        message: Some("too few healthy tasks".into()),
    });
    assert_eq!(failed.reasons(), ["deployment d-ABC of CodeDeploy is Failed: too few healthy tasks"]);
    failed.code_deploy = Reading::Unknown("codedeploy:ListDeployments is denied".into());
    assert!(matches!(failed.course().phase, Phase::Progressing(_)), "unknown is not settled");
}

#[test]
fn a_service_that_is_being_deleted_has_failed() {
    for status in ["DRAINING", "INACTIVE"] {
        let mut look = settled_look();
        look.service.status = status.into();
        assert!(matches!(look.course().phase, Phase::Failed(_)), "{status}");
        assert_eq!(look.findings()[0].code, "service-deleted");
    }
}

#[test]
fn what_is_seen_leads_to_the_way_that_is_open() {
    use rollback_core::{Capabilities, ComponentName, Decision, SnapshotRecord, Strategy as _, View};

    let snapshots = |arn: &TaskDefinitionArn| match arn.revision() {
        41 => known(snapshot(41, "v1")),
        42 => known(snapshot(42, "v2")),
        _ => Reading::Absent,
    };
    let observed = rolling_look().observation(snapshots).unwrap();
    let heading = observed.heading.clone().unwrap();
    // What is observed survives storage, with its circumstances.
    assert_eq!(SnapshotRecord::seal(&heading).unwrap().open::<EcsSnapshot>().unwrap(), heading);
    assert_eq!(heading.info().identity, goal(42, "v2").info().identity);

    let view =
        View::new(ComponentName::new("web").unwrap(), observed, goal(41, "v1"), Capabilities::default());
    let Decision::Propose(proposal) = crate::strategy::NativeStop.propose(&view) else { panic!() };
    let crate::EcsAction::StopServiceDeployment { deployment } = &proposal.steps[0].action else { panic!() };
    assert_eq!(deployment.resource(), "service-deployment/prod/web/abc");

    let back = code_deploy_look("InProgress").observation(snapshots).unwrap();
    let view = View::new(ComponentName::new("web").unwrap(), back, goal(41, "v1"), Capabilities::default());
    assert!(matches!(crate::strategy::CodeDeployStop.propose(&view), Decision::Propose(_)));
    assert!(matches!(crate::strategy::NativeStop.propose(&view), Decision::NotApplicable(_)));
}

#[test]
fn a_deployment_that_ecs_gave_up_is_no_older_state_when_the_one_before_is_back_in_its_place() {
    let at = |mut deployment: Value, created: &str| {
        deployment["createdAt"] = created.into();
        deployment
    };
    let (before, after) = ("2026-11-21T09:00:00Z", "2026-11-21T10:00:00.5Z");
    let old = at(deployment("old", "PRIMARY", 41, "COMPLETED", (2, 2)), before);
    let accepted =
        look(service([at(deployment("ours", "PRIMARY", 42, "IN_PROGRESS", (2, 0)), after)])).token();
    let stale = look(service([old.clone()]));
    assert!(stale.is_before(&accepted) && stale.went_back(&accepted).is_none());

    let mut failed = at(deployment("ours", "ACTIVE", 42, "FAILED", (0, 0)), after);
    failed["rolloutStateReason"] = "ECS deployment circuit breaker: tasks failed to start.".into();
    let back = look(service([failed.clone(), old.clone()]));
    assert!(!back.is_before(&accepted));
    assert_eq!(back.went_back(&accepted).as_deref(), failed["rolloutStateReason"].as_str());

    // An older failure says nothing of what was accepted later.
    let earlier = at(failed, "2026-11-21T09:30:00Z");
    let stale = look(service([earlier, old]));
    assert!(stale.is_before(&accepted) && stale.went_back(&accepted).is_none());
}

#[test]
fn what_a_revision_did_before_its_deployment_began_is_no_reason() {
    let mut look = look(service([deployment("1", "PRIMARY", 41, "IN_PROGRESS", (2, 1))]));
    let mut earlier = stopped("earlier", 41);
    earlier.stopped_at = "2026-11-21T09:59:59Z".parse().ok();
    look.tasks = known(vec![earlier, stopped("now", 41)]);
    let reasons = look.reasons();
    assert!(reasons.len() == 1 && reasons[0].contains("task now"), "{reasons:?}");
}

#[test]
fn tasks_that_fail_without_a_breaker_are_a_failure_all_the_same() {
    let failing = |failed: u32, running: u32, breaker: bool| {
        let mut primary = deployment("2", "PRIMARY", 42, "IN_PROGRESS", (2, running));
        primary["failedTasks"] = json!(failed);
        let mut service = service(json!([primary, deployment("1", "ACTIVE", 41, "COMPLETED", (2, 2))]));
        service["deploymentConfiguration"] =
            json!({ "deploymentCircuitBreaker": { "enable": breaker, "rollback": false } });
        look(service).course()
    };
    let course = failing(3, 0, false);
    assert!(
        matches!(&course.phase, Phase::Failed(why) if why.contains("3 tasks of web:42")),
        "{:?}",
        course.phase
    );
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    for course in [failing(2, 0, false), failing(3, 1, false), failing(9, 0, true)] {
        assert!(matches!(course.phase, Phase::Progressing(_)), "{:?}", course.phase);
    }
}
