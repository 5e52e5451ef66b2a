//! Names and ARNs, as requests give them.

use serde_json::Value;

use super::model::{Service, TaskDefinition};
use crate::protocol::{Fault, text};
use crate::world::World;

/// The name at the end of a name or an ARN.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The name of the request's cluster.
pub(super) fn cluster(world: &World, input: &Value) -> Result<String, Fault> {
    let name = short(text(input, "cluster").unwrap_or("default"));
    if world.ecs.clusters.contains_key(name) {
        return Ok(name.to_owned());
    }
    Err(Fault::new("ClusterNotFoundException", "Cluster not found."))
}

/// The key of a service. One that is named by an ARN has to be in the cluster.
pub(super) fn service(world: &World, input: &Value, field: &str) -> Result<(String, String), Fault> {
    let cluster = cluster(world, input)?;
    let name = text(input, field)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Fault::new("InvalidParameterException", "Service cannot be empty."))?;
    in_cluster(name, &cluster)?;
    Ok((cluster, short(name).to_owned()))
}

/// Refuses a service's ARN that names another cluster.
pub(super) fn in_cluster(name: &str, cluster: &str) -> Result<(), Fault> {
    let told = name.split_once(":service/").and_then(|(_, rest)| rest.split_once('/'));
    match told.filter(|(told, _)| *told != cluster) {
        None => Ok(()),
        Some((told, _)) => {
            let why = format!("Identifier is for cluster {told}. Your cluster is {cluster}");
            Err(Fault::new("InvalidParameterException", why))
        }
    }
}

pub(super) fn service_missing() -> Fault {
    Fault::new("ServiceNotFoundException", "Service not found.")
}

/// A task definition by `family`, `family:revision` or its ARN. A family alone is its latest ACTIVE revision.
pub(super) fn task_definition<'a>(world: &'a World, name: &str) -> Option<&'a TaskDefinition> {
    let name = if name.starts_with("arn:") { short(name) } else { name };
    match name.split_once(':') {
        Some((family, revision)) => {
            let revision: u32 = revision.parse().ok()?;
            world.ecs.families.get(family)?.iter().find(|one| one.revision == revision)
        }
        None => world.ecs.families.get(name)?.iter().rev().find(|one| one.status == "ACTIVE"),
    }
}

/// A task definition that tasks can be started of.
pub(super) fn startable<'a>(world: &'a World, name: &str) -> Result<&'a TaskDefinition, Fault> {
    let found = task_definition(world, name)
        .ok_or_else(|| Fault::new("ClientException", "TaskDefinition not found."))?;
    if found.status != "ACTIVE" {
        return Err(Fault::new("ClientException", "TaskDefinition is inactive"));
    }
    Ok(found)
}

/// The service with a deployment or a revision of this ARN: `…:service-deployment/cluster/service/id`.
pub(super) fn owner<'a>(world: &'a World, arn: &str) -> Option<&'a Service> {
    let mut parts = arn.rsplit('/').skip(1);
    let (service, cluster) = (parts.next()?, parts.next()?);
    world.ecs.services.get(&(cluster.to_owned(), service.to_owned()))
}

/// A page of what was found, with the token of the next.
pub(super) fn page<T>(
    mut all: Vec<T>,
    input: &Value,
    most: usize,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let invalid = |what: &str| Fault::new("InvalidParameterException", format!("Invalid {what}."));
    let size = match input.get("maxResults").filter(|size| !size.is_null()) {
        None => most,
        Some(size) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            size.filter(|size| (1..=most).contains(size)).ok_or_else(|| invalid("maxResults"))?
        }
    };
    let from = match text(input, "nextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|from| from.parse::<usize>().ok())
            .filter(|from| *from <= all.len())
            .ok_or_else(|| invalid("token"))?,
    };
    let mut rest = all.split_off(from);
    let next = (rest.len() > size).then(|| format!("page-{}", from + size));
    rest.truncate(size);
    Ok((rest, next))
}
