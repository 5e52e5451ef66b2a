//! A whole run: leases and guards for all, then components as their order allows, then hold or back, then the report.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{FutureExt as _, join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex, Semaphore, watch};

use super::component::{ComponentRun, Forward};
use super::guards::Guard;
use super::records::RunRecord;
use super::{Context, RunSummary};
use crate::error::{Error, Result};
use crate::graph::order;
use crate::journal::Journal;
use crate::name::{ComponentName, RunId};
use crate::plan::Plan;
use crate::progress::{Event, Stage};
use crate::report::{ComponentReport, Report, State};
use crate::request::{OnFailure, Request};

/// How many components send at once. Waiting for what was sent takes nobody's place: a rollout may take minutes.
const CONCURRENT: usize = 16;
/// How many are looked at at once before anything is sent: drivers gather what is asked together, and pace it.
const LOOKING: usize = 128;

/// A run in the hands of this process.
pub(super) struct Run {
    context: Arc<Context>,
    record: RunRecord,
    plan: Plan,
    resumed: bool,
    /// Those that have not ended.
    active: BTreeMap<ComponentName, ComponentRun>,
    ended: BTreeMap<ComponentName, ComponentReport>,
}

/// How far components came, by name.
type Forwards = BTreeMap<ComponentName, Forward>;

impl Run {
    /// Reads the journals of a run that was just created, or was cut off.
    pub(super) async fn open(
        context: Arc<Context>,
        record: RunRecord,
        plan: Plan,
        resumed: bool,
    ) -> Result<Self> {
        let (mut active, mut ended) = (BTreeMap::new(), BTreeMap::new());
        let request = Request { actor: Some(plan.actor.clone()), ..plan.request.clone() };
        let request = Arc::new(request);
        let opening = |name| Journal::open(context.records.clone(), record.run, name).boxed();
        let opening: Vec<_> = plan.components.keys().map(opening).collect();
        let journals: Vec<_> = stream::iter(opening).buffered(CONCURRENT).try_collect().await?;
        let slots = Arc::new(Semaphore::new(CONCURRENT));
        for ((name, planned), journal) in plan.components.iter().zip(journals) {
            if let Some(report) = &journal.state.ended {
                ended.insert(name.clone(), report.clone());
                continue;
            }
            let component = ComponentRun {
                run: record.run,
                name: name.clone(),
                request: Arc::clone(&request),
                plan: planned.clone(),
                gates: plan.gates.iter().filter(|gate| gate.component == *name).cloned().collect(),
                soak: plan.soak(),
                target: Arc::clone(context.target(name)?),
                journal: Mutex::new(journal),
                lease: None,
                slots: Arc::clone(&slots),
                cancel: context.cancel.clone(),
                seen: std::sync::Mutex::default(),
                beside: std::sync::Mutex::default(),
                context: Arc::clone(&context),
            };
            active.insert(name.clone(), component);
        }
        Ok(Self { context, record, plan, resumed, active, ended })
    }

    /// Brings the run to its end.
    ///
    /// # Errors
    ///
    /// Only a resumed run whose target somebody else holds: it is left as it is.
    pub(super) async fn execute(mut self) -> Result<Report> {
        self.context.emit(Event::RunStarted {
            run: self.record.run,
            components: self.plan.components.keys().cloned().collect(),
            resumed: self.resumed,
        });
        let (mut forwards, go) = match self.take_leases().await {
            Ok(()) => self.guard_all().await,
            Err(error) if self.resumed => {
                self.release_all().await;
                return Err(error);
            }
            Err(error) => (refuse_all(self.active.keys(), &error), false),
        };
        if go {
            self.forward_all(&mut forwards).await;
        }
        Ok(self.finish_all(forwards).await)
    }

    /// Takes all leases before anything is done, in one order for everybody, so that two runs cannot each hold half.
    /// What follows from holding one need not wait for the others.
    async fn take_leases(&mut self) -> Result<()> {
        let run = self.record.run;
        let mut order: Vec<&mut ComponentRun> = self.active.values_mut().collect();
        order.sort_by(|a, b| a.plan.target.id.cmp(&b.plan.target.id));
        for component in &mut order {
            component.emit_stage(Stage::Lease, component.plan.target.id.to_string());
            if self.context.break_glass.is_none() {
                let lease = self.context.leasing.acquire(&component.plan.target.id, run).await?;
                component.journal.get_mut().epoch = lease.epoch().await;
                component.lease = Some(lease);
            }
        }
        let begun: Vec<_> = order.into_iter().map(|component| component.begin().boxed()).collect();
        // To their end, all of them: a write to a journal is never dropped half-way.
        let begun: Vec<Result<()>> = stream::iter(begun).buffered(CONCURRENT).collect().await;
        begun.into_iter().collect()
    }

    async fn release_all(self) {
        for (_, mut component) in self.active {
            let open = component.open_intents().await;
            if let Some(lease) = component.lease.take() {
                lease.release(open).await;
            }
        }
    }

