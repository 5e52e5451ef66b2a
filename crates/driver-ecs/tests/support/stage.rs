//! What any service of the scripted double is arranged with, whoever moves it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rollback_core::{Error, ErrorKind, Result};
use rollback_scripted_aws::{Behaviour, Call, Cloud, Does, Injection, Outcome};
use rollback_testkit::driver::{Fault, Release};
use serde_json::{Value, json};

use crate::support::{CLUSTER, SECRET, SERVICE, image};

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, "arrange the service", error.to_string())
}

pub(crate) fn refused(fault: &rollback_scripted_aws::Fault) -> Error {
    failed(format!("{fault:?}"))
}

/// What a pipeline did so far.
#[derive(Default)]
pub(crate) struct Pipeline {
    /// The revision that each release was registered as.
    revisions: Mutex<BTreeMap<Release, String>>,
    pub(crate) deploys: AtomicU64,
}

/// A service, and a pipeline that deploys to it.
pub(crate) trait Stage {
    fn cloud(&self) -> &Cloud;

    fn pipeline(&self) -> &Pipeline;

    /// The calls that change the service, or that would.
    fn changes(&self) -> &'static [(&'static str, &'static str)];

    /// Begins to deploy a release, and waits for nothing.
    fn start(&self, release: Release) -> Result<()>;

    /// Takes the image of a release away.
    fn lose_image(&self, release: Release) -> Result<()>;

    fn ask(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        self.cloud().ask(service, operation, input).map_err(|fault| refused(&fault))
    }

    /// An image is in the registry from now on. Its digest.
    fn push(&self, image: &str) -> String {
        let mut world = self.cloud().world();
        let digest = world.images.digest(image);
        world.images.tag(image, digest.clone());
        digest
    }

    /// Registers a release, as a pipeline does once.
    fn register(&self, release: Release) -> Result<String> {
        let mut known = self.pipeline().revisions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arn) = known.get(&release) {
            return Ok(arn.clone());
        }
        let container = json!({
            "name": "web", "image": image(release), "memory": 128, "portMappings": [{ "containerPort": 80 }],
            "environment": [{ "name": "API_KEY", "value": SECRET }],
        });
        let input = json!({ "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container] });
        self.push(&image(release));
        let answer = self.ask("ecs", "RegisterTaskDefinition", &input)?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
        known.insert(release, arn.clone());
        Ok(arn)
    }

    /// Deploys a release and waits until the service rests.
    fn finish(&self, release: Release) -> Result<()> {
        self.start(release)?;
        if self.cloud().settle() { Ok(()) } else { Err(failed("the service does not come to rest")) }
    }

    /// The next change fares like this: the first that comes is struck, and it is the only one that a step sends.
    fn strike(&self, does: &Does) {
        self.cloud().no_faults();
        for &(service, operation) in self.changes() {
            self.cloud().inject(Injection::new(service, operation, does.clone()).times(1));
        }
    }

    /// What a fixture is asked for. Whether it can be had.
    fn arrange(&self, fault: Fault) -> Result<bool> {
        let cloud = self.cloud();
        match fault {
            Fault::Refuse => self.strike(&Does::Throttles),
            Fault::LoseRequest => self.strike(&Does::LosesRequest),
            Fault::LoseAnswer => self.strike(&Does::LosesAnswer),
            Fault::Delay => self.strike(&Does::Delays),
            Fault::Deliver => cloud.release(),
            Fault::RemoveArtifact(release) => {
                let revision = self.register(release)?;
                self.ask("ecs", "DeregisterTaskDefinition", &json!({ "taskDefinition": revision }))?;
                self.lose_image(release)?;
                cloud.behave(&image(release), Behaviour::MissingImage);
            }
            Fault::ScaleToZero => {
                let none = json!({ "cluster": CLUSTER, "service": SERVICE, "desiredCount": 0 });
                self.ask("ecs", "UpdateService", &none)?;
                cloud.settle();
            }
            Fault::Begin(release) => {
                cloud.behave(&image(release), Behaviour::SlowStart(Duration::from_secs(120)));
                self.start(release)?;
                cloud.tick(Duration::from_secs(5));
            }
            // Its tasks never become healthy: whoever moves the service gives up some time.
            Fault::Fail(release) => {
                cloud.behave(&image(release), Behaviour::Crash);
                self.start(release)?;
                cloud.settle();
            }
            Fault::RestartPart => {
                let service = json!({ "cluster": CLUSTER, "serviceName": SERVICE });
                let task = self.ask("ecs", "ListTasks", &service)?["taskArns"][0].clone();
                self.ask("ecs", "StopTask", &json!({ "cluster": CLUSTER, "task": task }))?;
                cloud.settle();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How many changes the service has seen.
    fn seen(&self) -> u64 {
        let landed = |call: &Call| matches!(call.outcome, Outcome::Answered | Outcome::AnswerLost);
        let change = |call: &Call| {
            self.changes().contains(&(call.service.as_str(), call.operation.as_str())) && landed(call)
        };
        let calls = self.cloud().calls().iter().filter(|call| change(call)).count();
        self.pipeline().deploys.load(Ordering::Relaxed) + calls as u64
    }
}
