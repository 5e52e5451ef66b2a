//! The load balancers before the service.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, Listener, TargetGroupTuple, TargetHealthDescription,
    TargetHealthStateEnum,
};
use futures_util::future::try_join_all;
use rollback_aws_support::explain;
use rollback_core::{Effect, Error, ErrorKind, Reading, Result};
use serde_json::{Map, Value};

use super::{Client, text};
use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::{Traffic, TrafficGroup};
use crate::look::{Look, Task};

/// How many target groups a service may have.
const GROUPS: usize = 10;

/// The target groups that a service, a task set or a revision of a service names.
pub(super) fn target_groups(described: &Map<String, Value>) -> BTreeSet<String> {
    let balancers = described.get("loadBalancers").and_then(Value::as_array).into_iter().flatten();
    let named = balancers.flat_map(|balancer| {
        let other =
            balancer.get("advancedConfiguration").and_then(|more| text(more, "alternateTargetGroupArn"));
        [text(balancer, "targetGroupArn"), other]
    });
    named.flatten().map(str::to_owned).take(GROUPS).collect()
}

impl Client {
    /// How many targets of the service's groups are healthy; of several groups the fewest, without those that get nothing.
    pub(super) async fn healthy_targets(&self, groups: &BTreeSet<String>) -> Reading<u32> {
        if groups.is_empty() {
            return Reading::Absent;
        }
        let asked = try_join_all(groups.iter().map(|group| self.target_health(group))).await;
        match asked {
            Err(error) => Reading::Unknown(error.to_string()),
            Ok(healths) => {
                let counted = healths.iter().map(|health| (health.len(), healthy(health).len()));
                // The group of the other colour has no targets at rest.
                let fewest = counted.filter(|(all, _)| *all > 0).map(|(_, healthy)| healthy).min();
                Reading::Known(u32::try_from(fewest.unwrap_or(0)).unwrap_or(u32::MAX))
            }
        }
    }

    async fn target_health(&self, group: &str) -> Result<Vec<TargetHealthDescription>> {
        let call = self.api.session().reads(
            "elasticloadbalancing",
            "DescribeTargetHealth",
            format!("see which targets of {} are healthy", short(group)),
        );
        let request = self.api.balancer.describe_target_health().target_group_arn(group);
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        Ok(answer.target_health_descriptions.unwrap_or_default())
    }

    /// How a listener divides its requests between groups of the service, if one does.
    pub(super) async fn traffic(&self, look: &Look, groups: &BTreeSet<String>) -> Result<Option<Traffic>> {
        let (Some(group), Reading::Known(tasks)) = (groups.first(), &look.tasks) else { return Ok(None) };
        let Some(balancer) = self.balancer_of(group).await? else { return Ok(None) };
        for listener in self.listeners(&balancer).await? {
            let Some((listener, shares)) = divided(&listener) else { continue };
            if !shares.iter().any(|(group, _)| groups.contains(group.as_str())) {
                continue;
            }
            let read = shares.into_iter().map(|(group, weight)| async move {
                let health = self.target_health(group.as_str()).await?;
                let healthy = healthy(&health);
                let runs = run_by(&healthy, tasks);
                Ok::<_, Error>(TrafficGroup::new(
                    group,
                    weight,
                    u32::try_from(healthy.len()).unwrap_or(u32::MAX),
                    runs,
                ))
            });
            return Ok(Some(Traffic::new(listener, try_join_all(read).await?)));
        }
        Ok(None)
    }

    async fn balancer_of(&self, group: &str) -> Result<Option<String>> {
        let doing = format!("find the load balancer of {}", short(group));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeTargetGroups", doing);
        let request = self.api.balancer.describe_target_groups().target_group_arns(group);
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        let first = answer.target_groups.unwrap_or_default().into_iter().next();
        Ok(first.and_then(|group| group.load_balancer_arns?.into_iter().next()))
    }

    async fn listeners(&self, balancer: &str) -> Result<Vec<Listener>> {
        let doing = format!("look at the listeners of {}", short(balancer));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeListeners", doing);
        let request = self.api.balancer.describe_listeners().load_balancer_arn(balancer);
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        Ok(answer.listeners.unwrap_or_default())
    }

    /// The weights that a listener has now.
    pub(crate) async fn weights(&self, listener: &Arn) -> Result<BTreeMap<Arn, u16>> {
        let found = self.listener(listener).await?;
        Ok(divided(&found).map(|(_, shares)| shares.into_iter().collect()).unwrap_or_default())
    }

