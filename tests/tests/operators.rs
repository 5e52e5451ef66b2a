//! Two machines that have only an object store in common, each behind a network that fails, operate the same hundred
//! targets at random. One process for each machine, killed again and again, and cut off from the store now and then.
//!
//! `ROLLBACK_OPERATORS_RUNS` says how many runs there are to be; 150 if it does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_core::{Engine, Report};
use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rollback_tests::operators::{Findings, Flaw, Machine, Settings, Tally, TargetLog, Told};
use rollback_tests::proxy::{Answer, Fault, Faults, Proxy, Rule};
use rollback_tests::servers::{Account, Ministack, need};
use rollback_tests::{Random, Result, Running, pause};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MACHINES: [&str; 2] = ["north", "south"];
/// What is waited for the whole test, and for one process.
const LONGEST: Duration = Duration::from_secs(1_800);

fn main() -> ExitCode {
    Suite::new("operators")
        .limit(LONGEST)
        .case("two_machines_share_a_store_and_nothing_else", true, two_machines)
        .case("a_store_that_ignores_conditions_is_noticed", true, || broken(Flaw::IgnoresConditions))
        .case("machines_that_take_each_other_for_dead_are_noticed", true, || broken(Flaw::TakesLivingForDead))
        .run()
}

/// One trial of two machines.
struct Trial {
    world: tempfile::TempDir,
    account: Account,
    proxies: Vec<Proxy>,
    random: Random,
    runs: u64,
    settings: Settings,
    over: AtomicBool,
    kills: AtomicU64,
    outages: AtomicU64,
}

/// Of a hundred requests ten fail, each in its own way, and all take their time.
fn bad_network(seed: u64) -> Faults {
    let rule = |fault, chance| Rule::new(fault).chance(chance);
    Faults::seeded(seed)
        .rule(Rule::new(Fault::Delay { least: Duration::ZERO, most: Duration::from_millis(8) }))
        .rule(rule(Fault::delay(Duration::from_millis(250)), 0.01))
        .rule(rule(Fault::Answer(Answer::s3(500)), 0.015))
        .rule(rule(Fault::Answer(Answer::s3(503)), 0.025))
        .rule(rule(Fault::Answer(Answer::s3(429)), 0.01))
        .rule(rule(Fault::ResetBefore, 0.02))
        .rule(rule(Fault::ResetAfter, 0.02))
        .rule(rule(Fault::EofAfter, 0.01))
}

