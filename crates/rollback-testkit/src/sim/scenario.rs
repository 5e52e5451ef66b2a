//! One simulation from one seed, from the first deploy to the last report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use rollback_core::engine::Claim;
use rollback_core::time::{Clock, TokioClock, within};
use rollback_core::{Approval, EnvironmentName, Planned, Request, RunId, State};
use tokio_util::sync::CancellationToken;

use super::check;
use super::clock::EPOCH;
use super::facts::Facts;
use super::fault_store::Weather;
use super::lab::{How, Lab};
use super::process::{Fuse, Process};
use super::random::Random;
use super::script::{Event, Mishap, Operator, Rescuer, Script};
use super::trace::Trace;

/// Nothing takes longer than this, in virtual time.
const LIMIT: Duration = Duration::from_secs(48 * 3_600);

/// What one simulation came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The invariants that were broken, in words. Empty when all is well.
    pub violations: Vec<String>,
    /// What happened, if the trace was kept.
    pub trace: Vec<String>,
    /// How often each thing happened, so that a test can see that something did.
    pub counts: BTreeMap<String, u64>,
}

/// Runs the simulation of `seed` and checks the invariants.
///
/// # Panics
///
/// When the engine does.
#[must_use]
pub fn scenario(seed: u64) -> Outcome {
    simulate(seed, false)
}

/// The same, with everything that happened.
///
/// # Panics
///
/// When the engine does.
#[must_use]
pub fn traced_scenario(seed: u64) -> Outcome {
    simulate(seed, true)
}

fn simulate(seed: u64, traced: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(EPOCH));
        let trace = Trace::new(Arc::clone(&clock), traced);
        let mut random = Random::new(seed);
        let script = Script::of(&mut random);
        trace.note("seed", || format!("{seed}: {script:#?}"));
        let lab = Arc::new(Lab::new(script, random, Arc::clone(&clock), trace.clone()));
        let mut violations = match within(&*clock, LIMIT, play(&lab)).await {
            Some(open) => open,
            None => vec!["the simulation does not come to an end".to_owned()],
        };
        violations.extend(check::violations(&Facts::of(&lab)));
        Outcome { seed, violations, trace: trace.lines(), counts: check::counts(&lab) }
    })
}

/// Plays the script. Gives what is still open at its end.
async fn play(lab: &Arc<Lab>) -> Vec<String> {
    prepare(lab).await;
    let script = lab.script();
    let mut parts: Vec<BoxFuture<'_, ()>> = Vec::new();
    for (number, one) in script.operators.iter().enumerate() {
        parts.push(Box::pin(operator(lab, number, one)));
    }
    for (number, one) in script.rescuers.iter().enumerate() {
        parts.push(Box::pin(rescuer(lab, format!("rescuer-{number}"), one.clone())));
    }
    for one in &script.mishaps {
        parts.push(Box::pin(mishap(lab, one)));
    }
    join_all(parts).await;
    janitor(lab).await
}

/// Release 1 ran and was good; release 2 runs.
async fn prepare(lab: &Lab) {
    let process = lab.process("setup", Fuse::default());
    let engine = lab.engine(&process, process.name(), Weather::default(), How::default());
    for (number, deployed) in lab.deployed.iter().enumerate() {
        // A component without records has no last good state.
        if number != 1
            && let Err(error) = engine.record(&deployed.name, &Claim::good().by("setup")).await
        {
            process.note(|| format!("record: {error}"));
        }
    }
    lab.clock.sleep(Duration::from_secs(3_600)).await;
    for deployed in &lab.deployed {
        let _ = deployed.world.deploy(2, "the pipeline");
    }
    lab.clock.sleep(Duration::from_secs(3_600)).await;
}

async fn operator(lab: &Arc<Lab>, number: usize, script: &Operator) {
    lab.clock.sleep(script.starts).await;
    let process = lab.process(format!("operator-{number}"), script.fuse.clone());
    let cancel = CancellationToken::new();
    let work = operate(lab, &process, script, cancel.clone(), lab.script().glass);
    let interrupt = async {
        match script.cancels {
            Some(after) => lab.clock.sleep(after).await,
            None => std::future::pending().await,
        }
        process.note(|| "presses Ctrl-C".to_owned());
        cancel.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = process.died() => {}
        () = work => return,
        () = interrupt => {}
    }
    // Somebody sees that the process is gone and takes the run up again.
    lab.clock.sleep(Duration::from_secs(3)).await;
    let heir = || Rescuer { starts: Duration::ZERO, fuse: Fuse::default() };
    let heirs = (0..lab.script().heirs).map(|heir_of| format!("heir-{number}.{heir_of}"));
    join_all(heirs.map(|name| rescuer(lab, name, heir()))).await;
}

