//! Clusters.

use serde_json::{Value, json};

use super::model::{Cluster, Phase};
use super::names::{self, short};
use crate::protocol::{Fault, text, texts};
use crate::world::World;

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let name = text(input, "clusterName").unwrap_or("default");
    let arn = world.arn("ecs", &format!("cluster/{name}"));
    world.ecs.clusters.insert(name.to_owned(), Cluster { arn, name: name.to_owned() });
    Ok(json!({ "cluster": render(world, name) }))
}

pub(super) fn list_all(world: &World, input: &Value) -> Result<Value, Fault> {
    let all: Vec<_> = world.ecs.clusters.values().map(|cluster| cluster.arn.clone()).collect();
    let (arns, next) = names::page(all, input, 100)?;
    Ok(json!({ "clusterArns": arns, "nextToken": next }))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let mut names = texts(input, "clusters");
    if names.is_empty() {
        names.push("default");
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match render(world, short(name)) {
            Value::Null => {
                let arn = world.arn("ecs", &format!("cluster/{}", short(name)));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
            cluster => found.push(cluster),
        }
    }
    Ok(json!({ "clusters": found, "failures": failures }))
}

fn render(world: &World, name: &str) -> Value {
    let Some(cluster) = world.ecs.clusters.get(name) else { return Value::Null };
    let tasks = || world.ecs.tasks.in_cluster(name, None);
    let services = world.ecs.services.values();
    json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": tasks().filter(|task| task.phase == Phase::Running).count(),
        "pendingTasksCount": tasks().filter(|task| task.phase < Phase::Running).count(),
        "activeServicesCount": services.filter(|s| s.cluster == name && s.status == "ACTIVE").count(),
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [],
    })
}
