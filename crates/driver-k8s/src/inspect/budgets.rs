//! PodDisruptionBudgets. Neither rollouts nor deletions ask them, only evictions do: what that means for this way back.

use rollback_core::Result;
use rollback_core::target::Finding;
use serde_json::Value;

use super::pace::Pace;
use crate::labels::fits;
use crate::look::Look;
use crate::snapshot::K8sSnapshot;
use crate::text::{line, number, text};

/// Where a rollout may stop more pods at once than a budget would let an eviction, and pods that are deleted without asking it.
pub(super) fn findings(look: &Look, to: &K8sSnapshot, read: Result<(Vec<Value>, bool)>) -> Vec<Finding> {
    let (all, empty_is_all) = match read {
        Ok(read) => read,
        Err(error) => {
            let message =
                format!("whether there is a disruption budget could not be read: {}", error.message());
            return vec![Finding::info("disruption-budget-unknown", message)];
        }
    };
    let ours = all.iter().filter(|budget| is_meant(budget, look, empty_is_all));
    ours.filter_map(|budget| Some(Finding::info("disruption-budget", said(budget, look, to)?))).collect()
}

/// Whether it is about the workload's pods. In `policy/v1beta1` an empty selector selects none.
fn is_meant(budget: &Value, look: &Look, empty_is_all: bool) -> bool {
    let metadata = look.object.pointer("/spec/template/metadata").unwrap_or(&Value::Null);
    let selects = |selector: &Value| {
        let is_empty = selector.as_object().is_some_and(serde_json::Map::is_empty);
        (empty_is_all || !is_empty) && fits(selector, metadata) == Some(true)
    };
    budget.pointer("/spec/selector").filter(|selector| !selector.is_null()).is_some_and(selects)
}

fn said(budget: &Value, look: &Look, to: &K8sSnapshot) -> Option<String> {
    let name = line(text(budget, "/metadata/name").unwrap_or("?"));
    let (all, least) = (number(budget, "/status/expectedPods"), number(budget, "/status/desiredHealthy"));
    let pace = Pace::of(look);
    let stops = pace.stops.filter(|stops| all > 0 && *stops > all.saturating_sub(least));
    let mut said = stops.map(|stops| {
        let how = if stops == pace.wanted { "all at once" } else { "at a time" };
        format!(
            "PodDisruptionBudget {name} keeps {least} of {all} pods available, and a rollout may stop {stops} {how}: budgets bind \
             evictions, not rollouts"
        )
    });
    let goal = rollback_core::Snapshot::info(to).identity;
    if let Some(pod) = look.unready().into_iter().find(|pod| pod.identity != goal) {
        let deleted = format!(
            "PodDisruptionBudget {name} is not asked when pod {} is deleted, which is not ready and so does not count for it",
            pod.pod
        );
        said = Some(said.map_or(deleted.clone(), |said| format!("{said}; {deleted}")));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::look::tests::{at_rest, crashing, in_flight};
    use crate::workload::Kind;

    fn budget(selector: &Value, least: u64) -> Value {
        json!({ "metadata": { "name": "keep" }, "spec": { "selector": selector }, "status": { "expectedPods": 3, "desiredHealthy": least } })
    }

    fn web() -> Value {
        json!({ "matchLabels": { "app": "web" } })
    }

    fn told(look: &Look, budget: Value, empty_is_all: bool) -> Vec<String> {
        let to = look.state(1).unwrap();
        let found = findings(look, &to, Ok((vec![budget], empty_is_all)));
        assert!(found.iter().all(|one| one.severity == rollback_core::target::Severity::Info));
        found.into_iter().map(|one| one.message).collect()
    }

    fn rolling(stops: u64) -> Look {
        let strategy =
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": stops } });
        at_rest(Kind::Deployment).set("/spec/strategy", strategy).look()
    }

    #[test]
    fn only_what_a_rollout_does_beyond_a_budget_is_told() {
        assert_eq!(told(&rolling(1), budget(&web(), 2), true), Vec::<String>::new());
        let beyond = told(&rolling(2), budget(&web(), 2), true);
        assert!(
            beyond[0].contains("keep keeps 2 of 3 pods available, and a rollout may stop 2 at a time"),
            "{beyond:?}"
        );
        let recreate = at_rest(Kind::Deployment).set("/spec/strategy", json!({ "type": "Recreate" })).look();
        assert!(told(&recreate, budget(&web(), 1), true)[0].contains("stop 3 all at once"));
        // Nothing is evicted: one that lets no eviction happen is in nobody's way.
        assert_eq!(told(&rolling(0), budget(&web(), 3), true), Vec::<String>::new());
        // Its controller has counted nothing yet.
        let mut fresh = budget(&web(), 0);
        fresh["status"] = json!({});
        assert_eq!(told(&recreate, fresh, true), Vec::<String>::new());
    }

    #[test]
    fn a_pod_that_is_deleted_does_not_count_for_it() {
        let stuck = in_flight(Kind::StatefulSet, &crashing()).look();
        let said = told(&stuck, budget(&web(), 2), true);
        assert!(said.len() == 1 && said[0].contains("not asked when pod web-3-0 is deleted"), "{said:?}");
    }

    #[test]
    fn budgets_of_others_are_left_out() {
        let look = rolling(3);
        assert_eq!(
            told(&look, budget(&json!({ "matchLabels": { "app": "api" } }), 2), true),
            Vec::<String>::new()
        );
        assert_eq!(told(&look, budget(&Value::Null, 2), true), Vec::<String>::new());
        assert_eq!(told(&look, budget(&json!({}), 2), true).len(), 1, "in policy/v1 that is all pods");
        assert_eq!(told(&look, budget(&json!({}), 2), false), Vec::<String>::new(), "and none before");
        let error = rollback_core::Error::new(rollback_core::ErrorKind::Denied, "list", "forbidden");
        let found = findings(&look, &look.state(1).unwrap(), Err(error));
        assert_eq!(found[0].code, "disruption-budget-unknown");
    }
}
