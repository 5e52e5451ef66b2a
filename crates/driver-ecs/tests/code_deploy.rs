//! Rollbacks of services that CodeDeploy moves, by a whole engine. What users get is asked of the load balancer of the double.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/blue_green.rs"]
mod blue_green;
#[path = "support/clock.rs"]
mod clock;
#[path = "support/stage.rs"]
mod stage;
mod support;

use std::sync::Arc;
use std::time::Duration;

use rollback_core::environment::Environment;
use rollback_core::report::ComponentReport;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, Lasting};
use rollback_core::{
    Approval, ComponentName, Engine, EnvironmentName, Plan, Planned, Report, Request, State,
};
use rollback_scripted_aws::{Behaviour, Does, Fault as Refusal, Injection};
use rollback_testkit::driver::{Fixture as _, Release};

use self::blue_green::World;
use self::clock::Fast;
use self::support::{CLUSTER, image};

fn web() -> ComponentName {
    ComponentName::new("web").unwrap()
}

/// A service and an engine that knows it.
struct Bed {
    world: World,
    clock: Arc<Fast>,
    engine: Engine,
}

impl Bed {
    /// Release 1 ran, and the second one is to come.
    async fn new(world: World) -> Self {
        world.deploy(Release::One).await.unwrap();
        let clock = Arc::new(Fast::of(&world.cloud));
        let environment = Environment::new(EnvironmentName::new("test").unwrap()).require_reason(false);
        let engine = Engine::builder(Arc::new(MemoryStore::new()))
            .component(web(), world.connect(CLUSTER).unwrap())
            .environment(environment)
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .lease(Lasting::from_secs(600))
            .build();
        Self { world, clock, engine }
    }

    /// Release 2 is on its way, and has been for so long.
    async fn on_its_way(since: Duration) -> (Self, String) {
        let bed = Self::new(World::new().await.unwrap()).await;
        let bad = bed.world.begin(Release::Two).unwrap();
        bed.world.cloud.tick(since);
        bed.world.cloud.forget_calls();
        (bed, bad)
    }

    /// Release 2 runs.
    async fn finished(world: World) -> Self {
        let bed = Self::new(world).await;
        bed.world.deploy(Release::Two).await.unwrap();
        assert_eq!(bed.users().as_deref(), Some("web:2"));
        bed.world.cloud.forget_calls();
        bed
    }

    async fn plan(&self, destination: &str) -> Plan {
        let request = Request::new(EnvironmentName::new("test").unwrap());
        let request = request.component(web(), Some(destination.parse().unwrap())).reason("it is bad");
        match self.engine.plan(&request).await.unwrap() {
            Planned::Ready(plan) => *plan,
            Planned::Undecided(why) => panic!("no plan: {why:?}"),
        }
    }

    async fn apply(&self, plan: &Plan) -> Report {
        self.engine.apply(plan, &Approval::yes()).await.unwrap()
    }

    async fn roll_back(&self) -> ComponentReport {
        let plan = self.plan("previous").await;
        self.apply(&plan).await.components[&web()].clone()
    }

    /// What all users get.
    fn users(&self) -> Option<String> {
        let listener = self.world.made().unwrap().listener;
        self.world.cloud.traffic(&listener).all().map(str::to_owned)
    }

