//! The target itself: each method asks the hosts and says what that means.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Phase};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, Digest, DynTarget, Error, ErrorKind, Evidence, Goal, Landing,
    Observation, Reading, Result, Target, TargetId, TargetInfo, Token,
};

use crate::action::ComposeAction;
use crate::client::compose::{Compose, without_images};
use crate::client::{Beside, Client};
use crate::config::Choices;
use crate::look::HostLook;
use crate::names::Service;
use crate::snapshot::ComposeSnapshot;
use crate::strategy::{Hosts, Pin, Retag, WholeProject};
use crate::{act, history, inspect};

/// How long what was sent over a connection that is lost may still begin on the host.
const LAG: Lasting = Lasting::from_secs(15);

const CAPABILITIES: Capabilities =
    Capabilities::least().history().keeps_keys().parts().with_visibility_lag(LAG);

/// One compose project on its hosts.
pub struct ComposeTarget {
    client: Client,
    choices: Choices,
}

impl std::fmt::Debug for ComposeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComposeTarget").field("client", &self.client).finish_non_exhaustive()
    }
}

impl ComposeTarget {
    pub(crate) fn new(client: Client, choices: Choices) -> Self {
        Self { client, choices }
    }

    /// With all strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        let hosts = Hosts {
            batch: self.choices.batch,
            pull: self.choices.pull_timeout,
            up: self.choices.up_timeout,
            commands: Arc::clone(&self.choices.commands),
        };
        let (retag, whole) = (self.choices.retag, self.choices.whole_project);
        Bound::new(crate::NAME, self)
            .strategy(Pin::new(hosts.clone()))
            .strategy(Retag::new(hosts.clone(), retag))
            .strategy(WholeProject::new(hosts, whole))
            .erase()
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities() -> Capabilities {
        CAPABILITIES
    }

    /// What all hosts run, if it is the same everywhere.
    fn settled(&self, looks: &[Arc<HostLook>]) -> Result<Reading<ComposeSnapshot>> {
        let services = &self.client.services;
        if looks.iter().all(|look| look.containers.is_empty()) {
            return Ok(Reading::Absent);
        }
        if let Some(state) = history::current(&self.client, looks)? {
            return Ok(Reading::Known(state));
        }
        let each: Vec<_> = looks
            .iter()
            .map(|look| {
                let running: Vec<_> = look.running(services).values().map(ToString::to_string).collect();
                let running =
                    if running.is_empty() { "nothing of it".to_owned() } else { running.join(", ") };
                format!("{} runs {running}", look.host)
            })
            .collect();
        Ok(Reading::Unknown(each.join("; ")))
    }

    /// A digest of the rendered configuration, where every host says it and says the same. What compose says where it cannot read the
    /// project is kept for an inspection.
    async fn configuration(&self, looks: &[Arc<HostLook>]) -> Option<Digest> {
        let rendered = join_all(looks.iter().map(|look| self.rendered(look))).await;
        let said = looks.iter().zip(&rendered).filter_map(|(look, rendered)| {
            let error = rendered.as_ref().err().filter(|error| !error.is_transient())?;
            Some((look.host.clone(), error.message().to_owned()))
        });
        self.client.keep_unreadable(said.collect());
        let digests: Option<Vec<_>> = rendered.into_iter().map(|one| one.ok().flatten()).collect();
        let digests = digests?;
        let first = digests.first()?;
        digests.iter().all(|other| other == first).then_some(*first)
    }

    /// A digest of the configuration on one host; nothing where it is not known how the project is deployed.
    async fn rendered(&self, look: &HostLook) -> Result<Option<Digest>> {
        let Ok(compose) = Compose::of(&self.client.project, &self.choices.deployed, look) else {
            return Ok(None);
        };
        let host = self.client.host(&look.host).await?;
        let output = host.run("render the configuration", &compose.config()).await?;
        let keyed = self.choices.fingerprint.digest("configuration", &without_images(&output.text()));
        Ok(Some(Digest::of_bytes(keyed.as_bytes())))
    }

    /// Refuses services that the project does not have: of one without containers, beside others that have some, a wrong name is likely.
    async fn check_services(&self, look: &HostLook) -> Result<()> {
        let missing = |service: &&Service| look.of(service).next().is_none();
        let missing: Vec<_> = self.client.services.iter().filter(missing).collect();
        if missing.is_empty() || look.has_nothing() {
            return Ok(());
        }
        let Ok(compose) = Compose::of(&self.client.project, &self.choices.deployed, look) else {
            return Ok(());
        };
        let host = self.client.host(&look.host).await?;
        // What cannot be read is told by who needs it.
        let Ok(output) = host.run("list the services", &compose.services()).await else { return Ok(()) };
        let text = output.text();
        let known: Vec<_> = text.lines().filter_map(|line| Service::new(line.trim()).ok()).collect();
        let Some(unknown) = missing.into_iter().find(|service| !known.contains(service)) else {
            return Ok(());
        };
        let message = format!("{}: the project {} has no service {unknown}", look.host, self.client.project);
        let known: Vec<_> = known.iter().map(Service::as_str).collect();
        Err(Error::new(ErrorKind::Invalid, "look at what runs", message)
            .next(format!("correct `services`; there are: {}", known.join(", "))))
    }
}

