//! Secrets Manager, Systems Manager, CloudWatch and Application Auto Scaling: what is asked before acting.
//!
//! Secrets and parameters are set up with the operations that AWS has for it; alarms with `PutMetricAlarm`, `PutCompositeAlarm` and
//! `SetAlarmState`; metrics with `PutMetricData`; scaling with `RegisterScalableTarget`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::metrics;
use crate::protocol::{Fault, boolean, epoch, instant, integer, required, text, texts};
use crate::world::World;

/// How Secrets Manager calls a request that it cannot take.
const INVALID: &str = "InvalidParameterException";

#[derive(Debug, Default)]
pub(crate) struct State {
    /// By ARN.
    secrets: BTreeMap<String, Secret>,
    /// Type and value by name, or by ARN for those of other accounts.
    parameters: BTreeMap<String, (String, String)>,
    /// By name.
    alarms: BTreeMap<String, Alarm>,
    metrics: metrics::State,
    /// By resource id.
    scalable: BTreeMap<String, Value>,
}

#[derive(Debug, Default)]
struct Secret {
    name: String,
    text: Option<String>,
    deleted_at: Option<jiff::Timestamp>,
    stages: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Alarm {
    composite: bool,
    state: String,
    reason: String,
    /// Since when it is in that state.
    since: jiff::Timestamp,
}

pub(crate) fn handle(world: &mut World, service: &str, op: &str, input: &Value) -> Result<Value, Fault> {
    match service {
        "secretsmanager" => secrets(world, op, input),
        "ssm" => parameters(world, op, input),
        "monitoring" | "cloudwatch" if op.ends_with("MetricData") => {
            metrics::handle(&mut world.others.metrics, op, input)
        }
        "monitoring" | "cloudwatch" => alarms(world, op, input),
        "application-autoscaling" => scaling(world, op, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

fn create_secret(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let name = required(input, "Name", INVALID)?.to_owned();
    let hex = world.hex();
    let arn = world.arn("secretsmanager", &format!("secret:{name}-{}", &hex[..6]));
    let version = world.uuid();
    let stages = BTreeMap::from([(version.clone(), vec!["AWSCURRENT".to_owned()])]);
    let text = text(input, "SecretString").map(str::to_owned);
    let secret = Secret { name: name.clone(), text, deleted_at: None, stages };
    world.others.secrets.insert(arn.clone(), secret);
    Ok(json!({ "ARN": arn, "Name": name, "VersionId": version }))
}

fn secrets(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    if op == "CreateSecret" {
        return create_secret(world, input);
    }
    let now = world.now;
    let id = required(input, "SecretId", INVALID)?;
    let found = world.others.secrets.iter_mut().find(|(arn, secret)| *arn == id || secret.name == id);
    let Some((arn, secret)) = found else {
        let message = "Secrets Manager can't find the specified secret.";
        return Err(Fault::new("ResourceNotFoundException", message));
    };
    match op {
        "DescribeSecret" => {
            let mut answer = json!({ "ARN": arn, "Name": secret.name, "VersionIdsToStages": secret.stages });
            if let Some(at) = secret.deleted_at {
                answer["DeletedDate"] = epoch(at);
            }
            Ok(answer)
        }
        "GetSecretValue" if secret.deleted_at.is_some() => {
            let message =
                "You can't perform this operation on the secret because it was marked for deletion.";
            Err(Fault::new("InvalidRequestException", message))
        }
        "GetSecretValue" => {
            let mut answer = json!({ "ARN": arn, "Name": secret.name });
            match &secret.text {
                Some(text) => answer["SecretString"] = json!(text),
                // What was given no text is binary.
                None => answer["SecretBinary"] = json!("AAEC"),
            }
            Ok(answer)
        }
        "DeleteSecret" => {
            secret.deleted_at = Some(now);
            Ok(json!({ "ARN": arn, "Name": secret.name, "DeletionDate": epoch(now) }))
        }
        "UpdateSecretVersionStage" => {
            let stage = required(input, "VersionStage", INVALID)?;
            for stages in secret.stages.values_mut() {
                stages.retain(|known| known != stage);
            }
            if let Some(version) = text(input, "MoveToVersionId") {
                secret.stages.entry(version.to_owned()).or_default().push(stage.to_owned());
            }
            // A version without a stage is deprecated, and not told of.
            secret.stages.retain(|_, stages| !stages.is_empty());
            Ok(json!({ "ARN": arn, "Name": secret.name }))
        }
        _ => Err(Fault::unknown_operation(op)),
    }
}

fn parameters(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "PutParameter" => {
            let name = required(input, "Name", "ValidationException")?.to_owned();
            let kind = text(input, "Type").unwrap_or("String").to_owned();
            let value = text(input, "Value").unwrap_or_default().to_owned();
            world.others.parameters.insert(name, (kind, value));
            Ok(json!({ "Version": 1, "Tier": "Standard" }))
        }
        "GetParameter" => get_parameter(world, input),
        "GetParameters" => get_parameters(world, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

fn get_parameter(world: &World, input: &Value) -> Result<Value, Fault> {
    let asked = required(input, "Name", "ValidationException")?;
    let (name, version) = match asked.strip_prefix(&world.arn("ssm", "parameter")) {
        Some(name) => (name, "1"),
        None if asked.starts_with("arn:") => (asked, "1"),
        None => asked.split_once(':').unwrap_or((asked, "1")),
    };
    let Some((kind, value)) = world.others.parameters.get(name) else {
        return Err(Fault::new("ParameterNotFound", ""));
    };
    if version != "1" {
        let message = format!("Systems Manager could not find version {version} of {name}.");
        return Err(Fault::new("ParameterVersionNotFound", message));
    }
    let shown = shown(kind, value, input);
    Ok(json!({ "Parameter": { "Name": name, "Type": kind, "Value": shown, "Version": 1 } }))
}

/// Undecrypted, a secure string is what it is encrypted to.
fn shown<'a>(kind: &str, value: &'a str, input: &Value) -> &'a str {
    if kind == "SecureString" && !boolean(input, "WithDecryption") { "AQICAH" } else { value }
}

fn get_parameters(world: &World, input: &Value) -> Result<Value, Fault> {
    let names = texts(input, "Names");
    if names.is_empty() || names.len() > 10 {
        let message = format!(
            "Value '{names:?}' at 'names' failed to satisfy constraint: Member must have length less than or equal to 10"
        );
        return Err(Fault::new("ValidationException", message));
    }
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        let Some((kind, value)) = world.others.parameters.get(name) else {
            invalid.push(name);
            continue;
        };
        let shown = shown(kind, value, input);
        found.push(json!({ "Name": name, "Type": kind, "Value": shown, "Version": 1 }));
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

fn alarms(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "PutMetricAlarm" | "PutCompositeAlarm" => {
            let name = required(input, "AlarmName", "ValidationError")?.to_owned();
            let alarm = Alarm {
                composite: op == "PutCompositeAlarm",
                state: "INSUFFICIENT_DATA".to_owned(),
                reason: "Unchecked: Initial alarm creation".to_owned(),
                since: world.now,
            };
            world.others.alarms.insert(name, alarm);
            Ok(json!({}))
        }
        "SetAlarmState" => {
            let name = required(input, "AlarmName", "ValidationError")?;
            let state = required(input, "StateValue", "ValidationError")?.to_owned();
            let now = world.now;
            let alarm =
                world.others.alarms.get_mut(name).ok_or_else(|| {
                    Fault::new("ResourceNotFound", "The alarm does not exist").with_status(404)
                })?;
            if alarm.state != state {
                (alarm.state, alarm.since) = (state, now);
            }
            alarm.reason = text(input, "StateReason").unwrap_or_default().to_owned();
            Ok(json!({}))
        }
        "DescribeAlarms" => describe_alarms(world, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

/// Names that are not there are left out. Composite alarms are told only where they are asked for.
fn describe_alarms(world: &World, input: &Value) -> Result<Value, Fault> {
    let (names, types) = (texts(input, "AlarmNames"), texts(input, "AlarmTypes"));
    let most = integer(input, "MaxRecords").unwrap_or(50);
    if names.len() > 100 || !(1..=100).contains(&most) {
        return Err(Fault::new("ValidationError", "Member must have length less than or equal to 100"));
    }
    let wanted = |composite: bool| {
        let kind = if composite { "CompositeAlarm" } else { "MetricAlarm" };
        if types.is_empty() { !composite } else { types.contains(&kind) }
    };
    let (mut metric, mut composite) = (Vec::new(), Vec::new());
    for (name, alarm) in &world.others.alarms {
        let named = names.is_empty() || names.contains(&name.as_str());
        if !named || !wanted(alarm.composite) || (metric.len() + composite.len()) as i64 >= most {
            continue;
        }
        let told = json!({
            "AlarmName": name,
            "AlarmArn": world.arn("cloudwatch", &format!("alarm:{name}")),
            "StateValue": alarm.state,
            "StateReason": alarm.reason,
            "StateUpdatedTimestamp": instant(world.now),
            "StateTransitionedTimestamp": instant(alarm.since),
        });
        if alarm.composite { composite.push(told) } else { metric.push(told) }
    }
    Ok(json!({ "MetricAlarms": metric, "CompositeAlarms": composite }))
}

fn scaling(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "RegisterScalableTarget" => {
            let id = required(input, "ResourceId", "ValidationException")?.to_owned();
            let mut target: Map<_, _> = input.as_object().cloned().unwrap_or_default();
            target.insert("CreationTime".to_owned(), epoch(world.now));
            target
                .entry("RoleARN")
                .or_insert_with(|| json!(format!("arn:aws:iam::{}:role/autoscaling", world.account)));
            world.others.scalable.insert(id, Value::Object(target));
            Ok(json!({ "ScalableTargetARN": world.arn("application-autoscaling", "scalable-target/1") }))
        }
        "DescribeScalableTargets" => {
            let ids = texts(input, "ResourceIds");
            if ids.len() > 50 || required(input, "ServiceNamespace", "ValidationException").is_err() {
                return Err(Fault::new("ValidationException", "1 validation error detected"));
            }
            let all = world.others.scalable.iter();
            let wanted = all.filter(|(id, _)| ids.is_empty() || ids.contains(&id.as_str()));
            let of_dimension = |target: &&Value| {
                text(input, "ScalableDimension").is_none_or(|wanted| target["ScalableDimension"] == wanted)
            };
            let targets: Vec<_> = wanted.map(|(_, target)| target).filter(of_dimension).cloned().collect();
            Ok(json!({ "ScalableTargets": targets }))
        }
        _ => Err(Fault::unknown_operation(op)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::list;

    #[test]
    fn what_is_not_there_is_told_as_aws_does() {
        let mut world = World::new("123456789012", "eu-west-1");
        let missing = handle(&mut world, "secretsmanager", "DescribeSecret", &json!({ "SecretId": "db" }));
        assert_eq!(missing.unwrap_err().code(), "ResourceNotFoundException");
        handle(&mut world, "ssm", "PutParameter", &json!({ "Name": "/a", "Value": "x" })).unwrap();
        let names = json!({ "Names": ["/a", "/b"] });
        let found = handle(&mut world, "ssm", "GetParameters", &names).unwrap();
        assert_eq!((list(&found, "Parameters").len(), &found["InvalidParameters"]), (1, &json!(["/b"])));
        let many: Vec<_> = (0..11).map(|n| format!("/{n}")).collect();
        assert!(handle(&mut world, "ssm", "GetParameters", &json!({ "Names": many })).is_err());
    }

    #[test]
    fn composite_alarms_are_told_when_asked_for() {
        let mut world = World::new("123456789012", "eu-west-1");
        for op in ["PutMetricAlarm", "PutCompositeAlarm"] {
            handle(&mut world, "monitoring", op, &json!({ "AlarmName": op })).unwrap();
        }
        let asked = json!({ "AlarmNames": ["PutMetricAlarm", "PutCompositeAlarm"] });
        let plain = handle(&mut world, "monitoring", "DescribeAlarms", &asked).unwrap();
        assert_eq!((list(&plain, "MetricAlarms").len(), list(&plain, "CompositeAlarms").len()), (1, 0));
    }
}
