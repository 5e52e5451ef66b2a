//! How deployments are stopped, fail, and are rolled back by others.

use serde_json::{Value, json};

use super::{Bed, bed, code};
use crate::Behaviour;

fn stop(bed: &Bed, id: &str, back: Value) -> Value {
    bed.ask("StopDeployment", json!({ "deploymentId": id, "autoRollbackEnabled": back })).unwrap()
}

/// The deployment that rolls this one back, after both told of each other.
fn back_of(bed: &Bed, id: &str) -> String {
    let info = bed.info(id)["rollbackInfo"].take();
    let back = info["rollbackDeploymentId"].as_str().unwrap().to_owned();
    assert!(info["rollbackMessage"].as_str().unwrap().contains(&back), "{info}");
    let info = bed.info(&back);
    assert_eq!(info["creator"], "codeDeployRollback");
    assert_eq!(info["deploymentConfigName"], "CodeDeployDefault.ECSAllAtOnce");
    assert_eq!(
        info["rollbackInfo"],
        json!({
            "rollbackTriggeringDeploymentId": id,
            "rollbackMessage": format!("Deployment {back} is triggered to roll back deployment {id}."),
        })
    );
    back
}

#[test]
fn a_stop_is_pending_before_it_is_done() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    assert_eq!(stop(&bed, &id, json!(true))["status"], "Pending");
    assert_eq!(bed.status(&id), "InProgress");
    assert_eq!(bed.info(&id).get("rollbackInfo"), None);
    assert_eq!(stop(&bed, &id, json!(false))["status"], "Pending", "the first request decides");
    bed.until_status(&id, "Stopped");
    assert_eq!(bed.info(&id)["errorInformation"]["code"], "MANUAL_STOP");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:2"), "stopped is not yet back");
    let back = back_of(&bed, &id);
    bed.until_status(&back, "Succeeded");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
    assert_eq!(bed.serves(&bed.tests).as_deref(), Some("web:1"));
    bed.cloud.settle();
    assert_eq!(bed.sets(), "PRIMARY web:1", "no task set was made for it");
    assert_eq!(bed.status(&id), "Stopped");
    let again = bed.ask("StopDeployment", json!({ "deploymentId": id }));
    assert_eq!(code(again), "DeploymentAlreadyCompletedException");
}

#[test]
fn a_stop_in_the_middle_of_a_shift_breaks_it_off() {
    let bed = bed();
    bed.group(json!({ "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes" }));
    let id = bed.deploy(&bed.new);
    bed.until("some traffic", |bed| bed.cloud.world().traffic(&bed.listener).share("web:2") > 0.25);
    stop(&bed, &id, json!(true));
    bed.until_status(&id, "Stopped");
    let events = bed.events(&id);
    assert_eq!(events[6], ("AllowTraffic".into(), "Failed".into()));
    assert_eq!(events[7], ("AfterAllowTraffic".into(), "Skipped".into()));
    bed.until_status(&back_of(&bed, &id), "Succeeded");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
}

#[test]
fn without_a_rollback_everything_stays_where_it_is() {
    let bed = bed();
    bed.group(json!({ "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes" }));
    let id = bed.deploy(&bed.new);
    let share = |bed: &Bed| bed.cloud.world().traffic(&bed.listener).share("web:2");
    bed.until("some traffic", |bed| share(bed) > 0.25);
    stop(&bed, &id, Value::Null);
    bed.until_status(&id, "Stopped");
    bed.cloud.settle();
    assert!((share(&bed) - 0.3).abs() < 1e-9);
    assert_eq!(bed.sets(), "PRIMARY web:1, ACTIVE web:2");
    assert_eq!(bed.only(&id), Vec::<String>::new());
    let next = bed.deploy(&bed.old);
    bed.until_status(&next, "Succeeded");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"), "the next one clears up");
}

#[test]
fn the_group_may_want_a_rollback_whenever_it_is_stopped() {
    let bed = bed();
    let events = json!({ "enabled": true, "events": ["DEPLOYMENT_STOP_ON_REQUEST"] });
    bed.group(json!({ "autoRollbackConfiguration": events }));
    let id = bed.deploy(&bed.new);
    bed.until_status(&id, "InProgress");
    stop(&bed, &id, Value::Null);
    bed.until_status(&id, "Stopped");
    bed.until_status(&back_of(&bed, &id), "Succeeded");
    let told = bed.deploy(&bed.new);
    bed.until_status(&told, "InProgress");
    stop(&bed, &told, json!(false));
    bed.until_status(&told, "Stopped");
    assert_eq!(bed.info(&told).get("rollbackInfo"), None, "who says so is heard");
}

#[test]
fn what_has_not_begun_is_stopped_at_once() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    assert_eq!(stop(&bed, &id, json!(true))["status"], "Succeeded");
    assert_eq!(bed.status(&id), "Stopped");
    assert_eq!((bed.only(&id).len(), bed.sets().as_str()), (0, "PRIMARY web:1"));
}

#[test]
fn a_failed_deployment_is_rolled_back_where_the_group_wants_it() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    assert!(bed.cloud.world().fail_deployment(&id, "HEALTH_CONSTRAINTS"));
    let info = bed.info(&id);
    assert_eq!(
        (&info["status"], &info["errorInformation"]["code"]),
        (&json!("Failed"), &json!("HEALTH_CONSTRAINTS"))
    );
    let back = back_of(&bed, &id);
    let third = bed.ask("CreateDeployment", super::creation(&super::spec(&bed.new)));
    let fault = third.unwrap_err();
    assert_eq!(fault.code(), "DeploymentLimitExceededException");
    assert!(fault.message().contains(&back), "a rollback is a deployment: {}", fault.message());
    bed.until_status(&back, "Succeeded");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
    assert!(!bed.cloud.world().fail_deployment(&id, "TIMEOUT"), "it is over");
}

#[test]
fn the_first_deployment_of_a_group_can_be_rolled_back() {
    let bed = bed();
    bed.behaves("shop/web:42", Behaviour::Crash);
    bed.group(json!({}));
    let id = bed.deploy(&bed.new);
    bed.until_status(&id, "Failed");
    let back = back_of(&bed, &id);
    bed.until_status(&back, "Succeeded");
    let sha256 = bed.info(&back)["revision"]["appSpecContent"]["sha256"].clone();
    let revision = json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": sha256 } });
    let asked = json!({ "applicationName": "shop", "revision": revision });
    let told = bed.ask("GetApplicationRevision", asked).unwrap();
    let content = told["revision"]["appSpecContent"]["content"].as_str().unwrap();
    assert!(content.contains(&bed.old), "{content}");
}

#[test]
fn a_rollback_that_fails_is_not_rolled_back() {
    let bed = bed().with_group();
    bed.cloud.world().fail_rollbacks(true);
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    stop(&bed, &id, json!(true));
    bed.until_status(&id, "Stopped");
    let back = back_of(&bed, &id);
    bed.until_status(&back, "Failed");
    assert_eq!(bed.info(&back)["rollbackInfo"].get("rollbackDeploymentId"), None);
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:2"));
    assert_eq!(bed.only(&id), [back]);
}
