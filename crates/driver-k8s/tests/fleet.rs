//! Five hundred Deployments in one plan, and many put back together.
//!
//! The test is alone in its process, so that the memory that it took at most can be told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{Approval, ComponentName, Engine, EnvironmentName, Plan, Planned, Request, State};
use rollback_driver_k8s::{K8sCluster, K8sConfig, Kind};
use rollback_scripted_kubernetes::{Cluster, workload};

/// How many are planned together.
const MANY: usize = 500;
/// How many are put back together: each of the double's steps looks at all of them.
const RUN: usize = 60;
const NAMESPACE: &str = "shop";
/// The most memory that planning may take, in megabytes, beside the double with all that is in it.
const MEMORY: u64 = 150;
/// How much of it passes between two steps of the controllers.
const STEP: Duration = Duration::from_millis(200);

/// Virtual time that the cluster goes with.
#[derive(Debug)]
struct Ticking {
    clock: TokioClock,
    cluster: Cluster,
    last: Mutex<Duration>,
}

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
        let now = self.clock.monotonic();
        let mut last = self.last.lock().unwrap();
        if now.saturating_sub(*last) >= STEP {
            *last = now;
            self.cluster.tick();
        }
    }
}

fn name(number: usize) -> String {
    format!("web-{number:03}")
}

/// Deployments of one pod that were at v1 and run v2.
fn furnished(many: usize) -> Cluster {
    let cluster = Cluster::new();
    for number in 0..many {
        cluster.create(NAMESPACE, &workload("deployments", &name(number), "r/web:v1", 1));
    }
    cluster.settle();
    for number in 0..many {
        cluster.set_image("deployments", NAMESPACE, &name(number), "r/web:v2");
    }
    cluster.settle();
    cluster
}

struct Fleet {
    cluster: Cluster,
    engine: Engine,
    many: usize,
    seen: usize,
}

impl Fleet {
    fn new(many: usize) -> Self {
        let cluster = furnished(many);
        let clock = TokioClock::starting_at(Timestamp::UNIX_EPOCH);
        let clock = Ticking { clock, cluster: cluster.clone(), last: Mutex::default() };
        let mut engine = Engine::builder(Arc::new(MemoryStore::new())).clock(Arc::new(clock));
        let shared = K8sCluster::new(cluster.client(NAMESPACE));
        for number in 0..many {
            let target = shared.target(&K8sConfig::new(Kind::Deployment, name(number))).unwrap();
            engine = engine.component(ComponentName::new(name(number)).unwrap(), target.erase());
        }
        let seen = cluster.calls().len();
        Self { cluster, engine: engine.build(), many, seen }
    }

    async fn plan(&self) -> Box<Plan> {
        let mut request = Request::new(EnvironmentName::new("default").unwrap());
        for number in 0..self.many {
            let component = ComponentName::new(name(number)).unwrap();
            request = request.component(component, Some("previous".parse().unwrap()));
        }
        match self.engine.plan(&request).await.unwrap() {
            Planned::Ready(plan) => plan,
            Planned::Undecided(why) => panic!("undecided: {:?}", why.iter().next()),
        }
    }

    /// What was asked since the last time, by verb and resource.
    fn asked(&mut self) -> BTreeMap<String, usize> {
        let calls = self.cluster.calls();
        let mut asked = BTreeMap::new();
        for call in &calls[self.seen..] {
            *asked.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
        }
        self.seen = calls.len();
        asked
    }
}

/// The most memory that this process ever took, in megabytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(start_paused = true)]
async fn each_of_many_asks_no_more_than_one_alone() {
    let mut one = Fleet::new(1);
    one.plan().await;
    let alone = one.asked();
    let mut fleet = Fleet::new(MANY);
    let before = peak();
    let _plan = fleet.plan().await;
    let planned = peak() - before;
    let asked = fleet.asked();
    println!("alone {alone:?}\ntogether {asked:?}\nthe plan took {planned} MB beside {before} MB");
    for (what, times) in &asked {
        assert!(*times <= alone.get(what).copied().unwrap_or_default() * MANY, "{what}: {times}");
    }
    assert_eq!(asked["get namespaces"], 1);
    assert!(planned <= MEMORY, "{planned} MB");

    let mut fleet = Fleet::new(RUN);
    let plan = fleet.plan().await;
    fleet.asked();
    let report = fleet.engine.apply(&plan, &Approval::yes()).await.unwrap();
    let asked = fleet.asked();
    let each = asked.values().sum::<usize>() as f64 / RUN as f64;
    println!("the run asked {asked:?}, {each:.1} of each; memory at most {} MB in all", peak());
    assert!(report.components.values().all(|one| one.state == State::Restored), "{:?}", report.state);
    assert_eq!((asked["watch deployments.apps"], asked["watch pods"]), (1, 1), "{asked:?}");
}
