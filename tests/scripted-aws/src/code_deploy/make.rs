//! Short ways to set up a service that CodeDeploy moves, and to deploy it.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::protocol::Fault;

/// A service that CodeDeploy moves between two target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlueGreen {
    /// The application, named as the service.
    pub application: String,
    /// The deployment group, named as the service.
    pub group: String,
    /// The container that takes requests, named as the family of the task definition.
    pub container: String,
    /// The ARN of the listener for users.
    pub listener: String,
    /// The ARN of the listener for tests.
    pub test_listener: String,
    /// The ARN of the target group that the service began in: `SERVICE-blue`.
    pub blue: String,
    /// The ARN of the other one: `SERVICE-green`.
    pub green: String,
}

impl Cloud {
    /// Makes a service on Fargate behind a load balancer with the application and the deployment group that move it, and lets it
    /// settle. The container is named as the task definition's family, and takes requests on port 80, as those of
    /// [`register`](Self::register) do.
    ///
    /// The group moves all traffic at once, keeps blue for five minutes, and rolls back what fails or is stopped by an alarm. What
    /// `group` says takes the place of that, by the fields of `CreateDeploymentGroup`.
    ///
    /// # Errors
    /// With the error of ECS or CodeDeploy.
    pub fn create_blue_green(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: u32,
        group: &Value,
    ) -> Result<BlueGreen, Fault> {
        let made = self.balance(service, task_definition);
        let input = json!({
            "cluster": cluster, "serviceName": service, "taskDefinition": task_definition, "desiredCount": desired,
            "deploymentController": { "type": "CODE_DEPLOY" }, "launchType": "FARGATE",
            "loadBalancers": [{ "targetGroupArn": made.blue, "containerName": made.container, "containerPort": 80 }],
        });
        self.ask("ecs", "CreateService", &input)?;
        let application = json!({ "applicationName": made.application, "computePlatform": "ECS" });
        self.ask("codedeploy", "CreateApplication", &application)?;
        let mut input = usual(&made, cluster, service);
        for (key, value) in group.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        self.ask("codedeploy", "CreateDeploymentGroup", &input)?;
        self.settle();
        Ok(made)
    }

    fn balance(&self, service: &str, task_definition: &str) -> BlueGreen {
        let mut world = self.world();
        let name = task_definition.rsplit('/').next().unwrap_or_default();
        let container = name.split(':').next().unwrap_or_default().to_owned();
        let balancer = world.create_load_balancer(service);
        let blue = world.create_target_group(&format!("{service}-blue"));
        let green = world.create_target_group(&format!("{service}-green"));
        let listener = world.create_listener(&balancer, 443, &[(&blue, 1)]);
        let test_listener = world.create_listener(&balancer, 8443, &[(&blue, 1)]);
        let (application, group) = (service.to_owned(), service.to_owned());
        BlueGreen { application, group, container, listener, test_listener, blue, green }
    }

    /// Deploys a task definition, `web:2` or its ARN, through CodeDeploy, as somebody who deploys does; the deployment's id.
    ///
    /// # Errors
    /// With CodeDeploy's error.
    pub fn deploy_blue_green(&self, of: &BlueGreen, task_definition: &str) -> Result<String, Fault> {
        let arn = match task_definition.starts_with("arn:") {
            true => task_definition.to_owned(),
            false => self.world().arn("ecs", &format!("task-definition/{task_definition}")),
        };
        let balanced = json!({ "ContainerName": of.container, "ContainerPort": 80 });
        let properties = json!({ "TaskDefinition": arn, "LoadBalancerInfo": balanced });
        let service = json!({ "TargetService": { "Type": "AWS::ECS::Service", "Properties": properties } });
        let content = json!({ "version": 0.0, "Resources": [service] }).to_string();
        let input = json!({
            "applicationName": of.application, "deploymentGroupName": of.group,
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": content } },
        });
        let answer = self.ask("codedeploy", "CreateDeployment", &input)?;
        Ok(answer["deploymentId"].as_str().unwrap_or_default().to_owned())
    }

    /// Where a deployment of CodeDeploy is: its status, and the id of the deployment that rolls it back, if there is one.
    #[must_use]
    pub fn deployment(&self, id: &str) -> Option<(String, Option<String>)> {
        let world = self.world();
        let found = world.code_deploy.find(id)?;
        Some((found.status.name().to_owned(), found.rollback.by.clone()))
    }
}

/// What a group is made with where nothing else is said.
pub(super) fn usual(made: &BlueGreen, cluster: &str, service: &str) -> Value {
    json!({
        "applicationName": made.application, "deploymentGroupName": made.group,
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "serviceRoleArn": "arn:aws:iam::123456789012:role/code-deploy",
        "autoRollbackConfiguration": {
            "enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
        },
        "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
        "blueGreenDeploymentConfiguration": {
            "terminateBlueInstancesOnDeploymentSuccess": {
                "action": "TERMINATE", "terminationWaitTimeInMinutes": 5,
            },
            "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
        },
        "ecsServices": [{ "clusterName": cluster, "serviceName": service }],
        "loadBalancerInfo": { "targetGroupPairInfoList": [{
            "targetGroups": [{ "name": format!("{service}-blue") }, { "name": format!("{service}-green") }],
            "prodTrafficRoute": { "listenerArns": [made.listener] },
            "testTrafficRoute": { "listenerArns": [made.test_listener] },
        }] },
    })
}
