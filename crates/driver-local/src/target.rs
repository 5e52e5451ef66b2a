//! The target itself: each method asks the client and says what that means.

use std::time::Duration;

use async_trait::async_trait;
use rollback_core::lease::Holder;
use rollback_core::target::{Health, HistoryEntry, HistoryQuery, Inspection, Phase, Standing};
use rollback_core::{
    ActionContext, Capabilities, Effect, Error, ErrorKind, Evidence, Goal, Identity, Landing, Observation,
    Receipt, Result, Target, TargetId, TargetInfo, Token,
};

use crate::action::LocalAction;
use crate::client::switch::{self, Switch};
use crate::client::tree::Tree;
use crate::client::{Client, Link, Look, command, host};
use crate::config::LocalConfig;
use crate::evidence::Seen;
use crate::inspect;
use crate::snapshot::{LocalRelease, ReleaseName};

/// How long a health command may take.
const HEALTH_LIMIT: Duration = Duration::from_secs(10);

/// A releases folder with a `current` symlink.
#[derive(Debug)]
pub struct LocalTarget {
    client: Client,
    commands: Commands,
}

/// What is run, and what that can tell.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) restart: Option<Vec<String>>,
    pub(crate) restart_timeout: Duration,
    pub(crate) health: Option<Vec<String>>,
    pub(crate) tells_incarnations: bool,
}

impl LocalTarget {
    /// Sets up a target in code; a configuration file makes the same [`LocalConfig`].
    pub fn builder(releases: impl Into<std::path::PathBuf>) -> LocalConfig {
        LocalConfig::new(releases)
    }

    pub(crate) fn new(client: Client, commands: Commands) -> Self {
        Self { client, commands }
    }

    fn capabilities(&self) -> Capabilities {
        let least = Capabilities::default().history().keeps_keys();
        if self.commands.restart.is_some() && self.commands.tells_incarnations {
            least.restarts()
        } else {
            least
        }
    }

    /// Everything about what is live, with releases read in full if `fresh`.
    async fn see(&self, fresh: bool) -> Result<Seen> {
        let needs_restart = self.commands.restart.is_some();
        self.client.looking("look at what runs", move |client| Seen::read(client, fresh, needs_restart)).await
    }

    async fn health(&self) -> Health {
        let Some(argv) = &self.commands.health else { return Health::Unknown };
        match self.run(argv, HEALTH_LIMIT).await {
            Ok(ended) if ended.success() => Health::Healthy,
            Ok(ended) => Health::Unhealthy(format!("the health command: {}", ended.describe())),
            Err(error) => Health::Unhealthy(error.to_string()),
        }
    }

    async fn run(&self, argv: &[String], limit: Duration) -> Result<command::Ended> {
        let home = self.client.blocking("find the folder of `current`", Client::home).await?;
        command::run(argv, &home, limit).await
    }

    /// Runs the restart command, if `current` is still what the run left.
    async fn restart(&self, cx: &ActionContext, on: &ReleaseName) -> Result<Landing> {
        let Some(argv) = &self.commands.restart else {
            return Err(Error::new(ErrorKind::Unsupported, "restart", "no restart command is configured")
                .next("set `restart`, and plan again"));
        };
        let look = self.client.blocking("look at `current`", Client::look).await?;
        if let Some(superseded) = switch::moved(cx.expected.as_ref(), &look) {
            return Ok(superseded);
        }
        if look.link != Link::At(on.clone()) {
            return Ok(Landing::Superseded { by: switch::describe(&look) });
        }
        if cx.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "restart", "it was cancelled before it began"));
        }
        cx.progress(0, 1, "running the restart command");
        let ended = self.run(argv, self.commands.restart_timeout).await?;
        if ended.success() {
            return Ok(Landing::Applied(Receipt::default().with_token(look.token)));
        }
        let kind = if ended.status.is_some() { ErrorKind::Unhealthy } else { ErrorKind::Timeout };
        Err(Error::new(kind, "restart", format!("the restart command: {}", ended.describe()))
            .next("run the restart command by hand, then plan again: the symlink is already in place")
            .transient(false)
            .with_effect(Effect::Unknown))
    }
}

#[async_trait]
impl Target for LocalTarget {
    type Snapshot = LocalRelease;
    type Action = LocalAction;

