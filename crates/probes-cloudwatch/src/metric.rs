//! `cloudwatch-metric`: the newest datapoint of a metric.

mod answer;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use rollback_aws_support::{Quota, Session};
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Clock, Lasting, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::window::Window;
use crate::settings::{invalid, limit, read, schema, told};
use crate::source::{Given, Source};

const KIND: &str = "cloudwatch-metric";
const EXAMPLE: &str = "{ kind = \"cloudwatch-metric\", namespace = \"AWS/ApplicationELB\", name = \"TargetResponseTime\", statistic = \"p95\", dimensions = { LoadBalancer = \"app/shop/50dc6c495c0c9188\" } }";

/// Documented are 50 calls a second for each account, and more in the large regions.
const QUOTA: Quota = Quota::new("cloudwatch", "GetMetricData", 50, 50.0);

/// The only query of a request has a name all the same.
const ID: &str = "m";

/// Makes probes that read the newest datapoint of one metric.
///
/// | setting | meaning |
/// |---|---|
/// | `namespace`, `name` | which metric: `AWS/ApplicationELB`, `TargetResponseTime` |
/// | `dimensions` | a table of its dimensions, all of them: CloudWatch finds no metric by some of its dimensions |
/// | `statistic` | `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount`, or another that CloudWatch knows, such as `p95` |
/// | `period` | over how long a datapoint is taken, `1m` unless told otherwise |
/// | `max_age` | how long ago its period may have ended, `5m` or three periods unless told otherwise, whichever is longer |
/// | `if_missing` | the number where there is no such datapoint, for metrics that are only written when there is something to count; left out, it is unknown |
/// | `metric` | the name that the number gets, `value` unless told otherwise |
/// | `timeout` | how long it may take in all, 10 s unless told otherwise |
/// | `region`, `profile`, `role_arn`, `external_id`, `endpoint_url` | where and as whom it is asked; left out: as the `aws` command |
///
/// Ok is a number that was read, **whatever it is**: hold it to a limit with `above` or `below`, since a rule without any is met by
/// every number. Numbers: that one.
///
/// Only periods that are over are asked for: the sum of one that is not is too small. CloudWatch may still change the datapoint of
/// one that has just ended, so hold it for some minutes (`lasting`).
///
/// It calls [`GetMetricData`](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html) and
/// needs the permission `cloudwatch:GetMetricData`.
#[derive(Debug, Clone, Default)]
pub struct CloudWatchMetricProbes(pub(crate) Given);

impl CloudWatchMetricProbes {
    /// All of them ask as this session, whatever their settings say of region and credentials.
    #[must_use]
    pub fn with_session(session: Session) -> Self {
        Self(Given::of(session))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The metric's namespace, like `AWS/ApplicationELB`
    namespace: String,
    /// The metric's name, like `TargetResponseTime`
    name: String,
    /// All of its dimensions
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
    /// `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount`, `p95`, …
    statistic: String,
    /// Over how long a datapoint is taken
    #[serde(default = "a_minute")]
    #[schemars(with = "String")]
    period: Lasting,
    /// How long ago the datapoint's period may have ended
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    max_age: Option<Lasting>,
    /// The number where there is no datapoint; else nobody knows
    #[serde(default)]
    if_missing: Option<f64>,
    /// The name that the number gets
    #[serde(default = "value")]
    metric: String,
    /// How long it may take in all
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn a_minute() -> Lasting {
    Lasting::from_secs(60)
}

fn ten_seconds() -> Lasting {
    Lasting::from_secs(10)
}

fn value() -> String {
    "value".to_owned()
}

impl ProbeFactory for CloudWatchMetricProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let (settings, aws): (Settings, _) = read(KIND, EXAMPLE, config)?;
        let dimensions = settings
            .dimensions
            .iter()
            .flat_map(|(name, value)| [("dimensions", name), ("dimensions", value)]);
        let texts = [
            ("namespace", &settings.namespace),
            ("name", &settings.name),
            ("statistic", &settings.statistic),
            ("metric", &settings.metric),
        ];
        if let Some((name, _)) = texts.into_iter().chain(dimensions).find(|(_, text)| text.trim().is_empty())
        {
            return Err(invalid(KIND, format!("`{name}` is empty")).next(format!("write it like {EXAMPLE}")));
        }
        // As documented.
        if settings.dimensions.len() > 30 {
            return Err(invalid(KIND, "a metric has 30 dimensions at most")
                .next("leave those out that it does not have"));
        }
        let window = Window::new(KIND, settings.period, settings.max_age)?;
        let limit = limit(KIND, settings.timeout)?;
        let (source, clock) = (self.0.source(aws), Arc::clone(&self.0.clock));
        Ok(Arc::new(MetricProbe { settings, window, limit, source, clock }))
    }
}

