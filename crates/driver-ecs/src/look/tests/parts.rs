//! What its parts prove, and how answers are read.

use super::*;

#[test]
fn what_cannot_be_proven_is_not() {
    let v2 = goal(42, "v2");
    let mut cases: Vec<(&str, Look)> = Vec::new();
    let mut case = |what, change: &dyn Fn(&mut Look)| {
        let mut look = settled_look();
        change(&mut look);
        cases.push((what, look));
    };
    case("one task with another image", &|l| l.tasks = known(vec![task("a", 42, 42), task("b", 42, 7)]));
    case("one task of another revision", &|l| l.tasks = known(vec![task("a", 42, 42), task("b", 41, 41)]));
    case("a task too few", &|l| l.tasks = known(vec![task("a", 42, 42)]));
    case("no tasks", &|l| l.tasks = known(Vec::new()));
    case("tasks that may not be read", &|l| l.tasks = Reading::Unknown("ecs:ListTasks is denied".into()));
    case("unhealthy targets", &|l| l.healthy_targets = known(1));
    case("targets that may not be read", &|l| l.healthy_targets = Reading::Unknown("denied".into()));
    case("a rollout that goes on", &|l| l.service.deployments[0].rollout_state = Some("IN_PROGRESS".into()));
    case("a definition that was not read", &|l| drop(l.definitions.remove(&revision(42))));
    case("a task without digests", &|l| {
        let mut bare = task("b", 42, 42);
        bare.containers[0].image_digest = None;
        l.tasks = known(vec![task("a", 42, 42), bare]);
    });
    case("a task that is being stopped", &|l| {
        let mut stopping = task("b", 42, 42);
        stopping.desired_status = "STOPPED".into();
        l.tasks = known(vec![task("a", 42, 42), stopping]);
    });
    case("an unhealthy task", &|l| {
        let mut sick = task("b", 42, 42);
        sick.health_status = Some("UNHEALTHY".into());
        l.tasks = known(vec![task("a", 42, 42), sick]);
    });
    for (what, look) in cases {
        assert!(!proof(&look, &v2).is_proven(), "{what}: {:?}", look.evidence(&v2));
    }
    let mut healthy = settled_look();
    healthy.healthy_targets = known(2);
    assert!(proof(&healthy, &v2).is_proven());
}

#[test]
fn without_a_registry_one_equal_digest_has_to_do_and_that_is_said() {
    let unresolved = snapshot(42, "v2");
    let look = settled_look();
    assert!(proof(&look, &unresolved).is_proven(), "{:?}", look.evidence(&unresolved));
    let said = look.evidence(&unresolved).unwrap().compared;
    assert!(said.iter().any(|what| what.contains("was not compared with the registry")), "{said:?}");
    let mut mixed = settled_look();
    mixed.tasks = known(vec![task("a", 42, 42), task("b", 42, 7)]);
    assert!(!proof(&mixed, &unresolved).is_proven());
}

#[test]
fn a_task_that_does_not_tell_its_image_is_unknown_and_not_wrong() {
    let mut bare = task("a", 42, 42);
    bare.containers[0].image_digest = None;
    let mut look = settled_look();
    look.service.desired_count = 1;
    look.service.deployments[0].desired_count = 1;
    look.tasks = known(vec![bare]);
    assert!(matches!(proof(&look, &goal(42, "v2")), Proof::NotProven { may_heal: true, .. }));
}

#[test]
fn nothing_running_proves_nothing() {
    let mut look = look(service(json!([deployment("2", "PRIMARY", 42, "COMPLETED", (0, 0))])));
    look.service.desired_count = 0;
    look.tasks = known(Vec::new());
    let parts = look.parts().unwrap();
    assert_eq!((parts.len(), parts[0].replicas.unwrap().wanted), (1, 0));
    assert!(matches!(proof(&look, &goal(42, "v2")), Proof::NotProven { may_heal: false, .. }));
}

#[test]
fn without_the_tasks_the_parts_are_only_claimed() {
    let mut look = rolling_look();
    look.tasks = Reading::Unknown("not asked".into());
    let parts = look.parts().unwrap();
    let told: Vec<_> =
        parts.iter().map(|p| (p.part.as_str(), p.certainty, p.replicas.unwrap().ready)).collect();
    assert_eq!(told, [("web:41", Certainty::Claimed, 2), ("web:42", Certainty::Claimed, 1)]);
    assert_eq!(parts[1].identity, Some(goal(42, "v2").info().identity));
    assert_eq!(rolling_look().parts().unwrap()[0].certainty, Certainty::Verified);
}

#[test]
fn the_longest_family_has_parts_too() {
    let family = "w".repeat(255);
    let arn = arn("ecs", &format!("task-definition/{family}:42"));
    let mut look = settled_look();
    look.service.deployments[0].task_definition = Some(arn.as_str().parse().unwrap());
    assert_eq!(look.parts().unwrap().len(), 2);
}

#[test]
fn the_token_follows_intent_and_not_noise() {
    let before = rolling_look().token();
    let mut noisy = rolling_look();
    noisy.service.deployments[0].running_count = 2;
    noisy.service.deployments[0].failed_tasks = 1;
    noisy.service.deployments[0].rollout_state = Some("COMPLETED".into());
    noisy.service.deployments.pop();
    noisy.service.desired_count = 5;
    noisy.tasks = known(Vec::new());
    noisy.service.events.push(Event::default());
    assert_eq!(noisy.token(), before);
    let mut deployed = rolling_look();
    deployed.service.deployments[0].id = "ecs-svc/3".into();
    assert_ne!(deployed.token(), before);
    let mut other = rolling_look();
    other.service.deployments[0].task_definition = Some(revision(40));
    assert_ne!(other.token(), before);
}

#[test]
fn incarnations_change_when_everything_was_restarted() {
    let of = |ids: [&str; 2]| {
        let mut look = settled_look();
        look.tasks = known(ids.map(|id| task(id, 42, 42)).to_vec());
        look.parts().unwrap()[0].incarnation.clone()
    };
    assert_eq!(of(["a", "b"]), of(["a", "c"]), "one was replaced");
    assert_ne!(of(["a", "b"]), of(["c", "d"]), "both were");
}

#[test]
fn words_from_outside_steer_no_terminal_and_are_bounded() {
    let mut look = rolling_look();
    let hostile = format!("(service web) deployment failed: \u{1b}[2J\u{202e}{}", "x".repeat(5_000));
    look.service.events =
        vec![serde_json::from_value(json!({ "createdAt": BEGAN, "message": hostile })).unwrap()];
    let reason = &look.reasons()[0];
    assert!(reason.chars().count() < 330 && !reason.contains(['\u{1b}', '\u{202e}']), "{reason:?}");
}

#[test]
fn answers_with_nulls_and_unknown_fields_are_read() {
    let mut value = service(json!([{ "id": "x", "status": "PRIMARY", "runningCount": null, "new": [] }]));
    value["taskSets"] = Value::Null;
    value["deploymentController"] = Value::Null;
    value["events"] = json!([{ "createdAt": 1_795_255_200.5, "message": null }]);
    let service: Service = serde_json::from_value(value).unwrap();
    assert!(service.events[0].created_at.is_some());
    assert!(serde_json::from_value::<Service>(json!({ "serviceArn": "x" })).is_err());
}
