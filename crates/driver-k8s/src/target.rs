//! The target itself: each method asks the client and says what that means.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Phase};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, DynTarget, Error, ErrorKind, Evidence, Goal, KeepsContents, Landing,
    Observation, Reading, Result, Target, TargetId, TargetInfo, Token,
};

use crate::action::K8sAction;
use crate::client::{Client, IN_A_HURRY, PATIENCE, Shared};
use crate::config::K8sConfig;
use crate::contents::K8sContents;
use crate::look::{self, Look};
use crate::snapshot::K8sSnapshot;
use crate::strategy::{ApplyRecorded, Choices, RestoreConfiguration, RevisionUndo, SetImage};
use crate::workload::Workload;
use crate::{act, history, inspect};

/// How long a request that was sent may take to land: an API server that is busy keeps requests waiting. What it answers to reads is
/// never older than what it accepted.
const LAG: Lasting = Lasting::from_secs(10);

const CAPABILITIES: Capabilities = Capabilities::least()
    .history()
    .refuses_stale_writers()
    .keeps_keys()
    .parts()
    .scales_to_zero()
    .restarts()
    .in_flight()
    .with_visibility_lag(LAG);

/// One Deployment, StatefulSet or DaemonSet.
#[derive(Debug)]
pub struct K8sTarget {
    client: Client,
    container: Option<String>,
    choices: Choices,
    /// The last look, for what core asks right after it.
    last: Mutex<Option<Arc<Look>>>,
}

impl K8sTarget {
    /// A workload, asked through a client. Where the settings name no namespace, it is the client's own.
    ///
    /// The settings that lead to a cluster (`context`, `kubeconfig`, `in_cluster`, `server`) are the client's business and do not
    /// count here. Its own retries should be off: only the engine decides to send again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](rollback_core::ErrorKind::Invalid) when a setting cannot be meant. Nothing is asked yet.
    pub fn new(client: kube::Client, config: &K8sConfig) -> Result<Self> {
        config.check()?;
        let namespace = config.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let workload = Workload::new(config.kind, namespace, config.name.as_str())?;
        let client = Client::new(client, workload, config)?;
        let choices =
            Choices::default().resume_paused(config.resume_paused).tell_appliers(config.tell_appliers);
        Ok(Self { client, container: config.container.clone(), choices, last: Mutex::default() })
    }

    /// Shares with others on the same connection what they watch and know.
    pub(crate) fn sharing(mut self, shared: Shared) -> Self {
        self.client = self.client.sharing(shared);
        self
    }

    /// With all strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        let choices = self.choices;
        Bound::new(crate::NAME, self)
            .strategy(RevisionUndo::new(choices))
            .strategy(SetImage::new(choices))
            .strategy(ApplyRecorded::new(choices))
            .strategy(RestoreConfiguration::new(choices))
            .keeping_contents()
            .erase()
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities() -> Capabilities {
        CAPABILITIES
    }
}

#[async_trait]
impl Target for K8sTarget {
    type Snapshot = K8sSnapshot;
    type Action = K8sAction;

    async fn info(&self) -> Result<TargetInfo> {
        let home = self.client.home().await?;
        let workload = self.client.workload();
        // A namespace's UID is unique among all clusters, and whoever may work in it may read it.
        let id = format!("k8s:{}/{}/{}", home.uid, workload.kind.resource(), workload.name);
        Ok(TargetInfo::new(TargetId::new(id)?, home.uid.clone()).with_capabilities(CAPABILITIES))
    }

