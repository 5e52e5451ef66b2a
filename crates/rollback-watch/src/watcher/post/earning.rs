//! What has been well for long enough is called good; and how a guard ends.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use rollback_core::Result;
use rollback_core::ledger::Deployment;
use rollback_core::time::Lasting;

use super::{Guarded, Post, Woken};
use crate::event::Event;

/// A guard's time.
pub(super) struct Guard {
    pub(super) lasting: Lasting,
    pub(super) began: Duration,
    pub(super) is_up: bool,
}

impl Post {
    /// Calls what has been well for long enough good. A guard does so at its end.
    pub(super) fn promote(&mut self, now: Duration) {
        let soak = self.shared.settings.soak;
        if self.guard.is_some() || self.promoting {
            return;
        }
        let Some(deployed) = self.vigil.deployed() else { return };
        let identity = deployed.info.identity;
        let well =
            self.vigil.well_since().is_some_and(|since| now.saturating_sub(since) >= soak.as_duration());
        if well && self.promoted != Some(identity.0) {
            self.promote_for(soak);
        }
    }

    fn promote_for(&mut self, soak: Lasting) {
        let Some(deployed) = self.vigil.deployed() else { return };
        let (shared, name, identity) = (self.shared.clone(), self.name.clone(), deployed.info.identity);
        self.promoted = Some(identity.0);
        self.promoting = true;
        let promoted =
            async move { shared.engines.engine(&name).await?.promote(&name, identity, soak).await };
        self.waits.push(promoted.map(Woken::Promoted).boxed());
    }

    pub(super) fn was_promoted(&mut self, promoted: Result<Deployment>) {
        self.promoting = false;
        match promoted {
            Ok(deployment) => {
                let deployment = Box::new(deployment);
                self.end_with(|| Guarded::Healthy(Some(deployment.clone())));
                self.tell(Event::Promoted { component: self.name.clone(), deployment });
            }
            Err(error) => {
                // Where it may pass, it is tried again at the next look.
                self.promoted = self.promoted.filter(|_| !error.is_transient());
                self.warn(format!("it is well, and cannot be called good: {error}"));
                self.end_with(|| Guarded::Unknown(error.to_string()));
            }
        }
    }

    pub(super) fn end_with(&mut self, ended: impl FnOnce() -> Guarded) {
        if self.guard.is_some() && self.ended.is_none() {
            self.ended = Some(ended());
        }
    }

    /// Ends a guard whose time is up, unless something may still be wrong.
    pub(super) fn end_guard(&mut self) {
        let Some(guard) = self.guard.as_ref().filter(|guard| guard.is_up) else { return };
        if self.ended.is_some() || !self.troubles.is_empty() || self.responding || self.promoting {
            return;
        }
        let (lasting, began) = (guard.lasting, guard.began);
        // The first samples and the first look take their time.
        let first = self.pauses.iter().max().copied().unwrap_or_default().max(lasting.as_duration() / 10);
        let now = self.now();
        if self.keeping || self.keep_usual(now, now.saturating_sub(began + first)) {
            return;
        }
        if let Some((trigger, why)) = self.vigil.unknown() {
            let why = format!("{trigger}: {why}");
            return self.end_with(|| Guarded::Unknown(why));
        }
        match self.vigil.well_since() {
            Some(since) if since <= began + first => self.promote_for(lasting),
            Some(_) => self.end_with(|| Guarded::Healthy(None)),
            None => self.end_with(|| Guarded::Unknown("nothing is watched".to_owned())),
        }
    }
}
