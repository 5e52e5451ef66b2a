//! Services that ECS does not move.

use serde_json::json;

use crate::support::{ask, cloud, described, refused};

#[test]
fn what_codedeploy_moves_is_refused_in_aws_words() {
    let cloud = cloud(&json!({}));
    let made = json!({
        "cluster": "prod", "serviceName": "shop", "taskDefinition": "web:1", "desiredCount": 1,
        "deploymentController": { "type": "CODE_DEPLOY" },
        "loadBalancers": [{ "targetGroupArn": "blue", "containerName": "web", "containerPort": 80 }],
    });
    ask(&cloud, "CreateService", &made);
    assert!(cloud.settle());
    let update = json!({ "cluster": "prod", "service": "shop", "taskDefinition": "web:2" });
    let fault = refused(&cloud, "UpdateService", &update);
    assert_eq!(fault.code(), "InvalidParameterException");
    assert_eq!(
        fault.message(),
        "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to \
         trigger a new deployment."
    );
    ask(&cloud, "UpdateService", &json!({ "cluster": "prod", "service": "shop", "desiredCount": 2 }));
    assert!(cloud.settle());
    let shop = ask(&cloud, "DescribeServices", &json!({ "cluster": "prod", "services": ["shop"] }));
    let shop = &shop["services"][0];
    assert_eq!(shop["deployments"], json!([]));
    assert_eq!(shop["deploymentController"], json!({ "type": "CODE_DEPLOY" }));
    let set = &shop["taskSets"][0];
    assert_eq!((&set["status"], &set["runningCount"]), (&json!("PRIMARY"), &json!(2)));
    assert_eq!(set["stabilityStatus"], "STEADY_STATE");
    assert_eq!(set["loadBalancers"][0]["targetGroupArn"], "blue");
}

#[test]
fn task_sets_are_moved_from_outside() {
    let cloud = cloud(&json!({}));
    let made = json!({
        "cluster": "prod", "serviceName": "own", "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" },
    });
    ask(&cloud, "CreateService", &made);
    let own = |more: serde_json::Value| {
        let mut input = json!({ "cluster": "prod", "service": "own" });
        input.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        input
    };
    let add = |revision: &str| {
        ask(&cloud, "CreateTaskSet", &own(json!({ "taskDefinition": revision })))["taskSet"]["id"].take()
    };
    let (first, second) = (add("web:1"), add("web:2"));
    assert!(cloud.settle());
    ask(&cloud, "UpdateServicePrimaryTaskSet", &own(json!({ "primaryTaskSet": second })));
    ask(&cloud, "DeleteTaskSet", &own(json!({ "taskSet": first })));
    assert!(cloud.settle());
    let sets = ask(&cloud, "DescribeTaskSets", &own(json!({})));
    assert_eq!(sets["taskSets"].as_array().map(Vec::len), Some(1));
    assert_eq!((&sets["taskSets"][0]["id"], &sets["taskSets"][0]["status"]), (&second, &json!("PRIMARY")));
}

#[test]
fn a_service_that_is_not_there_is_a_failure_and_no_error() {
    let cloud = cloud(&json!({}));
    let answer = ask(&cloud, "DescribeServices", &json!({ "cluster": "prod", "services": ["api", "web"] }));
    let arn = "arn:aws:ecs:eu-west-1:123456789012:service/prod/api";
    assert_eq!(answer["failures"], json!([{ "arn": arn, "reason": "MISSING" }]));
    assert_eq!(answer["services"][0]["serviceName"], "web");
    assert!(described(&cloud).get("deploymentController").is_none());
    let eleven: Vec<_> = (0..11).map(|number| format!("web{number}")).collect();
    let fault = refused(&cloud, "DescribeServices", &json!({ "cluster": "prod", "services": eleven }));
    assert_eq!(fault.code(), "InvalidParameterException");
    let other =
        json!({ "cluster": "prod", "services": ["arn:aws:ecs:eu-west-1:123456789012:service/test/web"] });
    let message = refused(&cloud, "DescribeServices", &other).message().to_owned();
    assert_eq!(message, "Identifier is for cluster test. Your cluster is prod");
}
