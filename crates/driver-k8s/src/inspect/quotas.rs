//! Whether quotas leave room for the way back.

use rollback_core::Result;
use rollback_core::target::Finding;
use serde_json::Value;

use super::needs::Needs;
use super::pace::Pace;
use crate::look::Look;
use crate::quantity::Quantity;
use crate::template::Template;
use crate::text::{line, list, text};

/// What is in short supply, for the pods that start before others stop, and for all of them in the end.
pub(super) fn findings(look: &Look, to: &Template, read: Result<Vec<Value>>) -> Vec<Finding> {
    let all = match read {
        Ok(all) => all,
        Err(error) => {
            let message = format!("whether a quota leaves room could not be read: {}", error.message());
            return vec![Finding::info("quota-unknown", message)];
        }
    };
    let (pace, needs) = (Pace::of(look), Needs::of(to));
    let counts = all.iter().filter(|quota| counts_pods(quota, &needs));
    counts.filter_map(|quota| short_of(quota, look, pace, &needs)).collect()
}

/// Whether a quota is about pods like these. Of one that says it in a way that is not known here, nothing is said.
fn counts_pods(quota: &Value, needs: &Needs) -> bool {
    let scopes = list(quota, "/spec/scopes").iter().filter_map(Value::as_str);
    let plain = list(quota, "/spec/scopeSelector/matchExpressions").iter().map(|term| {
        let exists = text(term, "/operator") == Some("Exists");
        text(term, "/scopeName").filter(|_| exists).unwrap_or("another")
    });
    scopes.chain(plain).all(|scope| match scope {
        "NotTerminating" => true,
        "BestEffort" => needs.is_best_effort(),
        "NotBestEffort" => !needs.is_best_effort(),
        _ => false,
    })
}

/// The first thing that a quota is short of.
fn short_of(quota: &Value, look: &Look, pace: Pace, needs: &Needs) -> Option<Finding> {
    let name = line(text(quota, "/metadata/name").unwrap_or("?"));
    let hard = quota.pointer("/status/hard")?.as_object()?;
    hard.iter().find_map(|(counted, hard)| {
        let each = needs.get(counted)?;
        let amount = |value: &Value| Quantity::parse(value.as_str()?);
        let used = quota.pointer("/status/used")?.get(counted).and_then(amount)?;
        let room = (amount(hard)? - used).max(Quantity::default());
        let shown =
            |amount: Quantity| amount.shown(counted.contains("memory") || counted.contains("storage"));
        let leaves = format!("quota {name} leaves room for {} of {}", shown(room), line(counted));
        let more = each.times(pace.wanted) - runs(look, counted);
        if (more - room).is_positive() {
            let message = format!(
                "{leaves}, and {} pods of the destination need {} more than those that run",
                pace.wanted,
                shown(more)
            );
            return Some(Finding::warning("quota", message).next("make room: not all of them will start"));
        }
        let starts = pace.starts.filter(|starts| *starts > 0)?;
        let surge = each.times(starts);
        if !(surge - room).is_positive() {
            return None;
        }
        let message =
            format!("{leaves}, and a rollout may start {starts} more before others stop: {}", shown(surge));
        let next = match pace.stops {
            Some(0) => "make room: none may stop before another has started, so it would wait for ever",
            _ => "make room, or expect a slower rollout",
        };
        Some(Finding::warning("quota", message).next(next))
    })
}

