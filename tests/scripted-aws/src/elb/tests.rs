//! What the load balancers' double says and does.

use std::borrow::Borrow;
use std::time::Duration;

use serde_json::{Value, json};

use super::Target;
use crate::{Cloud, Fault};

/// A load balancer with a listener and a rule of it, both between two target groups.
struct Bed {
    cloud: Cloud,
    balancer: String,
    blue: String,
    green: String,
    listener: String,
    rule: String,
}

fn bed() -> Bed {
    let cloud = Cloud::new();
    let mut world = cloud.world();
    let balancer = world.create_load_balancer("shop");
    let blue = world.create_target_group("blue");
    let green = world.create_target_group("green");
    let listener = world.create_listener(&balancer, 443, &[(&blue, 100), (&green, 0)]);
    let rule = world.create_rule(&listener, "/api/*", &[(&blue, 1)]);
    let now = world.now();
    for ip in ["10.0.0.1", "10.0.0.2"] {
        world.register_target(&blue, Target::new(ip, 80, now, "web:41"));
    }
    world.register_target(&green, Target::new("10.0.0.3", 80, now, "web:42"));
    drop(world);
    Bed { cloud, balancer, blue, green, listener, rule }
}

impl Bed {
    fn ask(&self, op: &str, input: impl Borrow<Value>) -> Result<Value, Fault> {
        self.cloud.ask("elasticloadbalancing", op, input.borrow())
    }

    fn weigh(&self, blue: impl Into<Value>, green: impl Into<Value>) -> Result<Value, Fault> {
        let groups = json!([
            { "TargetGroupArn": self.blue, "Weight": blue.into() },
            { "TargetGroupArn": self.green, "Weight": green.into() },
        ]);
        let action = json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": groups } });
        self.ask("ModifyListener", json!({ "ListenerArn": self.listener, "DefaultActions": [action] }))
    }

    fn states(&self, target_group: &str) -> Vec<String> {
        let told = self.ask("DescribeTargetHealth", json!({ "TargetGroupArn": target_group })).unwrap();
        let told = told["TargetHealthDescriptions"].as_array().unwrap().clone();
        told.iter().map(|one| one["TargetHealth"]["State"].as_str().unwrap().to_owned()).collect()
    }
}

fn code(answer: Result<Value, Fault>) -> String {
    answer.unwrap_err().code().to_owned()
}

#[test]
fn arns_have_the_shapes_of_aws() {
    let bed = bed();
    let balancer = bed.balancer.strip_prefix("arn:aws:elasticloadbalancing:eu-west-1:123456789012:").unwrap();
    let path = balancer.strip_prefix("loadbalancer/").unwrap();
    assert!(bed.listener.contains(&format!(":listener/{path}/")), "{}", bed.listener);
    assert!(bed.rule.starts_with(&format!("{}/", bed.listener.replace(":listener/", ":listener-rule/"))));
    assert!(bed.blue.contains(":targetgroup/blue/"), "{}", bed.blue);
}

#[test]
fn targets_become_healthy_with_the_first_check() {
    let bed = bed();
    assert_eq!(bed.states(&bed.blue), ["initial", "initial"]);
    bed.cloud.tick(Duration::from_secs(9));
    assert_eq!(bed.states(&bed.blue), ["initial", "initial"]);
    bed.cloud.tick(Duration::from_secs(1));
    assert_eq!(bed.states(&bed.blue), ["healthy", "healthy"]);
    let told = bed.ask("DescribeTargetHealth", json!({ "TargetGroupArn": bed.blue })).unwrap();
    let first = &told["TargetHealthDescriptions"][0];
    assert_eq!(first["Target"], json!({ "Id": "10.0.0.1", "Port": 80, "AvailabilityZone": "eu-west-1a" }));
    assert_eq!(first["TargetHealth"], json!({ "State": "healthy" }), "no reason where there is none to give");
}

#[test]
fn sick_leaving_unused_and_unknown_targets_say_why() {
    let bed = bed();
    let mut world = bed.cloud.world();
    let (now, idle) = (world.now(), world.create_target_group("idle"));
    let mut sick = Target::new("10.0.0.4", 80, now, "web:43");
    sick.works = false;
    let mut leaving = Target::new("10.0.0.5", 80, now, "web:43");
    leaving.leaving = true;
    world.register_target(&bed.green, sick.clone());
    world.register_target(&bed.green, leaving);
    world.register_target(&idle, sick);
    drop(world);
    bed.cloud.tick(Duration::from_secs(10));
    assert_eq!(bed.states(&bed.green), ["healthy", "unhealthy", "draining"]);
    assert_eq!(bed.states(&idle), ["unused"]);
    let asked = json!({ "TargetGroupArn": bed.green, "Targets": [{ "Id": "10.9.9.9", "Port": "80" }] });
    let told = bed.ask("DescribeTargetHealth", asked).unwrap();
    let health = &told["TargetHealthDescriptions"][0]["TargetHealth"];
    assert_eq!((&health["State"], &health["Reason"]), (&json!("unused"), &json!("Target.NotRegistered")));
}

