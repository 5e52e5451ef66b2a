use rollback_core::target::{Inspection, Reading};
use rollback_core::{
    Capabilities, ComponentName, Decision, Digest, Identity, Observation, Revision, Strategy, Token, View,
};
use serde_json::{Value, json};

use super::*;
use crate::front::Served;
use crate::names::Release;
use crate::names::{Bucket, Prefix};
use crate::snapshot::SiteSnapshot;
use crate::snapshot::Source;

fn view(facts: Value) -> View<SiteSnapshot> {
    let identity = Identity(Digest::of_bytes(b"v1"));
    let goal = json!({
        "bucket": "shop-site", "live": "", "revision": Revision::new(identity.short()).unwrap(), "identity": identity,
        "objects": 3, "bytes": 12, "sources": [Source::Archive(Release::new("v1").unwrap())],
    });
    let goal: SiteSnapshot = serde_json::from_value(goal).unwrap();
    assert_eq!(
        (goal.bucket.clone(), goal.live.clone()),
        (Bucket::new("shop-site").unwrap(), Prefix::whole())
    );
    let observed = Observation::settled(Reading::Absent, Token::new("E1"));
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
    let facts = || json!({ "archive": { "from": "v1" }, "versions": { "from": { "versions": "2026-11-22T03:00:00Z" } } });
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
