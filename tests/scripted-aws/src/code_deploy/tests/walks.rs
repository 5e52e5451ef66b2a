//! How a deployment goes from `Created` to its end.

use serde_json::{Value, json};

use super::{Bed, bed, bed_with, code, creation, options, spec};
use crate::Behaviour;

/// The status that it ends with.
fn end(bed: &Bed, id: &str) -> String {
    let over = |status: String| !matches!(status.as_str(), "Created" | "Queued" | "InProgress" | "Ready");
    bed.until("its end", |bed| over(bed.status(id)));
    bed.status(id)
}

#[test]
fn a_deployment_begins_and_waits_for_its_tasks() {
    let bed = bed();
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
    assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:1"));
    assert!(!bed.info(&id).as_object().unwrap().contains_key("deploymentOverview"), "ECS has none");
}

#[test]
fn all_traffic_moves_at_once_and_blue_is_kept_for_a_while() {
    let bed = bed();
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    assert_eq!(bed.status(&id), "InProgress", "it is not over while blue is kept");
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
    for listener in [&bed.made.listener, &bed.made.test_listener, &bed.rule] {
        assert_eq!(bed.serves(listener).as_deref(), Some("web:2"));
    }
    assert!(bed.events(&id).iter().all(|(_, status)| status == "Succeeded"));
    let sets = bed.target(&id)["taskSetsInfo"].take();
    let told = |at: usize, key: &str| sets[at][key].clone();
    assert_eq!((told(0, "taskSetLabel"), told(1, "taskSetLabel")), (json!("Blue"), json!("Green")));
    assert_eq!((told(0, "trafficWeight"), told(1, "trafficWeight")), (json!(0.0), json!(100.0)));
    assert_eq!(told(1, "targetGroup"), json!({ "name": "web-green" }));
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
    let bed =
        bed_with(&json!({ "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes" }));
    bed.deploy(&bed.new);
    let weights = |bed: &Bed| -> Vec<(Value, Value)> {
        let asked = json!({ "ListenerArns": [bed.made.listener] });
        let told = bed.cloud.ask("elasticloadbalancing", "DescribeListeners", &asked).unwrap();
        let groups = told["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"].clone();
        let pair = |one: &Value| (one["TargetGroupArn"].clone(), one["Weight"].clone());
        groups.as_array().unwrap().iter().map(pair).collect()
    };
    bed.until("the first tenth", |bed| weights(bed).len() == 2);
    let both = |blue: u16, green: u16| {
        vec![(json!(bed.made.blue), json!(blue)), (json!(bed.made.green), json!(green))]
    };
    assert_eq!(weights(&bed), both(90, 10));
    assert_eq!(bed.sets(), "PRIMARY web:1, ACTIVE web:2");
    assert_eq!(
        bed.serves(&bed.made.test_listener).as_deref(),
        Some("web:2"),
        "tests see green before users do"
    );
    bed.pass(60);
    assert_eq!(weights(&bed), both(80, 20));
    let traffic = bed.cloud.traffic(&bed.made.listener);
    assert!((traffic.share("web:2") - 0.2).abs() < 1e-9 && traffic.failing == 0.0, "{traffic:?}");
    bed.pass(7 * 60);
    assert_eq!(weights(&bed), both(10, 90));
    bed.pass(60);
    assert_eq!(weights(&bed), both(0, 100));
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
}

#[test]
fn a_canary_moves_twice() {
    let bed = bed_with(&json!({ "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes" }));
    let id = bed.deploy(&bed.new);
    let share = |bed: &Bed| bed.cloud.traffic(&bed.made.listener).share("web:2");
    bed.until("the canary", |bed| share(bed) > 0.0);
    bed.pass(299);
    assert!((share(&bed) - 0.1).abs() < 1e-9);
    bed.pass(1);
    assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:2"));
    assert_eq!(bed.status(&id), "InProgress");
}

