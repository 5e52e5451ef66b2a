use std::collections::BTreeMap;

use rollback_core::{Capabilities, ComponentName, Digest, Observation, PartId, Reading, Strategy, Token};

use super::*;
use crate::image::{ServiceImage, Which};
use crate::names::{Project, Service};

fn state(digest: &str) -> ComposeSnapshot {
    let repository = "127.0.0.1:5000/web".parse().unwrap();
    let main = Service::new("web").unwrap();
    let image = ServiceImage::new(&repository, Which::Digest(Digest::of_bytes(digest.as_bytes())));
    ComposeSnapshot::new(Project::new("shop").unwrap(), main.clone(), BTreeMap::from([(main, image)]))
        .unwrap()
}

/// Hosts that run these, to be put back to `v1`.
fn view(hosts: &[(&str, &str)]) -> View<ComposeSnapshot> {
    let mut observed = Observation::settled(Reading::Unknown("they differ".into()), Token::new("t"));
    for (host, digest) in hosts {
        observed =
            observed.part(PartState::verified(PartId::new(*host).unwrap(), Some(state(digest).identity())));
    }
    View::new(ComponentName::new("shop").unwrap(), observed, state("v1"), Capabilities::default().parts())
}

fn hosts(batch: usize) -> Hosts {
    Hosts { batch, pull: Lasting::from_secs(600), up: Lasting::from_secs(300), commands: Arc::default() }
}

fn steps(decision: Decision<ComposeAction>) -> Vec<Step<ComposeAction>> {
    match decision {
        Decision::Propose(proposal) => proposal.steps,
        Decision::NotApplicable(why) => panic!("{why}"),
    }
}

#[test]
fn everything_is_fetched_before_the_first_container_is_touched() {
    let steps = steps(Pin::new(hosts(1)).propose(&view(&[("a", "v2"), ("b", "v2")])));
    let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["fetch-a", "fetch-b", "up-a", "up-b"]);
    let after = |at: usize| steps[at].after.iter().map(StepId::as_str).collect::<Vec<_>>();
    assert_eq!((after(0), after(2), after(3)), (vec![], vec!["fetch-a", "fetch-b"], vec!["up-a"]));
}

#[test]
fn hosts_follow_in_batches_and_those_that_are_there_are_left_alone() {
    let steps = steps(Pin::new(hosts(2)).propose(&view(&[
        ("a", "v2"),
        ("b", "v1"),
        ("c", "v2"),
        ("d", "v2"),
        ("e", "v3"),
    ])));
    let ups: Vec<_> = steps.iter().filter(|step| step.id.as_str().starts_with("up-")).collect();
    let ids: Vec<_> = ups.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["up-a", "up-c", "up-d", "up-e"]);
    let after: Vec<_> = ups[3].after.iter().map(StepId::as_str).collect();
    assert_eq!(after, ["up-a", "up-c"]);
    let ComposeAction::Up { from, .. } = &ups[3].action else { panic!() };
    assert_eq!(*from, Some(state("v3").identity()), "what it ran when it was planned");
    let until_known = |step: &&Step<_>| matches!(step.action, ComposeAction::Up { until_known: true, .. });
    let waits: Vec<_> = ups.iter().map(until_known).collect();
    assert_eq!(waits, [true, true, false, false], "nobody follows the last ones");
    let ComposeAction::Up { behind, .. } = &ups[3].action else { panic!() };
    assert_eq!(behind.iter().map(Host::as_str).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn where_everything_is_there_nothing_is_to_be_done() {
    let decision = Pin::new(hosts(1)).propose(&view(&[("a", "v1")]));
    assert!(matches!(decision, Decision::NotApplicable(_)));
}

#[test]
fn what_touches_more_than_it_must_is_a_choice() {
    let here = view(&[("a", "v2")]);
    for (decision, setting) in [
        (Retag::new(hosts(1), false).propose(&here), "retag = true"),
        (WholeProject::new(hosts(1), false).propose(&here), "whole_project = true"),
    ] {
        assert!(matches!(decision, Decision::NotApplicable(why) if why.contains(setting)));
    }
    let (Decision::Propose(pin), Decision::Propose(retag), Decision::Propose(whole)) = (
        Pin::new(hosts(1)).propose(&here),
        Retag::new(hosts(1), true).propose(&here),
        WholeProject::new(hosts(1), true).propose(&here),
    ) else {
        panic!()
    };
    assert!(pin.preference(&retag).is_lt() && retag.preference(&whole).is_lt());
}

#[test]
fn commands_come_when_every_host_runs_what_it_should() {
    let mut everywhere = DeployCommand::new("assets", ["collect"]);
    everywhere.hosts = Where::Every;
    everywhere.reversible = true;
    let commands = [DeployCommand::new("migrate", ["migrate"]), everywhere];
    let hosts = Hosts { commands: commands.into(), ..hosts(1) };
    let steps = steps(Pin::new(hosts).propose(&view(&[("a", "v2"), ("b", "v2")])));
    let runs: Vec<_> = steps.iter().filter(|step| step.id.as_str().starts_with("run-")).collect();
    let told: Vec<_> = runs
        .iter()
        .map(|step| {
            (step.id.as_str(), step.after.iter().map(StepId::as_str).collect::<Vec<_>>(), step.reversible)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("run-migrate-a", vec!["up-b"], false),
            ("run-assets-a", vec!["run-migrate-a"], true),
            ("run-assets-b", vec!["run-migrate-a"], true),
        ]
    );
}
