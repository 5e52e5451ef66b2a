//! Rolling replacement and the circuit breaker.

use rollback_scripted_aws::Behaviour;
use serde_json::json;

use crate::support::{ask, cloud, described, newest, next, refused, seconds, until, view};

#[test]
fn every_task_is_replaced_and_never_are_there_too_few_or_too_many() {
    let cloud = cloud(&json!({}));
    let answer = next(&cloud);
    assert_eq!(answer["service"]["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(newest(&cloud)["status"], "PENDING");
    for _ in 0..60 {
        seconds(&cloud, 1);
        let view = view(&cloud);
        let live =
            view.tasks.iter().filter(|task| !task.status.starts_with("DE") && task.status != "STOPPING");
        assert!(live.count() <= 4, "{view:#?}");
        assert!(view.healthy().len() >= 2, "{view:#?}");
    }
    assert!(cloud.settle());
    assert_eq!(view(&cloud).healthy(), ["web:2", "web:2"]);
    let service = described(&cloud);
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
    let primary = &service["deployments"][0];
    assert_eq!(primary["rolloutState"], "COMPLETED");
    assert_eq!(
        primary["rolloutStateReason"],
        format!("ECS deployment {} completed.", primary["id"].as_str().unwrap_or_default())
    );
    assert_eq!(view(&cloud).events[0], "(service web) has reached a steady state.");
    let deployment = newest(&cloud);
    assert_eq!(deployment["status"], "SUCCESSFUL");
    assert!(deployment["finishedAt"].as_f64() > deployment["startedAt"].as_f64());
    assert_eq!(deployment["sourceServiceRevisions"].as_array().map(Vec::len), Some(1));
    assert!(deployment.get("rollback").is_none());
}

#[test]
fn with_fewer_allowed_earlier_tasks_go_first() {
    let cloud = cloud(&json!({ "minimumHealthyPercent": 50, "maximumPercent": 100 }));
    next(&cloud);
    let mut least = 2;
    for _ in 0..120 {
        seconds(&cloud, 1);
        let view = view(&cloud);
        least = least.min(view.healthy().len());
        assert!(view.healthy().len() <= 2);
    }
    assert_eq!(least, 1);
    assert_eq!(view(&cloud).healthy(), ["web:2", "web:2"]);
}

#[test]
fn the_breaker_fails_a_rollout_and_leaves_it_without_rollback() {
    let cloud = cloud(&json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } }));
    cloud.behave("registry/app:next", Behaviour::Crash);
    next(&cloud);
    assert!(cloud.settle());
    let primary = &described(&cloud)["deployments"][0];
    assert_eq!(primary["rolloutState"], "FAILED");
    assert_eq!(primary["rolloutStateReason"], "ECS deployment circuit breaker: tasks failed to start.");
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"], "the earlier tasks are left alone");
    assert_eq!(view(&cloud).task_definition, "web:2");
    let deployment = newest(&cloud);
    assert_eq!(deployment["status"], "STOPPED");
    assert_eq!(deployment["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(deployment["deploymentCircuitBreaker"]["threshold"], 3);
    let stopped = json!({ "cluster": "prod", "serviceName": "web", "desiredStatus": "STOPPED" });
    let arns = ask(&cloud, "ListTasks", &stopped)["taskArns"].take();
    let tasks = ask(&cloud, "DescribeTasks", &json!({ "cluster": "prod", "tasks": arns }));
    let task = &tasks["tasks"][0];
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["containers"][0]["exitCode"], 1);
}

#[test]
fn the_breaker_rolls_back_to_what_was_completed_last() {
    let cloud = cloud(&json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } }));
    let before = newest(&cloud)["targetServiceRevision"]["arn"].clone();
    cloud.behave("registry/app:next", Behaviour::MissingImage);
    next(&cloud);
    until(&cloud, "a rollback", |cloud| view(cloud).deployment.as_deref() == Some("ROLLBACK_IN_PROGRESS"));
    let service = described(&cloud);
    let (primary, failed) = (&service["deployments"][0], &service["deployments"][1]);
    assert_eq!(failed["rolloutState"], "FAILED");
    assert_eq!(failed["status"], "ACTIVE");
    let id = primary["id"].as_str().unwrap_or_default();
    let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.");
    assert_eq!(primary["rolloutStateReason"], reason);
    assert!(cloud.settle());
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    assert_eq!(view(&cloud).task_definition, "web:1");
    let deployment = newest(&cloud);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(deployment["rollback"]["serviceRevisionArn"], before);
    assert_ne!(deployment["targetServiceRevision"]["arn"], before);
    let listed = ask(&cloud, "ListServiceDeployments", &json!({ "cluster": "prod", "service": "web" }));
    assert_eq!(
        listed["serviceDeployments"].as_array().map(Vec::len),
        Some(2),
        "a rollback is none of its own"
    );
}

