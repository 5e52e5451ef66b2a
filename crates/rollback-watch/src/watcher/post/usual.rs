//! What is usual: asked for when a version comes, and kept while one is well.

use std::time::Duration;

use futures_util::future::FutureExt as _;
use rollback_core::Result;
use rollback_core::time::Lasting;

use super::{Post, Woken};
use crate::event::Event;
use crate::usual::Usual;

/// How often it is kept anew while a version is well.
const EVERY: Lasting = Lasting::from_secs(3_600);

impl Post {
    /// Asks what was usual for the version that was well last: the deploy may be older than this process.
    pub(super) fn ask_usual(&self) {
        if !self.vigil.compares() {
            return;
        }
        let (usuals, name) = (self.shared.usuals.clone(), self.name.clone());
        self.waits.push(async move { usuals.of(&name).await }.map(Woken::Remembered).boxed());
    }

    pub(super) fn remembered(&mut self, usual: Result<Option<Usual>>) {
        match usual {
            Ok(None) => {}
            Ok(Some(usual)) => self.vigil.remember(&usual.triggers),
            Err(error) => self.warn(format!("what was usual before could not be read: {error}")),
        }
    }

    /// Keeps what has been usual for a version that has been well for so long. Whether there was something to keep.
    pub(super) fn keep_usual(&mut self, now: Duration, soak: Duration) -> bool {
        let recently = |kept: Duration| now.saturating_sub(kept) < EVERY.as_duration();
        let Some(deployed) = self.vigil.deployed() else { return false };
        if !self.vigil.compares() || self.kept.is_some_and(recently) {
            return false;
        }
        let triggers = self.vigil.usual(now, soak);
        if triggers.is_empty() {
            return false;
        }
        let usual = Usual::new(deployed.info.clone(), self.shared.clock.now(), triggers);
        self.kept = Some(now);
        self.keeping = true;
        let (usuals, name) = (self.shared.usuals.clone(), self.name.clone());
        let kept = async move { usuals.keep(&name, &usual).await.map(|()| usual) };
        self.waits.push(kept.map(Woken::Kept).boxed());
        true
    }

    pub(super) fn was_kept(&mut self, kept: Result<Usual>) {
        self.keeping = false;
        match kept {
            // The first of its kind is measured with what it was itself.
            Ok(usual) => self.vigil.remember(&usual.triggers),
            Err(error) => {
                let message = format!("what is usual could not be kept: {error}");
                self.tell(Event::Warning { component: self.name.clone(), message });
            }
        }
    }
}