impl Trial {
    fn new(account: Account, runs: u64, targets: usize, faults: fn(u64) -> Faults) -> Result<Self> {
        let bucket = format!("operators-{}", account.id());
        account.make_bucket(&bucket)?;
        let mut random = Random::from_surroundings("operators");
        let server = account.endpoint().trim_start_matches("http://").to_owned();
        let proxy = |random: &mut Random| -> Result<Proxy> {
            let proxy = Proxy::http(server.as_str())?;
            proxy.faults(faults(random.number()));
            Ok(proxy)
        };
        let proxies = MACHINES.iter().map(|_| proxy(&mut random)).collect::<Result<Vec<_>>>()?;
        let world = tempfile::tempdir()?;
        let settings = Settings {
            machine: String::new(),
            world: world.path().to_owned(),
            store: format!("s3://{bucket}/shared"),
            variables: Settings::variables_of(&account),
            witness: Settings::variables_of(&account),
            seed: 0,
            runs: 0,
            at_once: 6,
            targets,
            flaw: None,
        };
        let (over, kills, outages) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { world, account, proxies, random, runs, settings, over, kills, outages })
    }

    fn told(&self, machine: &str) -> Result<Vec<Told>> {
        Ok(Told::by(self.world.path(), machine)?)
    }

    /// Lets both machines work until they applied their share, killed and cut off at random.
    fn operate(&mut self, disturbed: bool) -> Result<()> {
        let mut seeds: Vec<Random> = (0..=MACHINES.len()).map(|_| self.random.fork()).collect();
        let weather = seeds.pop().filter(|_| disturbed);
        let trial = &*self;
        std::thread::scope(|scope| {
            let machines: Vec<_> = MACHINES
                .iter()
                .zip(&trial.proxies)
                .zip(seeds)
                .map(|((machine, proxy), random)| {
                    scope.spawn(move || trial.run_machine(machine, proxy, random, disturbed))
                })
                .collect();
            if let Some(weather) = weather {
                scope.spawn(move || trial.cut_off(weather));
            }
            let ended: Vec<_> = machines.into_iter().map(ScopedJoinHandle::join).collect();
            trial.over.store(true, Ordering::SeqCst);
            ended.into_iter().try_for_each(|ended| ended.map_err(|_| "a machine's thread panicked")?)
        })
    }

    /// One machine: its process is started again after each kill, for what is left to do.
    fn run_machine(&self, machine: &str, proxy: &Proxy, mut random: Random, disturbed: bool) -> Result<()> {
        let share = self.runs.div_ceil(MACHINES.len() as u64);
        let began = SystemClock.monotonic();
        loop {
            let left = share.saturating_sub(Tally::of(&self.told(machine)?).applies);
            if left == 0 {
                return Ok(());
            }
            if SystemClock.monotonic() - began > LONGEST {
                return Err(format!("{machine} does not come to an end").into());
            }
            let settings = Settings {
                machine: machine.to_owned(),
                variables: Settings::variables_of(&self.account.behind(proxy.port())),
                seed: random.number(),
                runs: left,
                ..self.settings.clone()
            };
            let (name, value) = settings.to_variable()?;
            let mut command = Command::new(env!("CARGO_BIN_EXE_e2e-operators"));
            command.env(name, value).env("RUST_LOG", "off");
            let mut process = Running::start(command)?;
            let until = SystemClock.monotonic() + Duration::from_millis(2_000 + random.below(8_000));
            while disturbed && !process.has_ended() && SystemClock.monotonic() < until {
                pause(Duration::from_millis(5));
            }
            if disturbed && process.kill()? {
                self.kills.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            process.end()?.expect(0);
        }
    }

    /// Cuts one machine after the other off from the store, sometimes for longer than a lease.
    fn cut_off(&self, mut random: Random) {
        let wait = |longest: Duration| {
            let until = SystemClock.monotonic() + longest;
            while !self.over.load(Ordering::SeqCst) && SystemClock.monotonic() < until {
                pause(Duration::from_millis(10));
            }
        };
        while !self.over.load(Ordering::SeqCst) {
            wait(Duration::from_millis(1_000 + random.below(9_000)));
            let Some(proxy) = self.proxies.get(usize::try_from(random.below(2)).unwrap()) else { return };
            proxy.down();
            self.outages.fetch_add(1, Ordering::SeqCst);
            wait(Duration::from_millis(random.below(9_000)));
            proxy.up();
        }
    }

    /// Brings everything to its end through a calm network, and reads all that is there.
    async fn close(&self) -> Result<Closed> {
        let settings = Settings { machine: "closing".to_owned(), ..self.settings.clone() };
        let machine = Machine::new(settings)?;
        let left = machine.finish().await?;
        let engine = machine.engine("closing", CancellationToken::new())?;
        let (reports, unread) = read_all(&engine).await?;
        let held = machine.free_all().await?;
        let mut told = self.told("closing")?;
        for machine in MACHINES {
            told.extend(self.told(machine)?);
        }
        let logs = (0..self.settings.targets).map(|number| {
            let name = Settings::component(number)?.to_string();
            let lines = TargetLog::new(self.world.path(), &name).lines()?;
            Ok((name, lines))
        });
        let findings = Findings::of(&logs.collect::<Result<_>>()?, &told, &reports);
        Ok(Closed { left, reports, unread, held, tally: Tally::of(&told), findings })
    }
}

/// The reports of all runs, and the runs that cannot be read with their journals.
async fn read_all(engine: &Engine) -> Result<(Vec<Report>, Vec<String>)> {
    let (mut reports, mut unread) = (Vec::new(), Vec::new());
    for some in engine.runs(usize::MAX).await?.chunks(16) {
        let mut reading = JoinSet::new();
        for run in some.iter().map(|run| run.run) {
            let engine = engine.clone();
            reading.spawn(async move { engine.run(run).await.map_err(|error| format!("{run}: {error}")) });
        }
        while let Some(read) = reading.join_next().await {
            match read? {
                Ok(details) => reports.extend(details.report),
                Err(why) => unread.push(why),
            }
        }
    }
    Ok((reports, unread))
}

