//! The target itself: each method asks the client and says what that means.

use async_trait::async_trait;
use rollback_aws_support::{AwsSettings, Pacer, Session};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Phase};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, DynTarget, Error, ErrorKind, Evidence, Goal, Landing, Observation,
    Reading, Result, Target, TargetId, TargetInfo, Token,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::act;
use crate::action::EcsAction;
use crate::client::{Client, Depth, Seen};
use crate::config::EcsConfig;
use crate::coupled::Coupled;
use crate::inspect;
use crate::past::Past;
use crate::snapshot::EcsSnapshot;
use crate::strategy::{
    CodeDeployDeployment, CodeDeployStop, Deregister, NativeStop, ReRegister, ShiftTraffic, UpdateService,
};

/// How long ECS may go on showing what was before. AWS gives no number; its API is "eventually consistent", and what was
/// measured by its users is a few seconds.
const LAG: Lasting = Lasting::from_secs(10);

/// One ECS service.
pub struct EcsTarget {
    client: Client,
    /// Whether the bad revision is deregistered afterwards.
    deregister_bad: bool,
    /// The last look at everything, for what core asks right after it.
    last: Mutex<Option<Arc<Seen>>>,
}

impl EcsTarget {
    /// A service, asked through a session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when a setting cannot be meant. Nothing is asked yet.
    pub fn new(session: &Session, config: &EcsConfig) -> Result<Self> {
        Self::paced(session, Pacer::shared(), config)
    }

    /// The same, with the calls kept under limits by another pacer. The first target of a session decides for all of them.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn paced(session: &Session, pacer: Pacer, config: &EcsConfig) -> Result<Self> {
        let client = Client::new(session, pacer, config)?;
        Ok(Self { client, deregister_bad: config.deregister_bad, last: Mutex::default() })
    }

    /// With all strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        let wanted = self.deregister_bad;
        Bound::new(crate::NAME, self)
            .strategy(Deregister::after(NativeStop, wanted))
            .strategy(Deregister::after(CodeDeployStop, wanted))
            .strategy(Deregister::after(CodeDeployDeployment, wanted))
            .strategy(Deregister::after(UpdateService, wanted))
            .strategy(Deregister::after(ReRegister, wanted))
            .strategy(Deregister::after(ShiftTraffic, wanted))
            .erase()
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities() -> Capabilities {
        CAPABILITIES
    }
}

impl std::fmt::Debug for EcsTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EcsTarget").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Without `restarts`: ECS keeps no count of them.
const CAPABILITIES: Capabilities =
    Capabilities::least().history().parts().scales_to_zero().in_flight().with_visibility_lag(LAG);

#[async_trait]
impl Target for EcsTarget {
    type Snapshot = EcsSnapshot;
    type Action = EcsAction;

    async fn info(&self) -> Result<TargetInfo> {
        let (service, caller) = self.client.identify().await?;
        let account = service.account().to_owned();
        let id = TargetId::new(service.to_string())?;
        Ok(TargetInfo::new(id, account).with_caller(caller).with_capabilities(CAPABILITIES))
    }

    /// While something is awaited, the balancers and CodeDeploy's group are left alone.
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<EcsSnapshot>> {
        let depth = if after.is_some() { Depth::Course } else { Depth::Plan };
        let seen = Arc::new(self.client.see(depth).await?);
        *self.last() = (depth == Depth::Plan).then(|| Arc::clone(&seen));
        let look = &seen.look;
        let coupled = Coupled::of_service(&seen.described, &self.client.key(look.service.arn.account()));
        let observed = look.observation(|arn| match look.definitions.get(arn) {
            None => Reading::Unknown(format!("{} could not be read", arn.short())),
            Some(definition) => match self.client.snapshot(look, arn, definition) {
                Ok(mut snapshot) => {
                    snapshot.coupled = Some(coupled.clone());
                    Reading::Known(snapshot)
                }
                Err(error) => Reading::Unknown(error.to_string()),
            },
        })?;
        let lagging = after.is_some_and(|after| look.is_before(after));
        let arrived = after.is_some_and(|after| look.has_arrived(after));
        let observed = if arrived { observed.in_phase(Phase::Settled) } else { observed };
        Ok(observed.lagging(lagging).reverted(after.and_then(|after| look.went_back(after))))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let seen = self.seen(query.observed).await?;
        Past { client: &self.client, seen: &seen }.history(query).await
    }

    async fn inspect(&self, from: Option<&EcsSnapshot>, to: &EcsSnapshot) -> Result<Inspection> {
        // Asked right after an observation, by contract. It is not kept: a fleet has many of them.
        let last = self.last().take();
        let seen = async {
            match last {
                Some(seen) => Ok(seen),
                None => self.client.see(Depth::Plan).await.map(Arc::new),
            }
        };
        inspect::inspect(self.client.surroundings(), seen, from, to).await
    }

    async fn apply(&self, cx: &ActionContext, action: &EcsAction) -> Result<Landing> {
        act::apply(&self.client, cx, action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &EcsAction) -> Result<Landing> {
        act::probe(&self.client, cx, action).await
    }

    async fn prove(&self, goal: &Goal<EcsSnapshot>) -> Result<Evidence> {
        let seen = self.client.see(Depth::Proof).await?;
        seen.look.evidence(&goal.snapshot)
    }
}

impl EcsTarget {
    fn last(&self) -> MutexGuard<'_, Option<Arc<Seen>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The look that was just made, if the caller says that one was, else another.
    async fn seen(&self, observed: bool) -> Result<Arc<Seen>> {
        let last = self.last().clone();
        match last.filter(|_| observed) {
            Some(seen) => Ok(seen),
            None => Ok(Arc::new(self.client.see(Depth::Plan).await?)),
        }
    }
}

/// Which session a configuration means.
pub(crate) async fn session(settings: &AwsSettings) -> Result<Session> {
    rollback_aws_support::Sessions::shared().open(settings).await.map_err(|error| match error.kind() {
        ErrorKind::Invalid => error,
        _ => Error::new(error.kind(), "set up AWS", error.to_string()),
    })
}
