#![doc = include_str!("../README.md")]

mod alarm;
mod metric;
mod settings;
mod source;
#[cfg(test)]
mod stage;

pub use self::alarm::CloudWatchAlarmProbes;
pub use self::metric::CloudWatchMetricProbes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rollback_core::probe::ProbeFactory;
    use serde_json::{Value, json};

    /// Editors are told of exactly the settings that are read.
    #[test]
    fn every_kind_has_a_schema_of_its_settings() {
        let (metric, alarm) =
            (super::CloudWatchMetricProbes::default(), super::CloudWatchAlarmProbes::default());
        for factory in [&metric as &dyn ProbeFactory, &alarm] {
            let schema = factory.config_schema();
            let settings = schema["properties"].as_object().unwrap_or_else(|| panic!("{schema:#}"));
            let mut described: Vec<_> = settings.keys().map(String::as_str).collect();
            described.sort_unstable();
            for (name, setting) in settings {
                assert!(setting["description"].is_string(), "{} {name} says nothing", factory.kind());
            }
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", factory.kind());
            let wrong = json!({ "no-such-setting": 1 });
            let error = factory.build(wrong.as_object().unwrap()).unwrap_err();
            let (_, known) = error.next_step().unwrap().split_once("the settings are: ").unwrap();
            let mut known: Vec<_> = known.split(", ").collect();
            known.sort_unstable();
            assert_eq!(described, known, "{}", factory.kind());
        }
    }

    /// The policy in the guide allows what is called, and nothing else.
    #[tokio::test]
    async fn the_least_permissions_are_those_of_the_calls() {
        const GUIDE: &str = include_str!("../../../docs/probes-cloudwatch.md");
        let (_, rest) = GUIDE.split_once("<!-- policy: probes -->\n```json\n").unwrap();
        let policy: Value = serde_json::from_str(rest.split_once("\n```").unwrap().0).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let allowed: BTreeSet<_> =
            statements.iter().map(|statement| statement["Action"].as_str().unwrap().to_owned()).collect();

        let stage = crate::stage::Stage::new().await;
        let metric = json!({ "namespace": "a", "name": "b", "statistic": "Sum" });
        crate::stage::sample(&super::CloudWatchMetricProbes(stage.given.clone()), metric).await;
        let alarm = json!({ "alarm": "a" });
        crate::stage::sample(&super::CloudWatchAlarmProbes(stage.given.clone()), alarm).await;
        let called = stage.cloud.calls().into_iter().map(|call| format!("cloudwatch:{}", call.operation));
        assert_eq!(called.collect::<BTreeSet<_>>(), allowed);
    }
}
