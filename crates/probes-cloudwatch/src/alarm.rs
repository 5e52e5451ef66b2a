//! `cloudwatch-alarm`: what does an alarm say?

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatch::types::{AlarmType, EvaluationState, StateValue};
use jiff::Timestamp;
use rollback_aws_support::asking::time;
use rollback_aws_support::{Quota, Session};
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Clock, Lasting, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::{invalid, limit, one_line, read, schema, told};
use crate::source::{Given, Source};

const KIND: &str = "cloudwatch-alarm";
const EXAMPLE: &str = "{ kind = \"cloudwatch-alarm\", alarm = \"shop-5xx\", region = \"eu-central-1\" }";

/// As documented: 9 calls a second for each account and region.
const QUOTA: Quota = Quota::new("cloudwatch", "DescribeAlarms", 9, 9.0);

/// Makes probes that read the state of an alarm, of a metric or composite.
///
/// | setting | meaning |
/// |---|---|
/// | `alarm` | its name |
/// | `timeout` | how long it may take in all, 10 s unless told otherwise |
/// | `region`, `profile`, `role_arn`, `external_id`, `endpoint_url` | where and as whom it is asked; left out: as the `aws` command |
///
/// Ok is the state `OK`; `ALARM` is not, and the detail says since when and why. `INSUFFICIENT_DATA`, an alarm that CloudWatch could
/// not evaluate, one that does not exist, and whatever keeps the answer away are [unknown](Sample::unknown). There are no numbers.
///
/// It calls [`DescribeAlarms`](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html) and
/// needs the permission `cloudwatch:DescribeAlarms`.
#[derive(Debug, Clone, Default)]
pub struct CloudWatchAlarmProbes(pub(crate) Given);

impl CloudWatchAlarmProbes {
    /// All of them ask as this session, whatever their settings say of region and credentials.
    #[must_use]
    pub fn with_session(session: Session) -> Self {
        Self(Given::of(session))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The name of the alarm
    alarm: String,
    /// How long it may take in all
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn ten_seconds() -> Lasting {
    Lasting::from_secs(10)
}

impl ProbeFactory for CloudWatchAlarmProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let (settings, aws): (Settings, _) = read(KIND, EXAMPLE, config)?;
        // As documented: 1 to 255 characters. Those that begin with `arn:` are taken for names as well, and found nowhere.
        if !(1..=255).contains(&settings.alarm.chars().count()) || settings.alarm.starts_with("arn:") {
            return Err(
                invalid(KIND, "`alarm` is not the name of an alarm").next(format!("write it like {EXAMPLE}"))
            );
        }
        let (source, clock) = (self.0.source(aws), Arc::clone(&self.0.clock));
        Ok(Arc::new(AlarmProbe {
            alarm: settings.alarm,
            limit: limit(KIND, settings.timeout)?,
            source,
            clock,
        }))
    }
}

#[derive(Debug)]
struct AlarmProbe {
    alarm: String,
    limit: Duration,
    source: Source,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Probe for AlarmProbe {
    async fn sample(&self) -> Sample {
        let name = &self.alarm;
        match within(&*self.clock, self.limit, self.look()).await {
            Some(Ok(sample)) => sample,
            Some(Err(error)) => Sample::unknown(format!("the alarm {name:?}: {}", told(&error))),
            None => {
                Sample::unknown(format!("the alarm {name:?}: no answer within {}", Lasting::new(self.limit)))
            }
        }
    }
}

impl AlarmProbe {
    async fn look(&self) -> Result<Sample> {
        let asker = self.source.asker().await?;
        let client = aws_sdk_cloudwatch::Client::new(asker.session().sending());
        let call = asker.session().reads("cloudwatch", "DescribeAlarms", "read the state of an alarm");
        let send = || {
            client
                .describe_alarms()
                .alarm_names(&self.alarm)
                // Left out, composite alarms are not told.
                .alarm_types(AlarmType::MetricAlarm)
                .alarm_types(AlarmType::CompositeAlarm)
                .send()
        };
        let region = asker.session().region();
        let answer = asker.ask(region, QUOTA, &call, |_| false, send).await?;
        Ok(match answer.and_then(|answer| Alarm::find(answer, &self.alarm)) {
            Some(alarm) => alarm.sample(&self.alarm),
            None => Sample::unknown(format!(
                "there is no alarm {:?} in {region}: see aws cloudwatch describe-alarms --region {region}",
                self.alarm
            )),
        })
    }
}

/// What is told of an alarm, of either type.
#[derive(Debug, Default)]
struct Alarm {
    state: Option<StateValue>,
    since: Option<Timestamp>,
    reason: Option<String>,
    /// Why CloudWatch could not evaluate it as it should.
    evaluation: Option<EvaluationState>,
}

impl Alarm {
    fn find(answer: DescribeAlarmsOutput, name: &str) -> Option<Self> {
        let metric =
            answer.metric_alarms.into_iter().flatten().find(|alarm| alarm.alarm_name() == Some(name));
        let of_metric = metric.map(|alarm| Self {
            since: since(alarm.state_transitioned_timestamp(), alarm.state_updated_timestamp()),
            state: alarm.state_value,
            reason: alarm.state_reason,
            evaluation: alarm.evaluation_state,
        });
        of_metric.or_else(|| {
            let mut composite = answer.composite_alarms.into_iter().flatten();
            composite.find(|alarm| alarm.alarm_name() == Some(name)).map(|alarm| Self {
                since: since(alarm.state_transitioned_timestamp(), alarm.state_updated_timestamp()),
                state: alarm.state_value,
                reason: alarm.state_reason,
                evaluation: None,
            })
        })
    }

    fn sample(&self, name: &str) -> Sample {
        Sample { since: self.since, ..self.told(name) }
    }

    fn told(&self, name: &str) -> Sample {
        let since = self.since.map_or_else(String::new, |since| format!(" since {since}"));
        let reason = match self.reason.as_deref().map(one_line) {
            Some(reason) if !reason.is_empty() => format!(": {reason}"),
            _ => String::new(),
        };
        // The state is an old one then, or of some of the data.
        if let Some(why) = &self.evaluation {
            let why = one_line(why.as_str());
            return Sample::unknown(format!(
                "the alarm {name:?} is not evaluated as it should be ({why}): look at it in CloudWatch"
            ));
        }
        match &self.state {
            Some(StateValue::Ok) => Sample::ok(format!("the alarm {name:?} is OK{since}")),
            Some(StateValue::Alarm) => Sample::bad(format!("the alarm {name:?} is in ALARM{since}{reason}")),
            Some(StateValue::InsufficientData) => Sample::unknown(format!(
                "the alarm {name:?} has INSUFFICIENT_DATA{since}{reason}; where no data means that all is well, set its TreatMissingData to notBreaching"
            )),
            Some(other) => {
                Sample::unknown(format!("the alarm {name:?} is in {:?}", one_line(other.as_str())))
            }
            None => Sample::unknown(format!("the alarm {name:?} has no state")),
        }
    }
}

/// Since when it is in its state: the other time moves on with the reason as well.
fn since(
    transitioned: Option<&aws_smithy_types::DateTime>,
    updated: Option<&aws_smithy_types::DateTime>,
) -> Option<Timestamp> {
    time(transitioned.or(updated))
}

#[cfg(test)]
mod tests;