#[test]
fn a_rollback_that_cannot_start_either_has_failed() {
    let cloud = cloud(&json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } }));
    cloud.behave("registry/app:next", Behaviour::Unhealthy);
    cloud.behave("registry/app:first", Behaviour::MissingImage);
    next(&cloud);
    assert!(cloud.settle());
    assert_eq!(newest(&cloud)["status"], "ROLLBACK_FAILED");
    assert_eq!(described(&cloud)["deployments"][0]["rolloutState"], "FAILED");
}

#[test]
fn without_room_nothing_starts_and_it_is_told() {
    let cloud = cloud(&json!({}));
    cloud.behave("registry/app:next", Behaviour::NoCapacity);
    next(&cloud);
    seconds(&cloud, 300);
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    let told =
        view(&cloud).events.iter().filter(|event| event.contains("was unable to place a task")).count();
    assert!((4..=6).contains(&told), "{:?}", view(&cloud).events);
    assert_eq!(newest(&cloud)["status"], "IN_PROGRESS");
}

#[test]
fn a_newer_deployment_stops_the_one_on_its_way() {
    let cloud = cloud(&json!({}));
    next(&cloud);
    seconds(&cloud, 3);
    let first = newest(&cloud)["serviceDeploymentArn"].clone();
    ask(&cloud, "UpdateService", &json!({ "cluster": "prod", "service": "web", "taskDefinition": "web:1" }));
    let input = json!({ "serviceDeploymentArns": [first] });
    let replaced = &ask(&cloud, "DescribeServiceDeployments", &input)["serviceDeployments"][0];
    assert_eq!(replaced["status"], "STOPPED");
    assert_eq!(newest(&cloud)["sourceServiceRevisions"].as_array().map(Vec::len), Some(2));
    assert!(cloud.settle());
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
}

#[test]
fn the_same_again_makes_no_deployment_unless_it_is_forced() {
    let cloud = cloud(&json!({}));
    let before = newest(&cloud)["serviceDeploymentArn"].clone();
    let same = json!({ "cluster": "prod", "service": "web", "taskDefinition": "web:1", "desiredCount": 3 });
    ask(&cloud, "UpdateService", &same);
    assert!(cloud.settle());
    assert_eq!(newest(&cloud)["serviceDeploymentArn"], before);
    assert_eq!(view(&cloud).healthy().len(), 3);
    ask(&cloud, "UpdateService", &json!({ "cluster": "prod", "service": "web", "forceNewDeployment": true }));
    assert_ne!(newest(&cloud)["serviceDeploymentArn"], before);
}

#[test]
fn a_revision_keeps_the_digest_that_its_tag_had() {
    let cloud = cloud(&json!({}));
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    cloud.world().images.tag("registry/app:next", digest("a"));
    next(&cloud);
    cloud.world().images.tag("registry/app:next", digest("b"));
    cloud.settle();
    let revision = newest(&cloud)["targetServiceRevision"]["arn"].clone();
    let told = ask(&cloud, "DescribeServiceRevisions", &json!({ "serviceRevisionArns": [revision] }));
    assert_eq!(told["serviceRevisions"][0]["containerImages"][0]["imageDigest"], digest("a"));
    assert!(view(&cloud).tasks.iter().all(|task| task.digests == [digest("a")]));
}

#[test]
fn what_cannot_be_updated() {
    let cloud = cloud(&json!({}));
    let code = |input| refused(&cloud, "UpdateService", &input).code().to_owned();
    assert_eq!(code(json!({ "cluster": "prod", "service": "api" })), "ServiceNotFoundException");
    assert_eq!(code(json!({ "cluster": "test", "service": "web" })), "ClusterNotFoundException");
    ask(&cloud, "DeregisterTaskDefinition", &json!({ "taskDefinition": "web:2" }));
    let update = |revision: &str| {
        refused(
            &cloud,
            "UpdateService",
            &json!({ "cluster": "prod", "service": "web", "taskDefinition": revision }),
        )
    };
    assert_eq!(
        (update("web:2").code(), update("web:2").message()),
        ("ClientException", "TaskDefinition is inactive")
    );
    assert_eq!(update("web:9").message(), "TaskDefinition not found.");
    ask(&cloud, "DeleteService", &json!({ "cluster": "prod", "service": "web", "force": true }));
    assert_eq!(code(json!({ "cluster": "prod", "service": "web" })), "ServiceNotActiveException");
    assert_eq!(described(&cloud)["status"], "DRAINING");
    assert!(cloud.settle());
    assert_eq!(described(&cloud)["status"], "INACTIVE");
}
