//! Service revisions: what a service was set to, with its images' digests.

use serde_json::{Value, json};

use super::life;
use super::model::{Revision, Service};
use super::names;
use crate::protocol::{Fault, epoch, list, text, texts};
use crate::world::World;

/// Makes a revision of the service as it is set now; its ARN.
pub(super) fn make(
    world: &mut World,
    service: &mut Service,
    task_definition: &str,
    target_groups: Vec<String>,
) -> String {
    let arn = world.number();
    let arn = world.arn("ecs", &format!("service-revision/{}/{}/{arn}", service.cluster, service.name));
    service.revisions.push(Revision {
        arn: arn.clone(),
        task_definition: task_definition.to_owned(),
        created_at: world.now,
        images: life::resolve(world, task_definition),
        settings: service.settings.clone(),
        target_groups,
    });
    arn
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let arns = texts(input, "serviceRevisionArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(Fault::new(
            "InvalidParameterException",
            "serviceRevisionArns must have 1 to 20 entries.",
        ));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match names::owner(world, arn).and_then(|service| Some((service, service.revision(arn)?))) {
            Some((service, revision)) => found.push(render(service, revision)),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceRevisions": found, "failures": failures }))
}

fn render(service: &Service, revision: &Revision) -> Value {
    let images: Vec<_> = revision
        .images
        .iter()
        .map(|(name, image, digest)| json!({ "containerName": name, "image": image, "imageDigest": digest }))
        .collect();
    let settings = json!(revision.settings);
    let rule = list(&settings, "loadBalancers")
        .iter()
        .find_map(|one| text(&one["advancedConfiguration"], "productionListenerRule"));
    let resolved: Vec<_> = revision
        .target_groups
        .iter()
        .map(|group| json!({ "targetGroupArn": group, "productionListenerRule": rule }))
        .collect();
    json!({
        "serviceRevisionArn": revision.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "taskDefinition": revision.task_definition,
        "launchType": settings["launchType"],
        "capacityProviderStrategy": settings["capacityProviderStrategy"],
        "platformVersion": settings["platformVersion"],
        "platformFamily": "Linux",
        "loadBalancers": settings["loadBalancers"],
        "serviceRegistries": settings["serviceRegistries"],
        "networkConfiguration": settings["networkConfiguration"],
        "containerImages": images,
        "guardDutyEnabled": false,
        "createdAt": epoch(revision.created_at),
        "resolvedConfiguration": { "loadBalancers": resolved },
    })
}
