use std::collections::BTreeMap;

use rollback_core::target::{HistoryQuery, Phase, Standing};
use rollback_core::{Goal, Reading, Snapshot as _};
use serde_json::{Value, json};

use super::*;
use crate::history::history;

/// A workload of three replicas, put together piece by piece.
pub(crate) struct Bed {
    kind: Kind,
    object: Value,
    history: Vec<Value>,
    pods: Vec<Value>,
}

pub(crate) fn template(image: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": format!("r/web:{image}") }] } })
}

fn bed(kind: Kind, replicas: u64) -> Bed {
    let object = json!({
        "metadata": { "name": "web", "uid": "w", "generation": 1, "resourceVersion": "1" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": template("v1") },
        "status": { "observedGeneration": 1, "desiredNumberScheduled": replicas },
    });
    Bed { kind, object, history: Vec::new(), pods: Vec::new() }
}

pub(crate) fn deployment(replicas: u64) -> Bed {
    bed(Kind::Deployment, replicas)
}

fn daemon_set(replicas: u64) -> Bed {
    bed(Kind::DaemonSet, replicas)
}

impl Bed {
    pub(crate) fn of(kind: Kind, replicas: u64) -> Self {
        bed(kind, replicas)
    }

    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.object.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    pub(crate) fn image(self, image: &str) -> Self {
        self.set("/spec/template", template(image))
    }

    /// An entry of the history, called `web-NUMBER`.
    pub(crate) fn entry(mut self, number: u64, template: &Value) -> Self {
        let owner = json!([{ "controller": true, "uid": "w", "kind": self.kind.name() }]);
        let mut metadata =
            json!({ "name": format!("web-{number}"), "uid": format!("e{number}"), "ownerReferences": owner });
        metadata["creationTimestamp"] = json!(format!("2026-11-21T10:{number:02}:00Z"));
        metadata["annotations"] = json!({ "deployment.kubernetes.io/revision": number.to_string() });
        self.history.push(match self.kind {
            Kind::Deployment => json!({ "metadata": metadata, "spec": { "template": template } }),
            _ => json!({ "metadata": metadata, "revision": number, "data": { "spec": { "template": template } } }),
        });
        self
    }

    /// Pods of an entry.
    pub(crate) fn pods(mut self, number: u64, count: usize, status: &Value) -> Self {
        let uid = if self.kind == Kind::Deployment { format!("e{number}") } else { "w".to_owned() };
        for index in 0..count {
            let name = format!("web-{number}-{index}");
            let mut pod = json!({ "metadata": { "name": name, "uid": format!("uid-{name}"),
                "labels": { "controller-revision-hash": format!("web-{number}") },
                "ownerReferences": [{ "controller": true, "uid": uid }] }, "status": status });
            if self.kind == Kind::DaemonSet {
                pod["metadata"]["labels"]["controller-revision-hash"] = json!(number.to_string());
            }
            self.pods.push(pod);
        }
        self
    }

    pub(crate) fn status(mut self, fields: &Value) -> Self {
        for (key, value) in fields.as_object().unwrap() {
            self.object["status"][key] = value.clone();
        }
        self
    }

    pub(crate) fn look(self) -> Look {
        let workload = Workload::new(self.kind, "shop", "web").unwrap();
        let key = FingerprintKey::public(crate::NAME, "ns");
        Look::new(&workload, &key, self.object, &self.history, &self.pods).unwrap()
    }
}

pub(crate) fn ready() -> Value {
    json!({ "conditions": [{ "type": "Ready", "status": "True" }] })
}

pub(crate) fn crashing() -> Value {
    json!({ "containerStatuses": [{ "name": "web", "restartCount": 2, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1 } } }] })
}

/// v1 ran, v2 ran, and the workload is set to a bad one.
pub(crate) fn in_flight(kind: Kind, pods: &Value) -> Bed {
    let status = json!({ "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2, "readyReplicas": 2, "updatedNumberScheduled": 1,
        "numberAvailable": 2, "currentNumberScheduled": 3, "currentRevision": "web-2", "updateRevision": "web-3" });
    bed(kind, 3)
        .image("bad")
        .entry(1, &template("v1"))
        .entry(2, &template("v2"))
        .entry(3, &template("bad"))
        .pods(2, 2, &ready())
        .pods(3, 1, pods)
        .status(&status)
}

