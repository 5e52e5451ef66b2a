//! Makes plans: looks at every component, finds its destination, compares the strategies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::candidate::{Chosen, Past, Resolved};
use super::compare::{compare, coupled_changed, propose, usable};
use super::findings::{artifact_findings, bounded_diff, look_findings, missing, no_method, restorable_until};
use super::{ComponentPlan, Method, PLAN_SCHEMA, Plan, PlanBody, Planned, Undecided};
use crate::engine::Context;
use crate::engine::fresh::{FreshLook, FreshLooks};
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::name::ComponentName;
use crate::request::{Destination, Request};
use crate::snapshot::{SnapshotInfo, SnapshotRecord};
use crate::strategy::{Peer, Peers, View};
use crate::target::{Finding, Goal, Inspection, Observation, Phase, Reading, TargetInfo};

/// How many targets are looked at, or asked, at once. Drivers gather what is asked together, and pace it: each component waits
/// for its turn within the time that a look may take.
const AT_ONCE: usize = 128;

/// Makes plans over the components of an engine.
pub(crate) struct Planner<'a> {
    pub(crate) context: &'a Context,
}

/// What was seen of one component. Its past is not kept: a plan of very many components would be mostly history.
struct Look {
    /// When, by the monotonic clock.
    at: Duration,
    target: Arc<dyn DynTarget>,
    info: TargetInfo,
    observed: Observation<SnapshotRecord>,
    /// See [`FreshLook::epoch`].
    epoch: Option<u64>,
}

/// A component with its destination.
struct Aimed {
    look: Look,
    chosen: Chosen,
    already_there: bool,
    /// What moving there would mean; `None` where it is checked beside the run.
    inspection: Option<Inspection>,
}

impl Look {
    /// What is to be left: what is on its way, else what it rests on.
    fn leaving(&self) -> Option<&SnapshotInfo> {
        self.observed.heading.as_ref().or(self.observed.settled.known()).map(|record| &record.info)
    }
}

