//! What is kept of a task definition.

use std::collections::{BTreeMap, BTreeSet};

use rollback_aws_support::ImageRef;
use rollback_core::digest::canonical;
use rollback_core::error::quoted;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::normal::{is_deeper, normalise, redact, unredacted, with_defaults};
use super::{DEEPEST, LARGEST, READ};
use crate::text::is_ecs_name;
use rollback_core::fingerprint::FingerprintKey;

/// ECS takes ten containers in a task definition.
const CONTAINERS: usize = 10;

/// A task definition in normal form: without what changes on registering again, in one spelling, with keyed digests instead of
/// values that may be secret. Two revisions with the same content have the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Definition {
    key: String,
    body: Map<String, Value>,
}

/// How it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    key: String,
    body: Map<String, Value>,
}

/// One container of a task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image as it is written there.
    pub image: ImageRef,
    /// Whether the task ends with it.
    pub essential: bool,
}

impl Definition {
    pub(super) fn of(content: Map<String, Value>, key: &FingerprintKey) -> Result<Self> {
        let redacted = redact(&Value::Object(content), key, &mut Vec::new());
        Self::checked(key.id().to_owned(), redacted)
    }

    /// Brings a redacted body into normal form and checks it.
    fn checked(key: String, body: Value) -> Result<Self> {
        let wrong = |why: String| Error::new(ErrorKind::Corrupt, READ, why);
        if is_deeper(&body, DEEPEST) {
            return Err(wrong("it is nested too deeply".to_owned()));
        }
        let Some(Value::Object(body)) = normalise(body, &mut Vec::new()) else {
            return Err(wrong("it is empty".to_owned()));
        };
        let body = with_defaults(body);
        // What was filled in takes part in the order.
        let Some(Value::Object(body)) = normalise(Value::Object(body), &mut Vec::new()) else {
            return Err(wrong("it is empty".to_owned()));
        };
        let body = Value::Object(body);
        if let Some(place) = unredacted(&body, &mut Vec::new()) {
            return Err(wrong(format!("{} holds a value that should not be stored", quoted(&place))));
        }
        if canonical(&body).len() > LARGEST || key.len() > 64 {
            return Err(wrong("it is too large to be kept".to_owned()));
        }
        let Value::Object(body) = body else { return Err(wrong("it is empty".to_owned())) };
        if !body.get("family").and_then(Value::as_str).is_some_and(is_ecs_name) {
            return Err(wrong("it has no family, or one that ECS would not take".to_owned()));
        }
        check_containers(&body)?;
        Ok(Self { key, body })
    }

