//! Guards before the first effect.

use jiff::Timestamp;

use super::component::{ComponentRun, Forward, Halt};
use super::fresh::FreshLook;
use super::{Approval, Context};
use crate::environment::{Automatic, Environment};
use crate::error::{Error, ErrorKind, ErrorRecord, Result};
use crate::journal::{JournalEvent, Progressed};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::progress::Stage;
use crate::snapshot::SnapshotRecord;
use crate::target::{Goal, Inspection, Observation, Proof, Reading, Severity};

/// What the guards of a component say.
pub(super) enum Guard {
    /// It may act.
    Go,
    /// There is nothing to do, or nothing may be done.
    End(Forward),
}

/// Checks that concern the whole plan, before a run is begun.
pub(super) fn check_plan(context: &Context, plan: &Plan, approval: &Approval, now: Timestamp) -> Result<()> {
    let refuse = |message: String| Error::new(ErrorKind::Refused, "apply the plan", message);
    if approval.digest.is_some_and(|digest| digest != plan.digest()) {
        return Err(refuse(format!("this is plan {}, another one was approved", plan.digest().short()))
            .next("approve the digest that this plan shows"));
    }
    if now >= plan.expires_at {
        return Err(Error::new(
            ErrorKind::Stale,
            "apply the plan",
            format!("it expired at {:.0}", plan.expires_at),
        )
        .next("make a new plan: the world may have moved"));
    }
    if plan.environment != context.environment {
        return Err(Error::new(
            ErrorKind::Stale,
            "apply the plan",
            format!("the rules of {} are not those that the plan was made under", plan.environment.name),
        )
        .next("make a new plan"));
    }
    if let Some((name, finding)) = plan.blockers().next() {
        let error = refuse(format!("{name}: {}", finding.message));
        return Err(match &finding.next {
            Some(next) => error.next(next.clone()),
            None => error,
        });
    }
    check_people(context, plan, approval)?;
    plan.components.keys().try_for_each(|name| context.target(name).map(drop))
}

/// Checks of who asks and why.
fn check_people(context: &Context, plan: &Plan, approval: &Approval) -> Result<()> {
    let refuse = |message: String| Error::new(ErrorKind::Refused, "apply the plan", message);
    let environment = &plan.environment;
    let reason = plan.request.reason.as_deref().map_or("", str::trim);
    if environment.require_reason && reason.is_empty() {
        return Err(refuse(format!("{} demands a reason", environment.name)).next("say why: --reason \"…\""));
    }
    if plan.request.automatic && environment.automatic != Automatic::Act {
        let why = format!("{} does not let anything be rolled back without a person", environment.name);
        return Err(refuse(why).next("plan it without `automatic`, or set automatic = \"act\""));
    }
    // What may act without a person needs no phrase that a person types.
    if let Some(phrase) = environment.confirm.as_ref().filter(|_| !plan.request.automatic)
        && approval.phrase.as_ref() != Some(phrase)
    {
        return Err(refuse(format!("{} demands the phrase {phrase:?}", environment.name))
            .next(format!("type it when asked, or give it: --confirm {phrase}")));
    }
    unshared(context, environment).map_or(Ok(()), |(why, next)| Err(refuse(why).next(next)))
}

/// Why the store is too lonely for an environment that asks for confirmation, if it is, and what to do.
pub(super) fn unshared(context: &Context, environment: &Environment) -> Option<(String, &'static str)> {
    let store = context.records.info();
    let fits = store.shared || environment.single_operator || context.break_glass.is_some();
    (environment.confirm.is_some() && !fits).then(|| {
        let why = format!(
            "{} asks for confirmation, but its store {} is seen by this machine only",
            environment.name, store.url
        );
        (why, "use a shared store, or declare single_operator = true if nobody else operates these targets")
    })
}

impl ComponentRun {
    /// Checks everything once more, right before the first effect. A component that already had effects is past this.
    pub(super) async fn guard(&self) -> Result<Guard, Halt> {
        self.emit_stage(Stage::Guards, "");
        // Found out by a process that did not live to say so: whether the action had landed before is not known.
        if let Some(by) = self.state(Progressed::superseded).await {
            return Err(Halt::Superseded(by));
        }
        if let Some(end) = self.guard_resumed().await? {
            return Ok(end);
        }
        if self.state(Progressed::has_effects).await {
            return Ok(Guard::Go);
        }
        self.check_halt()?;
        if let Some(why) = self.settle_foreign().await? {
            return Ok(refused(why, None));
        }
        match self.check_world().await {
            Ok(Ok(observed)) => self.guard_destination(observed).await,
            Ok(Err(why)) => Ok(refused(why, None)),
            Err(error) => Ok(refused(error.message.clone(), Some(error))),
        }
    }

    /// A run that is taken up again while another one worked on the target in between.
    async fn guard_resumed(&self) -> Result<Option<Guard>, Halt> {
        let found = self.lease.as_ref().and_then(|lease| lease.found.as_ref());
        let other = found.map(|head| head.run).filter(|run| *run != self.run);
        let Some(other) = other.filter(|_| self.journal_has_effects()) else { return Ok(None) };
        let proof = self.prove_goal(&Goal::runs(self.plan.to.clone())).await;
        if matches!(proof, Ok((_, Proof::Proven))) {
            return Ok(None);
        }
        Err(Halt::Superseded(format!("run {other} worked on the target since")))
    }

