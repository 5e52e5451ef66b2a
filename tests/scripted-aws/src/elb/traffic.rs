//! What users get: the truth that tests hold claims against.

use std::collections::BTreeMap;

use super::health::{Health, targets};
use super::{Action, Listener, Share};
use crate::world::World;

/// How requests fare that come to a listener or match a rule of it. All shares together are 1.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// The share that is served well, by what serves it: `web:2`.
    pub served: BTreeMap<String, f64>,
    /// The share that gets an error: nobody is there, or who is there does not work.
    pub failing: f64,
}

impl Traffic {
    /// The share that is served by this.
    #[must_use]
    pub fn share(&self, runs: &str) -> f64 {
        self.served.get(runs).copied().unwrap_or_default()
    }

    /// What serves every request, if it is one and the same.
    #[must_use]
    pub fn all(&self) -> Option<&str> {
        let mut served = self.served.iter();
        match (served.next(), served.next()) {
            (Some((runs, _)), None) if self.failing == 0.0 => Some(runs),
            _ => None,
        }
    }

    fn fails(&mut self, share: f64) {
        self.failing += share;
    }
}

impl World {
    /// How requests fare that come to this listener or match this rule.
    #[must_use]
    pub fn traffic(&self, listener_or_rule: &str) -> Traffic {
        let mut traffic = Traffic::default();
        let elb = &self.elb;
        let is_it = |one: &Listener| one.arn == listener_or_rule || one.default_rule() == listener_or_rule;
        let listener = elb.listeners.iter().find(|one| is_it(one));
        let rule = elb.rules.iter().find(|one| one.arn == listener_or_rule);
        let actions = listener.map(|one| &one.actions).or_else(|| rule.map(|one| &one.actions));
        let shares = actions.and_then(|actions| actions.iter().find_map(forwards)).unwrap_or_default();
        let sum: f64 = shares.iter().map(|share| f64::from(share.weight)).sum();
        if sum == 0.0 {
            traffic.fails(1.0);
        }
        for share in shares.iter().filter(|share| share.weight > 0) {
            divide(self, &share.target_group, f64::from(share.weight) / sum, &mut traffic);
        }
        traffic
    }
}

fn forwards(action: &Action) -> Option<&[Share]> {
    Some(action.shares()).filter(|shares| !shares.is_empty())
}

/// Requests go to the healthy targets of a group. Where there are none they go to all that are registered, and where nobody is,
/// they fail: other groups of the same action do not step in.
fn divide(world: &World, target_group: &str, share: f64, traffic: &mut Traffic) {
    let all = targets(world, target_group);
    let healthy: Vec<_> = all.iter().filter(|(_, health)| *health == Health::Healthy).collect();
    let open: Vec<_> =
        all.iter().filter(|(_, health)| matches!(health, Health::Initial | Health::Unhealthy)).collect();
    let taking = if healthy.is_empty() { open } else { healthy };
    if taking.is_empty() {
        return traffic.fails(share);
    }
    let each = share / f64::from(u32::try_from(taking.len()).unwrap_or(u32::MAX));
    for (target, _) in taking {
        if target.works {
            *traffic.served.entry(target.runs.clone()).or_default() += each;
        } else {
            traffic.fails(each);
        }
    }
}