    /// Which key its digests were made with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> &str {
        self.body.get("family").and_then(Value::as_str).unwrap_or_default()
    }

    /// Its containers, by name.
    #[must_use]
    pub fn containers(&self) -> Vec<Container> {
        objects(&self.body, "containerDefinitions")
            .filter_map(|container| {
                Some(Container {
                    name: text(container, "name")?.to_owned(),
                    image: text(container, "image")?.parse().ok()?,
                    essential: container.get("essential") != Some(&Value::Bool(false)),
                })
            })
            .collect()
    }

    /// The container that gives the version its name: the one that is configured, else the only essential one.
    #[must_use]
    pub fn main_container(&self, configured: Option<&str>) -> Option<Container> {
        let mut containers = self.containers();
        if let Some(name) = configured {
            return containers.into_iter().find(|container| container.name == name);
        }
        containers.retain(|container| container.essential);
        if containers.len() == 1 { containers.pop() } else { None }
    }

    /// Secrets and parameters that are read when a task starts, by their ARN or name.
    #[must_use]
    pub fn secret_references(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for container in objects(&self.body, "containerDefinitions") {
            let log = container.get("logConfiguration").and_then(Value::as_object);
            let options = log.into_iter().flat_map(|log| objects(log, "secretOptions"));
            found.extend(
                objects(container, "secrets")
                    .chain(options)
                    .filter_map(|s| text(s, "valueFrom"))
                    .map(str::to_owned),
            );
            let credentials = container.get("repositoryCredentials").and_then(Value::as_object);
            found.extend(credentials.and_then(|c| text(c, "credentialsParameter")).map(str::to_owned));
        }
        found
    }

    /// The secrets with which private registries are signed in to: these may be names of secrets, where others name parameters.
    pub(crate) fn credentials_parameters(&self) -> BTreeSet<String> {
        let credentials = objects(&self.body, "containerDefinitions")
            .filter_map(|container| container.get("repositoryCredentials")?.as_object());
        credentials.filter_map(|c| text(c, "credentialsParameter")).map(str::to_owned).collect()
    }

    /// The files in S3 that variables are read from.
    pub(crate) fn environment_files(&self) -> BTreeSet<String> {
        let containers = objects(&self.body, "containerDefinitions");
        let files = containers.flat_map(|container| objects(container, "environmentFiles"));
        files.filter_map(|file| text(file, "value")).map(str::to_owned).collect()
    }

    /// The roles of the task and of who starts it, by ARN or by name.
    pub(crate) fn roles(&self) -> BTreeSet<String> {
        let roles = ["taskRoleArn", "executionRoleArn"];
        roles.iter().filter_map(|field| text(&self.body, field)).map(str::to_owned).collect()
    }

    /// The content digest: of everything in the normal form, with each image by the digest it runs as, where that is known.
    /// `web:v1` that runs as `sha256:…` and `web@sha256:…` are the same then.
    ///
    /// # Errors
    ///
    /// As [`Identity::of`].
    pub fn identity(&self, digests: &BTreeMap<String, Digest>) -> Result<Identity> {
        let mut body = self.body.clone();
        let containers = body.get_mut("containerDefinitions").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let image = text(container, "image").and_then(|image| image.parse::<ImageRef>().ok());
            let digest = text(container, "name").and_then(|name| digests.get(name)).copied();
            if let Some(image) = image
                && let Some(digest) = digest.or(image.digest())
            {
                container.insert("image".to_owned(), json!(image.pinned(digest)));
            }
        }
        Identity::of(&json!({ "of": "ecs-task-definition/1", "key": self.key, "body": body }))
    }

    pub(super) fn body(&self) -> &Map<String, Value> {
        &self.body
    }
}

impl TryFrom<Stored> for Definition {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        Self::checked(stored.key, Value::Object(stored.body))
    }
}

impl From<Definition> for Stored {
    fn from(definition: Definition) -> Self {
        Self { key: definition.key, body: definition.body }
    }
}

fn objects<'a>(of: &'a Map<String, Value>, list: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    of.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn text<'a>(of: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    of.get(field).and_then(Value::as_str)
}

/// The names of all containers.
pub(super) fn container_names(body: &Map<String, Value>) -> Vec<String> {
    objects(body, "containerDefinitions")
        .filter_map(|container| text(container, "name"))
        .map(str::to_owned)
        .collect()
}

/// There are containers, each has a name of its own and an image.
pub(super) fn check_containers(body: &Map<String, Value>) -> Result<()> {
    let wrong = |why: String| Err(Error::new(ErrorKind::Corrupt, READ, why));
    let Some(containers) = body.get("containerDefinitions").and_then(Value::as_array) else {
        return wrong("it has no containers".to_owned());
    };
    if containers.is_empty() || containers.len() > CONTAINERS {
        return wrong(format!("it has {} containers, and ECS takes 1 to {CONTAINERS}", containers.len()));
    }
    let mut names = BTreeSet::new();
    for container in containers {
        let name = container.get("name").and_then(Value::as_str).filter(|name| is_ecs_name(name));
        let Some(name) = name.filter(|name| names.insert(*name)) else {
            return wrong("a container has no name of its own".to_owned());
        };
        let Some(image) = container.get("image").and_then(Value::as_str) else {
            return wrong(format!("container {name} has no image"));
        };
        image.parse::<ImageRef>()?;
    }
    Ok(())
}
