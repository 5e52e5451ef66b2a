//! The load balancers before the service.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, Listener, Rule, TargetGroupTuple, TargetHealthDescription,
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

    /// How a listener or a rule divides its requests between groups of the service, if one does.
    pub(super) async fn traffic(&self, look: &Look, groups: &BTreeSet<String>) -> Result<Reading<Traffic>> {
        let (Some(group), Reading::Known(tasks)) = (groups.first(), &look.tasks) else {
            return Ok(Reading::Absent);
        };
        let Some(balancer) = self.balancer_of(group).await? else { return Ok(Reading::Absent) };
        let mut found = self.divisions(&balancer).await?;
        found.retain(|(_, shares)| shares.iter().any(|(group, _)| groups.contains(group.as_str())));
        match <[Division; 1]>::try_from(found) {
            Ok([(at, shares)]) => Ok(Reading::Known(self.divided(look, tasks, at, shares).await?)),
            Err(found) if found.is_empty() => Ok(Reading::Absent),
            Err(found) => {
                let places: Vec<_> = found.iter().map(|(at, _)| short(at.as_str())).collect();
                let why = format!("requests are divided at several places: {}", places.join(", "));
                Ok(Reading::Unknown(why))
            }
        }
    }

    /// A division with what stands behind each of its groups.
    async fn divided(
        &self,
        look: &Look,
        tasks: &[Task],
        at: Arn,
        shares: Vec<(Arn, u16)>,
    ) -> Result<Traffic> {
        let healths =
            try_join_all(shares.iter().map(|(group, _)| self.target_health(group.as_str()))).await?;
        let own = |health: &Vec<TargetHealthDescription>| {
            let healthy = healthy(health);
            healthy.is_empty() || run_by(&healthy, tasks).is_some()
        };
        let mut all = tasks.to_vec();
        if !healths.iter().all(own) {
            // Another service may run the other release.
            all.extend(self.relatives(look).await);
        }
        let groups = shares.into_iter().zip(healths).map(|((group, weight), health)| {
            let healthy = healthy(&health);
            let runs = run_by(&healthy, &all);
            TrafficGroup::new(group, weight, u32::try_from(healthy.len()).unwrap_or(u32::MAX), runs)
        });
        Ok(Traffic::new(at, groups.collect()))
    }

    /// The tasks of the cluster that run the same family, whatever service they belong to. What cannot be read is not known.
    async fn relatives(&self, look: &Look) -> Vec<Task> {
        let primary = look.service.primary().and_then(|primary| primary.task_definition.as_ref());
        let Some(family) = primary.map(TaskDefinitionArn::family) else { return Vec::new() };
        self.tasks_of_family(family).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what other services run could not be read");
            Vec::new()
        })
    }

    /// Everything at a load balancer that divides requests: listeners by default, and their rules.
    async fn divisions(&self, balancer: &str) -> Result<Vec<Division>> {
        let listeners = self.listeners(balancer).await?;
        let arns: Vec<_> = listeners.iter().filter_map(|one| one.listener_arn.as_deref()).collect();
        let rules = try_join_all(arns.iter().map(|arn| self.rules(arn))).await?;
        let of_listeners = listeners.iter().map(Place::from);
        // The default rule is what the listener says itself.
        let rules = rules.iter().flatten().filter(|rule| rule.is_default != Some(true));
        Ok(of_listeners.chain(rules.map(Place::from)).filter_map(|place| division(&place)).collect())
    }

    async fn rules(&self, listener: &str) -> Result<Vec<Rule>> {
        let doing = format!("look at the rules of listener {}", short(listener));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeRules", doing);
        let request = self.api.balancer.describe_rules().listener_arn(listener);
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        Ok(answer.rules.unwrap_or_default())
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

    /// The weights that a listener or rule has now.
    pub(crate) async fn weights(&self, at: &Arn) -> Result<BTreeMap<Arn, u16>> {
        let place = self.place_of(at).await?;
        Ok(division(&place).map(|(_, shares)| shares.into_iter().collect()).unwrap_or_default())
    }

    /// A listener or rule, as it is now.
    async fn place_of(&self, at: &Arn) -> Result<Place> {
        let found = if is_rule(at) { self.rule(at).await? } else { self.listener(at).await? };
        found.ok_or_else(|| {
            let doing = format!("look at {}", named(at));
            Error::new(ErrorKind::NotFound, doing, "it is not there any more")
                .with_effect(Effect::None)
                .next("make a new plan")
        })
    }

    async fn listener(&self, at: &Arn) -> Result<Option<Place>> {
        let doing = format!("look at {}", named(at));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeListeners", doing);
        let request = self.api.balancer.describe_listeners().listener_arns(at.as_str());
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        Ok(answer.listeners.unwrap_or_default().first().map(Place::from))
    }

    async fn rule(&self, at: &Arn) -> Result<Option<Place>> {
        let doing = format!("look at {}", named(at));
        let call = self.api.session().reads("elasticloadbalancing", "DescribeRules", doing);
        let request = self.api.balancer.describe_rules().rule_arns(at.as_str());
        let answer = self.api.balance(async { request.send().await.map_err(|e| explain(&call, &e)) }).await?;
        Ok(answer.rules.unwrap_or_default().first().map(Place::from))
    }

    /// Gives the groups of a listener or rule these weights and leaves everything else of its actions as it is.
    pub(crate) async fn shift_traffic(&self, at: &Arn, weights: &BTreeMap<Arn, u16>) -> Result<()> {
        let place = self.place_of(at).await.map_err(|error| error.with_effect(Effect::None))?;
        let doing = format!("divide the requests of {} anew", named(at));
        let Some(actions) = with_weights(&place, weights) else {
            let what = "it does not forward to exactly the target groups that were planned for";
            return Err(Error::new(ErrorKind::Stale, doing, what)
                .with_effect(Effect::None)
                .next("make a new plan"));
        };
        if is_rule(at) {
            let call = self.api.session().changes("elasticloadbalancing", "ModifyRule", doing);
            let request = self.api.balancer.modify_rule().rule_arn(at.as_str()).set_actions(Some(actions));
            let sent = async { request.send().await.map(drop).map_err(|e| explain(&call, &e)) };
            return self.api.rebalance(sent).await;
        }
        let call = self.api.session().changes("elasticloadbalancing", "ModifyListener", doing);
        let request = self.api.balancer.modify_listener().listener_arn(at.as_str());
        let request = request.set_default_actions(Some(actions));
        let sent = async { request.send().await.map(drop).map_err(|e| explain(&call, &e)) };
        self.api.rebalance(sent).await
    }

    /// As [`traffic`](Self::traffic); where the listeners cannot be read, the way over them is closed, and the others are not.
    pub(super) async fn traffic_of(&self, look: &Look, groups: &BTreeSet<String>) -> Reading<Traffic> {
        self.traffic(look, groups).await.unwrap_or_else(|error| Reading::Unknown(error.to_string()))
    }
}