    async fn listener(&self, listener: &Arn) -> Result<Listener> {
        let doing = format!("look at listener {}", short(listener.as_str()));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeListeners", doing.clone());
        let request = self.api.balancer.describe_listeners().listener_arns(listener.as_str());
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        answer.listeners.and_then(|found| found.into_iter().next()).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, doing, "there is no such listener any more")
                .with_effect(Effect::None)
        })
    }

    /// Gives a listener's groups these weights and leaves everything else of its forwarding as it is.
    pub(crate) async fn shift_traffic(&self, listener: &Arn, weights: &BTreeMap<Arn, u16>) -> Result<()> {
        let found = self.listener(listener).await?;
        let doing = format!("divide the requests of listener {} anew", short(listener.as_str()));
        let Some(actions) = with_weights(&found, weights) else {
            let what = "it does not forward to exactly the target groups that were planned for";
            return Err(Error::new(ErrorKind::Stale, doing, what)
                .with_effect(Effect::None)
                .next("make a new plan"));
        };
        let call = self.api.session().changes("elasticloadbalancing", "ModifyListener", doing);
        let request = self.api.balancer.modify_listener().listener_arn(listener.as_str());
        let request = request.set_default_actions(Some(actions));
        self.api.rebalance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await.map(drop)
    }

    /// As [`traffic`](Self::traffic); where the listeners cannot be read, the way over them is closed, and the others are not.
    pub(super) async fn traffic_of(&self, look: &Look, groups: &BTreeSet<String>) -> Option<Traffic> {
        self.traffic(look, groups).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the listeners could not be read");
            None
        })
    }
}

/// The forwarding of a listener with several groups: its default action.
fn divided(listener: &Listener) -> Option<(Arn, Vec<(Arn, u16)>)> {
    let arn = listener.listener_arn.as_deref()?.parse().ok()?;
    let forward = listener.default_actions().iter().find_map(|action| action.forward_config.as_ref())?;
    let share = |group: &TargetGroupTuple| {
        // A group without a weight has one.
        let weight = u16::try_from(group.weight.unwrap_or(1)).ok()?;
        Some((group.target_group_arn.as_deref()?.parse().ok()?, weight))
    };
    let shares: Vec<_> = forward.target_groups().iter().filter_map(share).collect();
    (shares.len() > 1).then_some((arn, shares))
}

/// The listener's own actions with other weights, if its groups are exactly those that are weighted.
fn with_weights(listener: &Listener, weights: &BTreeMap<Arn, u16>) -> Option<Vec<Action>> {
    let mut actions = listener.default_actions().to_vec();
    let action = actions.iter_mut().find(|action| action.r#type == Some(ActionTypeEnum::Forward))?;
    let forward = action.forward_config.take()?;
    let wanted = |group: &TargetGroupTuple| {
        let weight = weights.get(&group.target_group_arn.as_deref()?.parse::<Arn>().ok()?)?;
        let tuple = TargetGroupTuple::builder().set_target_group_arn(group.target_group_arn.clone());
        Some(tuple.weight(i32::from(*weight)).build())
    };
    let groups = forward.target_groups().iter().map(wanted).collect::<Option<Vec<_>>>()?;
    if groups.len() != weights.len() {
        return None;
    }
    let config = ForwardActionConfig::builder()
        .set_target_groups(Some(groups))
        .set_target_group_stickiness_config(forward.target_group_stickiness_config);
    action.forward_config = Some(config.build());
    // Both may not be given, and with several groups the single one is not.
    action.target_group_arn = None;
    Some(actions)
}

fn healthy(targets: &[TargetHealthDescription]) -> Vec<&str> {
    let is_healthy = |target: &&TargetHealthDescription| {
        target.target_health.as_ref().and_then(|health| health.state.as_ref())
            == Some(&TargetHealthStateEnum::Healthy)
    };
    targets.iter().filter(is_healthy).filter_map(|target| target.target.as_ref()?.id.as_deref()).collect()
}

/// What these targets run, if all of them are tasks of one revision.
fn run_by(targets: &[&str], tasks: &[Task]) -> Option<TaskDefinitionArn> {
    let of = |address: &&str| tasks.iter().find(|task| task.addresses().any(|own| own == *address));
    let mut runs = targets.iter().map(|address| of(address).and_then(|task| task.task_definition.clone()));
    let first = runs.next()??;
    runs.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// The end of an ARN that people know it by.
fn short(arn: &str) -> &str {
    arn.split_once(":targetgroup/").or_else(|| arn.split_once(":loadbalancer/")).map_or(arn, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_colours_are_looked_at() {
        let service = json!({ "loadBalancers": [
            { "targetGroupArn": "blue", "advancedConfiguration": { "alternateTargetGroupArn": "green" } },
            { "loadBalancerName": "classic" },
        ] });
        let groups = target_groups(service.as_object().unwrap());
        assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["blue", "green"]);
    }
}
