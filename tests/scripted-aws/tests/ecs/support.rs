//! A cluster with a service, and asking.

use std::time::Duration;

use rollback_scripted_aws::{Cloud, Fault, Reply, Request, ServiceView};
use serde_json::{Value, json};

/// A service `prod/web` at rest with two tasks of `web:1`, and `web:2` of an image `registry/app:next`.
pub(crate) fn cloud(configuration: &Value) -> Cloud {
    let cloud = Cloud::new();
    cloud.cluster("prod");
    cloud.register("web", "registry/app:first").expect("it is valid");
    cloud.register("web", "registry/app:next").expect("it is valid");
    cloud.create_service("prod", "web", "web:1", 2, configuration).expect("it is valid");
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    cloud
}

pub(crate) fn view(cloud: &Cloud) -> ServiceView {
    cloud.service("prod", "web").expect("it was made")
}

/// An answer over the wire's form.
pub(crate) fn ask(cloud: &Cloud, operation: &str, input: &Value) -> Value {
    match cloud.call(&Request::json("ecs", operation, input)) {
        Reply::Answered(answer) if answer.status == 200 => answer.json(),
        other => panic!("{operation}: {other:?}"),
    }
}

/// The error of what is refused.
pub(crate) fn refused(cloud: &Cloud, operation: &str, input: &Value) -> Fault {
    match cloud.ask("ecs", operation, input) {
        Ok(answer) => panic!("{operation} is not refused: {answer}"),
        Err(fault) => fault,
    }
}

pub(crate) fn described(cloud: &Cloud) -> Value {
    ask(cloud, "DescribeServices", &json!({ "cluster": "prod", "services": ["web"] }))["services"][0].take()
}

/// The newest service deployment.
pub(crate) fn newest(cloud: &Cloud) -> Value {
    let listed = ask(cloud, "ListServiceDeployments", &json!({ "cluster": "prod", "service": "web" }));
    let arn = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
    let input = json!({ "serviceDeploymentArns": [arn] });
    ask(cloud, "DescribeServiceDeployments", &input)["serviceDeployments"][0].take()
}

pub(crate) fn next(cloud: &Cloud) -> Value {
    ask(cloud, "UpdateService", &json!({ "cluster": "prod", "service": "web", "taskDefinition": "web:2" }))
}

pub(crate) fn seconds(cloud: &Cloud, count: u64) {
    cloud.tick(Duration::from_secs(count));
}

/// Lets time pass, second by second, until something holds.
pub(crate) fn until(cloud: &Cloud, what: &str, holds: impl Fn(&Cloud) -> bool) {
    for _ in 0..7200 {
        if holds(cloud) {
            return;
        }
        seconds(cloud, 1);
    }
    panic!("it never comes to this: {what}: {:#?}", view(cloud));
}
