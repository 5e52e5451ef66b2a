//! The probe against the double, over HTTP.

use rollback_scripted_aws::Does;
use serde_json::json;

use super::*;
use crate::stage::{Stage, assert_unknown, refusal, sample};

impl Stage {
    async fn alarm(&self, name: &str) -> Sample {
        let settings = json!({ "alarm": name, "timeout": "5s" });
        sample(&CloudWatchAlarmProbes(self.given.clone()), settings).await
    }
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.ask("PutMetricAlarm", json!({ "AlarmName": "shop-5xx" }));
    stage.ask("PutCompositeAlarm", json!({ "AlarmName": "shop" }));
    stage
}

#[tokio::test]
async fn the_state_of_an_alarm_is_read() {
    let stage = stage().await;
    for name in ["shop-5xx", "shop"] {
        stage.ask("SetAlarmState", json!({ "AlarmName": name, "StateValue": "OK", "StateReason": "fine" }));
        let seen = stage.alarm(name).await;
        assert!(seen.ok && seen.known, "{seen:?}");

        stage.cloud.tick(Duration::from_secs(3600));
        let since = stage.cloud.now();
        stage.ask(
            "SetAlarmState",
            json!({ "AlarmName": name, "StateValue": "ALARM", "StateReason": "1 datapoint (7.0) > 5.0" }),
        );
        stage.cloud.tick(Duration::from_secs(60));
        let seen = stage.alarm(name).await;
        assert!(!seen.ok && seen.known, "{seen:?}");
        assert_eq!(seen.since, Some(since));
        assert_eq!(
            seen.detail,
            format!("the alarm {name:?} is in ALARM since {since}: 1 datapoint (7.0) > 5.0")
        );
    }
}

#[tokio::test]
async fn an_alarm_without_data_is_unknown() {
    let stage = stage().await;
    for name in ["shop-5xx", "shop"] {
        // As it is when it was made.
        assert_unknown(&stage.alarm(name).await, "INSUFFICIENT_DATA");
        assert_unknown(&stage.alarm(name).await, "TreatMissingData");
    }
}

#[tokio::test]
async fn an_alarm_that_does_not_exist_is_unknown_and_says_where_to_look() {
    let seen = stage().await.alarm("shop-4xx").await;
    assert_unknown(&seen, "there is no alarm \"shop-4xx\" in eu-west-1");
    assert_unknown(&seen, "aws cloudwatch describe-alarms");
}

#[tokio::test]
async fn whatever_keeps_the_answer_away_is_unknown() {
    let stage = stage().await;
    for (does, says) in [
        (Does::Denies, "cloudwatch:DescribeAlarms"),
        (Does::Expires, "expired"),
        (Does::Throttles, "Rate exceeded"),
        (Does::Breaks, ""),
        (Does::LosesRequest, ""),
    ] {
        stage.strikes("DescribeAlarms", does);
        assert_unknown(&stage.alarm("shop-5xx").await, says);
    }
    stage.strikes("DescribeAlarms", Does::Hangs);
    let settings = json!({ "alarm": "shop-5xx", "timeout": "100ms" });
    let seen = sample(&CloudWatchAlarmProbes(stage.given.clone()), settings).await;
    assert_unknown(&seen, "no answer within 100ms");
}

#[test]
fn an_alarm_that_is_not_evaluated_is_unknown_whatever_its_state() {
    for why in
        [EvaluationState::EvaluationError, EvaluationState::EvaluationFailure, EvaluationState::PartialData]
    {
        for state in [StateValue::Ok, StateValue::Alarm] {
            let alarm = Alarm { state: Some(state), evaluation: Some(why.clone()), ..Alarm::default() };
            assert_unknown(&alarm.sample("shop-5xx"), why.as_str());
        }
    }
    assert_unknown(&Alarm::default().sample("shop-5xx"), "no state");
    let new = Alarm { state: Some(StateValue::from("SNOOZED")), ..Alarm::default() };
    assert_unknown(&new.sample("shop-5xx"), "SNOOZED");
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let factory = CloudWatchAlarmProbes::default();
    for (settings, says) in [
        (json!({ "alrm": "a" }), "did you mean \"alarm\"?"),
        (json!({}), "missing field `alarm`"),
        (json!({ "alarm": "" }), "not the name of an alarm"),
        (json!({ "alarm": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a" }), "not the name of an alarm"),
        (json!({ "alarm": "a", "timeout": "0s" }), "a timeout of nothing"),
        (json!({ "alarm": "a", "region": "Frankfurt am Main" }), "region"),
        (json!({ "alarm": "a", "endpoint_url": "http://example.com" }), "plain http"),
    ] {
        let text = refusal(&factory, settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
    }
}
