//! What destinations come to, on the scripted double.

mod support;

use std::collections::BTreeMap;

use rollback_core::target::{HistoryQuery, Standing};
use rollback_core::{DynTarget, ErrorKind, Result, Revision, SnapshotRecord, Version};
use rollback_testkit::driver::{Fixture as _, Release};

use self::support::world::World;

type Found = Vec<(String, Option<String>, Standing)>;

fn shown(entries: &[rollback_core::target::HistoryEntry<SnapshotRecord>]) -> Found {
    let one = |entry: &rollback_core::target::HistoryEntry<SnapshotRecord>| {
        let info = &entry.snapshot.info;
        (info.revision.to_string(), info.version.as_ref().map(ToString::to_string), entry.standing)
    };
    entries.iter().map(one).collect()
}

/// A service on release two, which ran release one before; release three was registered and pushed, and never deployed.
async fn service() -> Result<(World, std::sync::Arc<dyn DynTarget>)> {
    let world = World::rolling().await?;
    world.deploy(Release::One).await?;
    world.deploy(Release::Two).await?;
    world.register(Release::Three)?;
    let target = world.target().await?;
    Ok((world, target))
}

fn row(revision: &str, version: &str, standing: Standing) -> (String, Option<String>, Standing) {
    (revision.to_owned(), Some(version.to_owned()), standing)
}

#[tokio::test]
async fn what_was_only_registered_is_never_what_ran_before() {
    let (world, target) = service().await.unwrap();
    let all = target.history(&HistoryQuery::newest(20)).await.unwrap();
    assert_eq!(
        shown(&all),
        [
            row("3", "v3", Standing::NeverRan),
            row("2", "v2", Standing::Current),
            row("1", "v1", Standing::Ran)
        ]
    );
    world.cloud.forget_calls();
    target.observe(None).await.unwrap();
    let before = target.history(&HistoryQuery::previous().after_observing()).await.unwrap();
    assert_eq!(shown(&before), [row("1", "v1", Standing::Ran)]);
    let calls = world.cloud.calls().into_iter().fold(BTreeMap::<String, u32>::new(), |mut calls, call| {
        *calls.entry(call.operation).or_default() += 1;
        calls
    });
    assert_eq!(calls.get("ListTaskDefinitions"), None, "{calls:?}");
    assert_eq!(
        calls.get("DescribeServices"),
        Some(&1),
        "what was just looked at is not read again: {calls:?}"
    );
}

#[tokio::test]
async fn a_revision_and_a_version_are_found_by_name() {
    let (_world, target) = service().await.unwrap();
    let one = HistoryQuery::revision(Revision::new("1").unwrap());
    assert_eq!(shown(&target.history(&one).await.unwrap()), [row("1", "v1", Standing::Ran)]);
    let version = HistoryQuery::version(Version::new("v1").unwrap());
    assert_eq!(shown(&target.history(&version).await.unwrap()), [row("1", "v1", Standing::Ran)]);
    for nothing in ["99", "latest", "0"] {
        let query = HistoryQuery::revision(Revision::new(nothing).unwrap());
        assert!(target.history(&query).await.unwrap().is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn an_image_that_no_revision_has_is_registered_with_the_settings_of_today() {
    let (world, target) = service().await.unwrap();
    world.push("hotfix").unwrap();
    let version = HistoryQuery::version(Version::new("hotfix").unwrap());
    let found = target.history(&version).await.unwrap();
    assert_eq!(shown(&found), [row("2", "hotfix", Standing::NeverRan)]);
    let report = support::roll_back(&world, "version=hotfix").await;
    assert!(report.state.is_success(), "{report:?}");
    let runs = world.cloud.service("prod", "web").unwrap();
    let digest = world.cloud.world().images.digest(&support::world::tagged("hotfix"));
    assert!(runs.tasks.iter().all(|task| task.digests == [digest.clone()]), "{runs:?}");
}

#[tokio::test]
async fn a_tag_that_is_nowhere_lists_those_that_are() {
    let (_world, target) = service().await.unwrap();
    let query = HistoryQuery::version(Version::new("v9").unwrap());
    let error = target.history(&query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let next = error.next_step().unwrap_or_default();
    assert!(next.contains("newest first: v3 (2026-"), "{error}: {next}");
}

#[tokio::test]
async fn the_second_latest_image_is_an_explicit_choice() {
    let (world, target) = service().await.unwrap();
    world.push("unrelated").unwrap();
    let query = HistoryQuery::revision(Revision::new("second-latest-image").unwrap());
    let found = target.history(&query).await.unwrap();
    assert_eq!(shown(&found), [row("2", "v3", Standing::NeverRan)]);
    let inspection = target.inspect(None, &found[0].snapshot).await.unwrap();
    assert!(inspection.findings.iter().any(|finding| finding.code == "never-registered"), "{inspection:?}");
}
