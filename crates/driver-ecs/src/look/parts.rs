//! What runs, part by part.

use std::collections::BTreeMap;

use rollback_core::target::Health;
use rollback_core::{Digest, Evidence, Identity, Incarnation, PartId, PartState, Reading, Result};

use super::code_deploy::{self, Standing};
use super::{Look, Task};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::Controller;
use crate::snapshot::EcsSnapshot;

/// What tasks of one part have in common: the task definition, and the images that really run.
type Kind = (TaskDefinitionArn, BTreeMap<String, Digest>);

pub(super) fn parts(look: &Look, goal: Option<&EcsSnapshot>) -> Result<Vec<PartState>> {
    if look.tasks.known().is_none() {
        return counted(look);
    }
    let meant = meant(look);
    let running = by_kind(look, meant.as_ref());
    let mut parts = Vec::new();
    for ((arn, digests), tasks) in &running {
        let alone = running.keys().filter(|(other, _)| other == arn).count() == 1;
        let name = match digests.is_empty() || alone {
            true => part_name(arn),
            // Several sets of images under one revision: a tag was moved in between.
            false => format!("{} ({})", part_name(arn), Digest::of(digests)?.short()),
        };
        let wanted = match &meant {
            Some((meant, wanted)) if meant == arn && alone => *wanted,
            _ => count(tasks.len()),
        };
        let identity = if tasks.is_empty() { None } else { identity(look, arn, digests, goal)? };
        // Digests are what the agent reports of the containers that it runs, not what somebody asked for.
        let part = match identity.is_some() && !digests.is_empty() {
            true => PartState::verified(PartId::new(name)?, identity),
            false => PartState::claimed(PartId::new(name)?, identity),
        };
        let ready = count(tasks.iter().filter(|task| is_ready(task)).count());
        let part = part.with_replicas(wanted, ready).with_incarnation(incarnation(tasks));
        parts.push(part.with_health(health(tasks)));
    }
    Ok(parts)
}

/// What runs, by what it runs; and what should run, also when nothing of it does.
fn by_kind<'a>(look: &'a Look, meant: Option<&(TaskDefinitionArn, u32)>) -> BTreeMap<Kind, Vec<&'a Task>> {
    let mut running: BTreeMap<Kind, Vec<&Task>> = BTreeMap::new();
    for task in look.running().filter(|task| !code_deploy::is_kept(look, task)) {
        if let Some(arn) = &task.task_definition {
            running.entry((arn.clone(), task.digests())).or_default().push(task);
        }
    }
    if let Some((arn, _)) = meant
        && !running.keys().any(|(runs, _)| runs == arn)
    {
        running.insert((arn.clone(), BTreeMap::new()), Vec::new());
    }
    running
}

fn count(tasks: usize) -> u32 {
    u32::try_from(tasks).unwrap_or(u32::MAX)
}

/// `web:42`; a family may be longer than the name of a part.
fn part_name(arn: &TaskDefinitionArn) -> String {
    let family = arn.family();
    if family.len() <= 150 {
        return arn.short();
    }
    let rest = Digest::of_bytes(family.as_bytes()).short();
    format!("{}-{rest}:{}", &family[..100], arn.revision())
}

/// Without the tasks, ECS's own counts have to do: what is claimed, not what was seen.
fn counted(look: &Look) -> Result<Vec<PartState>> {
    let counts = look
        .service
        .deployments
        .iter()
        .map(|d| (&d.status, &d.task_definition, d.desired_count, d.running_count));
    let sets = look.service.task_sets.iter().filter(|set| !code_deploy::is_set_kept(look, set));
    let sets = sets.map(|s| (&s.status, &s.task_definition, s.computed_desired_count, s.running_count));
    let mut parts: BTreeMap<&TaskDefinitionArn, (u32, u32)> = BTreeMap::new();
    for (status, arn, wanted, running) in counts.chain(sets) {
        if let Some(arn) = arn.as_ref().filter(|_| status == "PRIMARY" || running > 0) {
            let part = parts.entry(arn).or_default();
            *part = (part.0.saturating_add(wanted), part.1.saturating_add(running));
        }
    }
    let part = |(arn, (wanted, running)): (&TaskDefinitionArn, (u32, u32))| {
        let identity = if running > 0 { look.identity(arn, &look.resolved(arn))? } else { None };
        Ok(PartState::claimed(PartId::new(part_name(arn))?, identity).with_replicas(wanted, running))
    };
    parts.into_iter().map(part).collect()
}

/// What should run, and how many of it.
fn meant(look: &Look) -> Option<(TaskDefinitionArn, u32)> {
    let wanted = look.service.desired_count;
    if look.circumstances().controller != Controller::Ecs {
        let set = look.service.task_sets.iter().find(|set| set.status == "PRIMARY")?;
        return Some((set.task_definition.clone()?, set.computed_desired_count));
    }
    let primary = look.service.primary()?;
    // During a rollout the service's own count may be that of both deployments.
    let count = if primary.desired_count > 0 { primary.desired_count } else { wanted };
    Some((primary.task_definition.clone()?, count))
}

fn is_ready(task: &Task) -> bool {
    task.desired_status == "RUNNING" && task.health_status.as_deref() != Some("UNHEALTHY")
}

/// The oldest task: as long as it is there, not everything was restarted.
fn incarnation(tasks: &[&Task]) -> Option<Incarnation> {
    let oldest = tasks.iter().min_by(|a, b| (a.started_at, &a.arn).cmp(&(b.started_at, &b.arn)))?;
    Incarnation::new(oldest.id()).ok()
}

