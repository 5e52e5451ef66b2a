//! What is done once a trigger has fired: the facts, the decision, the rollback.

use jiff::Timestamp;
use rollback_core::engine::Status;
use rollback_core::environment::Automatic;
use rollback_core::ledger::{Deployment, Quarantine};
use rollback_core::time::Lasting;
use rollback_core::{
    Approval, ComponentName, Destination, Engine, ErrorKind, Plan, Planned, Report, Request, Result,
    SnapshotInfo, State, Token,
};

use super::Shared;
use crate::decision::{Answer, Decision, Facts, Mode, Verdict, decide};
use crate::event::Event;
use crate::incident::{Decided, Incident, Plot, one_line};
use crate::vigil::{Deployed, Fired};

/// How long it is waited where somebody else works on it.
const AGAIN: Lasting = Lasting::from_secs(10);

/// What fired, in records' time.
#[derive(Debug, Clone)]
pub(super) struct Alarm {
    pub(super) component: ComponentName,
    pub(super) fired: Fired,
    pub(super) deployed: Deployed,
    /// For how long it has been bad.
    pub(super) lasted: Lasting,
    pub(super) since: Timestamp,
    pub(super) fired_at: Timestamp,
    pub(super) deployed_at: Option<Timestamp>,
    pub(super) samples: Vec<Plot>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Response {
    /// Something else runs by now: it was about what is gone.
    Moved,
    /// Somebody is at work on it: it is asked again after that.
    UnderWay(Lasting),
    /// It was decided, and done as far as there was anything to do.
    Decided(Box<Incident>, Option<Box<Report>>),
}

/// Asks every question, decides, writes it down, and rolls back if that was decided.
pub(super) async fn respond(shared: &Shared, alarm: &Alarm) -> Result<Response> {
    let engine = shared.engines.engine(&alarm.component).await?;
    let status = engine.status(&alarm.component).await?;
    let runs = status.observed.heading.as_ref().or(status.observed.settled.known());
    let Some(runs) = runs.filter(|runs| alarm.deployed.is(&runs.info, &status.observed.token)) else {
        return Ok(Response::Moved);
    };
    let runs = runs.info.clone();
    let (facts, good) = facts(shared, alarm, &engine, &status, &runs).await?;
    let mut decision = decide(&facts);
    // What fails while it is being put right is no incident of its own.
    if let (Some(_), Verdict::Wait(pause)) = (&facts.under_way, &decision.verdict) {
        return Ok(Response::UnderWay(*pause));
    }
    let plan = match decision.verdict {
        Verdict::Act => plan(shared, alarm, &engine, &mut decision).await?,
        _ => None,
    };
    let case = Case { shared, alarm, engine, token: status.observed.token.clone() };
    let mut incident = case.write(&status, runs, good, decision).await?;
    let Some(plan) = plan else { return Ok(Response::Decided(Box::new(incident), None)) };
    let report = case.roll_back(&mut incident, &plan).await?;
    Ok(Response::Decided(Box::new(incident), report.map(Box::new)))
}

/// What is known when it fires.
async fn facts(
    shared: &Shared,
    alarm: &Alarm,
    engine: &Engine,
    status: &Status,
    runs: &SnapshotInfo,
) -> Result<(Facts, Option<SnapshotInfo>)> {
    let now = shared.clock.now();
    let ledger = engine.ledger(&alarm.component).await?;
    let (deployments, quarantined) = (ledger.deployments().await?, ledger.quarantined().await?);
    let runs_it = |one: &&Deployment| one.snapshot.info.identity == runs.identity;
    let newest = deployments.iter().find(runs_it).filter(|one| one.left_by.is_none());
    let may = |one: &&Deployment| {
        let identity = one.snapshot.info.identity;
        let left = quarantined.iter().any(|entry: &Quarantine| entry.identity == identity);
        one.is_good() && !left && identity != runs.identity
    };
    let good = deployments.iter().find(may).map(|one| one.snapshot.info.clone());
    let window = shared.settings.window.before(now);
    let acted = shared.incidents.of(&status.target.id).await?;
    let within = acted.iter().filter(|one| one.acted_at.is_some_and(|at| at >= window));
    let done = within.fold(0_u32, |sum, one| sum.saturating_add(one.rollbacks()));
    let off = shared.switches.of(&alarm.component, now).await?;
    let mode = match (off, shared.environment.automatic) {
        (Some(off), _) => Mode::Off(off.until),
        (None, Automatic::Off) => Mode::Off(None),
        (None, Automatic::Propose) => Mode::Propose,
        (None, Automatic::Act) => Mode::Act,
    };
    let runs_good = newest.is_some_and(Deployment::is_good);
    let only_driver = alarm.fired.triggers == ["deploy"];
    Ok((
        Facts {
            severity: alarm.fired.severity,
            watched: alarm.lasted.as_duration(),
            mode,
            // The platform gave a deploy up, and what was good before it runs: nobody was hurt.
            changed: !(only_driver && runs_good && status.observed.heading.is_none()),
            is_rollback: newest.is_some_and(|one| one.made_by.is_some()),
            runs_good,
            onset: alarm.fired.onset,
            others: shared.board.others(&alarm.component, &alarm.fired.triggers, alarm.fired.since),
            good: good.as_ref().map(SnapshotInfo::label),
            under_way: status.held_by.clone(),
            frozen: shared.environment.frozen(now).map(|window| window.reason.clone()),
            done,
            budget: shared.settings.budget,
        },
        good,
    ))
}

/// The plan, where one can be carried out; else the decision says why not.
async fn plan(
    shared: &Shared,
    alarm: &Alarm,
    engine: &Engine,
    decision: &mut Decision,
) -> Result<Option<Box<Plan>>> {
    let reason = one_line(&format!("{}: {}", alarm.fired.triggers.join(", "), alarm.fired.detail));
    let request = Request::new(shared.environment.name.clone())
        .component(alarm.component.clone(), Some(Destination::LastGood))
        .reason(reason)
        .actor(shared.by.clone())
        .automatic(true);
    let (told, against) = match engine.plan(&request).await? {
        Planned::Undecided(why) => {
            let why = why.into_values().next().map_or_else(String::new, |why| why.why);
            (format!("no: {why}"), Verdict::CallSomebody)
        }
        Planned::Ready(plan) => {
            let blocker = plan.blockers().next().map(|(_, finding)| format!("no: {}", finding.message));
            match blocker {
                Some(blocker) => (blocker, Verdict::CallSomebody),
                // Somebody was faster.
                None if plan.components.values().all(|one| one.already_there) => {
                    ("it is there already".to_owned(), Verdict::Wait(AGAIN))
                }
                None => return Ok(Some(plan)),
            }
        }
    };
    let question = "can it be carried out?".to_owned();
    decision.answers.push(Answer { question, answer: told, against: Some(against.clone()) });
    decision.verdict = against;
    Ok(None)
}

/// One alarm with what is needed to act on it.
struct Case<'a> {
    shared: &'a Shared,
    alarm: &'a Alarm,
    engine: Engine,
    token: Token,
}

