//! Situations of a service that CodeDeploy moves.

use rollback_core::Evidence;
use rollback_core::target::Proof;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{SERVICE, known, revision};

/// What the clock says at each look.
const NOW: &str = "2026-11-21T10:10:00Z";

fn set(id: &str, status: &str, number: u32, by: Option<&str>) -> Value {
    json!({
        "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": revision(number), "externalId": by,
        "computedDesiredCount": 2, "runningCount": 2, "stabilityStatus": "STEADY_STATE",
    })
}

/// The task set that the service was made with, and that of the bad deployment.
fn both(primary_is_bad: bool) -> Value {
    let (old, new) = if primary_is_bad { ("ACTIVE", "PRIMARY") } else { ("PRIMARY", "ACTIVE") };
    json!([set("1", old, 41, None), set("2", new, 42, Some("d-BAD"))])
}

fn look(sets: &Value, deployments: Value) -> Look {
    let service = json!({
        "serviceArn": SERVICE, "status": "ACTIVE", "desiredCount": 2, "taskSets": sets,
        "deploymentController": { "type": "CODE_DEPLOY" },
    });
    let mut look = Look::new(serde_json::from_value(service).unwrap());
    look.code_deploy = known(serde_json::from_value(deployments).unwrap());
    look.at = NOW.parse().ok();
    look.tasks = known(Vec::new());
    look
}

fn deployment(id: &str, status: &str, more: &Value) -> Value {
    let mut told = json!({
        "deploymentId": id, "status": status, "creator": "user", "createTime": "2026-11-21T10:00:00Z",
        "startTime": "2026-11-21T10:00:00Z",
    });
    for (key, value) in more.as_object().unwrap() {
        told[key] = value.clone();
    }
    told
}

/// The deployment that rolls the bad one back. What its AppSpec says is not what counts.
fn rollback(status: &str) -> Value {
    let info = json!({ "rollbackTriggeringDeploymentId": "d-BAD" });
    let more =
        json!({ "creator": "codeDeployRollback", "rollbackInfo": info, "taskDefinition": revision(42) });
    deployment("d-BACK", status, &more)
}

fn given_up(status: &str, minute: u32, by: Option<&str>) -> Value {
    let error = json!({ "code": "HEALTH_CONSTRAINTS", "message": "too few healthy tasks" });
    let info = by.map(|id| json!({ "rollbackDeploymentId": id, "rollbackMessage": "it is rolled back" }));
    let ended = format!("2026-11-21T10:{minute:02}:30Z");
    deployment(
        "d-BAD",
        status,
        &json!({ "completeTime": ended, "errorInformation": error, "rollbackInfo": info }),
    )
}

fn text(phase: &Phase) -> &str {
    match phase {
        Phase::Progressing(text) | Phase::Paused(text) | Phase::Failed(text) => text,
        _ => "",
    }
}

#[test]
fn a_rollback_goes_to_what_was_there_before_and_never_to_the_bad_release() {
    for primary_is_bad in [false, true] {
        let deployments = json!([rollback("InProgress"), given_up("Failed", 9, Some("d-BACK"))]);
        let look = look(&both(primary_is_bad), deployments);
        let course = look.course();
        assert_eq!(course.heading, Some(revision(41)));
        assert_eq!(course.settled, known(revision(if primary_is_bad { 42 } else { 41 })));
        assert_eq!(text(&course.phase), "deployment d-BACK of CodeDeploy rolls d-BAD back and is InProgress");
        let moving = look.circumstances().code_deploy.unwrap();
        assert_eq!((moving.returning, moving.returns_to), (true, Some(revision(41))));
    }
}

#[test]
fn where_the_bad_task_set_is_gone_the_other_one_is_still_the_way() {
    let look = look(
        &json!([set("1", "PRIMARY", 41, None)]),
        json!([rollback("Created"), given_up("Failed", 9, None)]),
    );
    assert_eq!(look.course().heading, Some(revision(41)));
}

