//! Each case is a small answer of the API as AWS documents it.

mod course;
mod parts;

use rollback_core::target::{Certainty, Phase, Proof};
use rollback_core::{Goal, Reading, Snapshot as _};
use serde_json::{Value, json};

use super::*;
use crate::circumstances::Controller;
use crate::fixtures::{SERVICE, arn, key, known, revision, snapshot, task_definition};

const BEGAN: &str = "2026-11-21T10:00:00Z";

fn deployment(id: &str, status: &str, number: u32, state: &str, counts: (u32, u32)) -> Value {
    json!({
        "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": revision(number), "rolloutState": state,
        "desiredCount": counts.0, "runningCount": counts.1, "createdAt": BEGAN,
    })
}

fn service(deployments: impl Into<Value>) -> Value {
    json!({ "serviceArn": SERVICE, "status": "ACTIVE", "desiredCount": 2, "deployments": deployments.into() })
}

fn look(service: Value) -> Look {
    let mut look = Look::new(serde_json::from_value(service).unwrap());
    for (number, tag) in [(40, "v0"), (41, "v1"), (42, "v2")] {
        let definition = task_definition(number, tag).redacted(&key()).unwrap();
        look.definitions.insert(revision(number), definition);
    }
    look
}

fn digest(number: u32) -> Digest {
    Digest::of_bytes(&number.to_be_bytes())
}

fn task(id: &str, number: u32, image: u32) -> Task {
    serde_json::from_value(json!({
        "taskArn": format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}"), "taskDefinitionArn": revision(number),
        "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "healthStatus": "HEALTHY", "startedAt": BEGAN,
        "containers": [{ "name": "web", "imageDigest": digest(image) }],
    }))
    .unwrap()
}

fn stopped(id: &str, number: u32) -> Task {
    serde_json::from_value(json!({
        "taskArn": format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}"), "taskDefinitionArn": revision(number),
        "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stoppedAt": BEGAN,
        "stoppedReason": "Essential container in task exited", "containers": [{ "name": "web", "exitCode": 1 }],
    }))
    .unwrap()
}

fn native(status: &str, rest: &Value) -> Reading<Vec<ServiceDeployment>> {
    let mut value = json!({
        "serviceDeploymentArn": arn("ecs", "service-deployment/prod/web/abc"), "status": status,
        "targetServiceRevision": { "arn": "rev/42" }, "sourceServiceRevisions": [{ "arn": "rev/41" }],
    });
    value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    known(vec![serde_json::from_value(value).unwrap()])
}

fn revisions() -> Reading<Vec<ServiceRevision>> {
    known(
        [41, 42]
            .into_iter()
            .map(|number| {
                serde_json::from_value(json!({
                    "serviceRevisionArn": format!("rev/{number}"), "taskDefinition": revision(number),
                    "containerImages": [{ "containerName": "web", "image": "web", "imageDigest": digest(number) }],
                }))
                .unwrap()
            })
            .collect(),
    )
}

fn settled_look() -> Look {
    let mut look = look(service(json!([deployment("2", "PRIMARY", 42, "COMPLETED", (2, 2))])));
    look.tasks = known(vec![task("a", 42, 42), task("b", 42, 42)]);
    look.revisions = revisions();
    look.deployments = native("SUCCESSFUL", &json!({}));
    look
}

fn rolling_look() -> Look {
    let mut look = look(service(json!([
        deployment("2", "PRIMARY", 42, "IN_PROGRESS", (2, 1)),
        deployment("1", "ACTIVE", 41, "COMPLETED", (2, 2)),
    ])));
    look.tasks = known(vec![task("a", 41, 41), task("b", 41, 41), task("c", 42, 42)]);
    look.revisions = revisions();
    look.deployments = native("IN_PROGRESS", &json!({ "lifecycleStage": "SCALE_UP" }));
    look
}

fn text(phase: &Phase) -> &str {
    match phase {
        Phase::Progressing(text) | Phase::Paused(text) | Phase::Failed(text) => text,
        _ => "settled",
    }
}

fn goal(number: u32, tag: &str) -> EcsSnapshot {
    let mut goal = snapshot(number, tag);
    goal.digests = BTreeMap::from([("web".to_owned(), digest(number))]);
    goal
}

fn proof(look: &Look, goal: &EcsSnapshot) -> Proof {
    look.evidence(goal).unwrap().judge(goal.info().identity, &Goal::runs(goal.clone()))
}

fn code_deploy_look(status: &str) -> Look {
    let mut value = service(json!([]));
    value["deploymentController"] = json!({ "type": "CODE_DEPLOY" });
    value["taskSets"] = json!([
        { "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": revision(41), "computedDesiredCount": 2, "runningCount": 2 },
        { "id": "ecs-svc/2", "status": "ACTIVE", "taskDefinition": revision(42), "computedDesiredCount": 2, "runningCount": 2 },
    ]);
    let mut look = look(value);
    look.code_deploy = known(vec![
        serde_json::from_value(json!({
            "deploymentId": "d-ABC", "status": status, "startTime": BEGAN, "taskDefinition": revision(42),
        }))
        .unwrap(),
    ]);
    look.tasks = known(vec![task("a", 41, 41), task("b", 41, 41)]);
    look
}
