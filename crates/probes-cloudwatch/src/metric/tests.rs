//! The probe against the double, over HTTP.

use rollback_scripted_aws::Does;
use serde_json::json;

use super::*;
use crate::stage::{Stage, assert_unknown, refusal, sample};

fn settings(more: Value) -> Value {
    let mut settings = json!({
        "namespace": "AWS/ApplicationELB", "name": "HTTPCode_Target_5XX_Count", "statistic": "Sum", "metric": "errors",
        "dimensions": { "LoadBalancer": "app/shop/1", "TargetGroup": "tg/web/2" },
    });
    let Value::Object(more) = more else { panic!() };
    settings.as_object_mut().unwrap().extend(more);
    settings
}

impl Stage {
    async fn metric(&self, more: Value) -> Sample {
        sample(&CloudWatchMetricProbes(self.given.clone()), settings(more)).await
    }

    /// Writes a datapoint so many seconds before the full minute that has just begun or gone by.
    fn put(&self, seconds_ago: i64, value: f64) {
        let minute = self.cloud.now().as_second().div_euclid(60) * 60;
        self.ask(
            "PutMetricData",
            json!({
                "Namespace": "AWS/ApplicationELB",
                "MetricData": [{
                    "MetricName": "HTTPCode_Target_5XX_Count",
                    "Dimensions": [{ "Name": "LoadBalancer", "Value": "app/shop/1" },
                                   { "Name": "TargetGroup", "Value": "tg/web/2" }],
                    "Timestamp": minute - seconds_ago, "Value": value,
                }],
            }),
        );
    }
}

fn assert_reads(seen: &Sample, value: f64) {
    assert!(seen.ok && seen.known, "{seen:?}");
    assert_eq!(seen.metrics["errors"], value, "{seen:?}");
}

#[tokio::test]
async fn the_newest_period_that_is_over_is_read() {
    let stage = Stage::new().await;
    stage.put(90, 40.0);
    stage.put(50, 3.0);
    stage.put(10, 4.0);
    // Of the period that goes on: its sum is too small, so that it would look as if errors had ceased.
    stage.cloud.tick(Duration::from_secs(20));
    stage.put(0, 1.0);
    let seen = stage.metric(json!({})).await;
    assert_reads(&seen, 7.0);
    assert!(
        seen.detail.starts_with("errors is 7 (Sum of HTTPCode_Target_5XX_Count over the 1m from "),
        "{seen:?}"
    );
    assert_reads(&stage.metric(json!({ "statistic": "Maximum" })).await, 4.0);
    assert_eq!(stage.cloud.calls()[0].input["MetricDataQueries"][0]["MetricStat"]["Period"], 60);
}

#[tokio::test]
async fn a_metric_without_a_new_datapoint_is_unknown_unless_told_what_that_means() {
    let stage = Stage::new().await;
    assert_unknown(&stage.metric(json!({})).await, "has no datapoint of the last 6m");
    stage.put(10, 4.0);
    stage.cloud.tick(Duration::from_secs(3600));
    assert_unknown(&stage.metric(json!({})).await, "if_missing = 0.0");
    assert_reads(&stage.metric(json!({ "if_missing": 0.0 })).await, 0.0);
    assert_reads(&stage.metric(json!({ "max_age": "2h", "if_missing": 0.0 })).await, 4.0);
}

#[tokio::test]
async fn a_metric_is_found_by_all_of_its_dimensions_alone() {
    let stage = Stage::new().await;
    stage.put(10, 4.0);
    let some = json!({ "dimensions": { "LoadBalancer": "app/shop/1" } });
    assert_unknown(&stage.metric(some).await, "all dimensions are right");
}

#[tokio::test]
async fn whatever_keeps_the_answer_away_is_unknown_and_never_what_is_missing_means() {
    let stage = Stage::new().await;
    stage.put(10, 4.0);
    for (does, says) in [
        (Does::Denies, "cloudwatch:GetMetricData"),
        (Does::Expires, "expired"),
        (Does::Throttles, "Rate exceeded"),
        (Does::Breaks, ""),
        (Does::LosesRequest, ""),
    ] {
        stage.strikes("GetMetricData", does);
        assert_unknown(&stage.metric(json!({ "if_missing": 0.0 })).await, says);
    }
    stage.strikes("GetMetricData", Does::Hangs);
    let seen = stage.metric(json!({ "if_missing": 0.0, "timeout": "100ms" })).await;
    assert_unknown(&seen, "no answer within 100ms");
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let factory = CloudWatchMetricProbes::default();
    for (more, says) in [
        (json!({ "namspace": "a" }), "did you mean \"namespace\"?"),
        (json!({ "statistic": "" }), "`statistic` is empty"),
        (json!({ "metric": " " }), "`metric` is empty"),
        (json!({ "dimensions": { "LoadBalancer": "" } }), "`dimensions` is empty"),
        (json!({ "dimensions": ["LoadBalancer"] }), "expected a map"),
        (json!({ "period": "90s" }), "no period of 1m30s"),
        (json!({ "max_age": "2d" }), "longer than a day"),
        (json!({ "if_missing": "zero" }), "invalid type"),
        (json!({ "timeout": "0s" }), "a timeout of nothing"),
        (json!({ "region": "" }), "region"),
    ] {
        let text = refusal(&factory, settings(more.clone()));
        assert!(text.contains(says), "{more}: {text}");
    }
    let text = refusal(&factory, json!({ "namespace": "a", "name": "b" }));
    assert!(text.contains("missing field `statistic`"), "{text}");
}
