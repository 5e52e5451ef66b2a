//! The bad revision is deregistered once the rollback is proven, where that is wanted, and never while something uses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/stage.rs"]
mod stage;
mod support;
#[path = "support/world.rs"]
#[expect(dead_code, reason = "a breaker that goes back by itself is not needed here")]
mod world;

use std::sync::Arc;

use rollback_core::environment::Environment;
use rollback_core::store::MemoryStore;
use rollback_core::{Approval, ComponentName, Engine, EnvironmentName, Planned, Report, Request, State};
use rollback_driver_ecs::EcsConfig;
use rollback_scripted_aws::{Behaviour, Does, Injection};
use rollback_testkit::driver::{Fixture as _, Release};
use serde_json::json;

use self::clock::Fast;
use self::support::{CLUSTER, SERVICE, image};
use self::world::World;

/// A service on release two, which ran release one before.
async fn service() -> World {
    let world = World::rolling().await.unwrap();
    world.deploy(Release::One).await.unwrap();
    world.deploy(Release::Two).await.unwrap();
    world.cloud.tick(std::time::Duration::from_secs(60));
    world.cloud.forget_calls();
    world
}

async fn roll_back(world: &World, config: &EcsConfig) -> Report {
    let name = ComponentName::new(SERVICE).unwrap();
    let environment = EnvironmentName::new("test").unwrap();
    let engine = Engine::builder(Arc::new(MemoryStore::new()))
        .component(name.clone(), world.connect_as(config).unwrap())
        .environment(Environment::new(environment.clone()).require_reason(false))
        .clock(Arc::new(Fast::of(&world.cloud)))
        .build();
    let request = Request::new(environment).component(name, Some("revision=1".parse().unwrap()));
    let Planned::Ready(plan) = engine.plan(&request).await.unwrap() else { panic!("no plan") };
    engine.apply(&plan, &Approval::yes()).await.unwrap()
}

fn config() -> EcsConfig {
    EcsConfig::new(CLUSTER, SERVICE).deregister_bad()
}

fn status(world: &World, revision: u32) -> String {
    let asked = json!({ "taskDefinition": format!("web:{revision}") });
    let answer = world.cloud.ask("ecs", "DescribeTaskDefinition", &asked).unwrap();
    answer["taskDefinition"]["status"].as_str().unwrap().to_owned()
}

fn untidied(report: &Report) -> Option<String> {
    let mut findings = report.components.values().flat_map(|component| &component.findings);
    findings.find(|finding| finding.code == "not-tidied").map(|finding| finding.message.clone())
}

fn sent(world: &World) -> usize {
    world.cloud.calls().iter().filter(|call| call.operation == "DeregisterTaskDefinition").count()
}

/// It was not deregistered, because of this, and the service is restored all the same.
async fn kept_for(world: &World, user: &str) {
    let report = roll_back(world, &config()).await;
    assert_eq!(report.state, State::Restored, "{report:#?}");
    let why = untidied(&report).unwrap();
    assert!(why.contains(user) && why.contains("still uses it"), "{why}");
    assert_eq!((status(world, 2).as_str(), sent(world)), ("ACTIVE", 0));
}

#[tokio::test]
async fn the_bad_revision_is_deregistered_after_the_proof() {
    let world = service().await;
    let report = roll_back(&world, &config()).await;
    assert_eq!((report.state, untidied(&report)), (State::Restored, None), "{report:#?}");
    assert_eq!((status(&world, 1).as_str(), status(&world, 2).as_str()), ("ACTIVE", "INACTIVE"));
    let calls = world.cloud.calls();
    let last = |operation: &str| calls.iter().rposition(|call| call.operation == operation).unwrap();
    assert!(last("UpdateService") < last("DeregisterTaskDefinition"));
}

#[tokio::test]
async fn only_where_it_is_wanted() {
    let world = service().await;
    let report = roll_back(&world, &EcsConfig::new(CLUSTER, SERVICE)).await;
    assert_eq!(report.state, State::Restored);
    assert_eq!((status(&world, 2).as_str(), sent(&world)), ("ACTIVE", 0));
}

#[tokio::test]
async fn it_is_kept_for_a_service_of_another_cluster_that_uses_it() {
    let world = service().await;
    world.cloud.cluster("stage");
    // It has no tasks: only the service itself names the revision.
    world.cloud.create_service("stage", "web-copy", "web:2", 0, &json!({})).unwrap();
    kept_for(&world, "service/stage/web-copy").await;
}

#[tokio::test]
async fn it_is_kept_for_a_task_that_runs_by_itself() {
    let world = service().await;
    world.cloud.cluster("jobs");
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let task = json!({ "cluster": "jobs", "taskDefinition": "web:2", "networkConfiguration": network });
    world.cloud.ask("ecs", "RunTask", &task).unwrap();
    kept_for(&world, "task/jobs/").await;
}

#[tokio::test]
async fn who_may_not_look_for_users_keeps_it() {
    let world = service().await;
    world.cloud.inject(Injection::new("ecs", "ListClusters", Does::Denies));
    let report = roll_back(&world, &config()).await;
    assert_eq!(report.state, State::Restored, "{report:#?}");
    assert!(untidied(&report).unwrap().contains("ecs:ListClusters"), "{report:#?}");
    assert_eq!((status(&world, 2).as_str(), sent(&world)), ("ACTIVE", 0));
}

#[tokio::test]
async fn a_rollback_that_fails_leaves_it_as_it_is() {
    let world = service().await;
    world.cloud.behave(&image(Release::One), Behaviour::Crash);
    let report = roll_back(&world, &config()).await;
    assert!(!report.state.is_success(), "{report:#?}");
    assert_eq!((status(&world, 2).as_str(), sent(&world)), ("ACTIVE", 0));
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let world = service().await;
    world.cloud.inject(Injection::new("ecs", "DeregisterTaskDefinition", Does::LosesAnswer).times(1));
    let report = roll_back(&world, &config()).await;
    assert_eq!((report.state, untidied(&report)), (State::Restored, None), "{report:#?}");
    assert_eq!((status(&world, 2).as_str(), sent(&world)), ("INACTIVE", 1));
}
