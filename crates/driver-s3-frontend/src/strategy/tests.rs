use rollback_core::target::{Inspection, Observation, Reading};
use rollback_core::{
    Capabilities, ComponentName, Decision, Digest, Identity, Revision, Strategy, Token, View,
};
use serde_json::{Value, json};

use super::{ArchiveCopy, ObjectVersions};
use crate::action::SiteAction;
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
    let facts = json!({ "archive": { "from": "v1" }, "versions": { "from": { "versions": AT } } });
    let both = [json!({ "action": "copy", "release": "v1" }), json!({ "action": "restore", "at": AT })];
    assert_eq!(said(Vec::new(), facts), both.map(Ok));
    let manifest = Digest::of_bytes(b"m");
    let facts =
        json!({ "archive": { "nowhere": "no copy" }, "versions": { "from": { "manifest": manifest } } });
    let [_, versions] = said(Vec::new(), facts);
    assert_eq!(versions, Ok(json!({ "action": "restore", "manifest": manifest })));
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
    let manifest = Digest::of_bytes(b"m");
    let [_, versions] = said(vec![Source::Manifest(manifest)], Value::Null);
    assert_eq!(versions, Ok(json!({ "action": "restore", "manifest": manifest })));
    // What was live and nobody looked for: it may be anywhere.
    let [archive, versions] = said(Vec::new(), Value::Null);
    assert_eq!(archive, Ok(json!({ "action": "copy", "seen": AT })));
    assert_eq!(versions, Ok(json!({ "action": "restore", "at": AT })));
}