/// What there is after all has ended.
struct Closed {
    left: usize,
    reports: Vec<Report>,
    unread: Vec<String>,
    held: Vec<String>,
    tally: Tally,
    findings: Findings,
}

impl Closed {
    /// What must not be.
    fn faults(&self) -> Vec<String> {
        let mut faults = self.findings.faults.clone();
        faults.extend(self.unread.iter().map(|why| format!("a run cannot be read: {why}")));
        faults.extend(self.held.iter().map(|why| format!("nobody can operate a target any more: {why}")));
        if self.left > 0 {
            faults.push(format!("{} runs cannot be brought to an end", self.left));
        }
        faults
    }

    fn states(&self) -> BTreeMap<String, usize> {
        let mut states = BTreeMap::new();
        for report in &self.reports {
            *states.entry(report.state.to_string()).or_default() += 1;
        }
        states
    }
}

fn wanted_runs() -> Result<u64> {
    std::env::var("ROLLBACK_OPERATORS_RUNS").map_or(Ok(150), |text| Ok(text.parse()?))
}

#[expect(clippy::print_stdout, reason = "the counts are what the test is for")]
async fn two_machines() -> CaseResult {
    let account = need(Ministack::shared())?.account();
    let mut trial = Trial::new(account, wanted_runs()?, 100, bad_network)?;
    let began = SystemClock.monotonic();
    trial.operate(true)?;
    let worked = SystemClock.monotonic() - began;
    let closed = trial.close().await?;
    let closed_in = SystemClock.monotonic() - began - worked;
    let injected: Vec<_> = trial.proxies.iter().map(Proxy::counts).collect();
    let (kills, outages) = (trial.kills.load(Ordering::SeqCst), trial.outages.load(Ordering::SeqCst));
    println!(
        "{} runs in {worked:.1?}, closed in {closed_in:.1?}: {:?}",
        closed.reports.len(),
        closed.states()
    );
    println!("{kills} kills, {outages} outages, {:?}", closed.tally);
    println!("{} requests, {} reports compared", closed.findings.requests, closed.findings.reports);
    for (machine, counts) in MACHINES.iter().zip(&injected) {
        println!("{machine}: {counts:?}");
    }
    equal("what must not be", &closed.faults(), &Vec::new())?;
    ensure(closed.reports.len() as u64 >= trial.runs * 8 / 10, "too few runs were begun")?;
    // It all happened, or nothing was shown.
    let tally = &closed.tally;
    for (what, count) in [
        ("kill", kills),
        ("outage", outages),
        ("takeover", tally.taken_from_own + tally.taken_from_other),
        ("run refused for somebody's lease", tally.refused_for_lease),
        ("resumed run", tally.resumes),
        ("cancelled run", tally.cancels),
    ] {
        ensure(count > 0, format!("there was no {what}"))?;
    }
    for kind in
        ["answer 500", "answer 503", "answer 429", "reset before", "reset after", "eof after", "delay"]
    {
        ensure(injected.iter().all(|counts| counts.contains_key(kind)), format!("no {kind} was injected"))?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "shows what the test sees")]
/// The same with something broken: two machines then hold one target at once, and that must be seen.
async fn broken(flaw: Flaw) -> CaseResult {
    // Between reading a head and writing it there is time for others to read it too.
    let slow = |seed| {
        let (least, most) = (Duration::from_millis(100), Duration::from_millis(300));
        Faults::seeded(seed).rule(Rule::new(Fault::Delay { least, most }).method("PUT").path("*/heads/*"))
    };
    let account = need(Ministack::shared())?.account();
    let mut trial = match flaw {
        Flaw::IgnoresConditions => Trial::new(account, 60, 1, slow)?,
        _ => Trial::new(account, 120, 4, |_| Faults::none())?,
    };
    trial.settings.at_once = 10;
    trial.settings.flaw = Some(flaw);
    trial.operate(false)?;
    trial.settings.flaw = None;
    let faults = trial.close().await?.faults();
    println!("{flaw:?}: {faults:#?}");
    let two = |fault: &String| ["acts", "act in epoch"].iter().any(|words| fault.contains(words));
    ensure(faults.iter().any(two), "nobody noticed two holders of one target")
}
