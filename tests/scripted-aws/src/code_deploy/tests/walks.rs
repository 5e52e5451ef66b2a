//! How a deployment goes from `Created` to its end.

use serde_json::{Value, json};

use super::{Bed, bed, code};
use crate::Behaviour;

fn states(bed: &Bed, id: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    bed.until("its end", |bed| {
        let status = bed.status(id);
        !matches!(status.as_str(), "Created" | "Queued" | "InProgress" | "Ready")
    });
    seen.push(bed.status(id));
    seen
}

#[test]
fn a_deployment_begins_and_waits_for_its_tasks() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    assert!(id.starts_with("d-") && id.len() == 11, "{id}");
    assert_eq!(bed.status(&id), "Created");
    let asked = json!({ "deploymentId": id, "targetId": "prod:web" });
    assert_eq!(code(bed.ask("GetDeploymentTarget", &asked)), "DeploymentNotStartedException");
    bed.pass(1);
    assert_eq!(bed.status(&id), "Queued");
    bed.pass(1);
    assert_eq!(bed.status(&id), "InProgress");
    assert_eq!(
        bed.events(&id)[..3],
        [
            ("BeforeInstall".into(), "Succeeded".into()),
            ("Install".into(), "InProgress".into()),
            ("AfterInstall".into(), "Pending".into()),
        ]
    );
    assert_eq!(bed.sets(), "PRIMARY web:1, ACTIVE web:2");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
    assert!(!bed.info(&id).as_object().unwrap().contains_key("deploymentOverview"), "ECS has none");
}

#[test]
fn all_traffic_moves_at_once_and_blue_is_kept_for_a_while() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    assert_eq!(bed.status(&id), "InProgress", "it is not over while blue is kept");
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
    for listener in [&bed.listener, &bed.tests, &bed.rule] {
        assert_eq!(bed.serves(listener).as_deref(), Some("web:2"));
    }
    assert!(bed.events(&id).iter().all(|(_, status)| status == "Succeeded"));
    let sets = bed.target(&id)["taskSetsInfo"].take();
    let told = |at: usize, key: &str| sets[at][key].clone();
    assert_eq!((told(0, "taskSetLabel"), told(1, "taskSetLabel")), (json!("Blue"), json!("Green")));
    assert_eq!((told(0, "trafficWeight"), told(1, "trafficWeight")), (json!(0.0), json!(100.0)));
    assert_eq!(told(1, "targetGroup"), json!({ "name": "green" }));
    assert!(told(1, "identifer").as_str().unwrap().starts_with("ecs-svc/"));
    bed.pass(290);
    assert_eq!(bed.status(&id), "InProgress");
    bed.pass(10);
    assert_eq!(bed.status(&id), "Succeeded");
    assert!(
        bed.info(&id)["completeTime"].is_f64() && bed.info(&id)["instanceTerminationWaitTimeStarted"] == true
    );
    assert!(bed.cloud.settle());
    assert_eq!(bed.sets(), "PRIMARY web:2");
}

#[test]
fn the_listener_tells_both_weights_while_traffic_moves() {
    let bed = bed();
    bed.group(json!({ "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes" }));
    bed.deploy(&bed.new);
    let weights = |bed: &Bed| -> Vec<(Value, Value)> {
        let asked = json!({ "ListenerArns": [bed.listener] });
        let told = bed.cloud.ask("elasticloadbalancing", "DescribeListeners", &asked).unwrap();
        let groups = told["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"].clone();
        let pair = |one: &Value| (one["TargetGroupArn"].clone(), one["Weight"].clone());
        groups.as_array().unwrap().iter().map(pair).collect()
    };
    bed.until("the first tenth", |bed| weights(bed).len() == 2);
    let both = |blue: u16, green: u16| vec![(json!(bed.blue), json!(blue)), (json!(bed.green), json!(green))];
    assert_eq!(weights(&bed), both(90, 10));
    assert_eq!(bed.sets(), "PRIMARY web:1, ACTIVE web:2");
    assert_eq!(bed.serves(&bed.tests).as_deref(), Some("web:2"), "tests see green before users do");
    bed.pass(60);
    assert_eq!(weights(&bed), both(80, 20));
    let traffic = bed.cloud.world().traffic(&bed.listener);
    assert!((traffic.share("web:2") - 0.2).abs() < 1e-9 && traffic.failing == 0.0, "{traffic:?}");
    bed.pass(7 * 60);
    assert_eq!(weights(&bed), both(10, 90));
    bed.pass(60);
    assert_eq!(weights(&bed), both(0, 100));
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
}

