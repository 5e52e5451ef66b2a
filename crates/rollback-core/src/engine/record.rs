//! Recording what runs: `rollback record`.

use super::{Engine, quarantine};
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Deployment, GoodMark, Ledger, Trial};
use crate::name::{ComponentName, Version};
use crate::remembers::Occasion;
use crate::request::check_text;
use crate::snapshot::{Identity, SnapshotRecord};
use crate::target::{Goal, Proof, Reading, TargetInfo};
use crate::time::Lasting;

/// A claim that what runs now is worth remembering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Whether it is said to be good.
    pub good: bool,
    /// Whether it was deployed just now and has to show that it is good. It may still be on its way.
    pub pending: bool,
    /// Whether a quarantine that it is under is lifted with it.
    pub lift_quarantine: bool,
    /// Who says so; left out: the backend's signed-in identity, else user and host.
    pub by: Option<String>,
    /// What people call it, where the backend does not know.
    pub version: Option<Version>,
    /// The commit that it was built from.
    pub commit: Option<Version>,
}

impl Claim {
    /// Only that it was deployed.
    #[must_use]
    pub fn deployed() -> Self {
        Self::default()
    }

    /// That it is good.
    #[must_use]
    pub fn good() -> Self {
        Self { good: true, ..Self::default() }
    }

    /// That it was deployed just now, and is to be watched.
    #[must_use]
    pub fn pending() -> Self {
        Self { pending: true, ..Self::default() }
    }

    /// Lifts the quarantine that it is under, if it is.
    #[must_use]
    pub fn lift_quarantine(mut self, lift: bool) -> Self {
        self.lift_quarantine = lift;
        self
    }

    /// Says who claims it.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// Says what people call it, where the backend does not know.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Says which commit it was built from.
    #[must_use]
    pub fn commit(mut self, commit: Version) -> Self {
        self.commit = Some(commit);
        self
    }

    /// What the claim adds to a record.
    fn write(&self, record: &mut Deployment, good: Option<&GoodMark>) {
        record.commit = self.commit.clone().or_else(|| record.commit.take());
        let version = &mut record.snapshot.info.version;
        *version = version.take().or_else(|| self.version.clone());
        if let Some(good) = good {
            record.good = Some(good.clone());
            record.trial = None;
        }
        // What has earned it, or was seen to be bad, is not made to begin again by being recorded once more.
        if self.pending && record.good.is_none() {
            record.trial.get_or_insert(Trial::Pending);
        }
    }
}

impl Engine {
    /// Proves what runs now and records it as deployed, or as good. What is recorded already is only marked.
    ///
    /// One that is [pending](Claim::pending) is recorded unproven, and may still be on its way: whoever watches it
    /// [promotes](Self::promote) it or marks it as [failed](Self::mark_failed).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unhealthy`] when what runs cannot be proven; [`ErrorKind::Refused`] for a claim that something under
    /// quarantine is good, unless the claim lifts it; [`ErrorKind::Invalid`] for one that is good and pending at once.
    pub async fn record(&self, component: &ComponentName, claim: &Claim) -> Result<Deployment> {
        if claim.good && claim.pending {
            let error = Error::new(ErrorKind::Invalid, "record what runs", "it is either good or pending");
            return Err(error.next("leave one of the two out"));
        }
        check_text("name", claim.by.as_deref())?;
        let target = self.context.target(component)?;
        let info = self.context.info(component).await?;
        let by = claim.by.clone().or(info.caller.clone());
        let by = by.unwrap_or_else(|| self.context.leasing.holder.person());
        let snapshot = if claim.pending { deployed(&**target).await? } else { proven(&**target).await? };
        let at = self.context.clock.now();
        let good = claim.good.then(|| GoodMark::Claimed { by: by.clone(), at });
        if claim.good {
            let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
            quarantine::clear(component, &ledger, &snapshot.info, claim, &by, at).await?;
        }
        let mut deployment = Deployment::new(snapshot, at, by);
        deployment.proven = !claim.pending;
        deployment.environment = Some(self.context.environment.name.clone());
        claim.write(&mut deployment, good.as_ref());
        self.enter(component, &info, deployment, |record| claim.write(record, good.as_ref())).await
    }

    /// Writes down what runs, or changes its record where the newest one is about it.
    async fn enter(
        &self,
        component: &ComponentName,
        info: &TargetInfo,
        mut deployment: Deployment,
        change: impl Fn(&mut Deployment) + Send + Sync,
    ) -> Result<Deployment> {
        let target = self.context.target(component)?;
        let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
        let snapshot = &deployment.snapshot;
        // The record is worth as much without it. What is not there yet the target could not find.
        if deployment.proven
            && let Err(error) = target.remember(snapshot, Occasion::Recorded).await
        {
            self.context.not_remembered(component, snapshot, &error);
        }
        let newest = ledger.deployments().await?.into_iter().next();
        // One that was left and runs again is a deployment of its own, and so is one whose coupled state was changed.
        let same = |newest: &Deployment| {
            let (found, runs) = (&newest.snapshot.info, &snapshot.info);
            found.identity == runs.identity && found.coupled == runs.coupled && newest.left_by.is_none()
        };
        let newest = newest.filter(same);
        let kept = newest.as_ref().and_then(|newest| newest.kept.clone());
        deployment.kept = match kept {
            Some(kept) => Some(kept),
            None if deployment.proven => self.context.try_keep(component, &info.id, snapshot).await,
            None => None,
        };
        let Some(newest) = newest else {
            ledger.record(&deployment).await?;
            ledger.clean(deployment.since, self.context.retention).await?;
            return Ok(deployment);
        };
        let (kept, proven) = (deployment.kept, deployment.proven);
        let change = |record: &mut Deployment| {
            change(record);
            record.proven |= proven;
            record.kept.clone_from(&kept);
        };
        let mut told = newest.clone();
        change(&mut told);
        if told != newest {
            ledger.update(told.snapshot.info.identity, change).await?;
        }
        Ok(told)
    }