struct MetricProbe {
    settings: Settings,
    window: Window,
    limit: Duration,
    source: Source,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for MetricProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricProbe")
            .field("namespace", &self.settings.namespace)
            .field("name", &self.settings.name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Probe for MetricProbe {
    async fn sample(&self) -> Sample {
        let name = &self.settings.name;
        match within(&*self.clock, self.limit, self.look()).await {
            Some(Ok(sample)) => sample,
            Some(Err(error)) => Sample::unknown(format!("{name}: {}", told(&error))),
            None => Sample::unknown(format!("{name}: no answer within {}", Lasting::new(self.limit))),
        }
    }
}

impl MetricProbe {
    async fn look(&self) -> Result<Sample> {
        let asker = self.source.asker().await?;
        let client = aws_sdk_cloudwatch::Client::new(asker.session().sending());
        let call = asker.session().reads("cloudwatch", "GetMetricData", "read a metric");
        let (start, end) = self.window.at(self.clock.now());
        let send = || {
            client
                .get_metric_data()
                .metric_data_queries(self.query())
                .start_time(DateTime::from_secs(start))
                .end_time(DateTime::from_secs(end))
                .scan_by(ScanBy::TimestampDescending)
                .send()
        };
        let answer = asker.ask(asker.session().region(), QUOTA, &call, |_| false, send).await?;
        let newest = answer.as_ref().ok_or_else(|| "there was no answer".to_owned()).and_then(answer::newest);
        Ok(match newest {
            Ok(newest) => self.judge(newest),
            Err(why) => Sample::unknown(format!("{}: {why}", self.settings.name)),
        })
    }

    fn query(&self) -> MetricDataQuery {
        let dimension = |(name, value)| Dimension::builder().name(name).value(value).build();
        let metric = Metric::builder()
            .namespace(&self.settings.namespace)
            .metric_name(&self.settings.name)
            .set_dimensions(Some(self.settings.dimensions.iter().map(dimension).collect()));
        let statistic = MetricStat::builder()
            .metric(metric.build())
            .period(self.window.period())
            .stat(&self.settings.statistic);
        MetricDataQuery::builder().id(ID).metric_stat(statistic.build()).return_data(true).build()
    }

    fn judge(&self, newest: Option<answer::Datapoint>) -> Sample {
        let Settings { name, statistic, period, metric, if_missing, .. } = &self.settings;
        match (newest, if_missing) {
            (Some(found), _) => Sample::ok(format!(
                "{metric} is {} ({statistic} of {name} over the {period} from {})",
                found.value, found.at
            ))
            .with(metric, found.value),
            (None, Some(number)) => {
                Sample::ok(format!("{metric} is {number}: {name} has no datapoint, and `if_missing` says so"))
                    .with(metric, *number)
            }
            (None, None) => Sample::unknown(format!(
                "{name} has no datapoint of the last {}: see whether namespace, name and all dimensions are right, as with aws cloudwatch list-metrics; where none means zero, set if_missing = 0.0",
                self.window.reaches_back()
            )),
        }
    }
}

#[cfg(test)]
mod tests;
