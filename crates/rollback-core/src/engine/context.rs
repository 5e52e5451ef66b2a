use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::fresh::FreshLooks;
use crate::contents::{self, ContentsKeys, Kept};
use crate::environment::Environment;
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Leasing;
use crate::name::{ComponentName, Entropy, TargetId};
use crate::probe::{Gate, ProbeRegistry};
use crate::progress::{Event, Progress};
use crate::registry::known;
use crate::snapshot::SnapshotRecord;
use crate::store::Records;
use crate::target::{Finding, TargetInfo};
use crate::time::{Clock, Lasting};

/// Everything that planning and running need.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) leasing: Leasing,
    pub(crate) targets: BTreeMap<ComponentName, Arc<dyn DynTarget>>,
    pub(crate) after: BTreeMap<ComponentName, Vec<ComponentName>>,
    pub(crate) environment: Environment,
    pub(crate) gates: Vec<Gate>,
    pub(crate) probes: ProbeRegistry,
    pub(crate) progress: Progress,
    pub(crate) cancel: CancellationToken,
    pub(crate) retention: Lasting,
    /// What kept contents are encrypted with; without them nothing is kept.
    pub(crate) contents: Option<ContentsKeys>,
    pub(crate) fresh: FreshLooks,
    /// Why there is no lease, if there is none.
    pub(crate) break_glass: Option<String>,
}

impl Context {
    /// The target of a component.
    pub(crate) fn target(&self, name: &ComponentName) -> Result<&Arc<dyn DynTarget>> {
        self.targets.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "find the component", format!("there is no component {name}"))
                .next(known("components", name.as_str(), self.targets.keys().map(ComponentName::as_str)))
        })
    }

    /// Who and what a component's target is. A target elsewhere than the environment expects is refused here, before anything
    /// is read of it.
    pub(crate) async fn info(&self, name: &ComponentName) -> Result<TargetInfo> {
        let info = self.target(name)?.info().await?;
        let Some(expected) =
            self.environment.expect_account.as_ref().filter(|expected| **expected != info.account)
        else {
            return Ok(info);
        };
        let found = format!("it is in {}, but {} expects {expected}", info.account, self.environment.name);
        Err(Error::new(ErrorKind::Refused, format!("touch {name}"), found)
            .next("sign in to the expected account or cluster, or choose the right environment"))
    }

    /// Keeps the contents of what rests on a target, where the installation has a key for that.
    pub(crate) async fn keep(
        &self,
        target: &dyn DynTarget,
        id: &TargetId,
        snapshot: &SnapshotRecord,
    ) -> Result<Option<Kept>> {
        let Some(keys) = &self.contents else { return Ok(None) };
        let Some(contents) = target.contents(snapshot).await? else { return Ok(None) };
        let of = (id, snapshot.info.identity);
        let kept = contents::keep(&self.records, keys, &*self.entropy, self.clock.now(), of, &contents);
        kept.await.map(Some)
    }

    /// Keeps contents as far as that is possible: a record without them is worth more than none.
    pub(crate) async fn try_keep(
        &self,
        component: &ComponentName,
        id: &TargetId,
        snapshot: &SnapshotRecord,
    ) -> Option<Kept> {
        let kept = match self.target(component) {
            Ok(target) => self.keep(&**target, id, snapshot).await,
            Err(error) => Err(error),
        };
        let told = |error: &Error| {
            let message = format!("its contents are not kept: {error}");
            self.emit(Event::Warning { component: component.clone(), message });
        };
        kept.inspect_err(told).ok().flatten()
    }

    /// Says what is lost where a target could not remember a state.
    pub(crate) fn not_remembered(
        &self,
        component: &ComponentName,
        snapshot: &SnapshotRecord,
        error: &Error,
    ) -> Finding {
        let label = snapshot.info.label();
        let message = format!("how {label} is to be found again is not written down: {error}");
        self.emit(Event::Warning { component: component.clone(), message: message.clone() });
        let next = error.next_step().unwrap_or("once that is right, record what runs: rollback record");
        Finding::warning("not-remembered", message).next(next)
    }

    /// The components that are configured to come before `name`.
    pub(crate) fn order(&self, name: &ComponentName) -> &[ComponentName] {
        self.after.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.progress.emit(event);
    }
}