/// Where requests are divided, and by which weights.
type Division = (Arn, Vec<(Arn, u16)>);

/// A listener with what it does by default, or a rule with what it does.
struct Place {
    arn: Option<String>,
    actions: Vec<Action>,
}

impl From<&Listener> for Place {
    fn from(listener: &Listener) -> Self {
        Self { arn: listener.listener_arn.clone(), actions: listener.default_actions().to_vec() }
    }
}

impl From<&Rule> for Place {
    fn from(rule: &Rule) -> Self {
        Self { arn: rule.rule_arn.clone(), actions: rule.actions().to_vec() }
    }
}

fn is_rule(at: &Arn) -> bool {
    at.resource().starts_with("listener-rule/")
}

/// What errors call it.
fn named(at: &Arn) -> String {
    let what = if is_rule(at) { "listener rule" } else { "listener" };
    format!("{what} {}", short(at.as_str()))
}

/// The forwarding of a listener or rule with several groups.
fn division(place: &Place) -> Option<Division> {
    let arn = place.arn.as_deref()?.parse().ok()?;
    let forward = place.actions.iter().find_map(|action| action.forward_config.as_ref())?;
    let share = |group: &TargetGroupTuple| {
        // A group without a weight has one.
        let weight = u16::try_from(group.weight.unwrap_or(1)).ok()?;
        Some((group.target_group_arn.as_deref()?.parse().ok()?, weight))
    };
    let shares: Vec<_> = forward.target_groups().iter().filter_map(share).collect();
    (shares.len() > 1).then_some((arn, shares))
}

/// The own actions of a listener or rule with other weights, if its groups are exactly those that are weighted.
fn with_weights(place: &Place, weights: &BTreeMap<Arn, u16>) -> Option<Vec<Action>> {
    let mut actions = place.actions.clone();
    // A listener does not tell the secret with which it signs users in, and has to be told to keep it.
    for config in actions.iter_mut().filter_map(|action| action.authenticate_oidc_config.as_mut()) {
        config.use_existing_client_secret = Some(true);
    }
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
    [":targetgroup/", ":loadbalancer/", ":listener/", ":listener-rule/"]
        .iter()
        .find_map(|kind| arn.split_once(kind))
        .map_or(arn, |(_, name)| name)
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