    /// Calls what runs good, because it was watched and stayed well for so long. It is proven first, and must be what was watched.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unhealthy`] when what runs cannot be proven, [`ErrorKind::Stale`] when something else runs by now,
    /// [`ErrorKind::Refused`] for what is under quarantine or was seen to be bad.
    pub async fn promote(
        &self,
        component: &ComponentName,
        watched: Identity,
        lasting: Lasting,
    ) -> Result<Deployment> {
        let stays = |kind, why: String| Err(Error::new(kind, "call what runs good", why));
        let target = self.context.target(component)?;
        let ledger = self.ledger(component).await?;
        let snapshot = proven(&**target).await?;
        let runs = &snapshot.info;
        if runs.identity != watched {
            return stays(ErrorKind::Stale, format!("{} runs by now, which was not watched", runs.label()));
        }
        if let Some(entry) = ledger.quarantined().await?.iter().find(|entry| entry.identity == watched) {
            return stays(ErrorKind::Refused, format!("it is under quarantine: {}", entry.describe()));
        }
        let newest = ledger.deployments().await?.into_iter().next();
        let newest = newest.filter(|newest| newest.snapshot.info.identity == watched);
        if let Some(Trial::Failed { reason, .. }) = newest.as_ref().and_then(|newest| newest.trial.as_ref()) {
            return stays(ErrorKind::Refused, format!("it was seen to be bad: {reason}"));
        }
        let at = self.context.clock.now();
        let write = |record: &mut Deployment| {
            record.good.get_or_insert(GoodMark::Soaked { lasting, at });
            record.trial = None;
        };
        let mut deployment = Deployment::new(snapshot, at, self.context.leasing.holder.person());
        deployment.proven = true;
        deployment.environment = Some(self.context.environment.name.clone());
        write(&mut deployment);
        let info = self.context.info(component).await?;
        self.enter(component, &info, deployment, write).await
    }

    /// Remembers that a deployment was seen to be bad: it is not promoted any more. Whether there is a record of it that had
    /// earned nothing yet; what has earned being called good is left as it is.
    ///
    /// # Errors
    ///
    /// What could not be read or written.
    pub async fn mark_failed(
        &self,
        component: &ComponentName,
        identity: Identity,
        reason: &str,
        by: &str,
    ) -> Result<bool> {
        check_text("reason", Some(reason))?;
        let ledger = self.ledger(component).await?;
        let at = self.context.clock.now();
        let newest = ledger.deployments().await?.into_iter().next();
        let on_trial = |newest: &Deployment| {
            newest.snapshot.info.identity == identity && newest.good.is_none() && newest.trial.is_some()
        };
        if !newest.as_ref().is_some_and(on_trial) {
            return Ok(false);
        }
        let failed = Trial::Failed { reason: reason.to_owned(), by: by.to_owned(), at };
        ledger.update(identity, |record| record.trial = Some(failed.clone())).await
    }
}

/// What was deployed just now: what the target is on its way to, or else what rests on it.
async fn deployed(target: &dyn DynTarget) -> Result<SnapshotRecord> {
    let observed = target.observe(None).await?;
    let nothing = |why: String| {
        Err(Error::new(ErrorKind::Unhealthy, "record what was deployed", why)
            .next("`rollback status` shows what is there"))
    };
    match (observed.heading, observed.settled) {
        (Some(snapshot), _) | (None, Reading::Known(snapshot)) => Ok(snapshot),
        (None, Reading::Absent) => nothing("nothing is deployed".to_owned()),
        (None, Reading::Unknown(why)) => nothing(why),
    }
}

/// What rests on the target, proven on every part.
async fn proven(target: &dyn DynTarget) -> Result<SnapshotRecord> {
    let unproven = |why: String| {
        Error::new(ErrorKind::Unhealthy, "record what runs", why)
            .next("wait until it has settled; `rollback status` shows what it does")
    };
    let observed = target.observe(None).await?;
    let snapshot = match (observed.heading, observed.settled) {
        (Some(heading), _) => return Err(unproven(format!("it is on its way to {}", heading.info.label()))),
        (None, Reading::Known(snapshot)) => snapshot,
        (None, Reading::Absent) => return Err(unproven("nothing is deployed".to_owned())),
        (None, Reading::Unknown(why)) => return Err(unproven(why)),
    };
    let goal = Goal::runs(snapshot.clone());
    match target.prove(&goal).await?.judge(snapshot.info.identity, &goal) {
        Proof::Proven => Ok(snapshot),
        Proof::NotProven { against, .. } => Err(unproven(against.join("; "))),
    }
}
