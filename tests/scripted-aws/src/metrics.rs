//! CloudWatch's metrics: what was written, taken together over periods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::protocol::{Fault, instant, integer, list, required, text};

/// How CloudWatch calls a request that it cannot take.
const INVALID: &str = "ValidationError";

/// Seconds and values, by namespace, name and dimensions.
#[derive(Debug, Default)]
pub(crate) struct State(BTreeMap<Key, Vec<(f64, f64)>>);

type Key = (String, String, BTreeMap<String, String>);

pub(crate) fn handle(state: &mut State, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "PutMetricData" => state.put(input),
        "GetMetricData" => state.get(input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

/// Metrics that differ in any dimension are different metrics.
fn key(namespace: &str, metric: &Value) -> Result<Key, Fault> {
    let name = required(metric, "MetricName", INVALID)?.to_owned();
    let dimensions = list(metric, "Dimensions").iter().map(|dimension| {
        let part = |name| required(dimension, name, INVALID).map(str::to_owned);
        Ok((part("Name")?, part("Value")?))
    });
    Ok((namespace.to_owned(), name, dimensions.collect::<Result<_, Fault>>()?))
}

fn number(input: &Value, name: &str) -> Result<f64, Fault> {
    input.get(name).and_then(Value::as_f64).ok_or_else(|| Fault::new(INVALID, format!("{name} is missing")))
}

impl State {
    fn put(&mut self, input: &Value) -> Result<Value, Fault> {
        let namespace = required(input, "Namespace", INVALID)?;
        for datum in list(input, "MetricData") {
            let point = (number(datum, "Timestamp")?, number(datum, "Value")?);
            self.0.entry(key(namespace, datum)?).or_default().push(point);
        }
        Ok(json!({}))
    }

    fn get(&self, input: &Value) -> Result<Value, Fault> {
        let (start, end) = (number(input, "StartTime")?, number(input, "EndTime")?);
        if start >= end {
            return Err(Fault::new(
                INVALID,
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let results = list(input, "MetricDataQueries").iter().map(|query| self.result(query, start, end));
        Ok(json!({ "MetricDataResults": results.collect::<Result<Vec<_>, _>>()?, "Messages": [] }))
    }

    /// The start is part of the time that is asked for, and the end is not. The newest come first.
    fn result(&self, query: &Value, start: f64, end: f64) -> Result<Value, Fault> {
        let stat = &query["MetricStat"];
        let metric = &stat["Metric"];
        let key = key(required(metric, "Namespace", INVALID)?, metric)?;
        let period = integer(stat, "Period").filter(|period| *period > 0);
        let period = period.ok_or_else(|| Fault::new(INVALID, "Period must be at least 1"))? as f64;
        let mut periods: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (at, value) in self.0.get(&key).into_iter().flatten().filter(|(at, _)| (start..end).contains(at))
        {
            periods.entry(((at / period).floor() * period) as i64).or_default().push(*value);
        }
        let statistic = required(stat, "Stat", INVALID)?;
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for (at, of_period) in periods.into_iter().rev() {
            times.push(instant(jiff::Timestamp::from_second(at).unwrap_or_default()));
            values.push(taken_together(statistic, &of_period)?);
        }
        let (id, label) = (required(query, "Id", INVALID)?, text(metric, "MetricName"));
        Ok(
            json!({ "Id": id, "Label": label, "Timestamps": times, "Values": values, "StatusCode": "Complete" }),
        )
    }
}

fn taken_together(statistic: &str, values: &[f64]) -> Result<f64, Fault> {
    let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
    Ok(match statistic {
        "Sum" => sum,
        "SampleCount" => count,
        "Average" => sum / count,
        "Minimum" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "Maximum" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        other => return Err(Fault::new(INVALID, format!("The double does not know the statistic {other}."))),
    })
}