async fn operate(lab: &Lab, process: &Process, script: &Operator, cancel: CancellationToken, glass: bool) {
    let how = How { cancel, glass };
    let engine = lab.engine(process, process.name(), lab.script().weather, how);
    let Ok(environment) = EnvironmentName::new("simulated") else { return };
    let mut request = Request::new(environment).on_failure(script.on_failure).actor(process.name());
    for deployed in &lab.deployed {
        request = request.component(deployed.name.clone(), script.destination.clone());
    }
    for _ in 0..3 {
        match engine.plan(&request).await {
            Ok(Planned::Ready(plan)) => {
                lab.clock.sleep(script.thinks).await;
                match engine.apply(&plan, &Approval::yes()).await {
                    Ok(report) => lab.end(process, report),
                    Err(error) => lab.refuse(process, &error),
                }
                return;
            }
            Ok(Planned::Undecided(_)) => {
                process.note(|| "no destination".to_owned());
                return;
            }
            Err(error) => process.note(|| format!("plan: {error}")),
        }
        process.clock().sleep(Duration::from_secs(2)).await;
    }
}

async fn rescuer(lab: &Lab, name: String, script: Rescuer) {
    lab.clock.sleep(script.starts).await;
    let process = lab.process(name, script.fuse);
    tokio::select! {
        biased;
        () = process.died() => {}
        _ = rescue(lab, &process, lab.script().weather, 4, lab.script().glass) => {}
    }
}

/// Resumes whatever is open. What is left open after so many rounds.
async fn rescue(lab: &Lab, process: &Process, weather: Weather, rounds: u32, glass: bool) -> Vec<RunId> {
    let mut open = Vec::new();
    for round in 0..rounds {
        let session = format!("{}#{round}", process.name());
        let engine = lab.engine(process, &session, weather, How::glass(glass));
        open = match engine.runs(100).await {
            Ok(runs) => runs.into_iter().filter(|run| run.state.is_none()).map(|run| run.run).collect(),
            Err(error) => {
                process.note(|| format!("runs: {error}"));
                continue;
            }
        };
        if open.is_empty() {
            return open;
        }
        for run in &open {
            process.note(|| format!("resumes {run}"));
            match engine.resume(*run).await {
                Ok(report) => lab.end(process, report),
                Err(error) => process.note(|| format!("resume: {error}")),
            }
        }
        process.clock().sleep(Duration::from_secs(9)).await;
    }
    open
}

async fn mishap(lab: &Lab, script: &Mishap) {
    lab.clock.sleep(script.at).await;
    let Some(deployed) = lab.deployed.get(script.component) else { return };
    lab.trace.note("world", || format!("{}: {:?}", deployed.name, script.what));
    match script.what {
        Event::Deploy(release) => drop(deployed.world.deploy(release, "a colleague")),
        Event::Remove(release) => deployed.world.remove(release),
        Event::Sicken(release) => deployed.world.sicken(release),
        Event::Deafen(rollouts) => deployed.world.deafen(rollouts),
    }
}

/// When everybody is done, a calm process resumes what is still open; then nothing may be.
async fn janitor(lab: &Lab) -> Vec<String> {
    // Whoever is frozen wakes first, late requests land, rollouts end.
    lab.clock.sleep(Duration::from_secs(3_600)).await;
    let process = lab.process("janitor", Fuse::default());
    let mut violations = Vec::new();
    if lab.script().glass {
        let open = rescue(lab, &process, Weather::default(), 40, true).await;
        violations
            .extend(open.iter().map(|run| format!("run {run} beside the store reaches no terminal state")));
        violations.extend(merge(lab, &process).await);
    }
    let open = rescue(lab, &process, Weather::default(), 40, false).await;
    lab.clock.sleep(Duration::from_secs(3_600)).await;
    violations.extend(open.iter().map(|run| format!("run {run} reaches no terminal state")));
    violations.extend(read_reports(lab, &process).await);
    for deployed in &lab.deployed {
        lab.trace.note("world", || format!("{}: {:?}", deployed.name, deployed.world.look()));
        if deployed.world.expects_late() {
            violations.push(format!("{}: a request never landed", deployed.name));
        }
    }
    violations
}

/// The shared store is back: what was written beside it is brought home, and a new run can work with it.
async fn merge(lab: &Lab, process: &Process) -> Vec<String> {
    let engine = lab.engine(process, "the merge", Weather::default(), How::default());
    let mut found = Vec::new();
    for (again, local) in [false, true].map(|again| (again, Arc::new(lab.local.clone()))) {
        match engine.merge_break_glass(local).await {
            Ok(copied) if again && copied > 0 => found.push(format!("merging again copied {copied} records")),
            Ok(copied) => process.note(|| format!("{copied} records brought home")),
            Err(error) => found.push(format!("what was written beside the store is lost: {error}")),
        }
    }
    let calm = Operator::calm();
    operate(lab, &lab.process("operator-after", Fuse::default()), &calm, CancellationToken::new(), false)
        .await;
    found
}

/// Reads what the store says of each run.
async fn read_reports(lab: &Lab, process: &Process) -> Option<String> {
    let engine = lab.engine(process, process.name(), Weather::default(), How::default());
    let runs = match engine.runs(100).await {
        Ok(runs) => runs,
        Err(error) => return Some(format!("the runs cannot be read: {error}")),
    };
    for run in runs {
        match engine.run(run.run).await {
            Ok(details) => details.report.into_iter().for_each(|report| lab.store(report)),
            Err(error) => return Some(format!("run {} cannot be read: {error}", run.run)),
        }
    }
    let states: Vec<State> = lab.stored().iter().map(|report| report.state).collect();
    process.note(|| format!("the end: {states:?}"));
    None
}
