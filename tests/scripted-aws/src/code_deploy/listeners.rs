//! How CodeDeploy moves traffic: it writes the weights of its two target groups into listeners.

use serde_json::Value;

use super::deployment::Deployment;
use crate::elb::{Action, Share};
use crate::protocol::{list, text, texts};
use crate::world::World;

fn pair(deployment: &Deployment) -> &Value {
    &deployment.settings["loadBalancerInfo"]["targetGroupPairInfoList"][0]
}

/// The ARNs of the two target groups.
pub(super) fn groups(world: &World, deployment: &Deployment) -> Vec<String> {
    let names = list(pair(deployment), "targetGroups").iter().filter_map(|one| text(one, "name"));
    let arn =
        |name: &str| world.elb.target_groups.iter().find(|one| one.name == name).map(|one| one.arn.clone());
    names.filter_map(arn).collect()
}

/// The name of a target group.
pub(super) fn name(world: &World, arn: &str) -> String {
    let found = world.elb.target_groups.iter().find(|one| one.arn == arn);
    found.map(|one| one.name.clone()).unwrap_or_default()
}

/// Gives green this share of production traffic, in percent.
pub(super) fn shift(world: &mut World, deployment: &mut Deployment, percent: u16) {
    let listeners = texts(&pair(deployment)["prodTrafficRoute"], "listenerArns");
    write(world, deployment, &listeners, percent);
    deployment.shifted = percent;
}

/// Sends test traffic to green or back to blue, where there is a listener for it.
pub(super) fn shift_tests(world: &mut World, deployment: &Deployment, percent: u16) {
    let listeners = texts(&pair(deployment)["testTrafficRoute"], "listenerArns");
    write(world, deployment, &listeners, percent);
}

/// Whatever forwards to one of the two groups, as a default or by a rule, then forwards to both.
fn write(world: &mut World, deployment: &Deployment, listeners: &[&str], percent: u16) {
    let (Some((_, blue)), Some((_, green))) = (&deployment.blue, &deployment.green) else { return };
    let share = |arn: &String, weight| Share { target_group: arn.clone(), weight };
    let both = vec![share(blue, 100 - percent), share(green, percent)];
    let elb = &mut world.elb;
    let defaults = elb.listeners.iter_mut().filter(|one| listeners.contains(&one.arn.as_str()));
    let rules = elb.rules.iter_mut().filter(|one| listeners.contains(&one.listener.as_str()));
    let actions = defaults.map(|one| &mut one.actions).chain(rules.map(|one| &mut one.actions));
    for action in actions.flatten() {
        if let Action::Forward { to, .. } = action
            && to.iter().any(|share| [blue, green].contains(&&share.target_group))
        {
            to.clone_from(&both);
        }
    }
}
