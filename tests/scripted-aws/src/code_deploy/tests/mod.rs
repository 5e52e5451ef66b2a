//! What CodeDeploy's double says and does.

mod calls;
mod rollbacks;
mod walks;

use std::borrow::Borrow;
use std::time::Duration;

use serde_json::{Value, json};

use super::make::usual;
use crate::ecs::TaskSet;
use crate::{Behaviour, BlueGreen, Cloud, Fault};

/// A service `web` of two tasks in the cluster `prod`, moved by CodeDeploy between two target groups.
struct Bed {
    cloud: Cloud,
    made: BlueGreen,
    /// A rule of the listener for users.
    rule: String,
    /// The task definitions' ARNs.
    old: String,
    new: String,
}

fn bed() -> Bed {
    bed_with(&json!({}))
}

/// What is said takes the place of what the group has otherwise.
fn bed_with(group: &Value) -> Bed {
    let cloud = Cloud::new();
    cloud.cluster("prod");
    let [old, new] = ["shop/web:41", "shop/web:42"].map(|image| cloud.register("web", image).unwrap());
    let made = cloud.create_blue_green("prod", "web", &old, 2, group).unwrap();
    let rule = cloud.world().create_rule(&made.listener, "/api/*", &[(&made.blue, 1)]);
    Bed { cloud, made, rule, old, new }
}

impl Bed {
    fn ask(&self, op: &str, input: impl Borrow<Value>) -> Result<Value, Fault> {
        self.cloud.ask("codedeploy", op, input.borrow())
    }

    /// What the group was made with.
    fn asked_group(&self) -> Value {
        usual(&self.made, "prod", "web")
    }

    fn deploy(&self, task_definition: &str) -> String {
        self.cloud.deploy_blue_green(&self.made, task_definition).unwrap()
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
        self.cloud.traffic(listener).all().map(str::to_owned)
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

/// Blue/green options with another one of these.
fn options(option: &str, said: &Value) -> Value {
    let mut options = json!({
        "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 5 },
        "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
    });
    options[option] = said.clone();
    json!({ "blueGreenDeploymentConfiguration": options })
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
        "applicationName": "web", "deploymentGroupName": "web",
        "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": content } },
    })
}

fn code(answer: Result<Value, Fault>) -> String {
    answer.unwrap_err().code().to_owned()
}