pub(crate) fn at_rest(kind: Kind) -> Bed {
    let status = json!({ "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "updatedNumberScheduled": 3,
        "numberAvailable": 3, "currentNumberScheduled": 3, "currentRevision": "web-2", "updateRevision": "web-2" });
    bed(kind, 3)
        .image("v2")
        .entry(1, &template("v1"))
        .entry(2, &template("v2"))
        .pods(2, 3, &ready())
        .status(&status)
}

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

fn runs(look: &Look) -> (Option<String>, Option<String>, Phase) {
    let observed = look.observation(|state| state).unwrap();
    let name = |state: &crate::K8sSnapshot| state.revision.to_string();
    (observed.settled.known().map(name), observed.heading.as_ref().map(name), observed.phase)
}

fn standings(look: &Look) -> Vec<(String, Standing)> {
    let found = history(look, &HistoryQuery::newest(20), None).unwrap();
    found.into_iter().map(|entry| (entry.snapshot.revision.to_string(), entry.standing)).collect()
}

fn proven(look: &Look, goal: &crate::K8sSnapshot) -> bool {
    let evidence = look.evidence(goal).unwrap();
    evidence.judge(goal.info().identity, &Goal::runs(goal.clone())).is_proven()
}

#[test]
fn at_rest_it_is_proven_and_nothing_else_is() {
    for kind in KINDS {
        let look = at_rest(kind).look();
        assert_eq!(runs(&look), (Some("2".into()), None, Phase::Settled), "{kind}");
        let (one, two) = (look.state(1).unwrap(), look.state(0).unwrap());
        assert!(proven(&look, &two) && !proven(&look, &one), "{kind}");
    }
}

#[test]
fn a_crash_loop_is_a_failure_at_once_and_the_earlier_one_still_runs() {
    for kind in KINDS {
        let look = in_flight(kind, &crashing()).look();
        let (settled, heading, phase) = runs(&look);
        assert_eq!((settled.as_deref(), heading.as_deref()), (Some("2"), Some("3")), "{kind}");
        assert!(matches!(phase, Phase::Failed(why) if why.contains("exit code 1")), "{kind}");
        let wanted = [("3", Standing::Failed), ("2", Standing::Current), ("1", Standing::Unknown)];
        assert_eq!(standings(&look), wanted.map(|(name, standing)| (name.to_owned(), standing)), "{kind}");
    }
}

#[test]
fn what_is_on_its_way_is_not_settled() {
    for kind in KINDS {
        let look = in_flight(kind, &json!({})).look();
        let (settled, heading, phase) = runs(&look);
        assert_eq!((settled.as_deref(), heading.as_deref()), (Some("2"), Some("3")), "{kind}");
        assert!(matches!(phase, Phase::Progressing(_)), "{kind}");
        assert!(!proven(&look, &look.state(0).unwrap()) && !proven(&look, &look.state(1).unwrap()), "{kind}");
    }
}

/// kubectl takes the second highest number, which is the version before the last good one while the controller is behind.
#[test]
fn while_its_controller_is_behind_the_last_that_ran_is_not_skipped() {
    for kind in KINDS {
        let look = at_rest(kind).image("bad").set("/metadata/generation", json!(2)).look();
        let (settled, heading, phase) = runs(&look);
        assert_eq!((settled.as_deref(), heading.as_deref()), (Some("2"), Some("generation-2")), "{kind}");
        assert!(matches!(phase, Phase::Progressing(why) if why.contains("generation 2")), "{kind}");
        let wanted =
            [("generation-2", Standing::Unknown), ("2", Standing::Current), ("1", Standing::Unknown)];
        assert_eq!(standings(&look), wanted.map(|(name, standing)| (name.to_owned(), standing)), "{kind}");
        assert!(!proven(&look, &look.state(0).unwrap()), "{kind}");
    }
}

/// kubectl goes back to the bad version, as it was before somebody restarted it.
#[test]
fn a_restart_of_a_bad_version_is_no_version_of_its_own() {
    let mut restarted = template("v2");
    restarted["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/restartedAt": "2026-11-21T10:00:00Z" });
    let look = at_rest(Kind::Deployment)
        .set("/spec/template", restarted.clone())
        .entry(3, &restarted)
        .set("/status/conditions", json!([]))
        .look();
    let shown: Vec<_> = standings(&look).into_iter().map(|(name, _)| name).collect();
    assert_eq!(shown, ["3", "1"]);
}

