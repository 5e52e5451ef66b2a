//! A thousand services of one cluster are put back together, at the rates that AWS documents.
//!
//! In virtual time: the double of AWS is asked without sockets, so that time jumps whenever everybody waits. The test is
//! alone in its process, so that the memory that it took at most can be told.

#[path = "support/inside.rs"]
mod inside;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollback_aws_support::Pacer;
use rollback_aws_support::pacing::ecs;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{
    Approval, ComponentName, Engine, EnvironmentName, Plan, Planned, Report, Request, State,
};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Call, Cloud, Outcome};
use serde_json::json;

const SERVICES: usize = 1_000;
const CLUSTER: &str = "prod";
/// How long the changes take alone: one for each service, fifty at once and five a second from then on.
const CHANGES: f64 = (SERVICES as f64 - 50.0) / 5.0;
/// How long a plan takes alone, before the first of them may be changed: what runs and what it goes back to are two task definitions of
/// each service, and no call tells more than one. Fifty at once and twenty a second from then on. Deployments, of which each service is asked
/// by itself too, come from another bucket meanwhile.
const READS: f64 = (2.0 * SERVICES as f64 - 50.0) / 20.0;
/// The most memory that planning and running may take, in megabytes, beside the double with all that is in it.
const MEMORY: u64 = 200;

fn name(number: usize) -> String {
    format!("svc-{number:04}")
}

/// Every service at its second revision, with a first one that was good. Each has a family and a repository of its own.
fn furnish(cloud: &Cloud) {
    cloud.cluster(CLUSTER);
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    for revision in 1..=2 {
        for number in 0..SERVICES {
            let service = name(number);
            let image = format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/{service}:v{revision}");
            {
                let mut world = cloud.world();
                let digest = world.images.digest(&image);
                world.images.tag(&image, digest);
            }
            let arn = cloud.register(&service, &image).expect("a revision");
            if revision == 1 {
                cloud.create_service(CLUSTER, &service, &arn, 2, &breaker).expect("a service");
            } else {
                cloud.deploy(CLUSTER, &service, &arn).expect("a deployment");
            }
        }
        assert!(cloud.settle(), "the services come to rest");
    }
    cloud.forget_calls();
}

/// The most memory that this process ever took, in megabytes.
fn peak() -> u64 {
    memory("VmHWM:")
}

fn memory(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0_u64) / 1024
}