#[test]
fn a_listener_names_one_target_group_in_both_ways_and_several_in_one() {
    let bed = bed();
    let told = bed.ask("DescribeListeners", json!({ "ListenerArns": [bed.listener] })).unwrap();
    let action = &told["Listeners"][0]["DefaultActions"][0];
    assert_eq!(action["TargetGroupArn"], Value::Null);
    assert_eq!(action["ForwardConfig"]["TargetGroups"][0]["Weight"], 100);
    let told = bed.ask("DescribeRules", json!({ "ListenerArn": bed.listener })).unwrap();
    let rules = told["Rules"].as_array().unwrap();
    assert_eq!(rules[0]["Actions"][0]["TargetGroupArn"], json!(bed.blue));
    assert_eq!(rules[0]["Actions"][0]["ForwardConfig"]["TargetGroups"][0]["Weight"], 1);
    let default = (&rules[1]["IsDefault"], &rules[1]["Priority"]);
    assert_eq!(default, (&json!(true), &json!("default")), "the default rule comes last");
}

#[test]
fn weights_decide_what_users_get() {
    let bed = bed();
    bed.cloud.tick(Duration::from_secs(10));
    assert_eq!(bed.cloud.world().traffic(&bed.listener).all(), Some("web:41"));
    let told = bed.weigh("25", "75").unwrap();
    assert_eq!(told["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"][1]["Weight"], 75);
    let traffic = bed.cloud.world().traffic(&bed.listener);
    assert_eq!((traffic.share("web:41"), traffic.share("web:42"), traffic.failing), (0.25, 0.75, 0.0));
    assert_eq!(traffic.all(), None);
    bed.weigh(0, 999).unwrap();
    assert_eq!(bed.cloud.world().traffic(&bed.listener).all(), Some("web:42"));
    assert_eq!(bed.cloud.world().traffic(&bed.rule).all(), Some("web:41"), "a rule has weights of its own");
    let action = json!({ "Type": "forward", "TargetGroupArn": bed.green });
    bed.ask("ModifyRule", json!({ "RuleArn": bed.rule, "Actions": [action] })).unwrap();
    assert_eq!(bed.cloud.world().traffic(&bed.rule).all(), Some("web:42"));
}

#[test]
fn ecs_shifts_listeners_their_default_rules_and_rules() {
    let bed = bed();
    bed.cloud.tick(Duration::from_secs(10));
    let mut world = bed.cloud.world();
    let default = world.elb.listeners[0].default_rule();
    super::forward(&mut world, &default, &[(&bed.blue, 0), (&bed.green, 100)]);
    assert_eq!(world.traffic(&bed.listener).all(), Some("web:42"));
    assert_eq!(world.traffic(&default), world.traffic(&bed.listener));
    super::forward(&mut world, &bed.listener, &[(&bed.blue, 100), (&bed.green, 0)]);
    assert_eq!(world.traffic(&bed.listener).all(), Some("web:41"));
    super::forward(&mut world, &bed.rule, &[(&bed.green, 1)]);
    assert_eq!(world.traffic(&bed.rule).all(), Some("web:42"));
}

#[test]
fn nobody_steps_in_for_a_group_that_has_no_targets() {
    let bed = bed();
    let empty = bed.cloud.world().create_target_group("empty");
    bed.cloud.tick(Duration::from_secs(10));
    let groups = json!([
        { "TargetGroupArn": bed.blue, "Weight": 50 }, { "TargetGroupArn": empty, "Weight": 50 },
    ]);
    let action = json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": groups } });
    bed.ask("ModifyListener", json!({ "ListenerArn": bed.listener, "DefaultActions": [action] })).unwrap();
    let traffic = bed.cloud.world().traffic(&bed.listener);
    assert_eq!((traffic.share("web:41"), traffic.failing), (0.5, 0.5));
}

#[test]
fn sick_targets_get_requests_only_where_no_other_is_left() {
    let bed = bed();
    let mut world = bed.cloud.world();
    let mut sick = Target::new("10.0.0.4", 80, world.now(), "web:43");
    sick.works = false;
    world.register_target(&bed.blue, sick.clone());
    let lonely = world.create_target_group("lonely");
    world.register_target(&lonely, sick);
    world.create_listener(&bed.balancer, 80, &[(&lonely, 1)]);
    drop(world);
    bed.cloud.tick(Duration::from_secs(10));
    assert_eq!(bed.cloud.world().traffic(&bed.listener).failing, 0.0);
    let listener = bed.cloud.world().elb.listeners[1].arn.clone();
    assert_eq!(bed.cloud.world().traffic(&listener).failing, 1.0);
}