#[async_trait]
impl Target for ComposeTarget {
    type Snapshot = ComposeSnapshot;
    type Action = ComposeAction;

    async fn info(&self) -> Result<TargetInfo> {
        // They stay the same machines as long as this target is looked at.
        let looks = self.client.last_look().await?;
        // Whatever each operator calls them: the machines themselves.
        let mut machines: Vec<_> = looks
            .iter()
            .map(|look| if look.machine.is_empty() { look.name.clone() } else { look.machine.clone() })
            .collect();
        machines.sort();
        let mut names: Vec<_> = looks.iter().map(|look| look.name.clone()).collect();
        names.sort();
        names.dedup();
        let (machines, account) = match (machines.as_slice(), names.as_slice()) {
            ([machine], [name]) => (machine.clone(), name.clone()),
            (_, names) => {
                let digest = Digest::of_bytes(machines.join("\n").as_bytes()).short();
                let all = names.join(",");
                let account = if all.len() <= 200 { all } else { format!("{} hosts {digest}", names.len()) };
                (digest, account)
            }
        };
        let id = TargetId::new(format!("compose:{machines}/{}", self.client.project))?;
        Ok(TargetInfo::new(id, account).with_capabilities(CAPABILITIES))
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<ComposeSnapshot>> {
        // A plan asks for the history next.
        let beside = if after.is_none() { Beside::Its } else { Beside::Nothing };
        let looks = self.client.look(beside).await?;
        if after.is_none() {
            try_join_all(looks.iter().map(|look| self.check_services(look))).await?;
        }
        let mut settled = self.settled(&looks)?;
        if let (None, Reading::Known(state)) = (after, &mut settled) {
            state.configuration = self.configuration(&looks).await;
            let fed = self.choices.commands.iter().flat_map(|command| &command.stdin);
            state.parameters = fed.map(ToString::to_string).collect();
        }
        // Nobody can tell whether what ends again and again ever ran.
        let mut heading = None;
        if let (true, Reading::Known(state)) = (looks.iter().any(|look| look.is_down()), &settled) {
            let why = "what it is set to does not stay up".to_owned();
            heading = Some(state.clone());
            settled = Reading::Unknown(why);
        }
        let phases = join_all(looks.iter().map(|look| self.client.phase(look, self.choices.show_logs))).await;
        let failed = phases.iter().find(|phase| matches!(phase, Phase::Failed(_)));
        let phase = failed.or_else(|| phases.iter().find(|phase| **phase != Phase::Settled)).cloned();
        let mut observed = Observation::settled(settled, self.client.token().await?)
            .in_phase(phase.unwrap_or(Phase::Settled));
        if let Some(heading) = heading {
            observed = observed.heading_to(heading);
        }
        for look in &looks {
            observed = observed.part(look.part(&self.client.services, None)?);
        }
        Ok(observed)
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<ComposeSnapshot>>> {
        history::read(&self.client, &self.choices.aws, query).await
    }

    async fn inspect(&self, from: Option<&ComposeSnapshot>, to: &ComposeSnapshot) -> Result<Inspection> {
        inspect::inspect(&self.client, &self.choices, from, to).await
    }

    async fn apply(&self, cx: &ActionContext, action: &ComposeAction) -> Result<Landing> {
        act::apply(&self.client, &self.choices, cx, action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &ComposeAction) -> Result<Landing> {
        act::probe(&self.client, cx, action).await
    }

    async fn prove(&self, goal: &Goal<ComposeSnapshot>) -> Result<Evidence> {
        let looks = self.client.look(Beside::Nothing).await?;
        let wanted = &goal.snapshot.images;
        let mut evidence = Evidence::default();
        for look in &looks {
            evidence = evidence.part(look.part(&self.client.services, Some(wanted))?);
        }
        for (service, image) in wanted {
            let count: usize = looks.iter().map(|look| look.of(service).count()).sum();
            evidence = evidence.compared(format!("{count} containers of {service} with {}", image.exact()));
        }
        for unread in self.client.fleet.strays().await {
            evidence = evidence.unread(unread);
        }
        Ok(evidence)
    }
}