/// What was called, against the buckets that it comes from.
struct Tally(BTreeMap<&'static str, (u32, f64, BTreeMap<String, usize>)>, usize);

impl Tally {
    fn of(cloud: &Cloud) -> Self {
        let (mut buckets, mut throttled) = (BTreeMap::new(), 0);
        let mut others = BTreeMap::new();
        for call in cloud.calls() {
            throttled +=
                usize::from(matches!(&call.outcome, Outcome::Refused(code) if code.contains("Throttl")));
            if call.service == "ecs" {
                let quota = ecs::quota(&call.operation);
                let bucket = buckets
                    .entry(quota.name())
                    .or_insert_with(|| (quota.burst(), quota.per_second(), BTreeMap::new()));
                *bucket.2.entry(call.operation).or_default() += 1;
            } else {
                *others.entry(format!("{} {}", call.service, call.operation)).or_default() += 1;
            }
        }
        buckets.insert("of other services", (u32::MAX, 1.0, others));
        Self(buckets, throttled)
    }

    fn print(&self, phase: &str) {
        println!("calls of {phase}:");
        for (name, (burst, rate, calls)) in &self.0 {
            let count: usize = calls.values().sum();
            let alone = ((count as f64 - f64::from(*burst)) / rate).max(0.0);
            println!("  {name}: {count}, which alone takes {alone:.0} s");
            calls.iter().for_each(|(operation, count)| println!("    {operation}: {count}"));
        }
        println!("  throttled: {}", self.1);
    }
}

struct Fleet {
    cloud: Cloud,
    clock: TokioClock,
    engine: Engine,
    /// Logical seconds that had passed in the double when the clock began.
    offset: f64,
}

impl Fleet {
    fn new() -> Self {
        let cloud = Cloud::new();
        furnish(&cloud);
        let clock = TokioClock::starting_at(cloud.now());
        let offset = cloud.now().duration_since(cloud.world().began()).as_secs_f64();
        cloud.limit_rates(true);
        cloud.follow(move || clock.monotonic());
        let session = inside::session(&cloud);
        let pacer = Pacer::new(Arc::new(clock));
        let mut engine = Engine::builder(Arc::new(MemoryStore::new())).clock(Arc::new(clock));
        for number in 0..SERVICES {
            let config = EcsConfig::new(CLUSTER, name(number));
            let target = EcsTarget::paced(&session, pacer.clone(), &config).expect("a target");
            engine = engine.component(ComponentName::new(name(number)).expect("a name"), target.erase());
        }
        Self { cloud, clock, engine: engine.build(), offset }
    }

    async fn plan(&self) -> Box<Plan> {
        let mut request =
            Request::new(EnvironmentName::new("default").expect("a name")).reason("a bad release");
        for number in 0..SERVICES {
            let component = ComponentName::new(name(number)).expect("a name");
            request = request.component(component, Some("previous".parse().expect("a destination")));
        }
        match self.engine.plan(&request).await.expect("a plan") {
            Planned::Ready(plan) => plan,
            Planned::Undecided(why) => panic!("undecided: {:?}", why.iter().next()),
        }
    }

    /// Tells what was called since the last time, and how long it took.
    fn told(&self, phase: &str, since: Duration) -> (Tally, f64) {
        let tally = Tally::of(&self.cloud);
        let took = self.clock.monotonic().saturating_sub(since).as_secs_f64();
        tally.print(phase);
        let started = self.cloud.world().began();
        let changes: Vec<_> =
            self.cloud.calls().into_iter().filter(|call| call.operation == "UpdateService").collect();
        if let (Some(first), Some(last)) = (changes.first(), changes.last()) {
            let after = |call: &Call| {
                call.at.duration_since(started).as_secs_f64() - self.offset - since.as_secs_f64()
            };
            println!(
                "{phase}: the first change after {:.1} s, the last after {:.1} s",
                after(first),
                after(last)
            );
        }
        println!("{phase} took {took:.1} s; memory now {} MB, at most {} MB", memory("VmRSS:"), peak());
        self.cloud.forget_calls();
        (tally, took)
    }
}

fn all_restored(report: &Report) {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (name, component) in &report.components {
        if component.state != State::Restored {
            *ends
                .entry(format!("{}: {}", component.state, component.summary.replace(name.as_str(), "it")))
                .or_default() += 1;
        }
    }
    assert!(ends.is_empty(), "{:#?}", ends.iter().take(8).collect::<Vec<_>>());
    assert_eq!(report.components.len(), SERVICES);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_services_go_back_within_the_documented_rates() {
    let fleet = Fleet::new();
    let before = peak();
    println!("memory with the double and a thousand targets {before} MB");
    let began = fleet.clock.monotonic();
    let plan = fleet.plan().await;
    let (planning, planned) = fleet.told("the plan", began);
    let began = fleet.clock.monotonic();
    let report = fleet.engine.apply(&plan, &Approval::yes()).await.expect("a report");
    let (applying, applied) = fleet.told("the run", began);
    let limit = READS + CHANGES;
    println!("took {:.1} s of at least {limit:.1} s", planned + applied);
    println!("{:.0} KB for each service", (peak() - before) as f64 * 1024.0 / SERVICES as f64);
    all_restored(&report);
    let errors: usize = report.components.values().map(|component| component.errors.len()).sum();
    assert_eq!(errors, 0, "errors that were met");
    for number in 0..SERVICES {
        let service = fleet.cloud.service(CLUSTER, &name(number)).expect("it is there");
        let one = format!("{}:1", name(number));
        assert_eq!(service.healthy(), [one.as_str(), one.as_str()]);
    }
    assert_eq!(planning.1 + applying.1, 0, "throttled");
    assert!(planned + applied <= 1.2 * limit, "{} of {limit}", planned + applied);
    assert!(peak() - before <= MEMORY, "{} MB", peak() - before);
}