#[test]
fn pods_that_crash_after_the_rollout_was_complete_show() {
    let progressing = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
        "message": "ReplicaSet \"web-2\" has successfully progressed." }]);
    let decayed = |message: &Value| {
        let mut bed =
            at_rest(Kind::Deployment).status(&json!({ "availableReplicas": 2, "conditions": message }));
        bed.pods.pop();
        bed.pods(2, 1, &crashing()).look()
    };
    let (settled, heading, phase) = runs(&decayed(&progressing));
    assert_eq!((settled.as_deref(), heading), (Some("2"), None));
    assert!(matches!(phase, Phase::Failed(_)));
    // The condition of another rollout says nothing.
    let other = json!([{ "type": "Progressing", "reason": "NewReplicaSetAvailable", "message": "ReplicaSet \"web-1\" ..." }]);
    assert_eq!(runs(&decayed(&other)).0, None);
}

#[test]
fn a_paused_deployment_is_held_though_kubectl_calls_it_done() {
    let look = at_rest(Kind::Deployment).image("bad").set("/spec/paused", json!(true)).look();
    let (settled, heading, phase) = runs(&look);
    assert_eq!((settled, heading), (Some("2".into()), Some("generation-1".into())));
    assert!(matches!(phase, Phase::Paused(_)));
}

#[test]
fn the_deadline_and_its_reason_are_told() {
    let conditions = json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" },
        { "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: pods" }]);
    let look = in_flight(Kind::Deployment, &json!({})).status(&json!({ "conditions": conditions })).look();
    assert_eq!(runs(&look).2, Phase::Failed("ProgressDeadlineExceeded: exceeded quota: pods".into()));
}

#[test]
fn the_deadline_of_a_release_that_was_left_is_not_that_of_the_way_back() {
    let over = |name: &str| {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        let condition = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message });
        in_flight(Kind::Deployment, &json!({})).status(&json!({ "conditions": [condition] })).look()
    };
    assert!(matches!(runs(&over("web-3")).2, Phase::Failed(_)));
    assert!(matches!(runs(&over("web-2")).2, Phase::Progressing(_)));
}

#[test]
fn what_a_witness_said_is_part_of_the_reason_and_nobody_is_one_where_nothing_failed() {
    for kind in KINDS {
        let mut look = in_flight(kind, &crashing()).look();
        let (pod, _) = look.witness().expect("its log can be asked for");
        assert_eq!(pod.name, "web-3-0", "{kind}");
        look.testimony = Some("it wrote last: no table".into());
        let Phase::Failed(why) = runs(&look).2 else { panic!("{kind}") };
        assert!(why.ends_with("2 restarts so far; it wrote last: no table"), "{kind}: {why}");
        assert_eq!((at_rest(kind).look().witness(), at_rest(kind).look().shortage()), (None, None), "{kind}");
        assert_eq!(in_flight(kind, &json!({})).look().witness(), None, "{kind}");
    }
}

#[test]
fn missing_pods_are_asked_about_where_no_status_says_why() {
    for kind in KINDS {
        // Whatever its own counts are: they are from before.
        let fewer = || {
            let mut bed = in_flight(kind, &json!({}));
            bed.pods.pop();
            bed
        };
        let mut look = fewer().look();
        assert_eq!(look.shortage(), (kind != Kind::Deployment).then_some((2, 1)), "{kind}");
        look.testimony = Some("exceeded quota".into());
        let Phase::Progressing(what) = runs(&look).2 else { panic!("{kind}") };
        assert_eq!(what.contains("pods cannot be made: exceeded quota"), kind != Kind::Deployment, "{what}");
        // It is clear then what it waits for.
        assert_eq!(fewer().set("/spec/paused", json!(true)).look().shortage(), None, "{kind}");
        let mut bed = in_flight(kind, &json!({}));
        bed.pods[2]["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        assert_eq!(bed.look().shortage(), None, "{kind}");
    }
}

#[test]
fn a_stateful_set_that_waits_for_a_bad_pod_says_so() {
    let stuck = in_flight(Kind::StatefulSet, &crashing())
        .image("v2")
        .status(&json!({ "updateRevision": "web-2" }))
        .look();
    assert!(matches!(runs(&stuck).2, Phase::Failed(why) if why.contains("OrderedReady")));
    assert_eq!(stuck.unready().iter().map(|pod| pod.pod.as_str()).collect::<Vec<_>>(), ["web-3-0"]);
    let parallel =
        in_flight(Kind::StatefulSet, &crashing()).set("/spec/podManagementPolicy", json!("Parallel")).look();
    assert_eq!(parallel.unready(), []);
}

#[test]
fn partitions_and_deletion_by_hand_are_held() {
    let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } });
    let held = json!({ "readyReplicas": 3, "updatedReplicas": 1 });
    let look =
        in_flight(Kind::StatefulSet, &ready()).set("/spec/updateStrategy", strategy).status(&held).look();
    assert!(matches!(runs(&look).2, Phase::Paused(why) if why.contains("below 2")));
    let look = in_flight(Kind::DaemonSet, &json!({}))
        .set("/spec/updateStrategy", json!({ "type": "OnDelete" }))
        .look();
    assert!(matches!(runs(&look).2, Phase::Paused(why) if why.contains("OnDelete")));
}