impl Planner<'_> {
    pub(crate) async fn plan(&self, request: &Request) -> Result<Planned> {
        self.check(request)?;
        let now = self.context.clock.now();
        let mut aimed = BTreeMap::new();
        let mut undecided = BTreeMap::new();
        let looks = request.components.iter().map(|(name, destination)| {
            let aimed = self.aim(request, name, destination.as_ref(), now);
            async move { aimed.await.map_err(|error| about(name, &error)).map(|found| (name, found)) }.boxed()
        });
        // Collected first: a stream over a closure keeps the compiler from seeing that the whole may change threads.
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffered(AT_ONCE);
        while let Some((name, found)) = looks.try_next().await? {
            match found {
                Ok(found) => drop(aimed.insert(name.clone(), found)),
                Err(why) => drop(undecided.insert(name.clone(), why)),
            }
        }
        if !undecided.is_empty() {
            return Ok(Planned::Undecided(undecided));
        }
        self.assemble(request, &aimed, now).map(|plan| Planned::Ready(Box::new(plan)))
    }

    fn check(&self, request: &Request) -> Result<()> {
        request.check_texts()?;
        let wrong = |message: String| Error::new(ErrorKind::Invalid, "plan the rollback", message);
        if request.components.is_empty() {
            return Err(wrong("no component was named".to_owned()).next("name at least one"));
        }
        if request.environment != self.context.environment.name {
            return Err(wrong(format!(
                "the request is for {}, the engine works in {}",
                request.environment, self.context.environment.name
            )));
        }
        for name in request.components.keys() {
            self.context.target(name)?;
        }
        if let Some(name) = request.methods.keys().find(|name| !request.components.contains_key(*name)) {
            return Err(wrong(format!("{name} has a method and is not among the components")));
        }
        Ok(())
    }

    /// Looks at a component, finds its destination, and inspects it: right after the look, as long as the driver has it.
    async fn aim(
        &self,
        request: &Request,
        name: &ComponentName,
        destination: Option<&Destination>,
        now: Timestamp,
    ) -> Result<Result<Aimed, Undecided>> {
        let fresh = FreshLooks::are_kept(request.components.len());
        let (look, chosen) = self.look(name, destination, now, fresh).await?;
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(why) => return Ok(Err(why)),
        };
        let to = &chosen.candidate.snapshot;
        let already_there = already_there(&*look.target, &look.observed, to).await?;
        let inspection = match request.urgent {
            true => None,
            false => Some(look.target.inspect(look.observed.settled.known(), to).await?),
        };
        Ok(Ok(Aimed { look, chosen, already_there, inspection }))
    }

    async fn look(
        &self,
        name: &ComponentName,
        destination: Option<&Destination>,
        now: Timestamp,
        fresh: bool,
    ) -> Result<(Look, Result<Chosen, Undecided>)> {
        let target = Arc::clone(self.context.target(name)?);
        let at = self.context.clock.monotonic();
        let query = Past::first_query(destination);
        // It is asked for first: what is read beside it belongs to it.
        let looks = async { join(target.observe(None), target.anticipate(&query)).await.0 };
        let (info, observed) = if self.context.environment.expect_account.is_some() {
            // Nothing is read of a target in the wrong account.
            (self.context.info(name).await?, looks.await?)
        } else {
            let (info, observed) = join(self.context.info(name), looks).await;
            (info?, observed?)
        };
        let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
        let mut look = Look { at, target, info, observed, epoch: None };
        let epoch = async { if fresh { self.context.leasing.epoch(&look.info.id).await } else { Ok(None) } };
        let past = Past::find(&*look.target, &ledger, destination, look.leaving(), now);
        let (epoch, past) = join(epoch, past).await;
        let (past, resolved) = past?;
        look.epoch = epoch?;
        let chosen = match resolved {
            Resolved::Chosen(chosen) => Ok(*chosen),
            Resolved::Undecided(why) => {
                Err(Undecided { why: with_reason(why, &look.observed), candidates: past.candidates })
            }
        };
        Ok((look, chosen))
    }

    fn assemble(
        &self,
        request: &Request,
        aimed: &BTreeMap<ComponentName, Aimed>,
        now: Timestamp,
    ) -> Result<Plan> {
        let peers = Arc::new(peers(aimed));
        let planned = aimed.iter().map(|(name, one)| {
            let peers = Peers::of(&peers, name);
            self.component(request, name, one, &peers, now).map(|component| (name.clone(), component))
        });
        let components = planned.collect::<Result<BTreeMap<_, _>>>()?;
        let caller = components.values().find_map(|component| component.target.caller.clone());
        let actor = request.actor.clone().or(caller).unwrap_or_else(|| self.context.leasing.holder.person());
        let gates = self.context.gates.iter().filter(|gate| components.contains_key(&gate.component));
        Plan::seal(PlanBody {
            schema: PLAN_SCHEMA.to_owned(),
            created_at: now,
            expires_at: self.context.environment.plan_expires_after.after(now),
            request: request.clone(),
            actor,
            environment: self.context.environment.clone(),
            gates: gates.cloned().collect(),
            components,
        })
    }

    fn component(
        &self,
        request: &Request,
        name: &ComponentName,
        aimed: &Aimed,
        peers: &Peers,
        now: Timestamp,
    ) -> Result<ComponentPlan> {
        let Aimed { look, chosen, already_there, inspection } = aimed;
        let (to, already_there) = (&chosen.candidate.snapshot, *already_there);
        let checked = inspection.is_some();
        let inspection = inspection.clone().unwrap_or_default();
        // What runs may be what it should be, and what belongs to it not.
        let changed = already_there && coupled_changed(&look.observed, to);
        let wanted = request.methods.get(name).map(String::as_str);
        let methods = match already_there && !changed {
            true => Vec::new(),
            false => {
                let view = view(
                    name,
                    look.observed.clone(),
                    to.clone(),
                    &look.info,
                    inspection.clone(),
                    peers.clone(),
                )
                .with_kept(chosen.candidate.kept.clone());
                let considered = propose(&*look.target, &view).map_err(|error| about(name, &error))?;
                compare(usable(considered, changed, &missing(&to.info, &inspection)), wanted)
            }
        };
        let already_there = already_there && methods.iter().all(|method| method.proposal().is_none());
        let methods = if already_there { Vec::new() } else { methods };
        let brought = methods.first().and_then(Method::proposal).map_or(&[][..], |proposal| &proposal.brings);
        let mut findings = match checked {
            true => {
                let artifacts = artifact_findings(&to.info, &inspection, brought);
                inspection.findings.iter().cloned().chain(artifacts).collect()
            }
            false => vec![unchecked()],
        };
        findings.extend(look_findings(
            &look.observed,
            look.leaving(),
            chosen,
            request,
            &self.context.environment,
            now,
        ));
        if FreshLooks::are_kept(request.components.len()) {
            let inspection = aimed.inspection.as_ref();
            let fresh = FreshLook {
                at: look.at,
                target: look.info.clone(),
                observed: look.observed.clone(),
                inspection: inspection.map(|found| Inspection { diff: Vec::new(), ..found.clone() }),
                to: to.info.identity,
                epoch: look.epoch,
            };
            self.context.fresh.keep(name, fresh);
        }
        let (diff, diff_omitted) = bounded_diff(inspection.diff);
        let mut component = ComponentPlan {
            driver: look.target.driver().to_owned(),
            target: look.info.clone(),
            from: look.observed.settled.clone(),
            leaving: look.leaving().cloned(),
            to: to.clone(),
            because: chosen.because.clone(),
            already_there,
            token: look.observed.token.clone(),
            phase: look.observed.phase.clone(),
            incarnations: look.observed.incarnations(),
            restorable_until: restorable_until(&inspection.artifacts),
            way_back: String::new(),
            after: self.context.order(name).to_vec(),
            methods,
            diff,
            diff_omitted,
            findings,
        };
        finish(&mut component, peers, wanted);
        if request.urgent && component.proposals().any(|(_, proposal)| !proposal.is_reversible()) {
            let told = "a way of this plan cannot be taken back, so it must not begin unchecked";
            component
                .findings
                .push(Finding::blocker("urgent-irreversible", told).next("plan without --urgent"));
        }
        Ok(component)
    }
}

