//! What destinations come to, on the scripted double.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/stage.rs"]
mod stage;
mod support;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use rollback_core::environment::Environment;
use rollback_core::store::MemoryStore;
use rollback_core::target::{HistoryEntry, HistoryQuery, Standing};
use rollback_core::{
    Approval, ComponentName, DynTarget, Engine, EnvironmentName, ErrorKind, Planned, Report, Request, Result,
    Revision, SnapshotRecord, Version,
};
use rollback_testkit::driver::{Fixture as _, Release};

use serde_json::json;

use self::clock::Fast;
use self::stage::Stage as _;
use self::support::{CLUSTER, SERVICE};
use self::world::World;

type Found = Vec<(String, Option<String>, Standing)>;

fn shown(entries: &[HistoryEntry<SnapshotRecord>]) -> Found {
    let one = |entry: &HistoryEntry<SnapshotRecord>| {
        let info = &entry.snapshot.info;
        (info.revision.to_string(), info.version.as_ref().map(ToString::to_string), entry.standing)
    };
    entries.iter().map(one).collect()
}

/// A service on release two, which ran release one before; release three was registered and pushed, and never deployed.
async fn service(world: Result<World>) -> Result<(World, Arc<dyn DynTarget>)> {
    let world = world?;
    world.deploy(Release::One).await?;
    world.deploy(Release::Two).await?;
    world.cloud.tick(std::time::Duration::from_secs(60));
    world.register(Release::Three)?;
    let target = world.target().await?;
    Ok((world, target))
}

async fn roll_back(world: &World, to: &str) -> Report {
    let name = ComponentName::new(SERVICE).unwrap();
    let environment = EnvironmentName::new("test").unwrap();
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .component(name.clone(), world.target().await.unwrap())
        .environment(Environment::new(environment.clone()).require_reason(false))
        .clock(Arc::new(Fast::of(&world.cloud)))
        .build();
    let request = Request::new(environment).component(name, Some(to.parse().unwrap()));
    let Planned::Ready(plan) = engine.plan(&request).await.unwrap() else { panic!("no plan") };
    engine.apply(&plan, &Approval::yes()).await.unwrap()
}

fn row(revision: &str, version: &str, standing: Standing) -> (String, Option<String>, Standing) {
    (revision.to_owned(), Some(version.to_owned()), standing)
}

#[tokio::test]
async fn what_was_only_registered_is_never_what_ran_before() {
    let (world, target) = service(World::rolling().await).await.unwrap();
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
    let (_world, target) = service(World::breaker().await).await.unwrap();
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
    let (world, target) = service(World::rolling().await).await.unwrap();
    world.push(&support::tagged("hotfix"));
    let version = HistoryQuery::version(Version::new("hotfix").unwrap());
    let found = target.history(&version).await.unwrap();
    assert_eq!(shown(&found), [row("2", "hotfix", Standing::NeverRan)]);
    let report = roll_back(&world, "version=hotfix").await;
    assert!(report.state.is_success(), "{report:?}");
    let runs = world.cloud.service(CLUSTER, SERVICE).unwrap();
    let digest = world.cloud.world().images.digest(&support::tagged("hotfix"));
    assert!(runs.tasks.iter().all(|task| task.digests == [digest.clone()]), "{runs:?}");
}

#[tokio::test]
async fn a_tag_that_is_nowhere_lists_those_that_are() {
    let (_world, target) = service(World::rolling().await).await.unwrap();
    let query = HistoryQuery::version(Version::new("v9").unwrap());
    let error = target.history(&query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let next = error.next_step().unwrap_or_default();
    assert!(next.contains("newest first: v3 (2026-"), "{error}: {next}");
}

#[tokio::test]
async fn the_second_latest_image_is_an_explicit_choice() {
    let (world, target) = service(World::rolling().await).await.unwrap();
    // What was only tagged counts as pushed when the double's time began.
    for (minute, tag) in [(1, "fix"), (2, "worse")] {
        world.cloud.tick(std::time::Duration::from_secs(60));
        let manifest = format!("{{\"schemaVersion\": 2, \"minute\": {minute}}}");
        let image = json!({ "repositoryName": "web", "imageManifest": manifest, "imageTag": tag });
        world.cloud.ask("ecr", "PutImage", &image).unwrap();
    }
    let query = HistoryQuery::revision(Revision::new("second-latest-image").unwrap());
    let found = target.history(&query).await.unwrap();
    assert_eq!(shown(&found), [row("second-latest-image", "fix", Standing::NeverRan)]);
    let inspection = target.inspect(None, &found[0].snapshot).await.unwrap();
    assert!(inspection.findings.iter().any(|finding| finding.code == "never-registered"), "{inspection:?}");
    let report = roll_back(&world, "revision=second-latest-image").await;
    assert!(report.state.is_success(), "{report:?}");
}

#[tokio::test]
async fn the_environment_of_an_earlier_revision_comes_back_with_the_image_of_today() {
    let (world, target) = service(World::rolling().await).await.unwrap();
    // Somebody broke a variable; the image is fine.
    let image = support::tagged("v2");
    let container = json!({ "name": "web", "image": image, "memory": 128, "portMappings": [{ "containerPort": 80 }],
        "environment": [{ "name": "API_KEY", "value": "broken" }] });
    let broken = json!({ "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container] });
    world.cloud.ask("ecs", "RegisterTaskDefinition", &broken).unwrap();
    world.cloud.deploy(CLUSTER, SERVICE, "web:4").unwrap();
    world.cloud.settle();

    let report = roll_back(&world, "revision=environment-of-1").await;
    assert!(report.state.is_success(), "{report:?}");
    let now =
        world.cloud.ask("ecs", "DescribeTaskDefinition", &json!({ "taskDefinition": "web:5" })).unwrap();
    let container = &now["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(container["environment"][0]["value"], support::SECRET);
    let digest = world.cloud.world().images.digest(&image);
    assert!(container["image"].as_str().unwrap().ends_with(&digest), "{container}");
    let runs = world.cloud.service(CLUSTER, SERVICE).unwrap();
    assert_eq!(runs.healthy(), ["web:5", "web:5"]);
    let none = HistoryQuery::revision(Revision::new("environment-of-77").unwrap());
    assert!(target.history(&none).await.unwrap().is_empty());
}
