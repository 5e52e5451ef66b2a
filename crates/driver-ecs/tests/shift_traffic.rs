//! Two services behind one listener, as blue and green: requests go to the earlier release first, then the service follows. What
//! users get is asked of the load balancer of the double.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/clock.rs"]
mod clock;
mod support;

use std::sync::Arc;
use std::time::Duration;

use rollback_aws_support::Pacer;
use rollback_core::environment::Environment;
use rollback_core::report::ComponentReport;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, Lasting};
use rollback_core::{Approval, Bound, ComponentName, Engine, EnvironmentName, Plan, Planned, Request, State};
use rollback_driver_ecs::strategy::ShiftTraffic;
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Cloud, Does, Injection, Server};
use rollback_testkit::driver::Release;
use rollback_testkit::sim::ManualClock;
use serde_json::json;

use self::clock::Fast;
use self::support::{CLUSTER, SECRET, SERVICE, image, session};

fn web() -> ComponentName {
    ComponentName::new("web").unwrap()
}

/// Service `web` runs release 2 and gets all requests; `web-before` runs release 1 and gets none.
struct Bed {
    cloud: Cloud,
    clock: Arc<Fast>,
    server: Server,
    /// The listener or the rule that divides requests.
    place: String,
}

impl Bed {
    /// With the weights in the listener itself, or in a rule of it.
    async fn new(rule: bool) -> Self {
        let cloud = Cloud::new();
        cloud.cluster(CLUSTER);
        let place = balance(&cloud, rule);
        assert!(cloud.settle());
        // The load balancer's checks take longer than ECS does.
        cloud.tick(Duration::from_secs(60));
        let server = cloud.serve().await.unwrap();
        let clock = Arc::new(Fast::of(&cloud));
        let bed = Self { cloud, clock, server, place };
        assert_eq!(bed.users().as_deref(), Some("web:2"));
        bed.cloud.forget_calls();
        bed
    }

    fn engine(&self) -> Engine {
        let pacer = Pacer::new(Arc::new(ManualClock::new()));
        let config = EcsConfig::new(CLUSTER, SERVICE);
        let target = EcsTarget::paced(&session(&self.server.url()), pacer, &config).unwrap();
        let environment = Environment::new(EnvironmentName::new("test").unwrap()).require_reason(false);
        Engine::builder(Arc::new(MemoryStore::new()))
            // As where nothing else was open: otherwise core prefers what moves the service alone.
            .component(web(), Bound::new("ecs", target).strategy(ShiftTraffic).erase())
            .environment(environment)
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .lease(Lasting::from_secs(600))
            .build()
    }

    fn users(&self) -> Option<String> {
        self.cloud.traffic(&self.place).all().map(str::to_owned)
    }

    async fn roll_back(&self) -> ComponentReport {
        let engine = self.engine();
        let plan = plan(&engine).await;
        engine.apply(&plan, &Approval::yes()).await.unwrap().components[&web()].clone()
    }
}

async fn plan(engine: &Engine) -> Plan {
    let request = Request::new(EnvironmentName::new("test").unwrap());
    let request = request.component(web(), Some("revision=1".parse().unwrap())).reason("it is bad");
    match engine.plan(&request).await.unwrap() {
        Planned::Ready(plan) => *plan,
        Planned::Undecided(why) => panic!("no plan: {why:?}"),
    }
}

