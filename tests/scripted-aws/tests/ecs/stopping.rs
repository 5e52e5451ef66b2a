//! Stopping service deployments.

use serde_json::json;

use crate::support::{ask, cloud, described, newest, next, refused, seconds, view};

#[test]
fn a_stop_with_rollback_goes_back_to_the_revision_before() {
    let cloud = cloud(&json!({}));
    let before = newest(&cloud)["targetServiceRevision"]["arn"].clone();
    next(&cloud);
    seconds(&cloud, 12);
    let arn = newest(&cloud)["serviceDeploymentArn"].clone();
    let stop = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
    assert_eq!(ask(&cloud, "StopServiceDeployment", &stop), json!({ "serviceDeploymentArn": arn }));
    assert_eq!(newest(&cloud)["status"], "ROLLBACK_REQUESTED");
    seconds(&cloud, 1);
    assert_eq!(newest(&cloud)["status"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(ask(&cloud, "StopServiceDeployment", &stop)["serviceDeploymentArn"], arn, "it goes on");
    assert!(cloud.settle());
    let deployment = newest(&cloud);
    assert_eq!(deployment["serviceDeploymentArn"], arn);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(deployment["rollback"]["serviceRevisionArn"], before);
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    assert_eq!(described(&cloud)["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn what_has_ended_is_not_stopped() {
    let cloud = cloud(&json!({}));
    let arn = newest(&cloud)["serviceDeploymentArn"].clone();
    let fault = refused(&cloud, "StopServiceDeployment", &json!({ "serviceDeploymentArn": arn }));
    assert_eq!(fault.code(), "ConflictException");
    let unknown = "arn:aws:ecs:eu-west-1:123456789012:service-deployment/prod/web/none";
    let fault = refused(&cloud, "StopServiceDeployment", &json!({ "serviceDeploymentArn": unknown }));
    assert_eq!(fault.code(), "ServiceDeploymentNotFoundException");
}

#[test]
fn an_abort_leaves_everything_where_it_is() {
    let cloud = cloud(&json!({}));
    next(&cloud);
    seconds(&cloud, 4);
    let arn = newest(&cloud)["serviceDeploymentArn"].clone();
    ask(&cloud, "StopServiceDeployment", &json!({ "serviceDeploymentArn": arn, "stopType": "ABORT" }));
    assert_eq!(newest(&cloud)["status"], "STOP_REQUESTED");
    assert!(cloud.settle());
    let deployment = newest(&cloud);
    assert_eq!(deployment["status"], "STOPPED");
    assert!(deployment["stoppedAt"].is_number());
    assert_eq!(view(&cloud).task_definition, "web:2");
}

#[test]
fn lists_are_filtered_and_paged() {
    let cloud = cloud(&json!({}));
    let since = newest(&cloud)["createdAt"].as_f64().unwrap_or_default();
    for _ in 0..4 {
        ask(
            &cloud,
            "UpdateService",
            &json!({ "cluster": "prod", "service": "web", "forceNewDeployment": true }),
        );
        cloud.settle();
    }
    let count = |more: serde_json::Value| {
        let mut input = json!({ "cluster": "prod", "service": "web" });
        input.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        let answer = ask(&cloud, "ListServiceDeployments", &input);
        (answer["serviceDeployments"].as_array().map_or(0, Vec::len), answer["nextToken"].clone())
    };
    assert_eq!(count(json!({})).0, 5);
    assert_eq!(count(json!({ "status": ["IN_PROGRESS", "PENDING"] })).0, 0);
    assert_eq!(count(json!({ "status": ["SUCCESSFUL"] })).0, 5);
    assert_eq!(count(json!({ "createdAt": { "after": since + 1.0 } })).0, 4);
    assert_eq!(count(json!({ "createdAt": { "before": since } })).0, 1);
    let (first, token) = count(json!({ "maxResults": 3 }));
    assert_eq!(first, 3);
    assert_eq!(count(json!({ "maxResults": 3, "nextToken": token })).0, 2);
}
