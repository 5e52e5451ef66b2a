//! Task definitions: as ECS describes them, and the normal form that is kept of them.

mod definition;
mod diff;
mod normal;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use rollback_aws_support::ImageRef;
use rollback_core::error::quoted;
use rollback_core::fingerprint::FingerprintKey;
use rollback_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::definition::{Container, Definition};
use self::normal::READ_ONLY;
pub(crate) use self::normal::{is_deeper, is_in_the_clear, normal_value};
use crate::arn::TaskDefinitionArn;
use crate::time;

/// ECS takes task definitions of up to 64 KiB; what it describes is a little longer.
const LARGEST: usize = 256 * 1024;
/// How deep they may be nested. ECS's own go to about six levels.
const DEEPEST: usize = 24;
const READ: &str = "read a task definition";

/// Whether a revision can be used as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Registration {
    /// It can.
    Active,
    /// It was deregistered: services cannot be moved to it, but its content can be registered again.
    Inactive,
    /// It is being deleted: as [`Inactive`](Self::Inactive), and not for long.
    DeleteInProgress,
    /// There is no revision of this content yet: it is that of the revision that is named, with another image.
    Unregistered,
    /// It could not be read.
    #[default]
    Unknown,
}

/// A task definition as `DescribeTaskDefinition` tells it, with every field, also those that this driver does not know.
///
/// It holds values that may be secret. It is therefore neither printed nor stored: [`redacted`](Self::redacted) makes the form
/// that is.
#[derive(Clone, PartialEq)]
pub struct TaskDefinition {
    arn: TaskDefinitionArn,
    body: Map<String, Value>,
    tags: Vec<Value>,
}

impl TaskDefinition {
    /// Reads the answer of `DescribeTaskDefinition`, or only what is under `taskDefinition` in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for what cannot be a task definition. No value is quoted.
    pub fn parse(answer: Value) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::Corrupt, READ, why);
        if is_deeper(&answer, DEEPEST) || answer.to_string().len() > LARGEST {
            return Err(wrong("it is larger or deeper than ECS allows"));
        }
        let Value::Object(mut answer) = answer else { return Err(wrong("it is no JSON object")) };
        let tags = match answer.remove("tags") {
            Some(Value::Array(tags)) => tags,
            _ => Vec::new(),
        };
        let body = match answer.remove("taskDefinition") {
            Some(Value::Object(body)) => body,
            Some(_) => return Err(wrong("its `taskDefinition` is no object")),
            None => answer,
        };
        let arn =
            body.get("taskDefinitionArn").and_then(Value::as_str).ok_or_else(|| wrong("it has no ARN"))?;
        let arn: TaskDefinitionArn = arn.parse()?;
        if body.get("family").and_then(Value::as_str).is_some_and(|family| family != arn.family()) {
            return Err(wrong("its family is not that of its ARN"));
        }
        let read = Self { arn, body, tags };
        definition::check_containers(&read.body)?;
        Ok(read)
    }

    /// Which revision it is.
    #[must_use]
    pub fn arn(&self) -> &TaskDefinitionArn {
        &self.arn
    }

    /// Whether it can be used as it is.
    #[must_use]
    pub fn registration(&self) -> Registration {
        match self.body.get("status").and_then(Value::as_str) {
            Some("ACTIVE") => Registration::Active,
            Some("INACTIVE") => Registration::Inactive,
            Some("DELETE_IN_PROGRESS") => Registration::DeleteInProgress,
            _ => Registration::Unknown,
        }
    }

    /// When it was registered.
    #[must_use]
    pub fn registered_at(&self) -> Option<Timestamp> {
        time::read(self.body.get("registeredAt")?)
    }

    /// Its normal form without values that may be secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when it is too large to be kept.
    pub fn redacted(&self, key: &FingerprintKey) -> Result<Definition> {
        Definition::of(self.content(), key)
    }

    /// What `RegisterTaskDefinition` takes to register the same content again, with the tags that a user may set. **It holds
    /// every value in clear**: it is for the request alone.
    #[must_use]
    pub fn for_registering(&self) -> Value {
        let mut request = self.content();
        // AWS keeps tags with this prefix to itself and refuses requests that set them.
        let own = |tag: &&Value| {
            tag.get("key")
                .and_then(Value::as_str)
                .is_some_and(|key| !key.to_ascii_lowercase().starts_with("aws:"))
        };
        let tags: Vec<_> = self.tags.iter().filter(own).cloned().collect();
        if !tags.is_empty() {
            request.insert("tags".to_owned(), Value::Array(tags));
        }
        request.retain(|_, value| !value.is_null());
        Value::Object(request)
    }

    /// The same with another image in one container.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such container.
    pub fn with_image(&self, container: &str, image: &ImageRef) -> Result<Self> {
        let mut changed = self.clone();
        changed.container_mut(container)?.insert("image".to_owned(), json!(image));
        Ok(changed)
    }

    /// The same with the environment that a container has in an earlier task definition: variables, secrets and environment
    /// files. What the earlier one does not have is removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when one of the two has no such container.
    pub fn with_environment_of(&self, container: &str, earlier: &Self) -> Result<Self> {
        let mut changed = self.clone();
        let source = earlier.clone().container_mut(container)?.clone();
        let container = changed.container_mut(container)?;
        for field in ["environment", "secrets", "environmentFiles"] {
            container.remove(field);
            if let Some(value) = source.get(field) {
                container.insert(field.to_owned(), value.clone());
            }
        }
        Ok(changed)
    }

    /// The same with the environment that each container has in an earlier task definition, where that has it.
    ///
    /// # Errors
    ///
    /// As [`with_environment_of`](Self::with_environment_of).
    pub fn with_environments_of(&self, earlier: &Self) -> Result<Self> {
        let had = definition::container_names(&earlier.body);
        let both = definition::container_names(&self.body).into_iter().filter(|name| had.contains(name));
        both.into_iter().try_fold(self.clone(), |changed, name| changed.with_environment_of(&name, earlier))
    }

    fn content(&self) -> Map<String, Value> {
        let mut content = self.body.clone();
        content.retain(|field, _| !READ_ONLY.contains(&field.as_str()));
        content.insert("family".to_owned(), Value::from(self.arn.family()));
        content
    }

    fn container_mut(&mut self, name: &str) -> Result<&mut Map<String, Value>> {
        let short = self.arn.short();
        let names = definition::container_names(&self.body);
        let containers = self.body.get_mut("containerDefinitions").and_then(Value::as_array_mut);
        let named =
            |container: &&mut Map<String, Value>| container.get("name").and_then(Value::as_str) == Some(name);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).find(named).ok_or_else(|| {
            let what = format!("change {short}");
            Error::new(ErrorKind::NotFound, what, format!("it has no container {}", quoted(name)))
                .next(format!("its containers are: {}", names.join(", ")))
        })
    }
}

impl fmt::Debug for TaskDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskDefinition").field(&self.arn.short()).finish()
    }
}