    fn journal_has_effects(&self) -> bool {
        // Nobody else holds the journal while the guards are checked.
        self.journal.try_lock().is_ok_and(|journal| journal.state.has_effects())
    }

    /// Whether the world is still the one that was planned for. The inner error says why not.
    async fn check_world(&self) -> Result<Result<Observation<SnapshotRecord>, String>, ErrorRecord> {
        let record = |error: Error| error.to_record();
        let now = self.context.clock.monotonic();
        let fresh = self.context.fresh.take(&self.name, self.plan.to.info.identity, now);
        // It is the look that this very plan was made from: of its target, at its token, and inspected unless it is urgent. Another
        // run that ended since may have done what this one is for.
        let found = self.lease.as_ref().and_then(|lease| lease.found.as_ref());
        let same = |fresh: &FreshLook| {
            let planned = &self.plan.target;
            let there = fresh.target.id == planned.id && fresh.target.account == planned.account;
            there
                && (self.lease.is_none() || fresh.is_undisturbed(found))
                && fresh.observed.token == self.plan.token
                && (fresh.inspection.is_some() || self.request.urgent)
        };
        if let Some(fresh) = fresh.filter(same) {
            self.saw(&fresh.observed.token, fresh.at);
            return self.check_findings(fresh.observed, &fresh.inspection.unwrap_or_default()).await;
        }
        let info = self.target.info().await.map_err(record)?;
        if info.id != self.plan.target.id || info.account != self.plan.target.account {
            return Ok(Err(format!(
                "the plan is for {} in {}, this is {} in {}",
                self.plan.target.id, self.plan.target.account, info.id, info.account
            )));
        }
        let observed = self.target.observe(None).await.map_err(record)?;
        if observed.token != self.plan.token {
            let place = observed.settled.known().map_or("unknown".to_owned(), |record| record.info.label());
            return Ok(Err(format!(
                "the target was changed since the plan was made (now: {place}); make a new plan"
            )));
        }
        let inspection = if self.request.urgent {
            Inspection::default()
        } else {
            self.target.inspect(self.plan.from.known(), &self.plan.to).await.map_err(record)?
        };
        self.saw(&observed.token, now);
        self.check_findings(observed, &inspection).await
    }

    /// Whether the destination can be and may be restored.
    async fn check_findings(
        &self,
        observed: Observation<SnapshotRecord>,
        inspection: &Inspection,
    ) -> Result<Result<Observation<SnapshotRecord>, String>, ErrorRecord> {
        let record = |error: Error| error.to_record();
        let brought = self.plan.brought();
        let mut gone = inspection.artifacts.iter().filter(|state| state.presence == Reading::Absent);
        let gone = gone.find(|state| !brought.contains(&state.artifact));
        if let Some(gone) = gone {
            return Ok(Err(format!("{} {} does not exist any more", gone.artifact.kind, gone.artifact.name)));
        }
        let blocker = inspection.findings.iter().find(|finding| finding.severity == Severity::Blocker);
        if let Some(blocker) = blocker {
            return Ok(Err(blocker.message.clone()));
        }
        let ledger = Ledger::new(self.context.records.clone(), &self.plan.target.id).map_err(record)?;
        let quarantined = ledger.quarantined().await.map_err(record)?;
        let entry = quarantined.iter().find(|entry| entry.identity == self.plan.to.info.identity);
        match entry.filter(|_| !self.request.allow_quarantined) {
            Some(entry) => Ok(Err(format!("the destination was put under quarantine: {}", entry.describe()))),
            None => Ok(Ok(observed)),
        }
    }

    async fn guard_destination(&self, observed: Observation<SnapshotRecord>) -> Result<Guard, Halt> {
        let now = self.context.clock.now();
        if let Some(window) = self.context.environment.frozen(now).filter(|_| self.request.automatic) {
            return Ok(refused(
                format!("{} is frozen: {}", self.context.environment.name, window.reason),
                None,
            ));
        }
        let settled = observed.settled.known().map(|record| record.info.identity);
        if settled == Some(self.plan.to.info.identity) && observed.heading.is_none() {
            let goal = Goal::runs(self.plan.to.clone()).coupled(self.plan.coupled());
            match self.prove_goal(&goal).await {
                Ok((evidence, Proof::Proven)) => return Ok(Guard::End(Forward::AlreadyThere { evidence })),
                Ok((_, Proof::NotProven { .. })) => {}
                Err(error) => return Ok(refused(error.message.clone(), Some(error))),
            }
        }
        if self.plan.already_there {
            let why = "the destination ran when the plan was made and does not any more; make a new plan";
            return Ok(refused(why.to_owned(), None));
        }
        let incarnations = observed.incarnations();
        self.note(JournalEvent::Guarded { token: observed.token, incarnations }).await?;
        Ok(Guard::Go)
    }
}

fn refused(why: String, error: Option<ErrorRecord>) -> Guard {
    Guard::End(Forward::Refused { why, error })
}
