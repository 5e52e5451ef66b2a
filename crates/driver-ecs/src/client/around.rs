//! Calls that tell what stands around services, many at once.

use std::collections::HashMap;

use rollback_aws_support::Quota;
use rollback_aws_support::asking::{Asker, alike, reading, time};
use rollback_core::{Reading, Result};

use crate::inspect::{Scaling, SecretFacts, SecretId};

/// Documented per account and region: 9 calls a second for alarms. The other is a guess, which throttle answers correct.
const CLOUDWATCH: Quota = Quota::new("cloudwatch", "DescribeAlarms", 9, 9.0);
const SCALING: Quota = Quota::new("application-autoscaling", "target read", 10, 10.0);

pub(super) async fn secret(asker: Asker, id: SecretId) -> Reading<SecretFacts> {
    let client = aws_sdk_secretsmanager::Client::new(&asker.session().sending_in(&id.region));
    let call = asker.session().reads("secretsmanager", "DescribeSecret", "see whether a secret is there");
    let send = || client.describe_secret().secret_id(&id.name).send();
    let gone = |error: &aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError| {
        error.is_resource_not_found_exception()
    };
    let answer = asker.ask(&id.region, Quota::SECRETS, &call, gone, send).await;
    reading(answer.map(|answer| {
        let answer = answer?;
        let stages = answer.version_ids_to_stages.unwrap_or_default();
        Some(SecretFacts {
            deleted_at: time(answer.deleted_date.as_ref()),
            stages: stages.into_iter().map(|(id, stages)| (id, stages.into_iter().collect())).collect(),
        })
    }))
}

/// Values come with the answer, undecrypted, and are dropped with it.
pub(super) async fn parameters(
    asker: Asker,
    region: String,
    names: Vec<String>,
) -> Result<HashMap<String, Reading<()>>> {
    let client = aws_sdk_ssm::Client::new(&asker.session().sending_in(&region));
    let call = asker.session().reads("ssm", "GetParameters", "see whether parameters are there");
    let send = || client.get_parameters().set_names(Some(names.clone())).with_decryption(false).send();
    match asker.ask(&region, Quota::PARAMETERS, &call, |_| false, send).await {
        Ok(answer) => {
            let invalid = answer.and_then(|answer| answer.invalid_parameters).unwrap_or_default();
            let there = names.into_iter().filter(|name| !invalid.contains(name));
            Ok(there.map(|name| (name, Reading::Known(()))).collect())
        }
        // One that may not be asked for spoils the others: the batcher asks for each alone then.
        Err(error) if names.len() > 1 => Err(error),
        Err(error) => Ok(alike(names, &Reading::Unknown(error.message().to_owned()))),
    }
}

pub(super) async fn alarms(asker: Asker, names: Vec<String>) -> Result<HashMap<String, Reading<String>>> {
    use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
    let region = asker.session().region();
    let client = aws_sdk_cloudwatch::Client::new(asker.session().sending());
    let call = asker.session().reads("cloudwatch", "DescribeAlarms", "read the state of alarms");
    let send = || {
        client
            .describe_alarms()
            .set_alarm_names(Some(names.clone()))
            // Left out, composite alarms are not told.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(100)
            .send()
    };
    let answer = match asker.ask(region, CLOUDWATCH, &call, |_| false, send).await {
        Ok(answer) => answer,
        Err(error) => return Ok(alike(names, &Reading::Unknown(error.message().to_owned()))),
    };
    let Some(answer) = answer else { return Ok(HashMap::new()) };
    let metric = answer.metric_alarms.unwrap_or_default().into_iter().map(|a| (a.alarm_name, a.state_value));
    let composite =
        answer.composite_alarms.unwrap_or_default().into_iter().map(|a| (a.alarm_name, a.state_value));
    let state = |state: Option<StateValue>| state.map_or_else(String::new, |state| state.as_str().to_owned());
    Ok(metric
        .chain(composite)
        .filter_map(|(name, found)| Some((name?, Reading::Known(state(found)))))
        .collect())
}

pub(super) async fn scaling(asker: Asker, ids: Vec<String>) -> Result<HashMap<String, Reading<Scaling>>> {
    use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
    let region = asker.session().region();
    let client = aws_sdk_applicationautoscaling::Client::new(asker.session().sending());
    let call = asker.session().reads(
        "application-autoscaling",
        "DescribeScalableTargets",
        "read what scales the service",
    );
    let send = || {
        client
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs)
            .set_resource_ids(Some(ids.clone()))
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .send()
    };
    let answer = match asker.ask(region, SCALING, &call, |_| false, send).await {
        Ok(answer) => answer,
        Err(error) => return Ok(alike(ids, &Reading::Unknown(error.message().to_owned()))),
    };
    let targets = answer.and_then(|answer| answer.scalable_targets).unwrap_or_default();
    Ok(targets
        .into_iter()
        .map(|target| {
            let suspended = target.suspended_state.is_some_and(|state| {
                [
                    state.dynamic_scaling_in_suspended,
                    state.dynamic_scaling_out_suspended,
                    state.scheduled_scaling_suspended,
                ]
                .iter()
                .all(|suspended| *suspended == Some(true))
            });
            let scaling = Scaling { least: target.min_capacity, most: target.max_capacity, suspended };
            (target.resource_id, Reading::Known(scaling))
        })
        .collect())
}
