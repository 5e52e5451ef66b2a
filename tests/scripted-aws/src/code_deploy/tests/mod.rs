//! What CodeDeploy's double says and does.

mod calls;
mod rollbacks;
mod walks;

use std::borrow::Borrow;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ecs::TaskSet;
use crate::{Behaviour, Cloud, Fault};

/// A service `web` of two tasks in the cluster `prod`, moved by CodeDeploy between two target groups.
struct Bed {
    cloud: Cloud,
    /// The listener for users, the one for tests, and a rule of the first.
    listener: String,
    tests: String,
    rule: String,
    /// The target groups' ARNs.
    blue: String,
    green: String,
    /// The task definitions' ARNs.
    old: String,
    new: String,
}

fn bed() -> Bed {
    let cloud = Cloud::new();
    let (blue, green, listener, tests, rule) = balancer(&cloud);
    cloud.ask("ecs", "CreateCluster", &json!({ "clusterName": "prod" })).unwrap();
    let (old, new) = (register(&cloud, "shop/web:41"), register(&cloud, "shop/web:42"));
    let service = json!({
        "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": 2,
        "deploymentController": { "type": "CODE_DEPLOY" }, "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "loadBalancers": [{ "targetGroupArn": blue, "containerName": "web", "containerPort": 80 }],
    });
    cloud.ask("ecs", "CreateService", &service).unwrap();
    assert!(cloud.settle(), "the service comes to rest");
    cloud.tick(Duration::from_secs(60));
    let bed = Bed { cloud, listener, tests, rule, blue, green, old, new };
    bed.ask("CreateApplication", json!({ "applicationName": "shop", "computePlatform": "ECS" })).unwrap();
    bed
}

fn balancer(cloud: &Cloud) -> (String, String, String, String, String) {
    let mut world = cloud.world();
    let balancer = world.create_load_balancer("shop");
    let (blue, green) = (world.create_target_group("blue"), world.create_target_group("green"));
    let listener = world.create_listener(&balancer, 443, &[(&blue, 1)]);
    let tests = world.create_listener(&balancer, 8443, &[(&blue, 1)]);
    let rule = world.create_rule(&listener, "/api/*", &[(&blue, 1)]);
    (blue, green, listener, tests, rule)
}

fn register(cloud: &Cloud, image: &str) -> String {
    let web = json!({ "name": "web", "image": image, "essential": true, "portMappings": [{ "containerPort": 80 }] });
    let definition = json!({
        "family": "web", "containerDefinitions": [web], "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
    });
    let told = cloud.ask("ecs", "RegisterTaskDefinition", &definition).unwrap();
    told["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
}

impl Bed {
    /// With a group `web` that shifts all traffic at once and keeps blue for five minutes.
    fn with_group(self) -> Self {
        self.group(json!({}));
        self
    }

    /// Makes the group `web`; what is said takes the place of what it has otherwise.
    fn group(&self, said: Value) {
        let mut group = self.asked_group();
        for (key, value) in said.as_object().unwrap() {
            group[key] = value.clone();
        }
        self.ask("CreateDeploymentGroup", group).unwrap();
    }

    fn asked_group(&self) -> Value {
        json!({
            "applicationName": "shop", "deploymentGroupName": "web",
            "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
            "serviceRoleArn": "arn:aws:iam::123456789012:role/code-deploy",
            "autoRollbackConfiguration": {
                "enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
            },
            "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
            "blueGreenDeploymentConfiguration": {
                "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 5 },
                "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
            },
            "ecsServices": [{ "clusterName": "prod", "serviceName": "web" }],
            "loadBalancerInfo": { "targetGroupPairInfoList": [{
                "targetGroups": [{ "name": "blue" }, { "name": "green" }],
                "prodTrafficRoute": { "listenerArns": [self.listener] },
                "testTrafficRoute": { "listenerArns": [self.tests] },
            }] },
        })
    }

    fn ask(&self, op: &str, input: impl Borrow<Value>) -> Result<Value, Fault> {
        self.cloud.ask("codedeploy", op, input.borrow())
    }

    fn deploy(&self, task_definition: &str) -> String {
        let told = self.ask("CreateDeployment", creation(&spec(task_definition))).unwrap();
        told["deploymentId"].as_str().unwrap().to_owned()
    }

    fn info(&self, id: &str) -> Value {
        self.ask("GetDeployment", json!({ "deploymentId": id })).unwrap()["deploymentInfo"].take()
    }

    fn status(&self, id: &str) -> String {
        self.info(id)["status"].as_str().unwrap().to_owned()
    }

    fn target(&self, id: &str) -> Value {
        let asked = json!({ "deploymentId": id, "targetId": "prod:web" });
        self.ask("GetDeploymentTarget", asked).unwrap()["deploymentTarget"]["ecsTarget"].take()
    }

    /// The states of its events, in order.
    fn events(&self, id: &str) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let target = self.target(id);
        let events = target["lifecycleEvents"].as_array().unwrap().iter();
        events.map(|one| (word(&one["lifecycleEventName"]), word(&one["status"]))).collect()
    }

    /// Lets time pass, a second at a time, until something is so; within two hours.
    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..7200 {
            if so(self) {
                return;
            }
            self.cloud.tick(Duration::from_secs(1));
        }
        panic!("it never came to this: {what}");
    }

    fn until_status(&self, id: &str, status: &str) {
        self.until(status, |bed| bed.status(id) == status);
    }

    /// Until green has all traffic and blue is still there.
    fn until_shifted(&self, id: &str) {
        self.until("all traffic at green", |bed| bed.info(id)["instanceTerminationWaitTimeStarted"] == true);
    }

    fn pass(&self, seconds: u64) {
        self.cloud.tick(Duration::from_secs(seconds));
    }

    /// What serves all users, or nothing.
    fn serves(&self, listener: &str) -> Option<String> {
        self.cloud.world().traffic(listener).all().map(str::to_owned)
    }

    /// `PRIMARY web:1, ACTIVE web:2`.
    fn sets(&self) -> String {
        let mut sets = crate::ecs::task_sets(&self.cloud.world(), "prod", "web");
        sets.sort_by_key(|set| std::cmp::Reverse(set.status.clone()));
        let tell = |set: &TaskSet| {
            format!("{} {}", set.status, set.task_definition.rsplit('/').next().unwrap_or_default())
        };
        sets.iter().map(tell).collect::<Vec<_>>().join(", ")
    }

    fn behaves(&self, image: &str, behaviour: Behaviour) {
        self.cloud.behave(image, behaviour);
    }

    fn only(&self, id: &str) -> Vec<String> {
        let told = self.ask("ListDeployments", json!({})).unwrap();
        let all = told["deployments"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
        all.filter(|one| one != id).collect()
    }
}

fn spec(task_definition: &str) -> String {
    let properties = json!({
        "TaskDefinition": task_definition,
        "LoadBalancerInfo": { "ContainerName": "web", "ContainerPort": 80 },
    });
    let service = json!({ "TargetService": { "Type": "AWS::ECS::Service", "Properties": properties } });
    json!({ "version": 0.0, "Resources": [service] }).to_string()
}

fn creation(content: &str) -> Value {
    json!({
        "applicationName": "shop", "deploymentGroupName": "web",
        "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": content } },
    })
}

fn code(answer: Result<Value, Fault>) -> String {
    answer.unwrap_err().code().to_owned()
}