    /// Every guard of every component before the first effect of any: those that end here, and whether the others go.
    /// Those that are there already keep nobody from going; one that is refused keeps everybody, unless the run was
    /// cut off in the middle.
    async fn guard_all(&self) -> (Forwards, bool) {
        let guards: Vec<_> = self.active.values().map(|component| component.guard().boxed()).collect();
        let guards: Vec<_> = stream::iter(guards).buffered(LOOKING).collect().await;
        let mut ends = Forwards::new();
        for (name, guard) in self.active.keys().zip(guards) {
            match guard {
                Ok(Guard::Go) => {}
                Ok(Guard::End(end)) => drop(ends.insert(name.clone(), end)),
                Err(halt) => drop(ends.insert(name.clone(), Forward::Halted(halt))),
            }
        }
        let stopped = ends.iter().find(|(_, end)| !matches!(end, Forward::AlreadyThere { .. }));
        let Some(stopped) = stopped.map(|(name, _)| name.clone()).filter(|_| !self.resumed) else {
            return (ends, true);
        };
        for name in self.active.keys() {
            ends.entry(name.clone())
                .or_insert_with(|| Forward::Refused { why: format!("{stopped} was refused"), error: None });
        }
        (ends, false)
    }

    /// Runs every component that has no end yet, each after those it waits for; at most [`CONCURRENT`] send at once.
    async fn forward_all(&self, forwards: &mut Forwards) {
        let mut signals = BTreeMap::new();
        for name in self.plan.components.keys() {
            let done = match (forwards.get(name), self.ended.get(name)) {
                (Some(end), _) => Some(arrived(end)),
                (None, Some(report)) => Some(report.state.is_success()),
                (None, None) => None,
            };
            signals.insert(name.clone(), watch::channel(done).0);
        }
        let waiting = self.active.iter().filter(|(name, _)| !forwards.contains_key(*name));
        let ran = join_all(waiting.map(|(name, component)| {
            let signals = &signals;
            async move {
                let end = match self.wait_for_peers(component, signals).await {
                    Ok(()) => component.forward().await,
                    Err(end) => end,
                };
                if let Some(signal) = signals.get(name) {
                    signal.send_replace(Some(arrived(&end)));
                }
                // Whoever waits for it goes on: in an outage nobody has the time to watch one after the other.
                (name.clone(), component.soak(end).await)
            }
            .boxed()
        }))
        .await;
        forwards.extend(ran);
    }

    async fn wait_for_peers(
        &self,
        component: &ComponentRun,
        signals: &BTreeMap<ComponentName, watch::Sender<Option<bool>>>,
    ) -> Result<(), Forward> {
        for first in &component.plan.after {
            let Some(signal) = signals.get(first) else { continue };
            component.emit_stage(Stage::Peers, first.to_string());
            let mut receiver = signal.subscribe();
            let done = receiver.wait_for(Option::is_some).await.is_ok_and(|done| *done == Some(true));
            if !done {
                let why = format!("it comes after {first}, which did not arrive");
                return Err(Forward::Refused { why, error: None });
            }
        }
        Ok(())
    }

    /// Hold or back, then the end of each component, last ones first, then the report.
    async fn finish_all(mut self, mut forwards: Forwards) -> Report {
        let wants_back = self.plan.request.on_failure == OnFailure::Back;
        let failed = forwards.values().any(|end| matches!(end, Forward::Failed { .. }));
        let all_well = forwards.values().all(arrived)
            && self.ended.values().all(|component| component.state.is_success());
        let order = self.last_first();
        let mut mine = true;
        for name in order {
            let (Some(component), Some(end)) = (self.active.remove(&name), forwards.remove(&name)) else {
                continue;
            };
            let (report, ours) = component.finish(end, wants_back && failed, all_well).await;
            mine &= ours;
            self.ended.insert(name, report);
        }
        let report = self.report();
        // Somebody else may be bringing this very run to its end: the last word is theirs.
        if mine && let Err(error) = RunRecord::end(&self.context, &report).await {
            tracing::warn!(%error, "the report could not be stored; `resume` will store it");
        }
        self.context.emit(Event::RunEnded { run: report.run, state: report.state });
        report
    }

    /// Component names, each before those that it waits for: the way back is the way there in reverse.
    fn last_first(&self) -> Vec<ComponentName> {
        let plan = &self.plan.components;
        let waits = plan.iter().map(|(name, component)| {
            (name, component.after.iter().filter(|first| plan.contains_key(*first)).collect())
        });
        // Never an error: no plan holds components that wait for each other.
        let first_first = order(&waits.collect()).unwrap_or_else(|_| plan.keys().collect());
        first_first.into_iter().rev().cloned().collect()
    }

    fn report(&self) -> Report {
        Report {
            run: self.record.run,
            plan: self.plan.digest(),
            request: self.plan.request.clone(),
            state: State::of_run(self.ended.values().map(|component| component.state)),
            started_at: self.record.started_at,
            ended_at: self.context.clock.now(),
            break_glass: self.record.break_glass.clone(),
            components: self.ended.clone(),
        }
    }
}

/// Whether those that wait for this component may go.
fn arrived(end: &Forward) -> bool {
    matches!(end, Forward::Reached { healthy: true, .. } | Forward::AlreadyThere { .. })
}

fn refuse_all<'a>(names: impl Iterator<Item = &'a ComponentName>, error: &Error) -> Forwards {
    let refused = || Forward::Refused { why: error.message().to_owned(), error: Some(error.to_record()) };
    names.map(|name| (name.clone(), refused())).collect()
}

/// The newest runs in short.
pub(super) async fn newest(context: &Context, limit: usize) -> Result<Vec<RunSummary>> {
    let keys = context.records.keys(&super::records::prefix()?).await?;
    let newest: Vec<_> = keys.into_iter().rev().take(limit).collect();
    let found = context.records.get_all::<RunRecord>(&newest).await?;
    Ok(found.into_iter().flatten().map(|record| record.value.summary()).collect())
}

/// The id of a run that is unique in time.
pub(super) fn new_id(context: &Context) -> RunId {
    RunId::new(context.clock.now(), &*context.entropy)
}
