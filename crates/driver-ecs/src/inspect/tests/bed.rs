//! The client against the double.

use std::sync::Arc;

use rollback_aws_support::{AwsSettings, Pacer, Session, Sessions};
use rollback_core::target::Inspection;
use rollback_core::time::SystemClock;
use rollback_core::{Digest, Reading};
use rollback_scripted_aws::{Cloud, Does, Injection, Server};
use serde_json::{Value, json};

use super::super::inspect;
use super::{described, look};
use crate::client::{Seen, Surroundings};
use crate::fixtures::task_definition;
use crate::snapshot::EcsSnapshot;

pub(super) struct Bed {
    pub(super) cloud: Cloud,
    pub(super) surroundings: Surroundings,
    _server: Server,
}

pub(super) async fn bed() -> Bed {
    let cloud = Cloud::new();
    let server = cloud.serve().await.unwrap();
    let settings = AwsSettings::new().region("eu-west-1").endpoint_url(server.url());
    let opened = Sessions::new().open(&settings).await.unwrap();
    let credentials = aws_sdk_ecs::config::Credentials::new("AKIDTEST", "secret", None, None, "test");
    let credentials = aws_sdk_ecs::config::SharedCredentialsProvider::new(credentials);
    let config = opened.sending().clone().into_builder().credentials_provider(credentials).build();
    let clock = Arc::new(SystemClock);
    let session = Session::from_sdk_config(config);
    let surroundings = Surroundings::new(session, Pacer::new(clock.clone()), clock);
    Bed { cloud, surroundings, _server: server }
}

impl Bed {
    #[expect(clippy::needless_pass_by_value, reason = "what is asked is written where it is asked")]
    pub(super) fn ask(&self, service: &str, operation: &str, input: Value) -> Value {
        self.cloud.ask(service, operation, &input).unwrap()
    }

    /// Everything that revision 41 needs.
    pub(super) fn with_all(self) -> Self {
        self.ask("ecr", "CreateRepository", json!({ "repositoryName": "web" }));
        self.push("v1");
        let mut definition = task_definition(41, "v1").for_registering();
        definition["containerDefinitions"][0]["memory"] = json!(128);
        for _ in 1..=41 {
            self.ask("ecs", "RegisterTaskDefinition", definition.clone());
        }
        self.ask("ssm", "PutParameter", json!({ "Name": "/db", "Value": "s3cr3t", "Type": "String" }));
        self
    }

    /// The digest of what was pushed.
    pub(super) fn push(&self, tag: &str) -> Digest {
        let manifest = json!({ "schemaVersion": 2, "of": tag }).to_string();
        let pushed = json!({ "repositoryName": "web", "imageTag": tag, "imageManifest": manifest });
        self.ask("ecr", "PutImage", pushed)["image"]["imageId"]["imageDigest"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(super) async fn inspect(&self, to: &EcsSnapshot, changes: Value) -> Inspection {
        let described = described(changes);
        let seen = Arc::new(Seen { look: look(&described), described });
        inspect(&self.surroundings, async { Ok(seen) }, None, to).await.unwrap()
    }

    pub(super) fn denies(&self, service: &str, operation: &str) {
        self.cloud.inject(Injection::new(service, operation, Does::Denies));
    }
}

pub(super) fn presence(inspection: &Inspection, name: &str) -> Reading<()> {
    let state = inspection.artifacts.iter().find(|state| state.artifact.name == name);
    match state.map(|state| &state.presence) {
        Some(Reading::Known(_)) => Reading::Known(()),
        Some(Reading::Absent) => Reading::Absent,
        Some(Reading::Unknown(why)) => Reading::Unknown(why.clone()),
        None => panic!("{name} is not told of: {:?}", inspection.artifacts),
    }
}

pub(super) fn codes(inspection: &Inspection) -> Vec<&str> {
    inspection.findings.iter().map(|finding| finding.code.as_str()).collect()
}
