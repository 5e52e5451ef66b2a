//! `ModifyListener` and `ModifyRule`.

use serde_json::{Value, json};

use super::describe::{balancers_of, not_found, number, tell_listener, tell_rule};
use super::{Action, Listener, Share};
use crate::protocol::Fault;
use crate::world::World;

/// The largest weight of a target group.
const MOST: i64 = 999;
/// How many target groups one action can name.
const GROUPS: usize = 5;

pub(super) fn listener(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let arn = input["ListenerArn"].as_str().unwrap_or_default();
    let at = world.elb.listeners.iter().position(|one| one.arn == arn);
    let at = at.ok_or_else(|| not_found("Listener", "listeners"))?;
    let balancer = world.elb.listeners[at].load_balancer.clone();
    let actions = actions(world, &balancer, &input["DefaultActions"])?;
    let port = number(&input["Port"]).and_then(|port| u16::try_from(port).ok());
    let listener = &mut world.elb.listeners[at];
    if let Some(actions) = actions {
        listener.actions = actions;
    }
    if let Some(port) = port {
        listener.port = port;
    }
    if let Some(protocol) = input["Protocol"].as_str() {
        protocol.clone_into(&mut listener.protocol);
    }
    Ok(json!({ "Listeners": [tell_listener(listener)] }))
}

pub(super) fn rule(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let arn = input["RuleArn"].as_str().unwrap_or_default();
    if world.elb.listeners.iter().any(|one| one.default_rule() == arn) {
        return Err(Fault::new("OperationNotPermitted", format!("Default rule '{arn}' cannot be modified")));
    }
    let at = world.elb.rules.iter().position(|one| one.arn == arn);
    let at = at.ok_or_else(|| not_found("Rule", "rules"))?;
    let of = &world.elb.rules[at].listener;
    let listener = world.elb.listeners.iter().find(|one| one.arn == *of);
    let balancer = listener.map(|one| one.load_balancer.clone()).unwrap_or_default();
    let actions = actions(world, &balancer, &input["Actions"])?;
    let rule = &mut world.elb.rules[at];
    if let Some(actions) = actions {
        rule.actions = actions;
    }
    if input["Conditions"].is_array() {
        rule.conditions = input["Conditions"].clone();
    }
    Ok(json!({ "Rules": [tell_rule(rule)] }))
}

/// The actions that are asked for; nothing where they are to stay as they are.
fn actions(world: &World, balancer: &str, said: &Value) -> Result<Option<Vec<Action>>, Fault> {
    let Some(said) = said.as_array() else { return Ok(None) };
    if said.is_empty() {
        return Err(Fault::new("ValidationError", "At least one action must be specified"));
    }
    said.iter().map(|one| action(world, balancer, one)).collect::<Result<_, _>>().map(Some)
}

fn action(world: &World, balancer: &str, said: &Value) -> Result<Action, Fault> {
    match said["Type"].as_str() {
        Some("forward") => {}
        Some(_) => return Ok(Action::Other(said.clone())),
        None => return Err(Fault::new("ValidationError", "The action type must be specified")),
    }
    let to = shares(said)?;
    for share in &to {
        let known = world.elb.target_groups.iter().any(|one| one.arn == share.target_group);
        if !known {
            return Err(not_found("TargetGroup", "target groups"));
        }
        if balancers_of(world, &share.target_group).iter().any(|of| of != balancer) {
            let why = "The following target groups cannot be associated with more than one load balancer: ";
            return Err(Fault::new("TargetGroupAssociationLimit", format!("{why}{}", share.target_group)));
        }
    }
    let order = number(&said["Order"]).and_then(|order| u32::try_from(order).ok());
    let stickiness = Some(&said["ForwardConfig"]["TargetGroupStickinessConfig"]).filter(|it| it.is_object());
    Ok(Action::Forward { to, stickiness: stickiness.cloned(), order })
}

/// Where a forward action sends requests, said in the old way, in the new one, or in both.
fn shares(said: &Value) -> Result<Vec<Share>, Fault> {
    let single = said["TargetGroupArn"].as_str();
    let Some(groups) = said["ForwardConfig"]["TargetGroups"].as_array() else {
        let arn = single.ok_or_else(|| {
            Fault::new("ValidationError", "A target group must be specified for an action of type 'forward'")
        })?;
        return Ok(vec![Share { target_group: arn.to_owned(), weight: 1 }]);
    };
    let to: Vec<Share> = groups.iter().map(share).collect::<Result<_, _>>()?;
    if to.is_empty() || to.len() > GROUPS {
        return Err(Fault::new("ValidationError", "A forward action names between 1 and 5 target groups"));
    }
    if single.is_some_and(|arn| to.len() != 1 || to[0].target_group != arn) {
        let why = "The target group ARN and the forward config must name the same single target group";
        return Err(Fault::new("InvalidLoadBalancerAction", why));
    }
    for (at, one) in to.iter().enumerate() {
        if to[..at].iter().any(|earlier| earlier.target_group == one.target_group) {
            let why = format!("Target group '{}' is named twice in one action", one.target_group);
            return Err(Fault::new("ValidationError", why));
        }
    }
    Ok(to)
}

fn share(said: &Value) -> Result<Share, Fault> {
    let arn = said["TargetGroupArn"].as_str();
    let arn = arn.ok_or_else(|| Fault::new("ValidationError", "A target group ARN must be specified"))?;
    let weight = match &said["Weight"] {
        Value::Null => Some(1),
        weight => number(weight).filter(|weight| (0..=MOST).contains(weight)),
    };
    let weight = weight.and_then(|weight| u16::try_from(weight).ok());
    let weight = weight
        .ok_or_else(|| Fault::new("ValidationError", "The weight of a target group must be from 0 to 999"))?;
    Ok(Share { target_group: arn.to_owned(), weight })
}

/// Sets what a listener or a rule forwards to: target groups with their weights. ECS does so in its own blue/green deployments.
/// The default rule of a listener stands for what the listener itself does.
pub(crate) fn forward(world: &mut World, listener_or_rule: &str, groups: &[(&str, u32)]) {
    let weight = |weight: u32| u16::try_from(weight).unwrap_or(u16::MAX);
    let groups: Vec<(&str, u16)> = groups.iter().map(|(arn, share)| (*arn, weight(*share))).collect();
    let actions = vec![Action::forward(&groups)];
    let elb = &mut world.elb;
    let is_it = |one: &Listener| one.arn == listener_or_rule || one.default_rule() == listener_or_rule;
    if let Some(listener) = elb.listeners.iter_mut().find(|one| is_it(one)) {
        listener.actions = actions;
    } else if let Some(rule) = elb.rules.iter_mut().find(|one| one.arn == listener_or_rule) {
        rule.actions = actions;
    }
}
