//! Faults, limits and records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rollback_scripted_aws::{Cloud, Does, Injection, Outcome, Reply, Request};
use serde_json::json;

use crate::support::{cloud, newest, view};

fn update() -> Request {
    Request::json(
        "ecs",
        "UpdateService",
        &json!({ "cluster": "prod", "service": "web", "taskDefinition": "web:2" }),
    )
}

fn code(reply: &Reply) -> String {
    match reply {
        Reply::Answered(answer) => answer.json()["__type"].as_str().unwrap_or("none").to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_is_done_when_the_answer_is_lost_is_done_once() {
    let cloud = cloud(&json!({}));
    cloud.inject(Injection::new("ecs", "UpdateService", Does::LosesAnswer).times(1));
    let before = newest(&cloud)["serviceDeploymentArn"].clone();
    assert!(matches!(cloud.call(&update()), Reply::Closed));
    let made = newest(&cloud)["serviceDeploymentArn"].clone();
    assert_ne!(made, before);
    assert!(matches!(cloud.call(&update()), Reply::Answered(_)), "the second finds nothing to change");
    assert_eq!(newest(&cloud)["serviceDeploymentArn"], made);
    let outcomes: Vec<_> = cloud
        .calls()
        .into_iter()
        .filter(|call| call.operation == "UpdateService")
        .map(|call| call.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::AnswerLost, Outcome::Answered]);
}

#[test]
fn a_lost_request_does_nothing() {
    let cloud = cloud(&json!({}));
    cloud.inject(Injection::new("ecs", "UpdateService", Does::LosesRequest).after(1).times(1));
    assert_eq!(code(&cloud.call(&update())), "none");
    cloud.settle();
    let before = newest(&cloud);
    assert!(matches!(cloud.call(&update()), Reply::Closed));
    assert_eq!(newest(&cloud), before);
    assert_eq!(view(&cloud).healthy(), ["web:2", "web:2"]);
}

#[test]
fn faults_are_as_aws_words_them() {
    let cloud = cloud(&json!({}));
    let refused = |does: Does| {
        cloud.inject(Injection::new("ecs", "*", does).times(1));
        let Reply::Answered(answer) = cloud.call(&update()) else { panic!("it is answered") };
        (answer.status, answer.json())
    };
    let (status, body) = refused(Does::Denies);
    assert_eq!((status, &body["__type"]), (400, &json!("AccessDeniedException")));
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("is not authorized to perform: ecs:UpdateService"))
    );
    assert_eq!(refused(Does::Expires).1["__type"], "ExpiredTokenException");
    assert_eq!(refused(Does::Breaks).0, 500);
    assert_eq!(view(&cloud).task_definition, "web:1", "none of them changed anything");
}

#[test]
fn too_fast_is_throttled_and_time_heals_it() {
    let cloud = cloud(&json!({}));
    cloud.limit_rates(true);
    let describe =
        || Request::json("ecs", "ListServiceDeployments", &json!({ "cluster": "prod", "service": "web" }));
    let burst: Vec<_> = (0..60).map(|_| code(&cloud.call(&describe()))).collect();
    assert_eq!(burst.iter().filter(|code| *code == "none").count(), 50);
    assert!(burst[50..].iter().all(|code| code == "ThrottlingException"));
    cloud.tick(Duration::from_secs(1));
    let after: Vec<_> = (0..30).map(|_| code(&cloud.call(&describe()))).collect();
    assert_eq!(after.iter().filter(|code| *code == "none").count(), 20);
    cloud.limit_rates(false);
    assert_eq!(code(&cloud.call(&describe())), "none");
}

#[test]
fn each_call_can_let_time_pass() {
    let cloud = Cloud::new();
    cloud.advance_per_call(Duration::from_secs(7));
    let before = cloud.now();
    let _ = cloud.call(&Request::json("ecs", "ListServices", &json!({})));
    assert_eq!(cloud.now().duration_since(before).as_secs(), 7);
    assert_eq!(cloud.calls()[0].outcome, Outcome::Refused("ClusterNotFoundException".to_owned()));
}

#[test]
fn the_logical_time_follows_a_clock() {
    let cloud = Cloud::new();
    let told = Arc::new(AtomicU64::new(100));
    let clock = Arc::clone(&told);
    cloud.follow(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
    let before = cloud.now();
    told.store(130, Ordering::SeqCst);
    let _ = cloud.call(&Request::json("ecs", "ListServices", &json!({})));
    assert_eq!(cloud.now().duration_since(before).as_secs(), 30);
}

#[test]
fn a_thousand_services_go_on_together() {
    let cloud = cloud(&json!({}));
    let name = |number: usize| format!("web{number}");
    for number in 0..1000 {
        let input = json!({ "cluster": "prod", "serviceName": name(number), "taskDefinition": "web:1", "desiredCount": 2 });
        cloud.ask("ecs", "CreateService", &input).expect("it is valid");
    }
    assert!(cloud.settle());
    for number in 0..1000 {
        cloud.deploy("prod", &name(number), "web:2").expect("it is valid");
        cloud.tick(Duration::from_millis(200));
    }
    assert!(cloud.settle());
    let moved =
        |number: usize| cloud.service("prod", &name(number)).is_some_and(|one| one.healthy() == ["web:2"; 2]);
    assert!((0..1000).all(moved));
}