impl Case<'_> {
    /// Writes down what was decided, before anything is done.
    async fn write(
        &self,
        status: &Status,
        bad: SnapshotInfo,
        good: Option<SnapshotInfo>,
        decision: Decision,
    ) -> Result<Incident> {
        let Self { shared, alarm, .. } = self;
        let at = shared.clock.now();
        let new = Incident {
            component: alarm.component.clone(),
            environment: shared.environment.name.clone(),
            target: status.target.id.clone(),
            bad,
            good,
            severity: alarm.fired.severity,
            triggers: alarm.fired.triggers.clone(),
            detail: alarm.fired.detail.clone(),
            onset: alarm.fired.onset,
            deployed_at: alarm.deployed_at,
            since: alarm.since,
            fired_at: alarm.fired_at,
            decisions: Vec::new(),
            acted_at: None,
            runs: 0,
            run: None,
            state: None,
            acted_until: None,
            over_at: None,
            samples: alarm.samples.clone(),
        };
        let opened = shared.incidents.open(&self.token, new).await?;
        let before = opened.verdict().cloned();
        let acts = decision.verdict == Verdict::Act;
        let decided = Decided { at, by: shared.by.clone(), decision };
        let incident = self
            .change(opened, |incident| {
                incident.decide(decided.clone());
                incident.severity = incident.severity.min(alarm.fired.severity);
                incident.samples.clone_from(&alarm.samples);
                incident.over_at = None;
                if acts {
                    incident.acted_at.get_or_insert(at);
                }
            })
            .await?;
        // How long it still waits changes all the time, and is no news.
        let kind = |verdict: &Verdict| std::mem::discriminant(verdict);
        if before.as_ref().map(kind) != incident.verdict().map(kind) {
            shared.telling.tell(Event::Decided { incident: Box::new(incident.clone()) });
        }
        if matches!(incident.verdict(), Some(Verdict::Act | Verdict::Propose)) {
            let (bad, why) = (incident.bad.identity, incident.describe());
            self.engine.mark_failed(&alarm.component, bad, &why, &shared.by).await?;
        }
        Ok(incident)
    }

    /// Changes the record, and the copy of it.
    async fn change(
        &self,
        mut copy: Incident,
        change: impl Fn(&mut Incident) + Send + Sync,
    ) -> Result<Incident> {
        self.shared.incidents.change(&copy.target, &self.token, &change).await?;
        change(&mut copy);
        Ok(copy)
    }

    /// Carries it out. `None` where somebody else is at it.
    async fn roll_back(&self, incident: &mut Incident, plan: &Plan) -> Result<Option<Report>> {
        let Self { shared, alarm, .. } = self;
        let (told, planned) = (Box::new(incident.clone()), Box::new(plan.clone()));
        shared.telling.tell(Event::RollingBack { incident: told, plan: planned });
        shared.board.change(&alarm.component, |standing| standing.acting = true);
        let applied = self.engine.apply(plan, &Approval::yes()).await;
        shared.board.change(&alarm.component, |standing| standing.acting = false);
        let report = match applied {
            Ok(report) => report,
            // It was changed since.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Stale) => {
                self.somebody_else(error.message());
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if let Some(why) = self.was_somebody_else(incident, &report).await? {
            self.somebody_else(&why);
            return Ok(None);
        }
        let (run, state, ended) = (report.run, report.state, report.ended_at);
        *incident = self.change(incident.clone(), |incident| incident.ran(run, state, ended)).await?;
        shared.telling.tell(Event::RolledBack {
            incident: Box::new(incident.clone()),
            plan: Box::new(plan.clone()),
            report: Box::new(report.clone()),
        });
        Ok(Some(report))
    }

    fn somebody_else(&self, why: &str) {
        let message = format!("not rolled back by this watcher: {why}");
        self.shared.telling.tell(Event::Warning { component: self.alarm.component.clone(), message });
    }

    /// Why a run that did nothing did not, where that is because somebody else is at it, or was.
    async fn was_somebody_else(&self, incident: &Incident, report: &Report) -> Result<Option<String>> {
        let Some(component) = report.components.get(&self.alarm.component) else { return Ok(None) };
        let did_nothing = matches!(component.state, State::Refused | State::AlreadyThere | State::Superseded);
        let held = component.errors.iter().any(|error| error.kind == ErrorKind::Conflict);
        if !did_nothing || held {
            return Ok((did_nothing && held).then(|| component.summary.clone()));
        }
        let observed = self.engine.observe(&self.alarm.component).await?;
        let runs = observed.heading.as_ref().or(observed.settled.known());
        let moved = runs.is_none_or(|runs| runs.info.identity != incident.bad.identity);
        Ok(moved.then(|| component.summary.clone()))
    }
}