#[test]
fn nothing_that_runs_proves_nothing() {
    let status = json!({ "replicas": 0, "updatedReplicas": 0, "availableReplicas": 0, "readyReplicas": 0 });
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        let mut bed = at_rest(kind).set("/spec/replicas", json!(0)).status(&status);
        bed.pods.clear();
        let look = bed.look();
        assert_eq!(runs(&look).2, Phase::Settled, "{kind}");
        assert!(!proven(&look, &look.state(0).unwrap()), "{kind}");
    }
}

#[test]
fn the_token_ignores_status_and_replicas_and_nothing_else() {
    let token = |bed: Bed| bed.look().token().clone();
    let one = token(at_rest(Kind::Deployment));
    let scaled =
        at_rest(Kind::Deployment).set("/spec/replicas", json!(9)).set("/metadata/generation", json!(7));
    assert_eq!(one, token(scaled.status(&json!({ "replicas": 9 }))));
    assert_ne!(one, token(at_rest(Kind::Deployment).image("v3")));
    assert_ne!(one, token(at_rest(Kind::Deployment).set("/spec/paused", json!(true))));
    assert_ne!(one, token(at_rest(Kind::Deployment).set("/metadata/uid", json!("other"))));
}

#[test]
fn entries_of_another_workload_with_the_same_labels_are_not_ours() {
    let mut bed = at_rest(Kind::Deployment);
    let mut foreign = bed.history[0].clone();
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("other");
    foreign["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("9");
    bed.history.push(foreign);
    assert_eq!(standings(&bed.look()).len(), 2);
}

#[test]
fn the_same_template_with_another_image_behind_its_tag_is_not_proven() {
    let image = |digit: &str| {
        let mut status = ready();
        status["containerStatuses"] =
            json!([{ "name": "web", "imageID": format!("r/web@sha256:{}", digit.repeat(64)) }]);
        status
    };
    let with = |bed: Bed, images: &[&str]| {
        let mut bed = bed;
        bed.pods.clear();
        images.iter().fold(bed, |bed, digit| bed.pods(2, 1, &image(digit))).look()
    };
    let look = with(at_rest(Kind::Deployment), &["a", "a", "a"]);
    let recorded = look.state(0).unwrap();
    assert_eq!(recorded.images.len(), 1);
    assert!(proven(&look, &recorded));
    let moved = with(at_rest(Kind::Deployment), &["a", "b", "a"]);
    assert!(!proven(&moved, &recorded));
    assert_eq!(moved.state(0).unwrap().images, BTreeMap::new());
    assert_eq!(recorded.info().identity, moved.state(0).unwrap().info().identity);
}

#[test]
fn a_version_that_no_revision_holds_is_found_by_its_image() {
    let asked = |version: &str| {
        let query = HistoryQuery::version(rollback_core::Version::new(version).unwrap());
        let found = history(&at_rest(Kind::Deployment).look(), &query, None).unwrap();
        found.into_iter().map(|entry| entry.snapshot.revision.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(asked("v1"), ["1"]);
    assert_eq!(asked("v0"), ["image-v0"]);
    let noted =
        at_rest(Kind::Deployment).set("/metadata/annotations", json!({ "previous-version": "v0" })).look();
    assert_eq!(standings(&noted).last().unwrap().0, "image-v0");
}

#[test]
fn what_was_never_available_on_a_daemon_set_is_not_claimed() {
    let mut bed = daemon_set(1).entry(1, &template("v1")).pods(1, 1, &crashing());
    bed.object["status"]["updatedNumberScheduled"] = json!(1);
    let look = bed.look();
    assert!(matches!(look.observation(|state| state).unwrap().settled, Reading::Unknown(_)));
}
