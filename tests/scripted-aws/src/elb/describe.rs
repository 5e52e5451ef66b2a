//! What the describing operations answer.

use serde_json::{Value, json};

use super::{Listener, LoadBalancer, Rule, TargetGroup};
use crate::protocol::Fault;
use crate::world::World;

/// How many entries a page has where nothing is said.
const PAGE: usize = 400;

pub(super) fn load_balancers(world: &World, input: &Value) -> Result<Value, Fault> {
    let (arns, names) = (words(input, "LoadBalancerArns"), words(input, "Names"));
    let all = &world.elb.load_balancers;
    let found: Vec<Value> = chosen(all, &arns, &names, |one| (&one.arn, &one.name))
        .ok_or_else(|| not_found("LoadBalancer", "load balancers"))?
        .into_iter()
        .map(tell_load_balancer)
        .collect();
    paged(input, "LoadBalancers", found)
}

fn tell_load_balancer(one: &LoadBalancer) -> Value {
    let zone =
        json!({ "ZoneName": "eu-west-1a", "SubnetId": "subnet-0a1b2c3d", "LoadBalancerAddresses": [] });
    json!({
        "LoadBalancerArn": one.arn,
        "DNSName": format!("{}-1234567890.eu-west-1.elb.amazonaws.com", one.name),
        "CanonicalHostedZoneId": "Z32O12XQLNTSW2",
        "CreatedTime": one.created.to_string(),
        "LoadBalancerName": one.name,
        "Scheme": "internet-facing",
        "VpcId": "vpc-0a1b2c3d",
        "State": { "Code": "active" },
        "Type": "application",
        "AvailabilityZones": [zone],
        "SecurityGroups": ["sg-0a1b2c3d"],
        "IpAddressType": "ipv4",
    })
}

pub(super) fn target_groups(world: &World, input: &Value) -> Result<Value, Fault> {
    let (arns, names) = (words(input, "TargetGroupArns"), words(input, "Names"));
    let elb = &world.elb;
    let missing = || not_found("TargetGroup", "target groups");
    let mut found =
        chosen(&elb.target_groups, &arns, &names, |one| (&one.arn, &one.name)).ok_or_else(missing)?;
    if let Some(balancer) = input["LoadBalancerArn"].as_str() {
        known_balancer(world, balancer)?;
        found.retain(|one| balancers_of(world, &one.arn).iter().any(|arn| arn == balancer));
    }
    let told = found.into_iter().map(|one| tell_target_group(world, one)).collect();
    paged(input, "TargetGroups", told)
}

fn tell_target_group(world: &World, one: &TargetGroup) -> Value {
    json!({
        "TargetGroupArn": one.arn,
        "TargetGroupName": one.name,
        "Protocol": "HTTP",
        "Port": one.port,
        "VpcId": "vpc-0a1b2c3d",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": true,
        "HealthCheckIntervalSeconds": one.interval,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": one.healthy_threshold,
        "UnhealthyThresholdCount": one.unhealthy_threshold,
        "HealthCheckPath": one.path,
        "Matcher": { "HttpCode": "200" },
        "LoadBalancerArns": balancers_of(world, &one.arn),
        "TargetType": "ip",
        "ProtocolVersion": "HTTP1",
        "IpAddressType": "ipv4",
    })
}

pub(super) fn listeners(world: &World, input: &Value) -> Result<Value, Fault> {
    let arns = words(input, "ListenerArns");
    let mut found = chosen(&world.elb.listeners, &arns, &[], |one| (&one.arn, &one.arn))
        .ok_or_else(|| not_found("Listener", "listeners"))?;
    match input["LoadBalancerArn"].as_str() {
        Some(balancer) => {
            known_balancer(world, balancer)?;
            found.retain(|one| one.load_balancer == balancer);
        }
        None if arns.is_empty() => {
            let why = "You must specify either listener ARNs or a load balancer ARN";
            return Err(Fault::new("ValidationError", why));
        }
        None => {}
    }
    paged(input, "Listeners", found.into_iter().map(tell_listener).collect())
}

/// A listener, as `DescribeListeners` and `ModifyListener` tell it.
pub(super) fn tell_listener(one: &Listener) -> Value {
    json!({
        "ListenerArn": one.arn,
        "LoadBalancerArn": one.load_balancer,
        "Port": one.port,
        "Protocol": one.protocol,
        "DefaultActions": one.actions.iter().map(super::Action::tell).collect::<Vec<_>>(),
    })
}

