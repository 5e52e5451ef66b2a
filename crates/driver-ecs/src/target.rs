//! The target itself: each method asks the client and says what that means.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rollback_aws_support::{AwsSettings, Pacer, Session};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Standing};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, DynTarget, Error, ErrorKind, Evidence, Goal, Landing, Observation,
    Reading, Result, Target, TargetId, TargetInfo, Token,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::act;
use crate::action::EcsAction;
use crate::arn::TaskDefinitionArn;
use crate::client::{Client, Depth, Registered, Seen};
use crate::config::EcsConfig;
use crate::coupled::Coupled;
use crate::history::{self, Candidate};
use crate::inspect;
use crate::snapshot::EcsSnapshot;
use crate::strategy::{
    CodeDeployDeployment, CodeDeployStop, NativeStop, ReRegister, ShiftTraffic, UpdateService,
};
use crate::task_definition::{Definition, Registration};

/// How long ECS may go on showing what was before. AWS gives no number; its API is "eventually consistent", and what was
/// measured by its users is a few seconds.
const LAG: Lasting = Lasting::from_secs(10);
/// How many revisions of a family are looked through for a version.
const SEARCHED: usize = 100;

/// One ECS service.
pub struct EcsTarget {
    client: Client,
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
        Ok(Self { client: Client::new(session, pacer, config)?, last: Mutex::default() })
    }

    /// With all strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        Bound::new(crate::NAME, self)
            .strategy(NativeStop)
            .strategy(CodeDeployStop)
            .strategy(CodeDeployDeployment)
            .strategy(UpdateService)
            .strategy(ReRegister)
            .strategy(ShiftTraffic)
            .erase()
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities() -> Capabilities {
        CAPABILITIES
    }

    /// A revision as a state of the service, with what the look knows of it.
    fn snapshot(&self, seen: &Seen, arn: &TaskDefinitionArn, definition: &Definition) -> Result<EcsSnapshot> {
        let look = &seen.look;
        let mut snapshot = EcsSnapshot::new(look.service.arn.clone(), arn.clone(), definition.clone())?;
        snapshot.main_container = self.client.main_container().map(str::to_owned);
        snapshot.digests = look.resolved(arn);
        let names: Vec<_> = definition.containers().into_iter().map(|container| container.name).collect();
        // Sidecars that ECS adds itself (Service Connect, GuardDuty) are in no task definition.
        snapshot.digests.retain(|container, _| names.contains(container));
        Ok(snapshot)
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
            Some(definition) => match self.snapshot(&seen, arn, definition) {
                Ok(mut snapshot) => {
                    snapshot.coupled = Some(coupled.clone());
                    Reading::Known(snapshot)
                }
                Err(error) => Reading::Unknown(error.to_string()),
            },
        })?;
        let lagging = after.is_some_and(|after| look.is_before(after));
        Ok(observed.lagging(lagging).reverted(after.and_then(|after| look.went_back(after))))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let seen = self.seen(query.observed).await?;
        if let Some(entry) = self.previous(query, &seen).await? {
            return Ok(vec![entry]);
        }
        let searching = query.version.is_some() || query.revision.is_some();
        let most = if searching { SEARCHED } else { query.limit };
        let mut families: Vec<_> = seen.look.definitions.values().map(|d| d.family().to_owned()).collect();
        families.sort();
        families.dedup();
        let course = seen.look.course();
        let current = course.settled.known().or(course.heading.as_ref());
        let Some(family) = current.map(|arn| arn.family().to_owned()).or_else(|| families.first().cloned())
        else {
            return Ok(Vec::new());
        };
        let mut family = self.client.family(&family, most).await?;
        let mut wanted = history::candidates(&seen.look, &family, most);
        if let Some(revision) = &query.revision {
            wanted.retain(|candidate| candidate.task_definition.revision().to_string() == revision.as_str());
            if wanted.is_empty() {
                wanted.extend(self.exactly(&family.name, revision.as_str(), &seen).await?);
            }
        }
        let mut entries = Vec::new();
        let read =
            self.client.read_all(wanted.iter().map(|candidate| candidate.task_definition.clone())).await?;
        for (arn, one) in &read {
            if let Some(at) = one.registered_at {
                family.registered_at.insert(arn.clone(), at);
            }
        }
        // Once more, now that it is known when each was registered.
        let standing: BTreeMap<_, _> = history::candidates(&seen.look, &family, most)
            .into_iter()
            .map(|candidate| (candidate.task_definition.clone(), candidate.standing))
            .collect();
        for mut candidate in wanted {
            let Some(one) = read.get(&candidate.task_definition) else { continue };
            candidate.standing =
                standing.get(&candidate.task_definition).copied().unwrap_or(candidate.standing);
            entries.push(self.restorable(&seen, &candidate, one)?);
        }
        entries.retain(|entry| query.wants(&rollback_core::Snapshot::info(&entry.snapshot)));
        entries.truncate(query.limit);
        Ok(entries)
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

    /// What ran before, where ECS's own records tell: then nothing else of the family has to be listed or read.
    async fn previous(&self, query: &HistoryQuery, seen: &Seen) -> Result<Option<HistoryEntry<EcsSnapshot>>> {
        let course = seen.look.course();
        let Some(current) = course.heading.as_ref().or(course.settled.known()).filter(|_| query.previous)
        else {
            return Ok(None);
        };
        let family = history::Family::new(current.family(), Vec::new(), Vec::new());
        let ran = history::candidates(&seen.look, &family, SEARCHED).into_iter().filter(|candidate| {
            candidate.task_definition != *current
                && matches!(candidate.standing, Standing::Ran | Standing::Current)
                && candidate.ran_at.is_some()
        });
        let Some(newest) = ran.max_by_key(|candidate| candidate.ran_at) else { return Ok(None) };
        let read = self.client.read_all([newest.task_definition.clone()]).await?;
        let Some(one) = read.get(&newest.task_definition) else { return Ok(None) };
        self.restorable(seen, &newest, one).map(Some)
    }

    fn restorable(
        &self,
        seen: &Seen,
        candidate: &Candidate,
        one: &Registered,
    ) -> Result<HistoryEntry<EcsSnapshot>> {
        let mut snapshot = self.snapshot(seen, &candidate.task_definition, &one.definition)?;
        (snapshot.registered_at, snapshot.registration) = (one.registered_at, one.registration);
        snapshot.coupled = self.client.coupled_of(&candidate.task_definition, &seen.look);
        Ok(entry(snapshot, candidate))
    }

    /// A revision that is older than what was listed.
    async fn exactly(&self, family: &str, revision: &str, seen: &Seen) -> Result<Option<Candidate>> {
        let place = &seen.look.service.arn;
        let Ok(number) = revision.parse::<u32>() else { return Ok(None) };
        let arn = format!(
            "arn:{}:ecs:{}:{}:task-definition/{family}:{number}",
            place.partition(),
            place.region(),
            place.account()
        );
        let arn: TaskDefinitionArn = arn.parse()?;
        match self.client.task_definition(&arn).await {
            Ok(found) => Ok(Some(Candidate::unknown(arn, found.registration()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn entry(snapshot: EcsSnapshot, candidate: &Candidate) -> HistoryEntry<EcsSnapshot> {
    let gone = snapshot.registration == Registration::DeleteInProgress;
    let mut entry = HistoryEntry::new(snapshot, candidate.standing);
    if let Some(at) = candidate.ran_at {
        entry = entry.with_ran_at(at);
    }
    if gone && candidate.standing == Standing::NeverRan {
        return entry.unrestorable("it is being deleted and never ran");
    }
    entry
}

/// Which session a configuration means.
pub(crate) async fn session(settings: &AwsSettings) -> Result<Session> {
    rollback_aws_support::Sessions::shared().open(settings).await.map_err(|error| match error.kind() {
        ErrorKind::Invalid => error,
        _ => Error::new(error.kind(), "set up AWS", error.to_string()),
    })
}
