//! One service: what is asked of ECS, and what really runs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::registry_of;
use crate::servers::{Account, Container, Engine};
use crate::{Result, until};

/// The repository of all images.
pub(super) const REPOSITORY: &str = "web";
const CLUSTER: &str = "shop";
const SERVICE: &str = "web";

/// The image of a version in the registry of `account`.
pub(super) fn image(account: &Account, version: &str) -> String {
    format!("{}/{REPOSITORY}:{version}", registry_of(account))
}

/// Calls a service that speaks JSON.
pub(super) fn call(account: &Account, service: &str, operation: &str, input: &Value) -> Result<Value> {
    let target = match service {
        "ecr" => format!("AmazonEC2ContainerRegistry_V20150921.{operation}"),
        _ => format!("AmazonEC2ContainerServiceV20141113.{operation}"),
    };
    match account.json(service, &target, input)? {
        (200, output) => Ok(output),
        (status, error) => Err(format!("{operation}: {status}: {error}").into()),
    }
}

/// A service of ECS whose tasks are containers.
#[derive(Debug, Clone)]
pub struct EcsService {
    account: Account,
    engine: Engine,
    port: u16,
}

impl EcsService {
    pub(super) fn make(account: Account, engine: Engine, count: u32) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let service = Self { account, engine, port };
        service.ecs("CreateCluster", &json!({ "clusterName": CLUSTER }))?;
        let input = json!({
            "cluster": CLUSTER,
            "serviceName": SERVICE,
            "taskDefinition": service.register("v1")?,
            "desiredCount": count,
            "launchType": "EC2",
            "deploymentConfiguration": configuration(true),
        });
        service.ecs("CreateService", &input)?;
        service.until_rolled_out("v1")?;
        Ok(service)
    }

    /// The account that it is in.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The name of its cluster.
    #[must_use]
    pub fn cluster(&self) -> &'static str {
        CLUSTER
    }

    /// Its name, which is also that of the family of its task definitions.
    #[must_use]
    pub fn name(&self) -> &'static str {
        SERVICE
    }

    /// The port on which one of its running tasks answers.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Calls an operation of ECS in its account, without an SDK.
    ///
    /// # Errors
    ///
    /// When it is refused, with what was answered.
    pub fn ecs(&self, operation: &str, input: &Value) -> Result<Value> {
        call(&self.account, "ecs", operation, input)
    }

    /// Registers a task definition that runs a version, whether there is one or not: its ARN.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn register(&self, version: &str) -> Result<String> {
        let input = json!({
            "family": SERVICE,
            "networkMode": "host",
            "containerDefinitions": [{
                "name": "web",
                "image": image(&self.account, version),
                "memory": 64,
                "essential": true,
                "environment": [{ "name": "PORT", "value": self.port.to_string() }],
            }],
        });
        let answer = self.ecs("RegisterTaskDefinition", &input)?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str();
        arn.map(str::to_owned).ok_or_else(|| format!("no ARN: {answer}").into())
    }

    /// Registers a version and tells the service to run it, as a deployment does. It does not wait. The ARN of the task definition.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn deploy(&self, version: &str) -> Result<String> {
        let arn = self.register(version)?;
        self.update(&arn)?;
        Ok(arn)
    }

    /// Tells the service to run a task definition. It does not wait.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn update(&self, task_definition: &str) -> Result<()> {
        let input = json!({ "cluster": CLUSTER, "service": SERVICE, "taskDefinition": task_definition });
        self.ecs("UpdateService", &input)?;
        Ok(())
    }

    /// Whether a deployment that fails is given up, and what ran before put back. It is, at first.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn circuit_breaker(&self, on: bool) -> Result<()> {
        let (name, settings) = ("deploymentConfiguration", configuration(on));
        self.ecs("UpdateService", &json!({ "cluster": CLUSTER, "service": SERVICE, name: settings }))?;
        Ok(())
    }

    /// The service as `DescribeServices` tells it.
    ///
    /// # Errors
    ///
    /// When it is not told.
    pub fn describe(&self) -> Result<Value> {
        let answer = self.ecs("DescribeServices", &json!({ "cluster": CLUSTER, "services": [SERVICE] }))?;
        Ok(answer["services"][0].clone())
    }

    /// Its tasks as `DescribeTasks` tells them. `status` is the one that they should have: `RUNNING` or `STOPPED`.
    ///
    /// # Errors
    ///
    /// When they are not told.
    pub fn tasks(&self, status: &str) -> Result<Vec<Value>> {
        let input = json!({ "cluster": CLUSTER, "serviceName": SERVICE, "desiredStatus": status });
        let listed = self.ecs("ListTasks", &input)?;
        if listed["taskArns"].as_array().is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let mut answer =
            self.ecs("DescribeTasks", &json!({ "cluster": CLUSTER, "tasks": listed["taskArns"] }))?;
        Ok(answer["tasks"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The containers of its tasks, as the Docker daemon tells them, whether they run or not.
    ///
    /// # Errors
    ///
    /// When the daemon does not answer.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let ours = format!(":{}:task/{CLUSTER}/", self.account.id());
        let mut containers = self.engine.containers()?;
        containers
            .retain(|c| c.labels.get("com.amazonaws.ecs.task-arn").is_some_and(|arn| arn.contains(&ours)));
        Ok(containers)
    }

    /// The versions that run, one for each running container, in the order of their names. Nobody but the Docker daemon is
    /// asked for what runs, and nobody but the registry for the version of a digest.
    ///
    /// # Errors
    ///
    /// When one of them does not answer.
    pub fn running_images(&self) -> Result<Vec<String>> {
        let digests = self.digests()?;
        let running = self.containers()?.into_iter().filter(|container| container.state == "running");
        let mut versions: Vec<String> =
            running.map(|container| version_of(&container.image, &digests)).collect();
        versions.sort();
        Ok(versions)
    }

    /// The digest of each version in the registry.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn digests(&self) -> Result<Vec<(String, String)>> {
        let answer = call(&self.account, "ecr", "DescribeImages", &json!({ "repositoryName": REPOSITORY }))?;
        let pair = |image: &Value| {
            Some((image["imageTags"][0].as_str()?.to_owned(), image["imageDigest"].as_str()?.to_owned()))
        };
        Ok(answer["imageDetails"].as_array().into_iter().flatten().filter_map(pair).collect())
    }

    /// What one of its tasks answers on the service's port: its version. `None` when nobody listens.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().ok()?.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Waits until nothing but `version` runs, ECS calls its rollout completed, and it answers.
    ///
    /// # Errors
    ///
    /// When that does not come, with what ECS and Docker say instead.
    pub fn until_rolled_out(&self, version: &str) -> Result<()> {
        let waited =
            until(&format!("the rollout of {version}"), || self.is_rolled_out(version).then_some(()));
        waited.map_err(|error| {
            let (told, runs) = (self.describe().unwrap_or_default(), self.running_images());
            format!("{error}; ECS says {:#}; what runs: {runs:?}", told["deployments"]).into()
        })
    }

    /// Deploys a version that crashes, and waits until it was given up and what ran before runs again, which is `version`.
    ///
    /// ECS waits until a rollout is steady. ministack calls one completed whose container happens to run when it looks, and crashes right
    /// after: then what ran before is put back, and it is deployed once more.
    ///
    /// # Errors
    ///
    /// When that does not come, with what ECS and Docker say instead.
    pub fn crash(&self, crashing: &str, version: &str) -> Result<()> {
        let before = self.describe()?["taskDefinition"].as_str().unwrap_or_default().to_owned();
        let crashing = self.register(crashing)?;
        for _ in 0..5 {
            self.update(&crashing)?;
            let is_taken = |told: &Value| {
                let all = told["deployments"].as_array().into_iter().flatten();
                all.into_iter().any(|one| {
                    one["taskDefinition"] == crashing.as_str() && one["rolloutState"] == "COMPLETED"
                })
            };
            let taken = until("a deployment that ends", || {
                let told = self.describe().ok()?;
                if is_taken(&told) {
                    return Some(true);
                }
                let all = told["deployments"].as_array()?;
                all.iter().any(gave_up).then_some(false)
            })?;
            if !taken {
                return self.until_rolled_out(version);
            }
            self.update(&before)?;
            self.until_rolled_out(version)?;
        }
        Err("ministack took every crash for a rollout that is completed".into())
    }

    /// Waits until ECS gave a deployment up, and then for what [`until_rolled_out`](Self::until_rolled_out) waits for.
    ///
    /// # Errors
    ///
    /// When that does not come, with what ECS and Docker say instead.
    pub fn until_rolled_back(&self, version: &str) -> Result<()> {
        let waited = until("a deployment that fails", || {
            let told = self.describe().ok()?;
            told["deployments"].as_array()?.iter().any(gave_up).then_some(())
        });
        waited.map_err(|error| {
            let told = self.describe().unwrap_or_default();
            format!("{error}; ECS says {:#} and {:#}", told["deployments"], told["events"])
        })?;
        self.until_rolled_out(version)
    }

    fn is_rolled_out(&self, version: &str) -> bool {
        let is = || -> Result<bool> {
            let told = self.describe()?;
            let deployments: Vec<&Value> = told["deployments"].as_array().into_iter().flatten().collect();
            let primary = deployments.iter().find(|deployment| deployment["status"] == "PRIMARY");
            let done = primary.is_some_and(|deployment| deployment["rolloutState"] == "COMPLETED");
            let running = self.running_images()?;
            let count = usize::try_from(told["desiredCount"].as_u64().unwrap_or_default())?;
            let all = running.len() == count && running.iter().all(|running| running == version);
            Ok(done && all && self.answer().as_deref() == Some(version))
        };
        is().unwrap_or_default()
    }
}

/// The failed one may be gone from the list already; then the one that came back says why it did.
fn gave_up(deployment: &Value) -> bool {
    let reason = deployment["rolloutStateReason"].as_str().unwrap_or_default();
    deployment["rolloutState"] == "FAILED" || reason.contains("circuit breaker")
}

fn configuration(breaker: bool) -> Value {
    json!({
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": { "enable": breaker, "rollback": breaker },
    })
}

/// The version of an image that is named by digest or by tag.
fn version_of(image: &str, digests: &[(String, String)]) -> String {
    let known = digests.iter().find(|(_, digest)| image.ends_with(digest.as_str()));
    let tag = || image.rsplit_once(':').map(|(_, tag)| tag.to_owned());
    known.map(|(version, _)| version.clone()).or_else(tag).unwrap_or_else(|| image.to_owned())
}