fn health(tasks: &[&Task]) -> Health {
    let of = |status: &str| tasks.iter().filter(|task| task.health_status.as_deref() == Some(status)).count();
    match (of("UNHEALTHY"), of("HEALTHY")) {
        (0, healthy) if healthy == tasks.len() && healthy > 0 => Health::Healthy,
        (0, _) => Health::Unknown,
        (sick, _) => {
            Health::Unhealthy(format!("{sick} of {} tasks fail their container health check", tasks.len()))
        }
    }
}

/// What tasks run. Where nobody knows which digest a tag of the goal means, one equal digest over all tasks has to do.
fn identity(
    look: &Look,
    arn: &TaskDefinitionArn,
    digests: &BTreeMap<String, Digest>,
    goal: Option<&EcsSnapshot>,
) -> Result<Option<Identity>> {
    let Some(goal) = goal else { return look.identity(arn, digests) };
    let known = known_digests(goal);
    let mut compared = digests.clone();
    compared.retain(|name, _| known.contains_key(name) || !agree(look, goal, name));
    if known.keys().any(|name| !digests.contains_key(name)) {
        // The goal says which image, the task does not.
        return Ok(None);
    }
    look.identity(arn, &compared)
}

/// Each container of the goal whose digest is known, from the deployment or because it is written there.
fn known_digests(goal: &EcsSnapshot) -> BTreeMap<String, Digest> {
    let images = goal.images().into_iter();
    images.filter_map(|(name, image)| Some((name, image.digest()?))).collect()
}

/// Whether all tasks with the goal's content run the same image in this container.
fn agree(look: &Look, goal: &EcsSnapshot, container: &str) -> bool {
    let same = |task: &&Task| {
        task.task_definition.as_ref().and_then(|arn| look.definitions.get(arn)) == Some(&goal.definition)
    };
    let mut found = look.running().filter(same).map(|task| task.digests().get(container).copied());
    let Some(first) = found.next() else { return true };
    first.is_some() && found.all(|other| other == first)
}

pub(super) fn evidence(look: &Look, goal: &EcsSnapshot) -> Result<Evidence> {
    let mut evidence = Evidence::default();
    match &look.tasks {
        Reading::Unknown(why) => evidence = evidence.unread(format!("the tasks: {why}")),
        Reading::Absent => {}
        Reading::Known(_) => {
            let running = look.running().count();
            evidence = evidence
                .compared(format!("{running} running tasks with their task definition and image digests"));
        }
    }
    for part in parts(look, Some(goal))? {
        evidence = evidence.part(with_targets(look, part, goal));
    }
    for (arn, why) in unread_definitions(look) {
        evidence = evidence.unread(format!("{}: {why}", arn.short()));
    }
    evidence = rollout(look, evidence);
    let known = known_digests(goal);
    for container in goal.definition.containers().into_iter().filter(|c| !known.contains_key(&c.name)) {
        evidence = evidence.compared(format!(
            "that all tasks run one image in {}; which one {} means was not compared with the registry",
            container.name, container.image
        ));
    }
    match &look.healthy_targets {
        Reading::Known(healthy) => {
            evidence = evidence.compared(format!("{healthy} healthy targets of the load balancer"));
        }
        Reading::Unknown(why) => {
            evidence = evidence.unread(format!("the health of the load balancer's targets: {why}"));
        }
        Reading::Absent => {}
    }
    for reason in look.reasons() {
        evidence = evidence.compared(reason);
    }
    Ok(evidence)
}

/// What is meant to run must also be reached: no more of it is ready than the load balancer calls healthy.
fn with_targets(look: &Look, mut part: PartState, goal: &EcsSnapshot) -> PartState {
    let is_goal = part.identity.is_some() && part.identity == goal.definition.identity(&goal.digests).ok();
    if let (true, Reading::Known(healthy), Some(replicas)) =
        (is_goal, &look.healthy_targets, part.replicas.as_mut())
    {
        replicas.ready = replicas.ready.min(*healthy);
    }
    part
}

fn unread_definitions(look: &Look) -> Vec<(TaskDefinitionArn, &'static str)> {
    let named = look.running().filter_map(|task| task.task_definition.clone());
    let mut missing: Vec<_> = named.filter(|arn| !look.definitions.contains_key(arn)).collect();
    missing.sort();
    missing.dedup();
    missing.into_iter().map(|arn| (arn, "its task definition was not read")).collect()
}

/// A rollout that has not completed proves nothing yet, even while every task looks right.
fn rollout(look: &Look, mut evidence: Evidence) -> Evidence {
    match code_deploy::standing(look) {
        Standing::Moving(what) => evidence = evidence.unread(format!("its end: {what}")),
        Standing::Waiting(what) => evidence = evidence.compared(what),
        Standing::Rest => {}
    }
    let kept = look.running().filter(|task| code_deploy::is_kept(look, task)).count();
    if kept > 0 {
        evidence =
            evidence.compared(format!("{kept} running tasks of task sets that take no requests, apart"));
    }
    let Some(primary) = look.service.primary() else { return evidence };
    match primary.rollout_state.as_deref() {
        None => evidence,
        Some("COMPLETED") => evidence.compared("that ECS calls the rollout completed"),
        Some(state) => {
            evidence.unread(format!("the end of the rollout: ECS says {}", super::reasons::line(state)))
        }
    }
}