#[test]
fn a_deployment_settles_on_nothing_that_it_brings() {
    // Before its task set is there, its AppSpec tells where it goes.
    let alone = json!([set("1", "PRIMARY", 41, None)]);
    let created = deployment("d-BAD", "Created", &json!({ "taskDefinition": revision(42) }));
    let course = look(&alone, json!([created])).course();
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
    // And once it is the primary one, it still has not ended.
    let course = look(&both(true), json!([deployment("d-BAD", "InProgress", &json!({}))])).course();
    assert_eq!((course.settled, course.heading), (known(revision(41)), Some(revision(42))));
}

#[test]
fn what_took_all_requests_has_arrived_for_whoever_asked_for_it() {
    let waiting = json!({ "instanceTerminationWaitTimeStarted": true });
    let look = look(&both(true), json!([deployment("d-BAD", "InProgress", &waiting)]));
    let course = look.course();
    assert_eq!((course.settled, course.heading), (known(revision(42)), None));
    assert!(matches!(course.phase, Phase::Progressing(_)), "it can still be stopped");
    assert!(look.has_arrived(&look.token()));
    assert!(!look.has_arrived(&look.token_of_code_deploy("d-OTHER")));
    assert_eq!(look.circumstances().code_deploy.unwrap().returns_to, Some(revision(41)));

    // Not before its own task set takes the requests.
    let early = self::look(&both(false), json!([deployment("d-BAD", "InProgress", &waiting)]));
    assert!(!early.has_arrived(&early.token()));
}

fn task(id: &str, number: u32, by: &str) -> Task {
    serde_json::from_value(json!({
        "taskArn": format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}"), "taskDefinitionArn": revision(number),
        "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "startedBy": by,
    }))
    .unwrap()
}

fn shown(look: &Look) -> Vec<String> {
    look.parts().unwrap().iter().map(|part| part.part.to_string()).collect()
}

#[test]
fn tasks_that_only_wait_are_no_part_and_all_others_are() {
    let tasks = || known(vec![task("a", 41, "ecs-svc/1"), task("b", 42, "ecs-svc/2")]);
    let with = |deployment: Value| {
        let mut look = look(&both(true), json!([deployment]));
        look.tasks = tasks();
        look
    };
    let waiting = json!({ "instanceTerminationWaitTimeStarted": true });
    assert_eq!(shown(&with(deployment("d-BAD", "InProgress", &waiting))), ["web:42"]);
    assert_eq!(shown(&with(deployment("d-BAD", "Succeeded", &json!({})))), ["web:42"]);
    // While requests are being moved, nobody knows who gets some.
    assert_eq!(shown(&with(deployment("d-BAD", "InProgress", &json!({})))), ["web:41", "web:42"]);
    let mut unread = with(deployment("d-BAD", "Succeeded", &json!({})));
    unread.code_deploy = Reading::Unknown("codedeploy:ListDeployments is denied".into());
    assert_eq!(shown(&unread), ["web:41", "web:42"]);
    // A task that says nothing of where it belongs is never left out.
    let mut stray = with(deployment("d-BAD", "Succeeded", &json!({})));
    stray.tasks = known(vec![task("a", 41, "somebody"), task("b", 42, "ecs-svc/2")]);
    assert_eq!(shown(&stray), ["web:41", "web:42"]);
}

#[test]
fn nothing_is_proven_while_a_deployment_is_on_its_way() {
    let goal = crate::fixtures::snapshot(41, "v1");
    let evidence = |look: &Look| -> Evidence { look.evidence(&goal).unwrap() };
    let moving = look(&both(false), json!([deployment("d-BAD", "InProgress", &json!({}))]));
    assert!(evidence(&moving).unread.iter().any(|what| what.contains("d-BAD")));
    assert!(!matches!(
        evidence(&moving).judge(goal_identity(&goal), &rollback_core::Goal::runs(goal.clone())),
        Proof::Proven
    ));
}

fn goal_identity(goal: &crate::snapshot::EcsSnapshot) -> rollback_core::Identity {
    rollback_core::Snapshot::info(goal).identity
}

