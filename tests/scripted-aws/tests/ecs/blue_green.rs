//! Blue/green deployments of ECS itself.

use rollback_scripted_aws::Cloud;
use serde_json::{Value, json};

use crate::support::{ask, cloud, newest, next, refused, until, view};

fn at(cloud: &Cloud, stage: &str) {
    until(cloud, stage, |cloud| view(cloud).stage.as_deref() == Some(stage));
}

fn paused() -> Value {
    let timeout = json!({ "timeoutInMinutes": 10, "action": "ROLLBACK" });
    let hook = json!({ "targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"], "timeoutConfiguration": timeout });
    json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [hook] })
}

#[test]
fn both_run_while_it_bakes() {
    let cloud = cloud(&json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 }));
    next(&cloud);
    at(&cloud, "BAKE_TIME");
    let since = cloud.now();
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1", "web:2", "web:2"]);
    let deployment = newest(&cloud);
    assert_eq!(
        (&deployment["status"], &deployment["lifecycleStage"]),
        (&json!("IN_PROGRESS"), &json!("BAKE_TIME"))
    );
    at(&cloud, "CLEAN_UP");
    assert_eq!(cloud.now().duration_since(since).as_secs(), 300);
    assert!(cloud.settle());
    assert_eq!(newest(&cloud)["status"], "SUCCESSFUL");
    assert!(newest(&cloud).get("lifecycleStage").is_none());
    assert_eq!(view(&cloud).healthy(), ["web:2", "web:2"]);
}

#[test]
fn a_stop_while_it_bakes_goes_back_to_the_tasks_that_still_run() {
    let cloud = cloud(&json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 }));
    next(&cloud);
    at(&cloud, "BAKE_TIME");
    let before = view(&cloud).tasks.iter().filter(|task| task.task_definition == "web:1").count();
    let arn = newest(&cloud)["serviceDeploymentArn"].clone();
    ask(&cloud, "StopServiceDeployment", &json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }));
    assert!(cloud.settle());
    assert_eq!(before, 2);
    assert_eq!(newest(&cloud)["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
    assert!(
        !view(&cloud).events.iter().take(4).any(|event| event.contains("has started")),
        "none is started anew"
    );
}

#[test]
fn a_hook_waits_for_an_answer() {
    let cloud = cloud(&paused());
    next(&cloud);
    at(&cloud, "POST_SCALE_UP");
    assert!(cloud.settle(), "it waits, and nothing moves");
    let deployment = newest(&cloud);
    let hook = &deployment["lifecycleHookDetails"][0];
    assert_eq!((&hook["status"], &hook["timeoutAction"]), (&json!("AWAITING_ACTION"), &json!("ROLLBACK")));
    let answer = |id: &Value, action: &str| json!({ "serviceDeploymentArn": deployment["serviceDeploymentArn"], "hookId": id, "action": action });
    let fault = refused(&cloud, "ContinueServiceDeployment", &answer(&json!("other"), "CONTINUE"));
    assert_eq!(fault.code(), "InvalidParameterException");
    ask(&cloud, "ContinueServiceDeployment", &answer(&hook["hookId"], "CONTINUE"));
    assert!(cloud.settle());
    assert_eq!(newest(&cloud)["status"], "SUCCESSFUL");
    assert_eq!(newest(&cloud)["lifecycleHookDetails"][0]["status"], "SUCCEEDED");
}

#[test]
fn a_hook_that_nobody_answers_does_as_it_is_set() {
    let cloud = cloud(&paused());
    next(&cloud);
    at(&cloud, "POST_SCALE_UP");
    crate::support::seconds(&cloud, 601);
    assert!(cloud.settle());
    let deployment = newest(&cloud);
    assert_eq!(deployment["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(deployment["lifecycleHookDetails"][0]["status"], "TIMED_OUT");
    assert_eq!(view(&cloud).healthy(), ["web:1", "web:1"]);
}
