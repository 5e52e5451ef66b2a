//! What the tests of several modules share.

use rollback_core::Reading;
use serde_json::{Value, json};

use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::{Circumstances, NativeDeployment};
use crate::coupled::Coupled;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::{Registration, TaskDefinition};
use rollback_core::fingerprint::FingerprintKey;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const SERVICE: &str = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web";
pub(crate) const REPOSITORY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web";
pub(crate) const PARAMETER: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/db";

pub(crate) fn arn(service: &str, resource: &str) -> Arn {
    format!("arn:aws:{service}:eu-west-1:{ACCOUNT}:{resource}").parse().unwrap()
}

pub(crate) fn revision(number: u32) -> TaskDefinitionArn {
    arn("ecs", &format!("task-definition/web:{number}")).as_str().parse().unwrap()
}

pub(crate) fn key() -> FingerprintKey {
    FingerprintKey::public(crate::NAME, ACCOUNT)
}

pub(crate) fn task_definition(number: u32, tag: &str) -> TaskDefinition {
    let value: Value = json!({
        "taskDefinitionArn": revision(number),
        "family": "web",
        "status": "ACTIVE",
        "cpu": "256",
        "containerDefinitions": [{
            "name": "web",
            "image": format!("{REPOSITORY}:{tag}"),
            "environment": [{ "name": "LOG_LEVEL", "value": "info" }],
            "secrets": [{ "name": "DB", "valueFrom": PARAMETER }],
            "portMappings": [{ "containerPort": 80 }],
        }],
    });
    TaskDefinition::parse(value).unwrap()
}

pub(crate) fn snapshot(number: u32, tag: &str) -> EcsSnapshot {
    let definition = task_definition(number, tag).redacted(&key()).unwrap();
    let mut snapshot = EcsSnapshot::new(SERVICE.parse().unwrap(), revision(number), definition).unwrap();
    snapshot.registration = Registration::Active;
    snapshot
}

pub(crate) fn coupled() -> Coupled {
    let described = json!({
        "platformVersion": "1.4.0",
        "loadBalancers": [{ "targetGroupArn": arn("elasticloadbalancing", "targetgroup/blue/1"), "containerPort": 80 }],
    });
    Coupled::of(described.as_object().unwrap(), &key())
}

/// ECS is moving the service from revision 41 to 42.
pub(crate) fn rolling_out() -> Circumstances {
    let deployment = arn("ecs", "service-deployment/prod/web/abc");
    Circumstances {
        native: Some(NativeDeployment::new(deployment, Some(revision(41)))),
        ..Circumstances::default()
    }
}

pub(crate) fn known<T>(value: T) -> Reading<T> {
    Reading::Known(value)
}