#[test]
fn a_canary_moves_twice() {
    let bed = bed();
    bed.group(json!({ "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes" }));
    let id = bed.deploy(&bed.new);
    let share = |bed: &Bed| bed.cloud.world().traffic(&bed.listener).share("web:2");
    bed.until("the canary", |bed| share(bed) > 0.0);
    bed.pass(299);
    assert!((share(&bed) - 0.1).abs() < 1e-9);
    bed.pass(1);
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:2"));
    assert_eq!(bed.status(&id), "InProgress");
}

#[test]
fn somebody_may_have_to_say_that_traffic_moves() {
    let bed = bed();
    let mut group = bed.asked_group()["blueGreenDeploymentConfiguration"].take();
    group["deploymentReadyOption"] = json!({ "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 30 });
    bed.group(json!({ "blueGreenDeploymentConfiguration": group }));
    let first = bed.deploy(&bed.new);
    let go_on = |id: &str, kind: &str| json!({ "deploymentId": id, "deploymentWaitType": kind });
    let early = bed.ask("ContinueDeployment", go_on(&first, "READY_WAIT"));
    assert_eq!(code(early), "DeploymentIsNotInReadyStateException");
    bed.until_status(&first, "Ready");
    assert_eq!(bed.target(&first)["status"], "Ready");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
    bed.pass(30 * 60);
    assert_eq!(bed.status(&first), "Stopped", "nobody said so");
    bed.cloud.settle();
    let second = bed.deploy(&bed.new);
    bed.until_status(&second, "Ready");
    assert_eq!(
        code(bed.ask("ContinueDeployment", go_on(&second, "SOON"))),
        "InvalidDeploymentWaitTypeException"
    );
    bed.ask("ContinueDeployment", go_on(&second, "READY_WAIT")).unwrap();
    bed.until_shifted(&second);
    bed.ask("ContinueDeployment", go_on(&second, "TERMINATION_WAIT")).unwrap();
    bed.pass(1);
    assert_eq!(bed.status(&second), "Succeeded", "the wait was cut short");
    let late = bed.ask("ContinueDeployment", go_on(&second, "TERMINATION_WAIT"));
    assert_eq!(code(late), "DeploymentAlreadyCompletedException");
}

#[test]
fn blue_is_kept_for_good_where_the_group_says_so() {
    let bed = bed();
    let mut group = bed.asked_group()["blueGreenDeploymentConfiguration"].take();
    group["terminateBlueInstancesOnDeploymentSuccess"] = json!({ "action": "KEEP_ALIVE" });
    bed.group(json!({ "blueGreenDeploymentConfiguration": group }));
    let id = bed.deploy(&bed.new);
    bed.until_status(&id, "Succeeded");
    assert_eq!(bed.info(&id)["instanceTerminationWaitTimeStarted"], false);
    bed.cloud.settle();
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
    let back = bed.deploy(&bed.old);
    bed.until_status(&back, "Succeeded");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"), "into the target group that is free");
}

#[test]
fn tasks_that_never_become_healthy_keep_it_in_progress_for_an_hour() {
    for behaviour in [Behaviour::Crash, Behaviour::Unhealthy, Behaviour::MissingImage, Behaviour::NoCapacity]
    {
        let bed = bed();
        bed.behaves("shop/web:42", behaviour);
        bed.group(json!({ "autoRollbackConfiguration": { "enabled": false } }));
        let id = bed.deploy(&bed.new);
        bed.pass(3500);
        assert_eq!(bed.status(&id), "InProgress", "{behaviour:?}");
        assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"), "{behaviour:?}");
        assert_eq!(states(&bed, &id), ["Failed"]);
        let info = bed.info(&id);
        assert!(info["errorInformation"]["message"].as_str().unwrap().contains("60 minutes"), "{info}");
        assert_eq!(info.get("rollbackInfo"), None, "nothing says that it is to be rolled back");
        assert_eq!(bed.only(&id), Vec::<String>::new());
        assert_eq!(bed.events(&id)[1], ("Install".into(), "Failed".into()));
        assert_eq!(bed.events(&id)[2], ("AfterInstall".into(), "Skipped".into()));
    }
}

#[test]
fn a_task_definition_that_is_not_there_fails_it() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new.replace("web:2", "web:99"));
    assert_eq!(states(&bed, &id), ["Failed"]);
    assert_eq!(bed.info(&id)["errorInformation"]["code"], "ECS_UPDATE_ERROR");
    bed.cloud.settle();
    assert_eq!(bed.sets(), "PRIMARY web:1");
    assert_eq!(bed.serves(&bed.listener).as_deref(), Some("web:1"));
}
