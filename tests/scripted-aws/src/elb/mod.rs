//! Elastic Load Balancing v2: Application Load Balancers, their listeners and rules, and what their targets are.

mod describe;
mod health;
mod make;
mod modify;
#[cfg(test)]
mod tests;
mod traffic;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::health::Target;
pub(crate) use self::modify::forward;
pub use self::traffic::Traffic;
use crate::protocol::Fault;
use crate::world::World;

/// All load balancers of the account, and what belongs to them.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) load_balancers: Vec<LoadBalancer>,
    pub(crate) target_groups: Vec<TargetGroup>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) rules: Vec<Rule>,
    /// Targets that a test registered itself. ECS's tasks are not in here: see [`health::targets`].
    pub(crate) registered: Vec<(String, Target)>,
}

#[derive(Debug, Clone)]
pub(crate) struct LoadBalancer {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Seconds between two health checks.
    pub(crate) interval: u32,
    /// How many checks in a row make a target healthy.
    pub(crate) healthy_threshold: u32,
    /// How many failed ones make it unhealthy.
    pub(crate) unhealthy_threshold: u32,
    pub(crate) path: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) arn: String,
    pub(crate) load_balancer: String,
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) actions: Vec<Action>,
}

impl Listener {
    /// The rule that stands behind the listener's default actions.
    pub(crate) fn default_rule(&self) -> String {
        let id = self.arn.rsplit('/').next().unwrap_or_default();
        let reversed: String = id.chars().rev().collect();
        format!("{}/{reversed}", self.arn.replacen(":listener/", ":listener-rule/", 1))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) arn: String,
    pub(crate) listener: String,
    pub(crate) priority: u32,
    pub(crate) conditions: Value,
    pub(crate) actions: Vec<Action>,
}

/// What is done with a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// It goes to one of these target groups, by weight.
    Forward { to: Vec<Share>, stickiness: Option<Value>, order: Option<u32> },
    /// Something else, as it was said: `redirect`, `fixed-response`, …
    Other(Value),
}

/// The share of one target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) target_group: String,
    pub(crate) weight: u16,
}

impl Action {
    /// A plain `forward`.
    pub(crate) fn forward(to: &[(&str, u16)]) -> Self {
        let share = |(arn, weight): &(&str, u16)| Share { target_group: (*arn).to_owned(), weight: *weight };
        Self::Forward { to: to.iter().map(share).collect(), stickiness: None, order: None }
    }

    /// The target groups it sends requests to.
    pub(crate) fn shares(&self) -> &[Share] {
        match self {
            Self::Forward { to, .. } => to,
            Self::Other(_) => &[],
        }
    }

    /// As the API tells it: with one target group also in the old way, which is left out where there are more.
    fn tell(&self) -> Value {
        let Self::Forward { to, stickiness, order } = self else {
            let Self::Other(said) = self else { return Value::Null };
            return said.clone();
        };
        let groups: Vec<Value> = to
            .iter()
            .map(|share| json!({ "TargetGroupArn": share.target_group, "Weight": share.weight }))
            .collect();
        let sticky = stickiness.clone().unwrap_or_else(|| json!({ "Enabled": false }));
        let mut told = json!({
            "Type": "forward",
            "ForwardConfig": { "TargetGroups": groups, "TargetGroupStickinessConfig": sticky },
        });
        if let [only] = to.as_slice() {
            told["TargetGroupArn"] = json!(only.target_group);
        }
        if let Some(order) = order {
            told["Order"] = json!(order);
        }
        told
    }
}

pub(crate) fn handle(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "DescribeLoadBalancers" => describe::load_balancers(world, input),
        "DescribeTargetGroups" => describe::target_groups(world, input),
        "DescribeListeners" => describe::listeners(world, input),
        "DescribeRules" => describe::rules(world, input),
        "DescribeTags" => describe::tags(world, input),
        "DescribeTargetHealth" => health::describe(world, input),
        "ModifyListener" => modify::listener(world, input),
        "ModifyRule" => modify::rule(world, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}