/// How much of it the pods of the workload use now.
fn runs(look: &Look, counted: &str) -> Quantity {
    let of = |index: usize| {
        let each = Needs::of(&look.entries[index].template).get(counted).unwrap_or_default();
        each.times(look.pods_of(index).len() as u64)
    };
    (0..look.entries.len()).map(of).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::look::tests::{Bed, ready, template};
    use crate::workload::Kind;

    fn quota(counted: &str, hard: &str, used: &str) -> Value {
        json!({ "metadata": { "name": "compute" }, "spec": {}, "status": { "hard": { counted: hard }, "used": { counted: used } } })
    }

    fn sized(image: &str, cpu: &str) -> Value {
        let mut sized = template(image);
        sized["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu, "memory": "64Mi" } });
        sized
    }

    /// Three pods of v2 that run, and v1 to go back to.
    fn look(kind: Kind, cpu: &str, strategy: &Value) -> Look {
        let mut bed = Bed::of(kind, 3).set("/spec/template", sized("v2", "500m"));
        bed = bed.entry(1, &sized("v1", cpu)).entry(2, &sized("v2", "500m")).pods(2, 3, &ready());
        bed.status(&json!({ "desiredNumberScheduled": 3 })).set("/spec/strategy", strategy.clone()).look()
    }

    fn said(look: &Look, quota: Value) -> Option<(String, String)> {
        let to = look.state(1).unwrap().template;
        let found = findings(look, &to, Ok(vec![quota]));
        assert!(found.len() <= 1 && found.iter().all(|one| one.code == "quota"));
        let one = found.into_iter().next()?;
        Some((one.message, one.next.unwrap_or_default()))
    }

    #[test]
    fn what_starts_before_others_stop_is_counted_in_all_that_quotas_count() {
        let rolling = |stops: u64| json!({ "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": stops } });
        let look_of = look(Kind::Deployment, "500m", &rolling(1));
        for (counted, hard, used) in [
            ("pods", "4", "3"),
            ("cpu", "2", "1500m"),
            ("requests.cpu", "2", "1.5"),
            ("requests.memory", "256Mi", "192Mi"),
        ] {
            assert_eq!(said(&look_of, quota(counted, hard, used)), None, "{counted}");
        }
        for (counted, hard, used, wanted) in [
            (
                "pods",
                "3",
                "3",
                "leaves room for 0 of pods, and a rollout may start 1 more before others stop: 1",
            ),
            (
                "cpu",
                "1900m",
                "1500m",
                "leaves room for 400m of cpu, and a rollout may start 1 more before others stop: 500m",
            ),
            (
                "memory",
                "200Mi",
                "192Mi",
                "leaves room for 8Mi of memory, and a rollout may start 1 more before others stop: 64Mi",
            ),
        ] {
            let (message, next) = said(&look_of, quota(counted, hard, used)).expect(counted);
            assert!(message.contains(wanted) && next.contains("slower"), "{message}: {next}");
        }
        let (_, next) = said(&look(Kind::Deployment, "500m", &rolling(0)), quota("pods", "3", "3")).unwrap();
        assert!(next.contains("for ever"), "{next}");
        // What it does not ask for, and what is not counted here, is nobody's business.
        assert_eq!(said(&look_of, quota("limits.cpu", "0", "0")), None);
        assert_eq!(said(&look_of, quota("services", "0", "0")), None);
        assert_eq!(said(&look_of, quota("cpu", "lots", "0")), None);
    }

    #[test]
    fn an_earlier_version_that_needs_more_is_told_for_every_kind() {
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
            let larger = look(kind, "800m", &json!({}));
            let (message, _) = said(&larger, quota("requests.cpu", "2", "1500m")).expect("it does not fit");
            assert!(
                message.contains("500m of requests.cpu, and 3 pods of the destination need 900m more"),
                "{kind}: {message}"
            );
            assert_eq!(said(&larger, quota("requests.cpu", "2400m", "1500m")), None, "{kind}");
            // What was used beyond it by somebody else is no negative room.
            assert_eq!(
                said(&look(kind, "100m", &json!({})), quota("requests.cpu", "1", "9")),
                None,
                "{kind}"
            );
        }
    }

    #[test]
    fn a_quota_of_other_pods_is_left_out() {
        let look = look(Kind::Deployment, "500m", &json!({ "rollingUpdate": { "maxSurge": 1 } }));
        let scoped = |spec: Value| {
            let mut full = quota("pods", "3", "3");
            full["spec"] = spec;
            said(&look, full).is_some()
        };
        assert!(scoped(json!({ "scopes": ["NotTerminating", "NotBestEffort"] })));
        assert!(
            !scoped(json!({ "scopes": ["Terminating"] })) && !scoped(json!({ "scopes": ["BestEffort"] }))
        );
        let term = |operator: &str| json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "NotBestEffort", "operator": operator }] } });
        assert!(scoped(term("Exists")) && !scoped(term("DoesNotExist")));
        let class = json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": "In", "values": ["high"] }] } });
        assert!(!scoped(class));
    }
}