/// Both services, and what stands before them.
fn balance(cloud: &Cloud, rule: bool) -> String {
    let (blue, green, place) = {
        let mut world = cloud.world();
        let balancer = world.create_load_balancer("web");
        let (blue, green) = (world.create_target_group("blue"), world.create_target_group("green"));
        let to: &[(&str, u16)] = &[(&blue, 0), (&green, 100)];
        let place = if rule {
            let listener = world.create_listener(&balancer, 443, &[(&green, 1)]);
            world.create_rule(&listener, "/shop/*", to)
        } else {
            world.create_listener(&balancer, 443, to)
        };
        (blue, green, place)
    };
    for (release, service, group) in [(Release::One, "web-before", &blue), (Release::Two, SERVICE, &green)] {
        let image = image(release);
        let container = json!({
            "name": "web", "image": image, "memory": 128, "portMappings": [{ "containerPort": 80 }],
            "environment": [{ "name": "API_KEY", "value": SECRET }],
        });
        let input = json!({ "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container] });
        {
            let mut world = cloud.world();
            let digest = world.images.digest(&image);
            world.images.tag(image, digest);
        }
        let made = cloud.ask("ecs", "RegisterTaskDefinition", &input).unwrap();
        let input = json!({
            "cluster": CLUSTER, "serviceName": service, "launchType": "FARGATE", "desiredCount": 2,
            "taskDefinition": made["taskDefinition"]["taskDefinitionArn"],
            "loadBalancers": [{ "targetGroupArn": group, "containerName": "web", "containerPort": 80 }],
        });
        cloud.ask("ecs", "CreateService", &input).unwrap();
    }
    place
}

#[track_caller]
fn ended(report: &ComponentReport, state: State) {
    assert_eq!(report.state, state, "{}", serde_json::to_string_pretty(report).unwrap());
}

#[tokio::test]
async fn users_get_the_earlier_release_before_the_service_has_moved() {
    for rule in [false, true] {
        let bed = Bed::new(rule).await;
        let engine = bed.engine();
        let planned = plan(&engine).await;
        let methods = &planned.components[&web()].methods;
        assert_eq!(methods[0].strategy, "shift-traffic");
        assert!(methods[0].proposal().is_some(), "{methods:?}");
        let relieved = async {
            // They are served long before new tasks can have started.
            for _ in 0..400 {
                bed.clock.sleep(Duration::from_millis(100)).await;
                if bed.users().as_deref() == Some("web:1") {
                    return bed.cloud.service(CLUSTER, SERVICE).unwrap();
                }
            }
            panic!("nobody is served by the earlier release");
        };
        let run = async { engine.apply(&planned, &Approval::yes()).await.unwrap() };
        let (report, ran) = futures_util::future::join(run, relieved).await;
        assert_eq!(ran.healthy(), ["web:2", "web:2"], "its own tasks come later");
        let report = &report.components[&web()];
        ended(report, State::Restored);
        assert_eq!(bed.users().as_deref(), Some("web:1"));
        assert_eq!(bed.cloud.service(CLUSTER, SERVICE).unwrap().healthy(), ["web:1", "web:1"]);
        let sent = (bed.cloud.count("ModifyListener"), bed.cloud.count("ModifyRule"));
        assert_eq!(sent, if rule { (0, 1) } else { (1, 0) });
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_for_in_the_weights() {
    for operation in ["ModifyListener", "ModifyRule"] {
        let bed = Bed::new(operation == "ModifyRule").await;
        bed.cloud.inject(Injection::new("elasticloadbalancing", operation, Does::LosesAnswer).times(1));
        let report = bed.roll_back().await;
        ended(&report, State::Restored);
        assert_eq!(bed.users().as_deref(), Some("web:1"));
        assert_eq!(bed.cloud.count(operation), 1);
    }
}

#[tokio::test]
async fn weights_that_were_changed_meanwhile_are_left_as_they_are() {
    let bed = Bed::new(false).await;
    let engine = bed.engine();
    let planned = plan(&engine).await;
    // Somebody took the earlier group out.
    let told =
        bed.cloud.ask("elasticloadbalancing", "DescribeListeners", &json!({ "ListenerArns": [bed.place] }));
    let groups = told.unwrap()["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"].clone();
    let green = groups.as_array().unwrap().iter().find(|group| group["Weight"] == 100).unwrap();
    let action = json!({ "Type": "forward", "TargetGroupArn": green["TargetGroupArn"] });
    let changed = json!({ "ListenerArn": bed.place, "DefaultActions": [action] });
    bed.cloud.ask("elasticloadbalancing", "ModifyListener", &changed).unwrap();
    let report = engine.apply(&planned, &Approval::yes()).await.unwrap().components[&web()].clone();
    assert!(!report.state.is_success(), "{report:?}");
    assert_eq!(bed.users().as_deref(), Some("web:2"));
    assert_eq!((bed.cloud.count("ModifyListener"), bed.cloud.count("UpdateService")), (0, 0));
}
