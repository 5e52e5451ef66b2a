//! Making load balancers and what belongs to them, for setting up.

use serde_json::json;

use super::{Action, Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::world::World;

impl World {
    /// Makes an Application Load Balancer and gives its ARN.
    pub fn create_load_balancer(&mut self, name: &str) -> String {
        let id = self.hex();
        let arn = self.arn("elasticloadbalancing", &format!("loadbalancer/app/{name}/{}", &id[..16]));
        let created = self.now();
        self.elb.load_balancers.push(LoadBalancer { arn: arn.clone(), name: name.to_owned(), created });
        arn
    }

    /// Makes a target group for addresses, whose targets are checked every ten seconds, and gives its ARN.
    pub fn create_target_group(&mut self, name: &str) -> String {
        let id = self.hex();
        let arn = self.arn("elasticloadbalancing", &format!("targetgroup/{name}/{}", &id[..16]));
        self.elb.target_groups.push(TargetGroup {
            arn: arn.clone(),
            name: name.to_owned(),
            port: 80,
            interval: 10,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            path: "/".to_owned(),
        });
        arn
    }

    /// Makes a listener that forwards to these target groups by weight, and gives its ARN.
    pub fn create_listener(&mut self, load_balancer: &str, port: u16, to: &[(&str, u16)]) -> String {
        let id = self.hex();
        let arn = format!("{}/{}", load_balancer.replacen(":loadbalancer/", ":listener/", 1), &id[..16]);
        self.elb.listeners.push(Listener {
            arn: arn.clone(),
            load_balancer: load_balancer.to_owned(),
            port,
            protocol: "HTTP".to_owned(),
            actions: vec![Action::forward(to)],
        });
        arn
    }

    /// Makes a rule of a listener for a path, which forwards to these target groups by weight, and gives its ARN.
    pub fn create_rule(&mut self, listener: &str, path: &str, to: &[(&str, u16)]) -> String {
        let id = self.hex();
        let arn = format!("{}/{}", listener.replacen(":listener/", ":listener-rule/", 1), &id[..16]);
        let before = self.elb.rules.iter().filter(|rule| rule.listener == listener).count();
        let priority = u32::try_from(before).unwrap_or_default() + 1;
        self.elb.rules.push(Rule {
            arn: arn.clone(),
            listener: listener.to_owned(),
            priority,
            conditions: json!([{
                "Field": "path-pattern", "Values": [path], "PathPatternConfig": { "Values": [path] },
            }]),
            actions: vec![Action::forward(to)],
        });
        arn
    }

    /// Registers a target that is no task of ECS.
    pub fn register_target(&mut self, target_group: &str, target: Target) {
        self.elb.registered.push((target_group.to_owned(), target));
    }
}
