//! How many pods a rollout starts before others stop, and how many it stops before others are ready.

use serde_json::Value;

use crate::look::{Counts, Look};
use crate::text::text;
use crate::workload::Kind;

/// `None`: it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) wanted: u64,
    /// More than wanted, at most.
    pub(super) starts: Option<u64>,
    /// Fewer than wanted, at most.
    pub(super) stops: Option<u64>,
}

impl Pace {
    pub(super) fn of(look: &Look) -> Self {
        let wanted = Counts::of(look.workload.kind, &look.object).wanted;
        let at = |pointer: &str| look.object.pointer(pointer);
        let (starts, stops) = match look.workload.kind {
            Kind::Deployment if text(&look.object, "/spec/strategy/type") == Some("Recreate") => {
                (Some(0), Some(wanted))
            }
            Kind::Deployment => {
                let starts = share(at("/spec/strategy/rollingUpdate/maxSurge"), wanted, true, 0);
                let stops = share(at("/spec/strategy/rollingUpdate/maxUnavailable"), wanted, false, 0);
                // Neither would be no rollout: the controller takes one then.
                (starts, if (starts, stops) == (Some(0), Some(0)) { Some(1) } else { stops })
            }
            Kind::DaemonSet => (
                share(at("/spec/updateStrategy/rollingUpdate/maxSurge"), wanted, true, 0),
                share(at("/spec/updateStrategy/rollingUpdate/maxUnavailable"), wanted, true, 1),
            ),
            Kind::StatefulSet => {
                (Some(0), share(at("/spec/updateStrategy/rollingUpdate/maxUnavailable"), wanted, true, 1))
            }
        };
        Self { wanted, starts, stops: stops.map(|stops| stops.min(wanted)) }
    }
}

/// A number, or a share of all.
fn share(value: Option<&Value>, of: u64, up: bool, default: u64) -> Option<u64> {
    match value {
        None => Some(default),
        Some(Value::String(share)) => {
            let percent: u64 = share.strip_suffix('%')?.parse().ok()?;
            let all = of.checked_mul(percent)?;
            Some(if up { all.div_ceil(100) } else { all / 100 })
        }
        Some(number) => number.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::look::tests::{at_rest, deployment};

    #[test]
    fn shares_are_rounded_as_controllers_do() {
        let pace = |starts: Value, stops: Value| {
            let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": starts, "maxUnavailable": stops } });
            let pace = Pace::of(&deployment(10).set("/spec/strategy", strategy).look());
            (pace.starts, pace.stops)
        };
        assert_eq!(pace(json!("25%"), json!("25%")), (Some(3), Some(2)));
        assert_eq!(pace(json!(0), json!("5%")), (Some(0), Some(1)));
        assert_eq!(pace(json!(1), json!(0)), (Some(1), Some(0)));
        assert_eq!(pace(json!("a lot"), json!(99)), (None, Some(10)));
        let recreate = deployment(4).set("/spec/strategy", json!({ "type": "Recreate" })).look();
        assert_eq!(Pace::of(&recreate), Pace { wanted: 4, starts: Some(0), stops: Some(4) });
        for kind in [Kind::StatefulSet, Kind::DaemonSet] {
            let pace = Pace::of(&at_rest(kind).look());
            assert_eq!((pace.starts, pace.stops), (Some(0), Some(1)), "{kind}");
        }
    }
}
