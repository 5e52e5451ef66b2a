//! Send traffic to the earlier release first, then move the service.

use std::collections::BTreeMap;

use rollback_core::{Decision, Proposal, Risk, Step, StepId, Strategy, View};

use super::{Question, REPLACED, decide};
use crate::action::EcsAction;
use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::{Circumstances, Controller, Traffic, TrafficGroup};
use crate::snapshot::EcsSnapshot;

/// The share that one target group gets when it gets everything.
const ALL: u16 = 100;

/// Where the earlier release still runs behind the same listener: users are served by it within seconds, and the service is moved
/// after that.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShiftTraffic;

impl ShiftTraffic {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::Ecs)?;
        question.read(Circumstances::NATIVE)?;
        if question.circumstances.native.is_some() {
            return Err("ECS moves the traffic of its own deployment in flight".to_owned());
        }
        question.not_there_yet()?;
        if let Some(why) = question.needs_registering() {
            return Err(format!("{why}: the service could not be moved after the traffic"));
        }
        let goal = &question.goal().task_definition;
        let unread = question.circumstances.unread.get(Circumstances::TRAFFIC);
        let traffic = question.circumstances.traffic.as_ref().ok_or_else(|| match unread {
            Some(why) => format!("how requests are divided is not known: {why}"),
            None => "no listener divides requests between two releases".to_owned(),
        })?;
        let (group, weights) = all_to(goal, traffic)?;
        let action = EcsAction::ShiftTraffic { listener: traffic.listener.clone(), weights };
        let title = format!("send all requests to the targets of {}", goal.short());
        let shift = Step::single(StepId::from_static("shift-traffic"), title, action);
        let update = question.update(question.revision()).after([StepId::from_static("shift-traffic")]);
        Ok(Proposal::new(vec![shift, update])
            .expected(REPLACED)
            .risk(Risk::Medium)
            .precondition(format!(
                "{} healthy targets of {} can take all requests",
                group.healthy,
                goal.short()
            ))
            .precondition(
                "whoever declares the listener's weights (Terraform, CloudFormation) does not put them back",
            ))
    }
}

/// The target group that runs the destination, and the weights that send everything there.
fn all_to<'a>(
    goal: &TaskDefinitionArn,
    traffic: &'a Traffic,
) -> Result<(&'a TrafficGroup, BTreeMap<Arn, u16>), String> {
    let group = traffic.groups.iter().find(|group| group.runs.as_ref() == Some(goal));
    let group = group.ok_or_else(|| format!("no target group runs {}", goal.short()))?;
    if group.healthy == 0 {
        return Err(format!("no target of {} is healthy", goal.short()));
    }
    let is_it = |other: &TrafficGroup| other.target_group == group.target_group;
    if traffic.groups.iter().all(|other| (other.weight > 0) == is_it(other)) {
        return Err(format!("all requests go to {} already", goal.short()));
    }
    let weight = |other: &TrafficGroup| (other.target_group.clone(), if is_it(other) { ALL } else { 0 });
    Ok((group, traffic.groups.iter().map(weight).collect()))
}

impl Strategy<EcsSnapshot, EcsAction> for ShiftTraffic {
    fn name(&self) -> &'static str {
        "shift-traffic"
    }

    fn summary(&self) -> &'static str {
        "send requests to the earlier release that still runs, then move the service"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
