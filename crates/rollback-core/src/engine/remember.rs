//! What is remembered of a component once its rollback is proven, and of what it leaves.

use std::sync::PoisonError;

use super::component::ComponentRun;
use crate::contents::Kept;
use crate::error::ErrorKind;
use crate::ledger::{Deployment, GoodMark, Ledger, Quarantine};
use crate::probe::SOAK;
use crate::remembers::Occasion;
use crate::report::{ComponentReport, State};
use crate::snapshot::SnapshotRecord;
use crate::target::Finding;
use crate::time::Lasting;

impl ComponentRun {
    /// Writes down what follows from a proven rollback. What fails here is told, and does not change what is true.
    pub(super) async fn remember(&self, report: &mut ComponentReport) {
        if !matches!(report.state, State::Restored | State::RestoredUnhealthy) {
            return;
        }
        let soaked = report.gates.iter().any(|gate| gate.name == SOAK && gate.passed);
        let soaked = self.soak.filter(|_| soaked && report.state == State::Restored);
        if let Err(error) = self.write_records(report.state, soaked).await {
            report.findings.push(
                Finding::warning(
                    "not-recorded",
                    format!("the rollback is proven, but was not recorded: {error}"),
                )
                .next("record what runs: rollback record"),
            );
        }
    }

    async fn write_records(&self, state: State, soaked: Option<Lasting>) -> crate::error::Result<()> {
        let now = self.context.clock.now();
        let ledger = Ledger::new(self.context.records.clone(), &self.plan.target.id)?;
        let known = ledger.deployments().await?;
        let left = self.plan.leaving.as_ref().filter(|left| left.identity != self.plan.to.info.identity);
        let unrecorded = |identity| !known.iter().any(|record| record.snapshot.info.identity == identity);
        let origin = self.plan.from.known().filter(|origin| Some(&origin.info) == left);
        if let Some(origin) = origin.filter(|origin| unrecorded(origin.info.identity)) {
            // Nobody recorded its deployment, but this run saw it run: that is worth knowing the next time. Before the
            // one that followed it, which may have begun in the same millisecond.
            let seen = self.run.made_at().unwrap_or(now);
            ledger.record(&Deployment::new(origin.clone(), seen, self.actor())).await?;
        }
        if !known.iter().any(|record| record.made_by == Some(self.run)) {
            let (snapshot, kept) = self.reached_state().await;
            let mut deployment = Deployment::new(snapshot, now, self.actor());
            deployment.kept = kept;
            deployment.made_by = Some(self.run);
            deployment.proven = true;
            deployment.good = soaked.map(|lasting| GoodMark::Soaked { lasting, at: now });
            if self.request.drill {
                let identity = deployment.snapshot.info.identity;
                let before = known.iter().find(|record| record.snapshot.info.identity == identity);
                let earned = before.filter(|record| record.is_good()).and_then(|record| record.good.clone());
                deployment.good = earned.or(deployment.good);
            }
            ledger.record(&deployment).await?;
        }
        if self.request.drill {
            return Ok(());
        }
        let Some(left) = left else {
            if let Some(origin) = self.plan.from.known().filter(|_| self.plan.coupled().is_some()) {
                ledger.mark_configuration_left(&origin.info, self.run).await?;
            }
            return Ok(());
        };
        ledger.mark_left(left.identity, self.run).await?;
        if state == State::Restored && self.request.quarantine {
            let reason = self.request.reason.clone().unwrap_or_else(|| "rolled back from".to_owned());
            let mut entry = Quarantine::of(left, reason, self.actor(), now);
            entry.run = Some(self.run);
            ledger.quarantine(&entry).await?;
        }
        ledger.clean(now, self.context.retention).await?;
        Ok(())
    }

    /// The destination as it is now, and its contents where they are kept: what belongs to it may not be what it was.
    async fn reached_state(&self) -> (SnapshotRecord, Option<Kept>) {
        let to = &self.plan.to;
        // Looking once more costs as much as proving: of a thousand components, a third of the run.
        if self.context.contents.is_none() {
            return (to.clone(), None);
        }
        let observed = self.target.observe(None).await.ok();
        let now = observed.and_then(|observed| observed.settled.known().cloned());
        let Some(now) = now.filter(|now| now.info.identity == to.info.identity) else {
            return (to.clone(), None);
        };
        let kept = self.context.try_keep(&self.name, &self.plan.target.id, &now).await;
        (now, kept)
    }

    /// Records what is to be left with its contents, before what belongs to it is put back: it would be gone.
    pub(super) async fn keep_origin(&self) {
        let Some(origin) = self.plan.from.known().filter(|_| self.plan.coupled().is_some()) else { return };
        let recorded = async {
            let ledger = Ledger::new(self.context.records.clone(), &self.plan.target.id)?;
            if self.context.contents.is_none() || ledger.kept(&origin.info).await?.is_some() {
                return Ok(());
            }
            let kept = self.context.keep(&*self.target, &self.plan.target.id, origin).await?;
            let seen = self.run.made_at().unwrap_or_else(|| self.context.clock.now());
            let mut deployment = Deployment::new(origin.clone(), seen, self.actor());
            deployment.kept = kept;
            ledger.record(&deployment).await
        };
        let recorded: crate::error::Result<()> = recorded.await;
        if let Err(error) = recorded {
            self.warn(format!("what is left is not kept, so there is no way back to it: {error}"));
        }
    }

    /// Has the target write down how to find what is left again, before anything is changed: the way to undo this run.
    pub(super) async fn remember_origin(&self) {
        let Some(origin) = self.plan.from.known() else { return };
        let Err(error) = self.target.remember(origin, Occasion::Leaving).await else { return };
        // It is on its way, or something else is there by now: there is no such state to come back to.
        if error.kind() == ErrorKind::Stale {
            tracing::debug!(%error, "what is left is not remembered");
            return;
        }
        let lost = self.context.not_remembered(&self.name, origin, &error);
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
    }

    fn actor(&self) -> String {
        self.request.actor.clone().unwrap_or_else(|| self.context.leasing.holder.person())
    }
}
