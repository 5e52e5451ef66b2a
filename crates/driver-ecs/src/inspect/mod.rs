//! Checks before acting: what somebody should know of a destination before the service is moved to it. Plans and
//! `rollback check` ask the same.
//!
//! What can be decided without AWS is decided here, of plain [`Facts`]; [`Surroundings`] asks for them. Only what is known for
//! certain stops a plan (an image that is gone or archived, a revision that was deleted). What may not or cannot be read is said, with
//! AWS's words for the permission that is missing, and refuses nothing.
//!
//! | what is checked | API, and the IAM action of the same name | without it |
//! |---|---|---|
//! | each image is in its registry, what its tag names now, its storage class | `ecr:DescribeImages` | `ecr:BatchGetImage` is tried, else `artifact-unknown` |
//! | the date at which a lifecycle policy takes an image | `ecr:GetLifecyclePolicy` | `image-details-unknown` |
//! | a digest that ran inside the index that a tag names | `ecr:BatchGetImage` | counts as `image-moved` |
//! | an image that is not there would be fetched from elsewhere | `ecr:DescribePullThroughCacheRules` | counts as missing |
//! | secrets, with stage and version | `secretsmanager:DescribeSecret` | `artifact-unknown` |
//! | parameters | `ssm:GetParameters` | `artifact-unknown` |
//! | the revision can be used | `ecs:DescribeTaskDefinition` | what was known before, else `revision-unknown` |
//! | alarms of the deployment configuration | `cloudwatch:DescribeAlarms` | `alarms-unknown` |
//! | autoscaling | `application-autoscaling:DescribeScalableTargets` | `autoscaling-unknown` |
//! | CodeDeploy rolls back by itself | `codedeploy:GetDeploymentGroup` | `codedeploy-auto-rollback-unknown` |
//! | room for a second copy, circuit breaker, roles, owner's tags, what belongs to the state | (`ecs:DescribeServices` with tags, read already) | |

mod deployment;
mod gather;
mod images;
mod lifecycle;
mod scaling;
mod secrets;
mod surroundings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use rollback_core::target::Inspection;
use rollback_core::{Reading, Result};
use serde_json::{Map, Value};

pub(crate) use self::deployment::AutoRollback;
use self::deployment::Rollout;
pub(crate) use self::images::{ImageFacts, newest_tags};
pub(crate) use self::scaling::Scaling;
use self::secrets::SecretState;
pub(crate) use self::secrets::{SecretFacts, SecretId};
use crate::client::{Seen, Surroundings};
use crate::look::Look;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Registration;

/// How many things a finding names.
const NAMED: usize = 10;

/// What was found out. Each may be unknown by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) images: Vec<ImageFacts>,
    /// By reference.
    secrets: BTreeMap<String, SecretState>,
    pub(crate) registration: Reading<Registration>,
    /// States by name; `Absent` where no alarm counts.
    pub(crate) alarms: Reading<BTreeMap<String, String>>,
    pub(crate) scaling: Reading<Scaling>,
    pub(crate) auto_rollback: Reading<AutoRollback>,
}

/// What moving the service from one state to another would mean. `seen` is a look at the service that may yet have to be
/// taken: what does not depend on it is asked for at the same time.
///
/// # Errors
///
/// Those of the look. What else cannot be read is a finding.
pub(crate) async fn inspect(
    surroundings: &Surroundings,
    seen: impl Future<Output = Result<Arc<Seen>>>,
    from: Option<&EcsSnapshot>,
    to: &EcsSnapshot,
) -> Result<Inspection> {
    let (facts, seen) = gather::gather(surroundings, seen, to).await?;
    Ok(decide(&facts, &seen.look, &seen.described, from, to))
}

/// What follows from the facts.
fn decide(
    facts: &Facts,
    look: &Look,
    described: &Map<String, Value>,
    from: Option<&EcsSnapshot>,
    to: &EcsSnapshot,
) -> Inspection {
    let rollout = Rollout::of(described);
    let mut inspection = surroundings::coupled(Inspection::default(), from, to);
    inspection.findings.extend(look.findings());
    inspection.findings.extend(surroundings::revision(to, &facts.registration));
    inspection = images::inspect(inspection, &facts.images, look.at);
    inspection = secrets::inspect(inspection, &facts.secrets);
    let found = &mut inspection.findings;
    found.extend(secrets::environment_files(to));
    found.extend(surroundings::roles(to));
    found.extend(surroundings::passed_roles(to, found));
    found.extend(deployment::capacity(look, &rollout));
    found.extend(deployment::alarms(&rollout.alarms, &facts.alarms));
    found.extend(deployment::ecs_on_its_own(look, &rollout));
    found.extend(deployment::code_deploy(look, &facts.auto_rollback));
    found.extend(scaling::findings(look, &facts.scaling));
    found.extend(surroundings::owner(described));
    inspection
}

/// The first of these, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