    /// Reads are never older than what was accepted, so this does not lag. What lags is the controller, and that shows as a
    /// generation that it has not seen.
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<K8sSnapshot>> {
        // Before the look, so that nothing is missed between the two.
        let changes = after.map(|_| self.client.changes()).unwrap_or_default();
        let mut look = match self.client.see().await {
            Err(error) if is_gone(&error) => {
                *self.last() = None;
                return self.gone(&error).await;
            }
            look => look?,
        };
        // While something is awaited, what belongs to it is left alone.
        let (testimony, coupled) = match after {
            Some(_) => (self.client.testimony(&look, PATIENCE).await, None),
            None => {
                let (testimony, read) =
                    join(self.client.testimony(&look, IN_A_HURRY), self.client.references(&look.desired))
                        .await;
                (testimony, Some(self.client.coupled(&self.client.home().await?.key, &read)))
            }
        };
        look.testimony = testimony;
        let look = Arc::new(look);
        *self.last() = after.is_none().then(|| Arc::clone(&look));
        let desired = look.desired_identity();
        let observed = look.observation(|mut state| {
            state.container.clone_from(&self.container);
            // What earlier revisions refer to may be something else; this is what is there now, for what it is set to now.
            if state.template.identity() == desired {
                state.coupled.clone_from(&coupled);
            }
            state
        })?;
        Ok(observed.telling(changes))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<K8sSnapshot>>> {
        // Cloned first: the lock is not held while something is awaited.
        let last = self.last().clone().filter(|_| query.observed);
        let look = match last {
            Some(look) => look,
            None => Arc::new(self.client.see().await?),
        };
        history::history(&look, query, self.container.as_deref())
    }

    async fn inspect(&self, from: Option<&K8sSnapshot>, to: &K8sSnapshot) -> Result<Inspection> {
        // Asked right after an observation, by contract. It is not kept: a fleet has many of them.
        let last = self.last().take();
        let look = match last {
            Some(look) => look,
            None => match self.client.see().await {
                Err(error) if is_gone(&error) => return inspect::of_nothing(&self.client, to).await,
                look => Arc::new(look?),
            },
        };
        inspect::inspect(&self.client, &look, self.choices.resume_paused, from, to).await
    }

    async fn apply(&self, cx: &ActionContext, action: &K8sAction) -> Result<Landing> {
        act::apply(&self.client, cx, action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &K8sAction) -> Result<Landing> {
        act::probe(&self.client, cx, action).await
    }

    async fn prove(&self, goal: &Goal<K8sSnapshot>) -> Result<Evidence> {
        let look = self.client.see().await?;
        let mut evidence = look.evidence(&goal.snapshot)?;
        if goal.coupled.is_some() {
            evidence = self.with_configuration(evidence, &goal.snapshot).await?;
        }
        let again = look::token(&self.client.object().await?, &self.client.home().await?.key);
        Ok(match again == *look.token() {
            true => evidence,
            false => evidence.unread("the workload at rest: it was changed while it was read"),
        })
    }
}

#[async_trait]
impl KeepsContents for K8sTarget {
    type Contents = K8sContents;

    async fn contents(&self, snapshot: &K8sSnapshot) -> Result<Option<K8sContents>> {
        K8sContents::read(&self.client, snapshot).await.map(Some)
    }
}

/// Whether the API server says that the workload does not exist.
fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

impl K8sTarget {
    /// What is to be said of a workload that does not exist: it may be made again from what is kept of it.
    async fn gone(&self, error: &Error) -> Result<Observation<K8sSnapshot>> {
        let home = self.client.home().await?;
        let mut why = error.message().to_owned();
        if let Some(next) = error.next_step() {
            why = format!("{why}; {next}");
        }
        let token = Token::new(format!("{} does not exist", home.uid));
        Ok(Observation::settled(Reading::Absent, token).in_phase(Phase::Failed(why)))
    }

    /// Adds what ConfigMaps hold now.
    async fn with_configuration(&self, evidence: Evidence, goal: &K8sSnapshot) -> Result<Evidence> {
        let read = self.client.references(&goal.template).await;
        let now = self.client.coupled(&self.client.home().await?.key, &read);
        let evidence = match now.digest_for(goal.coupled.as_ref().unwrap_or(&now)) {
            Some(digest) => evidence.coupled(digest),
            None => evidence.unread("what its ConfigMaps hold"),
        };
        Ok(evidence.compared(format!("what {} ConfigMaps hold", now.config_maps().len())))
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Look>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
