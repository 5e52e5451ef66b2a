//! ARNs of task definitions.

use std::fmt;
use std::str::FromStr;

use rollback_aws_support::as_text;
use rollback_aws_support::text::invalid;
use rollback_core::{Error, Result};
use serde::{Deserialize, Serialize};

pub use rollback_aws_support::Arn;

use crate::text::is_ecs_name;

/// One registered revision of a task definition, by its ARN. Sorts by family, then by revision number.
///
/// ```
/// use rollback_driver_ecs::TaskDefinitionArn;
/// let arn: TaskDefinitionArn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:42".parse()?;
/// assert_eq!((arn.family(), arn.revision(), arn.short()), ("web", 42, "web:42".to_owned()));
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskDefinitionArn {
    family: String,
    revision: u32,
    arn: Arn,
}

impl TaskDefinitionArn {
    /// The family.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// The number of the revision, from 1.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// The ARN.
    #[must_use]
    pub fn arn(&self) -> &Arn {
        &self.arn
    }

    /// `web:42`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

impl FromStr for TaskDefinitionArn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why| invalid("a task definition ARN", text, why);
        let arn: Arn = text.parse()?;
        let name = arn.resource().strip_prefix("task-definition/").filter(|_| arn.service() == "ecs");
        let Some((family, number)) = name.and_then(|name| name.rsplit_once(':')) else {
            return Err(wrong("names no revision of a task definition"));
        };
        let revision =
            number.parse().ok().filter(|revision: &u32| *revision > 0 && revision.to_string() == number);
        match revision {
            Some(revision) if is_ecs_name(family) => Ok(Self { family: family.to_owned(), revision, arn }),
            _ => Err(wrong("has a family or revision that ECS would not give")),
        }
    }
}

impl fmt::Display for TaskDefinitionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arn.fmt(f)
    }
}
as_text!(TaskDefinitionArn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_arns_are_refused() {
        let prefix = "arn:aws:ecs:eu-west-1:123456789012:";
        for name in [
            "task-definition/web",
            "task-definition/web:0",
            "task-definition/web:042",
            "task-definition/:1",
            "task-definition/a/b:1",
            "task-definition/web:99999999999",
            "service/web:1",
            "task-definition/web:-1",
        ] {
            assert!(format!("{prefix}{name}").parse::<TaskDefinitionArn>().is_err(), "{name}");
        }
        assert!(
            "arn:aws:s3:eu-west-1:123456789012:task-definition/web:1".parse::<TaskDefinitionArn>().is_err()
        );
    }

    #[test]
    fn revisions_sort_by_number() {
        let arn = |n: u32| -> TaskDefinitionArn {
            format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/web:{n}").parse().unwrap()
        };
        assert!(arn(9) < arn(10));
    }
}
