//! The target itself: each method asks the client and says what that means.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::join_all;
use rollback_aws_support::{AwsSettings, Pacer, Session};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Phase, Standing};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, Digest, DynTarget, Error, ErrorKind, Evidence, Goal, Landing,
    Observation, Reading, Result, Target, TargetId, TargetInfo, Token,
};
use std::sync::Arc;

use crate::act;
use crate::action::EcsAction;
use crate::arn::TaskDefinitionArn;
use crate::client::{Client, Depth, Registered, Seen};
use crate::config::EcsConfig;
use crate::coupled::Coupled;
use crate::history::{self, Candidate};
use crate::inspect;
use crate::look::Look;
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
#[derive(Debug)]
pub struct EcsTarget {
    client: Client,
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
        Ok(Self { client: Client::new(session, pacer, config)? })
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
        let depth = if after.is_some() { Depth::Course } else { Depth::Ways };
        let seen = self.client.see(depth).await?;
        let look = &seen.look;
        let coupled = Coupled::of(&seen.described, &self.client.key(look.service.arn.account()));
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
        let arrived = after.is_some_and(|after| look.has_arrived(after));
        let observed = if arrived { observed.in_phase(Phase::Settled) } else { observed };
        Ok(observed.lagging(lagging).reverted(after.and_then(|after| look.went_back(after))))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let seen = self.client.see(Depth::Past).await?;
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
        let named = self.named_now(&seen.look, &read).await;
        // Once more, now that it is known when each was registered.
        let standing: BTreeMap<_, _> = history::candidates(&seen.look, &family, most)
            .into_iter()
            .map(|candidate| (candidate.task_definition.clone(), candidate.standing))
            .collect();
        for mut candidate in wanted {
            let Some(one) = read.get(&candidate.task_definition) else { continue };
            candidate.standing =
                standing.get(&candidate.task_definition).copied().unwrap_or(candidate.standing);
            let mut snapshot = self.snapshot(&seen, &candidate.task_definition, &one.definition)?;
            if let Some(digests) = named.get(&candidate.task_definition) {
                snapshot.digests.clone_from(digests);
            }
            (snapshot.registered_at, snapshot.registration) = (one.registered_at, one.registration);
            snapshot.coupled = self.client.coupled_of(&candidate.task_definition, &seen.look);
            entries.push(entry(snapshot, &candidate));
        }
        entries.retain(|entry| query.wants(&rollback_core::Snapshot::info(&entry.snapshot)));
        entries.truncate(query.limit);
        Ok(entries)
    }

    async fn inspect(&self, from: Option<&EcsSnapshot>, to: &EcsSnapshot) -> Result<Inspection> {
        let seen = self.client.see(Depth::Ways).await?;
        let surroundings = self.client.surroundings();
        Ok(inspect::inspect(surroundings, &seen.look, &seen.described, from, to).await)
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
    /// Which images revisions would run now, where ECS keeps no record of what they ran.
    async fn named_now(
        &self,
        look: &Look,
        read: &BTreeMap<TaskDefinitionArn, Registered>,
    ) -> BTreeMap<TaskDefinitionArn, BTreeMap<String, Digest>> {
        if look.deployments != Reading::Absent {
            return BTreeMap::new();
        }
        let unknown = read.iter().filter(|(arn, _)| look.resolved(arn).is_empty());
        let asked = unknown
            .map(|(arn, one)| async move { (arn.clone(), self.client.named_now(&one.definition).await) });
        join_all(asked).await.into_iter().collect()
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