pub(super) fn rules(world: &World, input: &Value) -> Result<Value, Fault> {
    let arns = words(input, "RuleArns");
    let mut all: Vec<(String, String, Value)> = Vec::new();
    for listener in &world.elb.listeners {
        let own = world.elb.rules.iter().filter(|rule| rule.listener == listener.arn);
        all.extend(own.map(|rule| (rule.arn.clone(), listener.arn.clone(), tell_rule(rule))));
        let arn = listener.default_rule();
        all.push((arn.clone(), listener.arn.clone(), tell_default(&arn, listener)));
    }
    match input["ListenerArn"].as_str() {
        Some(listener) if arns.is_empty() => {
            let known = world.elb.listeners.iter().any(|one| one.arn == listener);
            known.then_some(()).ok_or_else(|| not_found("Listener", "listeners"))?;
            all.retain(|(_, of, _)| of == listener);
        }
        None if !arns.is_empty() => {
            all.retain(|(arn, ..)| arns.contains(arn));
            let complete = all.len() == arns.len();
            complete.then_some(()).ok_or_else(|| not_found("Rule", "rules"))?;
        }
        _ => {
            let why = "You must specify either a listener ARN or rule ARNs";
            return Err(Fault::new("ValidationError", why));
        }
    }
    paged(input, "Rules", all.into_iter().map(|(.., told)| told).collect())
}

/// A rule, as `DescribeRules` and `ModifyRule` tell it.
pub(super) fn tell_rule(one: &Rule) -> Value {
    json!({
        "RuleArn": one.arn,
        "Priority": one.priority.to_string(),
        "Conditions": one.conditions,
        "Actions": one.actions.iter().map(super::Action::tell).collect::<Vec<_>>(),
        "IsDefault": false,
    })
}

fn tell_default(arn: &str, listener: &Listener) -> Value {
    json!({
        "RuleArn": arn,
        "Priority": "default",
        "Conditions": [],
        "Actions": listener.actions.iter().map(super::Action::tell).collect::<Vec<_>>(),
        "IsDefault": true,
    })
}

pub(super) fn tags(_world: &World, input: &Value) -> Result<Value, Fault> {
    let arns = words(input, "ResourceArns");
    let told: Vec<Value> = arns.iter().map(|arn| json!({ "ResourceArn": arn, "Tags": [] })).collect();
    Ok(json!({ "TagDescriptions": told }))
}

/// The load balancers whose listeners or rules send requests to a target group.
pub(super) fn balancers_of(world: &World, target_group: &str) -> Vec<String> {
    let names = |actions: &[super::Action]| {
        actions.iter().flat_map(super::Action::shares).any(|share| share.target_group == target_group)
    };
    let mut arns: Vec<String> = world
        .elb
        .listeners
        .iter()
        .filter(|one| {
            let mut rules = world.elb.rules.iter().filter(|rule| rule.listener == one.arn);
            names(&one.actions) || rules.any(|rule| names(&rule.actions))
        })
        .map(|one| one.load_balancer.clone())
        .collect();
    arns.sort();
    arns.dedup();
    arns
}

fn known_balancer(world: &World, arn: &str) -> Result<(), Fault> {
    let known = world.elb.load_balancers.iter().any(|one| one.arn == arn);
    known.then_some(()).ok_or_else(|| not_found("LoadBalancer", "load balancers"))
}

/// `One or more target groups not found`, as ELB says it.
pub(super) fn not_found(kind: &str, plural: &str) -> Fault {
    Fault::new(format!("{kind}NotFound"), format!("One or more {plural} not found"))
}

/// The texts of a list. Nothing is the empty list.
pub(super) fn words(input: &Value, key: &str) -> Vec<String> {
    let list = input[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A number, whether it came as one or as text.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Those with these ARNs or names, or all if none is named; nothing if one of them is not there.
fn chosen<'a, T>(
    all: &'a [T],
    arns: &[String],
    names: &[String],
    key: impl Fn(&T) -> (&String, &String),
) -> Option<Vec<&'a T>> {
    if arns.is_empty() && names.is_empty() {
        return Some(all.iter().collect());
    }
    let by_arn = arns.iter().map(|arn| all.iter().find(|one| key(one).0 == arn));
    let by_name = names.iter().map(|name| all.iter().find(|one| key(one).1 == name));
    by_arn.chain(by_name).collect()
}

/// One page of a list: `Marker` and `NextMarker` carry where it goes on.
fn paged(input: &Value, key: &str, all: Vec<Value>) -> Result<Value, Fault> {
    let size = number(&input["PageSize"]).map_or(Ok(PAGE), |size| {
        let size = usize::try_from(size).ok().filter(|size| (1..=PAGE).contains(size));
        size.ok_or_else(|| Fault::new("ValidationError", "PageSize must be between 1 and 400"))
    })?;
    let start = match input["Marker"].as_str() {
        Some(marker) => marker.parse().map_err(|_| Fault::new("ValidationError", "Invalid marker"))?,
        None => 0,
    };
    let more = all.len() > start + size;
    let page: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut answer = json!({ key: page });
    if more {
        answer["NextMarker"] = json!((start + size).to_string());
    }
    Ok(answer)
}