    /// The deployments that somebody asked for, newest first.
    fn asked_for(&self) -> Vec<String> {
        let made = self.world.made().unwrap();
        let of =
            serde_json::json!({ "applicationName": made.application, "deploymentGroupName": made.group });
        let listed = self.world.cloud.ask("codedeploy", "ListDeployments", &of).unwrap();
        let ids = listed["deployments"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        ids.filter(|id| {
            let told = self.world.cloud.ask(
                "codedeploy",
                "GetDeployment",
                &serde_json::json!({ "deploymentId": id }),
            );
            told.unwrap()["deploymentInfo"]["creator"] == "user"
        })
        .collect()
    }

    fn sent(&self, operation: &str) -> usize {
        self.world.cloud.count(operation)
    }
}

#[track_caller]
fn ended(report: &ComponentReport, state: State) {
    assert_eq!(report.state, state, "{}", serde_json::to_string_pretty(report).unwrap());
}

fn method(plan: &Plan) -> &str {
    &plan.components[&web()].methods[0].strategy
}

#[tokio::test]
async fn a_deployment_that_took_the_traffic_is_stopped_and_blue_is_proven() {
    let (bed, bad) = Bed::on_its_way(Duration::from_secs(60)).await;
    assert_eq!(bed.users().as_deref(), Some("web:2"), "the earlier tasks are kept, and get nothing");
    let plan = bed.plan("previous").await;
    assert_eq!(method(&plan), "codedeploy-stop");
    let report = bed.apply(&plan).await.components[&web()].clone();
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
    assert_eq!(
        (bed.sent("StopDeployment"), bed.sent("CreateDeployment"), bed.sent("UpdateService")),
        (1, 0, 0)
    );
    let (status, back) = bed.world.cloud.deployment(&bad).unwrap();
    assert_eq!(status, "Stopped");
    assert_eq!(bed.world.cloud.deployment(&back.unwrap()).unwrap().0, "Succeeded");
}

#[tokio::test]
async fn a_deployment_whose_tasks_do_not_start_is_stopped() {
    let bed = Bed::new(World::new().await.unwrap()).await;
    bed.world.cloud.behave(&image(Release::Two), Behaviour::Crash);
    bed.world.begin(Release::Two).unwrap();
    bed.world.cloud.tick(Duration::from_secs(31 * 60));
    bed.world.cloud.forget_calls();
    let plan = bed.plan("previous").await;
    assert_eq!(method(&plan), "codedeploy-stop");
    let shown = serde_json::to_string(&plan).unwrap();
    // 31, or more where this machine is slow: the clock of these tests goes on by itself.
    assert!(shown.contains("is stuck: InProgress for 3"), "{shown}");
    assert!(shown.contains("of web:2 stopped: "), "ECS's own reason: {shown}");
    let report = bed.apply(&plan).await.components[&web()].clone();
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
    assert_eq!((bed.sent("StopDeployment"), bed.sent("UpdateService")), (1, 0));
}

#[tokio::test]
async fn a_finished_deployment_is_rolled_back_by_a_new_one() {
    let bed = Bed::finished(World::new().await.unwrap()).await;
    let plan = bed.plan("previous").await;
    assert_eq!(method(&plan), "codedeploy-deploy");
    let report = bed.apply(&plan).await.components[&web()].clone();
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
    assert_eq!((bed.sent("CreateDeployment"), bed.sent("UpdateService")), (1, 0));
    assert_eq!(bed.asked_for().len(), 2, "the bad one, and ours");
    // It was proven while CodeDeploy still kept the bad tasks, and that is told.
    let told = report.evidence.unwrap().compared.join("\n");
    assert!(told.contains("has moved all requests and keeps web:2 to go back to"), "{told}");
}

#[tokio::test]
async fn tasks_that_are_kept_for_good_are_in_nobodys_way() {
    let bed = Bed::finished(World::keeping().await.unwrap()).await;
    let report = bed.roll_back().await;
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
    assert_eq!(bed.sent("UpdateService"), 0);
}

#[tokio::test]
async fn requests_that_are_moved_slowly_are_waited_for() {
    let slow =
        serde_json::json!({ "deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery3Minutes" });
    let bed = Bed::finished(World::with(&slow, false).await.unwrap()).await;
    let plan = bed.plan("previous").await;
    let proposal = plan.components[&web()].methods[0].proposal().unwrap();
    assert_eq!(proposal.expected, Lasting::from_secs(37 * 60));
    let run = bed.apply(&plan);
    let hurry = async {
        // Half an hour, in steps that a clock of the engine's own does not see.
        for _ in 0..40 {
            bed.clock.sleep(Duration::from_secs(5)).await;
            bed.world.cloud.tick(Duration::from_secs(60));
        }
    };
    let (report, ()) = futures_util::future::join(run, hurry).await;
    ended(&report.components[&web()], State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_one_deployment() {
    let bed = Bed::finished(World::new().await.unwrap()).await;
    let lost = Injection::new("codedeploy", "CreateDeployment", Does::LosesAnswer);
    bed.world.cloud.inject(lost.times(1));
    let report = bed.roll_back().await;
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
    assert_eq!(bed.asked_for().len(), 2, "the bad one, and ours");
    assert_eq!(bed.sent("CreateDeployment"), 1);
}

#[tokio::test]
async fn a_stop_whose_answer_is_lost_is_found() {
    let (bed, _) = Bed::on_its_way(Duration::from_secs(60)).await;
    bed.world.cloud.inject(Injection::new("codedeploy", "StopDeployment", Does::LosesAnswer).times(1));
    let report = bed.roll_back().await;
    ended(&report, State::Restored);
    assert_eq!(bed.users().as_deref(), Some("web:1"));
}

#[tokio::test]
async fn our_deployment_that_codedeploy_gives_up_is_a_failure_with_its_reason() {
    let bed = Bed::finished(World::new().await.unwrap()).await;
    bed.world.cloud.behave(&image(Release::One), Behaviour::Crash);
    let plan = bed.plan("revision=1").await;
    let failing = async {
        loop {
            bed.clock.sleep(Duration::from_secs(5)).await;
            let mine = bed.asked_for().into_iter().next().filter(|_| bed.asked_for().len() == 2);
            let Some(mine) = mine else { continue };
            if bed.world.cloud.deployment(&mine).is_some_and(|(status, _)| status == "InProgress") {
                assert!(bed.world.cloud.world().fail_deployment(&mine, "HEALTH_CONSTRAINTS"));
                return;
            }
        }
    };
    let (report, ()) = futures_util::future::join(bed.apply(&plan), failing).await;
    let report = &report.components[&web()];
    ended(report, State::FailedRestored);
    let shown = serde_json::to_string(report).unwrap();
    assert!(shown.contains("too many individual instances failed deployment"), "{shown}");
    assert_eq!(bed.users().as_deref(), Some("web:2"));
    assert_eq!(bed.sent("CreateDeployment"), 1);
}

#[tokio::test]
async fn a_group_that_is_taken_is_left_alone() {
    let bed = Bed::finished(World::new().await.unwrap()).await;
    let why = "The Deployment Group 'web' already has an active Deployment 'd-OTHER'";
    let refusal = Refusal::new("DeploymentLimitExceededException", why);
    bed.world.cloud.inject(Injection::new("codedeploy", "CreateDeployment", Does::Refuses(refusal)));
    let report = bed.roll_back().await;
    ended(&report, State::FailedRestored);
    let shown = serde_json::to_string(&report).unwrap();
    assert!(shown.contains("makes one deployment at a time") && shown.contains("d-OTHER"), "{shown}");
    assert_eq!((bed.users().as_deref(), bed.sent("CreateDeployment")), (Some("web:2"), 1));
}