#[test]
fn somebody_may_have_to_say_that_traffic_moves() {
    let bed = bed_with(&options(
        "deploymentReadyOption",
        &json!({ "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 30 }),
    ));
    let first = bed.deploy(&bed.new);
    let go_on = |id: &str, kind: &str| json!({ "deploymentId": id, "deploymentWaitType": kind });
    let early = bed.ask("ContinueDeployment", go_on(&first, "READY_WAIT"));
    assert_eq!(code(early), "DeploymentIsNotInReadyStateException");
    bed.until_status(&first, "Ready");
    assert_eq!(bed.target(&first)["status"], "Ready");
    assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:1"));
    bed.pass(30 * 60);
    assert_eq!(bed.status(&first), "Stopped", "nobody said so");
    bed.cloud.settle();
    let second = bed.deploy(&bed.new);
    bed.until_status(&second, "Ready");
    assert!(bed.cloud.settle() && bed.status(&second) == "Ready", "what waits for somebody is at rest");
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
    let bed =
        bed_with(&options("terminateBlueInstancesOnDeploymentSuccess", &json!({ "action": "KEEP_ALIVE" })));
    let id = bed.deploy(&bed.new);
    bed.until_status(&id, "Succeeded");
    assert_eq!(bed.info(&id)["instanceTerminationWaitTimeStarted"], false);
    bed.cloud.settle();
    assert_eq!(bed.sets(), "PRIMARY web:2, ACTIVE web:1");
    let back = bed.deploy(&bed.old);
    bed.until_status(&back, "Succeeded");
    assert_eq!(
        bed.serves(&bed.made.listener).as_deref(),
        Some("web:1"),
        "into the target group that is free"
    );
}

#[test]
fn tasks_that_never_become_healthy_keep_it_in_progress_for_an_hour() {
    for behaviour in [Behaviour::Crash, Behaviour::Unhealthy, Behaviour::MissingImage, Behaviour::NoCapacity]
    {
        let bed = bed_with(&json!({ "autoRollbackConfiguration": { "enabled": false } }));
        bed.behaves("shop/web:42", behaviour);
        let id = bed.deploy(&bed.new);
        bed.pass(3500);
        assert_eq!(bed.status(&id), "InProgress", "{behaviour:?}");
        assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:1"), "{behaviour:?}");
        assert_eq!(end(&bed, &id), "Failed");
        let info = bed.info(&id);
        assert!(info["errorInformation"]["message"].as_str().unwrap().contains("60 minutes"), "{info}");
        assert_eq!(info.get("rollbackInfo"), None, "nothing says that it is to be rolled back");
        assert_eq!(bed.only(&id), Vec::<String>::new());
        assert_eq!(bed.events(&id)[1], ("Install".into(), "Failed".into()));
        assert_eq!(bed.events(&id)[2], ("AfterInstall".into(), "Skipped".into()));
    }
}

#[test]
fn a_task_definition_that_cannot_be_started_fails_it() {
    let bed = bed();
    bed.cloud.ask("ecs", "DeregisterTaskDefinition", &json!({ "taskDefinition": bed.new })).unwrap();
    for task_definition in [bed.new.clone(), bed.new.replace("web:2", "web:99")] {
        let id = bed.deploy(&task_definition);
        assert_eq!(end(&bed, &id), "Failed");
        assert_eq!(bed.info(&id)["errorInformation"]["code"], "ECS_UPDATE_ERROR");
        bed.cloud.settle();
        assert_eq!(bed.sets(), "PRIMARY web:1");
        assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:1"));
    }
}

#[test]
fn without_a_listener_for_tests_there_are_no_events_of_test_traffic() {
    let bed = bed();
    let mut group = bed.asked_group();
    group["deploymentGroupName"] = json!("untested");
    let pair = &mut group["loadBalancerInfo"]["targetGroupPairInfoList"][0];
    pair.as_object_mut().unwrap().remove("testTrafficRoute");
    bed.ask("CreateDeploymentGroup", group).unwrap();
    let mut asked = creation(&spec(&bed.new));
    asked["deploymentGroupName"] = json!("untested");
    let id = bed.ask("CreateDeployment", asked).unwrap()["deploymentId"].as_str().unwrap().to_owned();
    bed.until_status(&id, "Succeeded");
    let names: Vec<String> = bed.events(&id).into_iter().map(|(name, _)| name).collect();
    let wanted = [
        "BeforeInstall",
        "Install",
        "AfterInstall",
        "BeforeAllowTraffic",
        "AllowTraffic",
        "AfterAllowTraffic",
    ];
    assert_eq!(names, wanted);
    assert_eq!(bed.serves(&bed.made.listener).as_deref(), Some("web:2"));
}

#[test]
fn a_task_set_tells_which_deployment_made_it() {
    let bed = bed();
    let id = bed.deploy(&bed.new);
    bed.until_shifted(&id);
    let asked = json!({ "cluster": "prod", "services": ["web"] });
    let told = bed.cloud.ask("ecs", "DescribeServices", &asked).unwrap();
    let sets = told["services"][0]["taskSets"].as_array().unwrap().iter();
    let made = sets.map(|set| (set["status"].clone(), set["externalId"].clone()));
    let mut made: Vec<_> = made.collect();
    made.sort_by_key(|(status, _)| status.to_string());
    assert_eq!(made, [(json!("ACTIVE"), Value::Null), (json!("PRIMARY"), json!(id))]);
}
