//! Looking deployments up.

use serde_json::{Value, json};

use super::deployment::Deployment;
use super::groups::{application, group};
use crate::protocol::{Fault, list, required, text, texts};
use crate::world::World;

/// The most deployments that one batch can ask for.
const BATCH: usize = 25;

const STATUSES: [&str; 8] =
    ["Created", "Queued", "InProgress", "Baking", "Succeeded", "Failed", "Stopped", "Ready"];

/// The deployment that an input names.
pub(super) fn named<'a>(world: &'a World, input: &Value) -> Result<&'a Deployment, Fault> {
    let id = required(input, "deploymentId", "DeploymentIdRequiredException")?;
    if !id.starts_with("d-") {
        let why = format!("Specified DeploymentId is not in the valid format: {id}");
        return Err(Fault::new("InvalidDeploymentIdException", why));
    }
    let why = || format!("The deployment {id} could not be found");
    world.code_deploy.find(id).ok_or_else(|| Fault::new("DeploymentDoesNotExistException", why()))
}

pub(super) fn get_deployment(world: &World, input: &Value) -> Result<Value, Fault> {
    Ok(json!({ "deploymentInfo": named(world, input)?.tell() }))
}

pub(super) fn batch_get_deployments(world: &World, input: &Value) -> Result<Value, Fault> {
    let ids = texts(input, "deploymentIds");
    if ids.is_empty() {
        return Err(Fault::new("DeploymentIdRequiredException", "At least one deployment ID is required."));
    }
    if ids.len() > BATCH {
        let why = "Maximum number of names or IDs allowed for this batch request is 25.";
        return Err(Fault::new("BatchLimitExceededException", why));
    }
    let told: Vec<Value> =
        ids.iter().filter_map(|id| world.code_deploy.find(id)).map(Deployment::tell).collect();
    Ok(json!({ "deploymentsInfo": told }))
}

pub(super) fn list_deployments(world: &World, input: &Value) -> Result<Value, Fault> {
    let of = match (text(input, "applicationName"), text(input, "deploymentGroupName")) {
        (None, None) => None,
        (Some(app), _) => {
            application(world, app)?;
            let (app, name, _) = group(world, input)?;
            Some((app, name))
        }
        (None, Some(_)) => {
            let why = "An application name is required where a deployment group is named.";
            return Err(Fault::new("ApplicationNameRequiredException", why));
        }
    };
    let statuses = statuses(input)?;
    let (start, end) = range(input)?;
    let matches = |one: &&Deployment| {
        let created = one.created.as_millisecond() as f64 / 1000.0;
        of.as_ref().is_none_or(|(app, name)| one.application == *app && one.group == *name)
            && (statuses.is_empty() || statuses.contains(&one.status.name()))
            && start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created <= end)
    };
    let found: Vec<&str> =
        world.code_deploy.deployments.iter().rev().filter(matches).map(|one| one.id.as_str()).collect();
    let from = match text(input, "nextToken") {
        None => 0,
        Some(token) => after(token, &found)?,
    };
    let page = world.code_deploy.page;
    let ids: Vec<&str> = found.iter().skip(from).take(page).copied().collect();
    let mut answer = json!({ "deployments": ids });
    if found.len() > from + page
        && let Some(last) = ids.last()
    {
        answer["nextToken"] = json!(format!("after:{last}"));
    }
    Ok(answer)
}

/// Where the page begins that follows a token. New deployments come in front, and move nothing out of the next page.
fn after(token: &str, found: &[&str]) -> Result<usize, Fault> {
    let last = token.strip_prefix("after:");
    let at = last.and_then(|last| found.iter().position(|id| *id == last));
    let at = at.ok_or_else(|| Fault::new("InvalidNextTokenException", "The next token is invalid."))?;
    Ok(at + 1)
}

fn statuses(input: &Value) -> Result<Vec<&str>, Fault> {
    let asked = texts(input, "includeOnlyStatuses");
    if asked.len() != list(input, "includeOnlyStatuses").len()
        || asked.iter().any(|one| !STATUSES.contains(one))
    {
        let why = "The deployment status specified is invalid.";
        return Err(Fault::new("InvalidDeploymentStatusException", why));
    }
    Ok(asked)
}

fn range(input: &Value) -> Result<(Option<f64>, Option<f64>), Fault> {
    let range = &input["createTimeRange"];
    let (start, end) = (range["start"].as_f64(), range["end"].as_f64());
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        let why = "Start time must be before end time.";
        return Err(Fault::new("InvalidTimeRangeException", why));
    }
    Ok((start, end))
}