/// What an urgent plan leaves out.
fn unchecked() -> Finding {
    let told = "the destination is not checked before the first action: the checks run beside it, and the report says what they find";
    Finding::info("checked-beside", told)
}

/// Where what runs is not known, the reason for that is what has to be looked at first.
fn with_reason(why: String, observed: &Observation<SnapshotRecord>) -> String {
    match (&observed.settled, &observed.phase) {
        (Reading::Known(_), _) => why,
        (_, Phase::Failed(reason)) | (Reading::Unknown(reason), _) => format!("{why}; {reason}"),
        (Reading::Absent, _) => why,
    }
}

/// Adds what follows from the methods: the order, the way back, and a blocker if none can be used.
fn finish(component: &mut ComponentPlan, peers: &Peers, wanted_method: Option<&str>) {
    let wanted: BTreeSet<_> = component
        .after
        .iter()
        .chain(component.proposals().flat_map(|(_, proposal)| &proposal.after))
        .filter(|first| peers.get(first).is_some())
        .cloned()
        .collect();
    component.after = wanted.into_iter().collect();
    component.way_back = way_back(component);
    if !component.already_there && component.proposals().next().is_none() {
        let finding = no_method(component, wanted_method);
        component.findings.push(finding);
    }
}

fn way_back(component: &ComponentPlan) -> String {
    let origin = component.from.known().map(|record| record.info.label());
    let reversible = component.proposals().next().is_none_or(|(_, proposal)| proposal.is_reversible());
    match (component.already_there, origin, reversible) {
        (true, ..) => "nothing will be changed".to_owned(),
        (_, None, _) => "none: what runs now could not be read".to_owned(),
        (_, Some(origin), true) => format!("back to {origin} with the same strategies (--on-failure back)"),
        (_, Some(origin), false) => {
            format!("to {origin} only until the first step that cannot be taken back")
        }
    }
}

fn about(name: &ComponentName, error: &Error) -> Error {
    let record = error.to_record();
    let told = Error::new(
        error.kind(),
        format!("plan {name}"),
        format!("cannot {}: {}", record.operation, record.message),
    )
    .transient(error.is_transient())
    .with_effect(error.effect());
    match record.next {
        Some(next) => told.next(next),
        None => told,
    }
}

/// Whether the destination is proven to run already. Asked only when it may be.
async fn already_there(
    target: &dyn DynTarget,
    observed: &Observation<SnapshotRecord>,
    to: &SnapshotRecord,
) -> Result<bool> {
    let settled = observed.settled.known().map(|record| record.info.identity);
    if settled != Some(to.info.identity) || observed.heading.is_some() || observed.phase != Phase::Settled {
        return Ok(false);
    }
    let goal = Goal::runs(to.clone());
    Ok(target.prove(&goal).await?.judge(to.info.identity, &goal).is_proven())
}

/// All components with their way, for strategies to look at.
fn peers(all: &BTreeMap<ComponentName, Aimed>) -> BTreeMap<ComponentName, Peer> {
    let peer = |name: &ComponentName, aimed: &Aimed| {
        let from = aimed.look.observed.settled.known().map(|record| record.info.clone());
        let to = aimed.chosen.candidate.snapshot.info.clone();
        Peer::new(name.clone(), aimed.look.target.driver(), from, to)
    };
    all.iter().map(|(name, aimed)| (name.clone(), peer(name, aimed))).collect()
}

/// What strategies are shown.
pub(crate) fn view(
    name: &ComponentName,
    observed: Observation<SnapshotRecord>,
    goal: SnapshotRecord,
    info: &TargetInfo,
    inspection: Inspection,
    peers: Peers,
) -> View<SnapshotRecord> {
    View::new(name.clone(), observed, goal, info.capabilities).with_inspection(inspection).with_peers(peers)
}
