//! Recording what runs: `rollback record`.

use super::{Engine, quarantine};
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Deployment, GoodMark, Ledger};
use crate::name::ComponentName;
use crate::snapshot::SnapshotRecord;
use crate::target::{Goal, Proof, Reading};

/// A claim that what runs now is worth remembering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Whether it is said to be good.
    pub good: bool,
    /// Whether a quarantine that it is under is lifted with it.
    pub lift_quarantine: bool,
    /// Who says so; left out: the backend's signed-in identity, else user and host.
    pub by: Option<String>,
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
}

impl Engine {
    /// Proves what runs now and records it as deployed, or as good. What is recorded already is only marked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unhealthy`] when what runs cannot be proven; [`ErrorKind::Refused`] for a claim that something under
    /// quarantine is good, unless the claim lifts it.
    pub async fn record(&self, component: &ComponentName, claim: &Claim) -> Result<Deployment> {
        let target = self.context.target(component)?;
        let info = self.context.info(component).await?;
        let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
        let now = self.context.clock.now();
        let by = claim.by.clone().or(info.caller).unwrap_or_else(|| self.context.leasing.holder.person());
        let snapshot = proven(&**target).await?;
        let identity = snapshot.info.identity;
        let good = claim.good.then(|| GoodMark::Claimed { by: by.clone(), at: now });
        if claim.good {
            quarantine::clear(component, &ledger, &snapshot.info, claim, &by, now).await?;
        }
        // The record is worth as much without it.
        if let Err(error) = target.remember(&snapshot).await {
            self.context.not_remembered(component, &snapshot, &error);
        }
        let newest = ledger.deployments().await?.into_iter().next();
        // One that was left and runs again is a deployment of its own, and so is one whose coupled state was changed.
        let same = |newest: &Deployment| {
            let found = &newest.snapshot.info;
            found.identity == identity && found.coupled == snapshot.info.coupled && newest.left_by.is_none()
        };
        match newest.filter(same) {
            Some(newest) => {
                let mut told = newest.clone();
                told.good = good.or(told.good);
                if told.kept.is_none() {
                    told.kept = self.context.try_keep(component, &info.id, &snapshot).await;
                }
                if told != newest {
                    let write = |record: &mut Deployment| {
                        record.good.clone_from(&told.good);
                        record.kept.clone_from(&told.kept);
                    };
                    ledger.update(identity, write).await?;
                }
                Ok(told)
            }
            None => {
                let kept = self.context.try_keep(component, &info.id, &snapshot).await;
                let mut deployment = Deployment::new(snapshot, now, by);
                deployment.kept = kept;
                deployment.proven = true;
                deployment.good = good;
                ledger.record(&deployment).await?;
                ledger.clean(now, self.context.retention).await?;
                Ok(deployment)
            }
        }
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