#[test]
fn changes_that_cannot_be_are_refused_and_change_nothing() {
    let bed = bed();
    let before = bed.ask("DescribeListeners", json!({ "LoadBalancerArn": bed.balancer })).unwrap();
    for weight in [json!(1000), json!(-1), json!("many")] {
        assert_eq!(code(bed.weigh(weight, 1)), "ValidationError");
    }
    let listener = |action: Value| {
        bed.ask("ModifyListener", json!({ "ListenerArn": bed.listener, "DefaultActions": [action] }))
    };
    let unknown = bed.blue.replace("blue", "gone");
    assert_eq!(
        code(listener(json!({ "Type": "forward", "TargetGroupArn": unknown }))),
        "TargetGroupNotFound"
    );
    let twice = json!([{ "TargetGroupArn": bed.blue }, { "TargetGroupArn": bed.blue }]);
    let twice = json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": twice } });
    assert_eq!(code(listener(twice)), "ValidationError");
    let other = json!({ "TargetGroups": [{ "TargetGroupArn": bed.green }] });
    let other = json!({ "Type": "forward", "TargetGroupArn": bed.blue, "ForwardConfig": other });
    assert_eq!(code(listener(other)), "InvalidLoadBalancerAction");
    let gone = json!({ "ListenerArn": "x", "DefaultActions": [] });
    assert_eq!(code(bed.ask("ModifyListener", gone)), "ListenerNotFound");
    assert_eq!(code(bed.ask("ModifyRule", json!({ "RuleArn": "x" }))), "RuleNotFound");
    let told = bed.ask("DescribeRules", json!({ "ListenerArn": bed.listener })).unwrap();
    let default = told["Rules"][1]["RuleArn"].clone();
    assert_eq!(code(bed.ask("ModifyRule", json!({ "RuleArn": default }))), "OperationNotPermitted");
    let after = bed.ask("DescribeListeners", json!({ "LoadBalancerArn": bed.balancer })).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_target_group_belongs_to_one_load_balancer() {
    let bed = bed();
    let mut world = bed.cloud.world();
    let (other, theirs) = (world.create_load_balancer("other"), world.create_target_group("theirs"));
    world.create_listener(&other, 80, &[(&theirs, 1)]);
    drop(world);
    let action = json!({ "Type": "forward", "TargetGroupArn": theirs });
    let asked = json!({ "ListenerArn": bed.listener, "DefaultActions": [action] });
    assert_eq!(code(bed.ask("ModifyListener", asked)), "TargetGroupAssociationLimit");
}

#[test]
fn describing_chooses_pages_and_names_what_is_not_there() {
    let bed = bed();
    let names = |told: &Value, list: &str, key: &str| -> Vec<String> {
        told[list].as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
    };
    let groups = |input: Value| bed.ask("DescribeTargetGroups", input);
    let told = groups(json!({ "LoadBalancerArn": bed.balancer })).unwrap();
    assert_eq!(names(&told, "TargetGroups", "TargetGroupName"), ["blue", "green"]);
    assert_eq!(told["TargetGroups"][0]["LoadBalancerArns"], json!([bed.balancer]));
    assert_eq!(code(groups(json!({ "Names": ["blue", "red"] }))), "TargetGroupNotFound");
    let first = groups(json!({ "PageSize": "1" })).unwrap();
    assert_eq!(names(&first, "TargetGroups", "TargetGroupName"), ["blue"]);
    let second = groups(json!({ "PageSize": "1", "Marker": first["NextMarker"] })).unwrap();
    assert_eq!(names(&second, "TargetGroups", "TargetGroupName"), ["green"]);
    assert_eq!(second["NextMarker"], Value::Null);
    let told = bed.ask("DescribeLoadBalancers", json!({ "Names": ["shop"] })).unwrap();
    assert_eq!(names(&told, "LoadBalancers", "LoadBalancerArn"), std::slice::from_ref(&bed.balancer));
    assert_eq!(code(bed.ask("DescribeLoadBalancers", json!({ "Names": ["x"] }))), "LoadBalancerNotFound");
    assert_eq!(code(bed.ask("DescribeListeners", json!({ "ListenerArns": ["x"] }))), "ListenerNotFound");
    assert_eq!(code(bed.ask("DescribeListeners", json!({}))), "ValidationError");
    assert_eq!(code(bed.ask("DescribeRules", json!({ "RuleArns": ["x"] }))), "RuleNotFound");
    assert_eq!(
        code(bed.ask("DescribeTargetHealth", json!({ "TargetGroupArn": "x" }))),
        "TargetGroupNotFound"
    );
}