#[test]
fn what_was_given_up_waits_for_its_rollback_and_then_has_failed() {
    // Just stopped: the one that rolls it back may be a moment away.
    let fresh = look(&both(true), json!([given_up("Stopped", 9, None)])).course();
    assert_eq!(
        text(&fresh.phase),
        "deployment d-BAD of CodeDeploy is Stopped: too few healthy tasks; its rollback does not show yet"
    );
    assert!(matches!(fresh.phase, Phase::Progressing(_)));
    // It was announced, and is not listed yet.
    let announced = look(&both(true), json!([given_up("Failed", 1, Some("d-BACK"))])).course();
    assert!(matches!(announced.phase, Phase::Progressing(_)));
    // Nothing came.
    let left = look(&both(false), json!([given_up("Failed", 1, None)])).course();
    assert_eq!((left.settled, left.heading), (known(revision(41)), Some(revision(42))));
    assert_eq!(text(&left.phase), "deployment d-BAD of CodeDeploy is Failed: too few healthy tasks");
    assert!(matches!(left.phase, Phase::Failed(_)));
    // Nothing of it is left.
    let clean = look(&json!([set("1", "PRIMARY", 41, None)]), json!([given_up("Failed", 9, None)])).course();
    assert_eq!((clean.settled, clean.heading, clean.phase), (known(revision(41)), None, Phase::Settled));
    // The rollback failed as well.
    let failed =
        look(&both(true), json!([rollback("Failed"), given_up("Failed", 9, Some("d-BACK"))])).course();
    assert!(matches!(failed.phase, Phase::Failed(_)), "{:?}", failed.phase);
    assert_eq!((failed.settled, failed.heading), (known(revision(42)), Some(revision(41))));
}

#[test]
fn what_codedeploy_gave_up_by_itself_is_told_with_its_reason() {
    let deployments = json!([rollback("InProgress"), given_up("Failed", 9, Some("d-BACK"))]);
    let look = look(&both(false), deployments);
    let ours = look.token_of_code_deploy("d-BAD");
    let why = "deployment d-BAD of CodeDeploy is Failed: too few healthy tasks; it is rolled back";
    assert_eq!(look.went_back(&ours).as_deref(), Some(why));
    assert_ne!(look.token(), ours);
    // Of something else nothing is said.
    assert_eq!(look.went_back(&look.token()), None);
    assert_eq!(look.went_back(&look.token_of_code_deploy("d-OLD")), None);
    // Somebody deployed since.
    let newer = deployment("d-NEW", "InProgress", &json!({}));
    let newer = self::look(&both(false), json!([newer, given_up("Failed", 1, None)]));
    assert_eq!(newer.went_back(&ours), None);
    // As long as it goes on, nothing was given up.
    let moving = self::look(&both(false), json!([deployment("d-BAD", "InProgress", &json!({}))]));
    assert_eq!(moving.went_back(&ours), None);
}

#[test]
fn the_token_is_the_newest_deployment_whatever_becomes_of_it() {
    let of = |primary_is_bad, status| {
        look(&both(primary_is_bad), json!([deployment("d-BAD", status, &json!({}))])).token()
    };
    assert_eq!(of(false, "Created"), of(true, "Succeeded"));
    let alone = json!([set("1", "PRIMARY", 41, None)]);
    let none = look(&alone, json!([]));
    assert_ne!(none.token(), of(false, "Created"));
    assert!(none.is_before(&of(false, "Created")), "it is not listed yet");
    let listed = look(&both(false), json!([rollback("Created"), given_up("Failed", 9, None)]));
    assert!(!listed.is_before(&of(false, "Created")));
    assert!(!listed.is_before(&none.token()));
    // What cannot be read is not called old.
    let mut unread = look(&alone, json!([]));
    unread.code_deploy = Reading::Unknown("denied".into());
    assert!(!unread.is_before(&of(false, "Created")));
}

#[test]
fn tasks_that_are_being_stopped_are_waited_for() {
    let sets = json!([set("1", "PRIMARY", 41, None), set("2", "DRAINING", 42, Some("d-BAD"))]);
    let course = look(&sets, json!([rollback("Succeeded"), given_up("Stopped", 9, Some("d-BACK"))])).course();
    assert_eq!(text(&course.phase), "2 tasks of earlier task sets are still being stopped");
    assert_eq!((course.settled, course.heading), (known(revision(41)), None));
}
