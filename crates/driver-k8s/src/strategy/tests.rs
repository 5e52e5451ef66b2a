use rollback_core::{ComponentName, Strategy};
use serde_json::{Value, json};

use super::*;
use crate::look::Look;
use crate::look::tests::{Bed, at_rest, crashing, in_flight, template};
use crate::target::K8sTarget;

fn view(look: &Look, goal: usize) -> View<K8sSnapshot> {
    let observed = look.observation(|state| state).unwrap();
    let name = ComponentName::new("web").unwrap();
    View::new(name, observed, look.state(goal).unwrap(), K8sTarget::capabilities())
}

fn undo(view: &View<K8sSnapshot>) -> Decision<K8sAction> {
    RevisionUndo::default().propose(view)
}

fn why(decision: Decision<K8sAction>) -> String {
    match decision {
        Decision::NotApplicable(why) => why,
        Decision::Propose(proposal) => panic!("{proposal:?}"),
    }
}

fn proposed(decision: Decision<K8sAction>) -> Proposal<K8sAction> {
    match decision {
        Decision::Propose(proposal) => proposal,
        Decision::NotApplicable(why) => panic!("{why}"),
    }
}

/// What the steps do, as they are stored.
fn steps(proposal: &Proposal<K8sAction>) -> Vec<String> {
    let name = |action: &K8sAction| serde_json::to_value(action).unwrap()["do"].as_str().unwrap().to_owned();
    proposal.steps.iter().map(|step| name(&step.action)).collect()
}

fn set(bed: Bed, pointer: &str, value: Value) -> Look {
    bed.set(pointer, value).look()
}

#[test]
fn a_revision_that_is_held_is_put_back_in_one_step() {
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
        let look = at_rest(kind).look();
        let proposal = proposed(undo(&view(&look, 1)));
        assert_eq!(steps(&proposal), ["set-template"]);
        let K8sAction::SetTemplate { from, from_uid, identity, cause, resume, .. } =
            &proposal.steps[0].action
        else {
            panic!()
        };
        assert_eq!((from.as_str(), from_uid.as_str(), *resume), ("web-1", "e1", false));
        assert_eq!(*identity, look.state(1).unwrap().info().identity);
        assert_eq!(cause, "rollback to 1 (v1)");
        assert!(proposal.is_reversible());
    }
}

#[test]
fn nothing_is_proposed_where_nothing_would_change() {
    let look = at_rest(Kind::Deployment).look();
    assert!(why(undo(&view(&look, 0))).contains("already rests on the content of 2 (v2)"));
    assert!(why(SetImage::default().propose(&view(&look, 0))).contains("already rests"));
    let moving = in_flight(Kind::Deployment, &json!({})).look();
    assert!(why(undo(&view(&moving, 0))).contains("on its way"));
    let failed = in_flight(Kind::Deployment, &crashing()).look();
    assert!(why(undo(&view(&failed, 0))).contains("exit code 1"));
}

#[test]
fn what_stands_in_the_way_is_said() {
    let owner = json!([{ "controller": true, "kind": "Rollout", "name": "web", "uid": "r" }]);
    for (pointer, value, said) in [
        ("/metadata/ownerReferences", owner, "belongs to Rollout web"),
        ("/spec/paused", json!(true), "paused"),
        ("/spec/updateStrategy", json!({ "type": "OnDelete" }), "OnDelete"),
    ] {
        let look = set(at_rest(Kind::Deployment), pointer, value);
        assert!(why(undo(&view(&look, 1))).contains(said), "{pointer}");
        assert!(why(SetImage::default().propose(&view(&look, 1))).contains(said), "{pointer}");
    }
    let mut foreign = view(&at_rest(Kind::Deployment).look(), 1);
    foreign.goal.workload.name = "other".into();
    assert!(why(undo(&foreign)).contains("state of Deployment shop/other"));
}

#[test]
fn resuming_is_a_choice_that_shows() {
    let look = set(at_rest(Kind::Deployment), "/spec/paused", json!(true));
    let proposal = proposed(RevisionUndo { resume_paused: true }.propose(&view(&look, 1)));
    assert!(matches!(&proposal.steps[0].action, K8sAction::SetTemplate { resume: true, .. }));
    assert_eq!(proposal.risk, Risk::Medium);
    assert!(proposal.preconditions.iter().any(|text| text.contains("resume_paused")));
    // It was not paused: nothing is resumed.
    let running = at_rest(Kind::Deployment).look();
    let proposal = proposed(RevisionUndo { resume_paused: true }.propose(&view(&running, 1)));
    assert!(matches!(&proposal.steps[0].action, K8sAction::SetTemplate { resume: false, .. }));
}

#[test]
fn a_pod_that_would_be_waited_for_is_deleted_after_the_template_is_set() {
    let look = in_flight(Kind::StatefulSet, &crashing()).look();
    let proposal = proposed(undo(&view(&look, 1)));
    assert_eq!(steps(&proposal), ["set-template", "delete-pod"]);
    assert_eq!(proposal.steps[1].after, [proposal.steps[0].id.clone()]);
    assert!(proposal.steps[1].title.contains("web-3-0") && proposal.steps[1].title.contains("exit code 1"));
    // Somebody set the template back by hand already, and waits.
    let stuck = in_flight(Kind::StatefulSet, &crashing())
        .image("v2")
        .status(&json!({ "updateRevision": "web-2" }))
        .look();
    assert_eq!(steps(&proposed(undo(&view(&stuck, 1)))), ["delete-pod"]);
    // Nobody waits for it elsewhere.
    for kind in [Kind::Deployment, Kind::DaemonSet] {
        assert_eq!(steps(&proposed(undo(&view(&in_flight(kind, &crashing()).look(), 1)))), ["set-template"]);
    }
}

#[test]
fn images_are_set_where_they_are_all_that_differs() {
    let look = at_rest(Kind::Deployment).look();
    let proposal = proposed(SetImage::default().propose(&view(&look, 1)));
    let K8sAction::SetImages { images, identity, .. } = &proposal.steps[0].action else { panic!() };
    assert_eq!(images.get("web").unwrap(), "r/web:v1");
    assert_eq!(*identity, look.state(1).unwrap().info().identity);
    let mut more = template("v0");
    more["spec"]["hostNetwork"] = json!(true);
    let look = at_rest(Kind::Deployment).entry(0, &more).look();
    assert!(why(SetImage::default().propose(&view(&look, 2))).contains("more than images"));
    let mut unheld = view(&at_rest(Kind::Deployment).look(), 1);
    unheld.goal.source = crate::snapshot::Source::Images;
    assert!(why(undo(&unheld)).contains("no ReplicaSet holds"));
    assert_eq!(proposed(SetImage::default().propose(&unheld)).preconditions.len(), 2);
}

#[test]
fn stopping_everything_first_costs_downtime() {
    let look = set(at_rest(Kind::Deployment), "/spec/strategy", json!({ "type": "Recreate" }));
    let proposal = proposed(undo(&view(&look, 1)));
    assert!(proposal.downtime.as_duration().as_secs() > 0 && proposal.risk == Risk::Medium);
    let held = json!({ "rollingUpdate": { "partition": 1 } });
    let look = set(at_rest(Kind::StatefulSet), "/spec/updateStrategy", held);
    assert!(proposed(undo(&view(&look, 1))).preconditions.iter().any(|text| text.contains("below 1")));
}
