//! What follows from the facts, and what is asked for to know them.

mod artifacts;
mod bed;
mod decide;
mod lifecycle;
mod wire;

use jiff::Timestamp;
use rollback_aws_support::ecr::StoredImage;
use rollback_core::Reading;
use rollback_core::target::{Finding, Severity};
use serde_json::{Map, Value, json};

use super::images::{ImageFacts, Question};
use super::{Facts, decide};
use crate::fixtures::{self, revision, task_definition};
use crate::look::Look;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::TaskDefinition;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn now() -> Timestamp {
    at("2026-11-21T10:00:00Z")
}

fn change(value: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("{changes}") };
    value.as_object_mut().unwrap().extend(changes);
}

/// The service as it is described, with changes on the top level.
pub(super) fn described(changes: Value) -> Map<String, Value> {
    let mut described = json!({
        "serviceArn": fixtures::SERVICE, "clusterArn": fixtures::arn("ecs", "cluster/prod"),
        "status": "ACTIVE", "desiredCount": 4, "launchType": "FARGATE",
        "deploymentConfiguration": {
            "minimumHealthyPercent": 100, "maximumPercent": 200,
            "deploymentCircuitBreaker": { "enable": true, "rollback": false },
        },
        "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": revision(42), "rolloutState": "COMPLETED", "runningCount": 4 }],
    });
    change(&mut described, changes);
    described.as_object().unwrap().clone()
}

pub(super) fn look(described: &Map<String, Value>) -> Look {
    let mut look = Look::new(serde_json::from_value(Value::Object(described.clone())).unwrap());
    // Read, and nothing there.
    look.tasks = Reading::Known(Vec::new());
    look.deployments = Reading::Known(Vec::new());
    look.revisions = Reading::Known(Vec::new());
    look.at = Some(now());
    look
}

/// Nothing was found that somebody should know of.
pub(super) fn quiet() -> Facts {
    Facts {
        images: Vec::new(),
        secrets: [].into(),
        registration: Reading::Known(crate::Registration::Active),
        alarms: Reading::Absent,
        scaling: Reading::Absent,
        auto_rollback: Reading::Absent,
    }
}

/// A state whose task definition has changes on the top level and in its container.
pub(super) fn state(changes: Value, container: Value) -> EcsSnapshot {
    let mut body = task_definition(41, "v1").for_registering();
    body["taskDefinitionArn"] = json!(revision(41));
    body["status"] = json!("ACTIVE");
    change(&mut body, changes);
    change(&mut body["containerDefinitions"][0], container);
    let definition = TaskDefinition::parse(body).unwrap().redacted(&fixtures::key()).unwrap();
    let mut state = EcsSnapshot::new(fixtures::SERVICE.parse().unwrap(), revision(41), definition).unwrap();
    state.registration = crate::Registration::Active;
    state
}

pub(super) fn found(facts: &Facts, changes: Value) -> Vec<Finding> {
    let described = described(changes);
    decide(facts, &look(&described), &described, None, &fixtures::snapshot(41, "v1")).findings
}

pub(super) fn codes(found: &[Finding]) -> Vec<(&str, Severity)> {
    found.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect()
}

/// An image with one tag, pushed so many days before now.
pub(super) fn pushed(digest: &str, tags: &[&str], days: i64) -> StoredImage {
    let mut image = StoredImage::new(digest);
    image.tags = tags.iter().map(ToString::to_string).collect();
    image.pushed_at = Some(now() - jiff::SignedDuration::from_hours(24 * days));
    image
}

pub(super) fn image_facts(question: Question, stored: Reading<StoredImage>) -> ImageFacts {
    let tagged = Reading::Absent;
    let (policy, others) = (Reading::Absent, Reading::Absent);
    ImageFacts { question, found: stored, tagged, same_index: false, policy, others }
}
