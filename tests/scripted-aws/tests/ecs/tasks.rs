//! Tasks by themselves.

use rollback_scripted_aws::Behaviour;
use serde_json::json;

use crate::support::{ask, cloud, described, refused, seconds, view};

#[test]
fn a_task_that_is_run_ends_when_it_is_stopped() {
    let cloud = cloud(&json!({}));
    let run = json!({ "cluster": "prod", "taskDefinition": "web:2", "launchType": "FARGATE", "startedBy": "probe" });
    let task = ask(&cloud, "RunTask", &run)["tasks"][0].take();
    assert_eq!((&task["lastStatus"], &task["group"]), (&json!("PROVISIONING"), &json!("family:web")));
    assert!(task["containers"][0].get("imageDigest").is_none(), "nothing is pulled yet");
    seconds(&cloud, 12);
    let arn = task["taskArn"].clone();
    let now =
        |cloud| ask(cloud, "DescribeTasks", &json!({ "cluster": "prod", "tasks": [arn] }))["tasks"][0].take();
    assert_eq!(now(&cloud)["lastStatus"], "RUNNING");
    assert!(now(&cloud)["containers"][0]["imageDigest"].is_string());
    let listed = ask(&cloud, "ListTasks", &json!({ "cluster": "prod", "startedBy": "probe" }));
    assert_eq!(listed["taskArns"], json!([arn]));
    ask(&cloud, "StopTask", &json!({ "cluster": "prod", "task": arn, "reason": "done" }));
    assert_eq!(now(&cloud)["desiredStatus"], "STOPPED");
    seconds(&cloud, 10);
    assert_eq!(
        (&now(&cloud)["lastStatus"], &now(&cloud)["stoppedReason"]),
        (&json!("STOPPED"), &json!("done"))
    );
    seconds(&cloud, 3601);
    let gone = ask(&cloud, "DescribeTasks", &json!({ "cluster": "prod", "tasks": [arn] }));
    assert_eq!(gone["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_service_replaces_a_task_that_is_stopped() {
    let cloud = cloud(&json!({}));
    let listed = ask(
        &cloud,
        "ListTasks",
        &json!({ "cluster": "prod", "serviceName": "web", "launchType": "FARGATE" }),
    );
    assert_eq!(listed["taskArns"].as_array().map(Vec::len), Some(2));
    ask(&cloud, "StopTask", &json!({ "cluster": "prod", "task": listed["taskArns"][0] }));
    assert!(cloud.settle());
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    assert_eq!(described(&cloud)["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn a_slow_one_takes_its_time() {
    let cloud = cloud(&json!({}));
    cloud.behave("registry/app:next", Behaviour::SlowStart(std::time::Duration::from_secs(120)));
    let task =
        ask(&cloud, "RunTask", &json!({ "cluster": "prod", "taskDefinition": "web:2" }))["tasks"][0].take();
    let status = || {
        ask(&cloud, "DescribeTasks", &json!({ "cluster": "prod", "tasks": [task["taskArn"]] }))["tasks"][0]["lastStatus"].take()
    };
    seconds(&cloud, 100);
    assert_eq!(status(), "PENDING");
    seconds(&cloud, 30);
    assert_eq!(status(), "RUNNING");
}

#[test]
fn what_is_asked_for_wrongly() {
    let cloud = cloud(&json!({}));
    let fault = refused(&cloud, "ListTasks", &json!({ "cluster": "prod", "serviceName": "api" }));
    assert_eq!(fault.code(), "ServiceNotFoundException");
    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let fault = refused(&cloud, "DescribeTasks", &json!({ "cluster": "prod", "tasks": many }));
    assert_eq!(fault.code(), "InvalidParameterException");
}