    async fn info(&self) -> Result<TargetInfo> {
        // In place: a few small reads are done before another thread would be awake.
        let name = self.client.current().file_name().unwrap_or_default();
        let path = self.client.home()?.join(name);
        let shown = path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "name the target", format!("{path:?} is not printable text"))
                .next("move it to a path that can be shown and typed")
        })?;
        let me = Holder::this_process();
        let id = TargetId::new(format!("local:{}:{shown}", host::id()))?;
        Ok(TargetInfo::new(id, me.host.clone())
            .with_caller(me.person())
            .with_capabilities(self.capabilities()))
    }

    /// The file system shows at once what was done, so it never lags behind `after`.
    async fn observe(&self, _after: Option<&Token>) -> Result<Observation<LocalRelease>> {
        let seen = self.see(false).await?;
        let part = seen.part.with_health(self.health().await);
        let observation = Observation::settled(seen.settled, seen.look.token).part(part);
        Ok(match seen.waiting {
            Some(what) => observation.in_phase(Phase::Progressing(what)),
            None => observation,
        })
    }

    /// What a folder held when it ran is not known: only the live release has a past here.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<LocalRelease>>> {
        let asked =
            query.revision.as_ref().map(|revision| ReleaseName::new(revision.as_str())).transpose()?;
        let query = query.clone();
        self.client
            .blocking("list the releases", move |client| {
                let look = client.look()?;
                let releases = client.list()?.releases.into_iter().map(|(name, _)| name);
                let wanted = releases.filter(|name| asked.as_ref().is_none_or(|asked| asked == name));
                // A release that cannot be read is worth an error only to somebody who asked for it.
                let read = wanted.filter_map(|name| match client.tree(&name, false) {
                    Ok(tree) => Some(Ok(entry(name, &tree, &look))),
                    Err(error) if asked.is_some() => Some(Err(error)),
                    Err(error) => {
                        tracing::warn!(release = %name, %error, "left out of the history");
                        None
                    }
                });
                let fits = |entry: &Result<HistoryEntry<LocalRelease>>| {
                    entry
                        .as_ref()
                        .map_or(true, |entry| query.wants(&rollback_core::Snapshot::info(&entry.snapshot)))
                };
                read.filter(fits).take(query.limit).collect()
            })
            .await
    }

    async fn inspect(&self, from: Option<&LocalRelease>, to: &LocalRelease) -> Result<Inspection> {
        let (from, to) = (from.cloned(), to.clone());
        self.client
            .blocking("compare the releases", move |client| inspect::inspect(client, from.as_ref(), &to))
            .await
    }

    async fn apply(&self, cx: &ActionContext, action: &LocalAction) -> Result<Landing> {
        match action {
            LocalAction::Switch { to, identity } => {
                let wanted = wanted(cx, to, *identity);
                self.client.blocking("replace `current`", move |client| switch::apply(client, &wanted)).await
            }
            LocalAction::Restart { on } => self.restart(cx, on).await,
        }
    }

    async fn probe(&self, cx: &ActionContext, action: &LocalAction) -> Result<Landing> {
        match action {
            LocalAction::Switch { to, identity } => {
                let wanted = wanted(cx, to, *identity);
                self.client
                    .blocking("look for the switch", move |client| switch::probe(client, &wanted))
                    .await
            }
            LocalAction::Restart { .. } => {
                Ok(Landing::Unknown { why: "a restart leaves no mark; it can be sent again".to_owned() })
            }
        }
    }

    async fn prove(&self, goal: &Goal<LocalRelease>) -> Result<Evidence> {
        let seen = self.see(true).await?;
        let again = self.client.blocking("look at `current`", Client::look).await?;
        let mut evidence = Evidence::default().part(seen.part.with_health(self.health().await));
        evidence.compared = seen.compared;
        evidence.unread = seen.unread;
        if let Some(first) = goal.snapshot.outside.first() {
            evidence = evidence.unread(format!("what lies behind symlink {first}"));
        }
        if again.token != seen.look.token {
            evidence = evidence.unread("`current` at rest: it was replaced while it was read");
        }
        Ok(evidence)
    }
}

fn wanted(cx: &ActionContext, to: &ReleaseName, identity: Identity) -> Switch {
    Switch { key: cx.key.clone(), expected: cx.expected.clone(), to: to.clone(), identity }
}

pub(crate) fn snapshot(name: ReleaseName, tree: &Tree) -> LocalRelease {
    LocalRelease {
        name,
        digest: tree.digest,
        files: tree.files,
        bytes: tree.bytes,
        made_at: tree.modified,
        outside: tree.outside.clone(),
    }
}

fn entry(name: ReleaseName, tree: &Tree, look: &Look) -> HistoryEntry<LocalRelease> {
    let current = look.link == Link::At(name.clone());
    let standing = if current { Standing::Current } else { Standing::Unknown };
    let mut entry = HistoryEntry::new(snapshot(name, tree), standing);
    if let (true, Some(stamp)) = (current, &look.stamp) {
        entry = entry.with_ran_at(stamp.made());
    }
    match tree.outside.first() {
        Some(link) => entry.unrestorable(format!("its symlink {link} leads out of the release")),
        None => entry,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use rollback_core::Digest;

    use super::*;

    #[tokio::test]
    async fn a_look_may_remember_and_a_proof_must_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("releases/v1")).unwrap();
        fs::write(folder.path().join("releases/v1/index.html"), "v1").unwrap();
        symlink("releases/v1", folder.path().join("current")).unwrap();
        let target = LocalTarget::builder(folder.path().join("releases")).build().unwrap();
        let name = ReleaseName::new("v1").unwrap();
        let read = target.client.tree(&name, true).unwrap();
        let wrong = Digest::of_bytes(b"remembered");
        let remembered = Tree {
            entries: Vec::new(),
            digest: wrong,
            outside: Vec::new(),
            fingerprint: read.fingerprint,
            files: read.files,
            bytes: read.bytes,
            modified: read.modified,
        };
        target.client.remember(&name, &Arc::new(remembered));
        let looked = target.observe(None).await.unwrap();
        assert_eq!(looked.parts[0].identity, Some(Identity(wrong)));
        let goal = Goal::runs(snapshot(name, &read));
        let evidence = target.prove(&goal).await.unwrap();
        assert_eq!(evidence.parts[0].identity, Some(Identity(read.digest)));
    }
}
