use rollback_core::target::{Inspection, Reading};
use rollback_core::{
    Capabilities, ComponentName, Decision, Digest, Identity, Observation, Revision, Strategy, Token, View,
};
use serde_json::{Value, json};

use super::*;
use crate::front::Served;
use crate::names::{Bucket, Prefix, Release};
use crate::snapshot::{SiteSnapshot, Source};

const AT: &str = "2026-11-22T03:00:00Z";

fn goal(sources: Vec<Source>) -> SiteSnapshot {
    let identity = Identity(Digest::of_bytes(b"v1"));
    SiteSnapshot {
        bucket: Bucket::new("shop-site").unwrap(),
        live: Prefix::new("live/").unwrap(),
        revision: Revision::new(identity.short()).unwrap(),
        identity,
        objects: 3,
        bytes: 12,
        made_at: Some(AT.parse().unwrap()),
        sources,
    }
}

fn view(facts: Value) -> View<SiteSnapshot> {
    let observed = Observation::settled(Reading::Absent, Token::new("E1"));
    let goal = goal(vec![Source::Archive(Release::new("v1").unwrap())]);
    View::new(ComponentName::new("web").unwrap(), observed, goal, Capabilities::default())
        .with_inspection(Inspection::default().facts(facts))
}

fn served(distribution: bool, from_archive: bool) -> Served {
    let distribution = distribution.then(|| DistributionId::new("E2QWRUHAPOMQZL").unwrap());
    Served { distribution, from_archive }
}

fn steps(strategy: &dyn Strategy<SiteSnapshot, SiteAction>, facts: Value) -> Result<Vec<String>, String> {
    match strategy.propose(&view(facts)) {
        Decision::Propose(proposal) => Ok(proposal.steps.iter().map(|step| step.id.to_string()).collect()),
        Decision::NotApplicable(why) => Err(why),
    }
}

#[test]
fn what_was_copied_is_forgotten_where_something_caches_it() {
    let facts = || json!({ "archive": { "from": "v1" }, "versions": { "from": "2026-11-22T03:00:00Z" } });
    let copy = |distribution| ArchiveCopy::new(served(distribution, false));
    assert_eq!(steps(&copy(false), facts()).unwrap(), ["copy"]);
    assert_eq!(steps(&copy(true), facts()).unwrap(), ["copy", "invalidate"]);
    assert_eq!(
        steps(&copy(true), Value::Null).unwrap(),
        ["copy", "invalidate"],
        "a repair has no inspection"
    );
    let nowhere = json!({ "archive": { "nowhere": "no copy" }, "versions": { "nowhere": "no version" } });
    assert_eq!(steps(&copy(true), nowhere.clone()).unwrap_err(), "no copy");
    let versions = |distribution| ObjectVersions::new(served(distribution, false));
    assert_eq!(steps(&versions(true), facts()).unwrap(), ["restore", "invalidate"]);
    assert_eq!(steps(&versions(false), facts()).unwrap(), ["restore"]);
    let Decision::Propose(proposal) = copy(true).propose(&view(facts())) else { panic!("no proposal") };
    assert_eq!(proposal.steps[1].after, [proposal.steps[0].id.clone()]);
}

#[test]
fn a_pointer_is_moved_where_there_is_one_and_then_nothing_is_copied() {
    let versions = json!({ "nowhere": NOT_A_COPY });
    let facts = || json!({ "archive": { "from": "v1" }, "versions": versions });
    let pointer = |distribution, from_archive| Pointer::new(served(distribution, from_archive));
    assert_eq!(steps(&pointer(true, true), facts()).unwrap(), ["point", "invalidate"]);
    assert_eq!(steps(&pointer(true, true), Value::Null).unwrap(), ["point", "invalidate"]);
    assert!(steps(&pointer(true, false), facts()).unwrap_err().contains("a copy"));
    assert!(steps(&pointer(false, false), facts()).unwrap_err().contains("distribution"));
    let elsewhere = json!({ "archive": { "nowhere": "it serves /live" }, "versions": versions });
    assert_eq!(steps(&pointer(true, true), elsewhere).unwrap_err(), "it serves /live");
    assert_eq!(steps(&ArchiveCopy::new(served(true, true)), facts()).unwrap_err(), NOT_A_COPY);
}

/// What both say of a goal: an action or why not.
fn said(sources: Vec<Source>, facts: Value) -> [Result<Value, String>; 2] {
    let observed = Observation::settled(Reading::Absent, Token::new("t"));
    let view =
        View::new(ComponentName::new("web").unwrap(), observed, goal(sources), Capabilities::default())
            .with_inspection(Inspection::default().facts(facts));
    let told = |decision: Decision<SiteAction>| match decision {
        Decision::Propose(proposal) => {
            let mut action = serde_json::to_value(&proposal.steps[0].action).unwrap();
            action.as_object_mut().unwrap().remove("identity");
            Ok(action)
        }
        Decision::NotApplicable(why) => Err(why),
    };
    [told(ArchiveCopy::default().propose(&view)), told(ObjectVersions::default().propose(&view))]
}

#[test]
fn each_goes_by_what_was_inspected() {
    let facts = json!({ "archive": { "from": "v1" }, "versions": { "from": AT } });
    let both = [json!({ "action": "copy", "release": "v1" }), json!({ "action": "restore", "at": AT })];
    assert_eq!(said(Vec::new(), facts), both.map(Ok));
    let facts =
        json!({ "archive": { "nowhere": "no copy" }, "versions": { "nowhere": "versioning is off" } });
    let neither = ["no copy", "versioning is off"].map(|why| Err(why.to_owned()));
    assert_eq!(said(vec![Source::Archive(Release::new("v1").unwrap())], facts), neither);
}

#[test]
fn without_an_inspection_each_goes_by_where_the_goal_was_found() {
    let [archive, versions] = said(vec![Source::Versions(AT.parse().unwrap())], Value::Null);
    assert!(archive.unwrap_err().contains("archive"));
    assert_eq!(versions, Ok(json!({ "action": "restore", "at": AT })));
    let [archive, versions] = said(vec![Source::Archive(Release::new("v1").unwrap())], Value::Null);
    assert_eq!(archive, Ok(json!({ "action": "copy", "release": "v1" })));
    assert!(versions.unwrap_err().contains("versions"));
    // What was live and nobody looked for: it may be anywhere.
    let [archive, versions] = said(Vec::new(), Value::Null);
    assert_eq!(archive, Ok(json!({ "action": "copy", "seen": AT })));
    assert_eq!(versions, Ok(json!({ "action": "restore", "at": AT })));
}
