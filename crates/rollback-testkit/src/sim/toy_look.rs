//! What the toy driver tells of the past, of what restoring would mean, and what is kept of a release.

use async_trait::async_trait;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Shown, Standing};
use rollback_core::{
    Artifact, Error, ErrorKind, Finding, KeepsContents, Occasion, Reading, Remembers, Result, Snapshot as _,
};

use super::flaw::Flaw;
use super::forms::{ToyContents, ToySnapshot};
use super::toy::ToyTarget;

impl ToyTarget {
    /// What ran, newest first.
    pub(super) fn ran(&self, query: &HistoryQuery) -> Vec<HistoryEntry<ToySnapshot>> {
        if !self.world.settings.history && !self.has(Flaw::MakesUpHistory) {
            return Vec::new();
        }
        let picture = self.world.look();
        let mut seen = Vec::new();
        let mut entries = Vec::new();
        let failed = picture.heading.filter(|_| self.has(Flaw::CountsFailures));
        let failed = failed.map(|release| (release, self.world.clock.now()));
        for (release, at) in failed.into_iter().chain(self.world.ran().into_iter().rev()) {
            let snapshot = self.snapshot(&picture, release);
            let asked = query.wants(&snapshot.info()) || self.has(Flaw::IgnoresQuery);
            if seen.contains(&release) || !asked {
                continue;
            }
            seen.push(release);
            let current = picture.settled == release && !self.has(Flaw::CurrentIsPast);
            let standing = if current { Standing::Current } else { Standing::Ran };
            let entry = HistoryEntry::new(snapshot, standing).with_ran_at(at);
            let gone = !self.world.has(release);
            entries.push(if gone { entry.unrestorable("its release is gone") } else { entry });
        }
        if self.has(Flaw::OldestFirst) {
            entries.reverse();
        }
        entries.truncate(query.limit);
        entries
    }

    /// What restoring `to` would mean.
    pub(super) fn inspected(&self, from: Option<&ToySnapshot>, to: &ToySnapshot) -> Inspection {
        if self.has(Flaw::MeddlingInspect) {
            self.world.touch();
        }
        let shown = |snapshot: &ToySnapshot| Shown::Plain(format!("r{}", snapshot.release));
        let mut found = Inspection::default();
        if from.is_none_or(|from| from.release != to.release) {
            found = found.differs("release", from.map(shown), Some(shown(to)));
            found = match &self.secret {
                Some(secret) => found.differs("password", None, Some(self.veiled(secret))),
                None => found,
            };
        }
        let artifact = Artifact::new("release", format!("r{}", to.release));
        let there = match self.world.tells(to.release) {
            Some(false) if self.has(Flaw::SeesNoGaps) => Some(true),
            None if self.has(Flaw::DeniedIsAbsent) => Some(false),
            told => told,
        };
        match there {
            Some(true) if self.has(Flaw::SkipsArtifacts) => found,
            Some(true) => found.artifact(artifact, Reading::Known(None)),
            Some(false) => {
                let message = format!("release r{} is gone", to.release);
                let gone = Finding::blocker("artifact-missing", message).next("choose another release");
                found.artifact(artifact, Reading::Absent).finding(gone)
            }
            None => {
                let message = format!("whether release r{} is still there may not be read", to.release);
                let finding = Finding::warning("artifact-unknown", message).next("ask for the permission");
                found.artifact(artifact, Reading::Unknown("not permitted".to_owned())).finding(finding)
            }
        }
    }

    fn veiled(&self, secret: &str) -> Shown {
        match self.has(Flaw::TellsSecrets) {
            true => Shown::Plain(secret.to_owned()),
            false => Shown::Redacted,
        }
    }
}

impl ToyTarget {
    /// What is kept or written down of a state is that state's, unless the driver is broken so.
    fn check_rests(&self, snapshot: &ToySnapshot, flaw: Flaw) -> Result<()> {
        let picture = self.world.look();
        if (picture.heading.is_none() && picture.settled == snapshot.release) || self.has(flaw) {
            return Ok(());
        }
        let why = format!("it is at r{} by now", picture.heading.unwrap_or(picture.settled));
        Err(Error::new(ErrorKind::Stale, format!("keep r{}", snapshot.release), why)
            .next("record it once it rests"))
    }
}

/// There is nothing to write down of a toy: it only says of what it would be.
#[async_trait]
impl Remembers for ToyTarget {
    async fn remember(&self, snapshot: &ToySnapshot, _: Occasion) -> Result<()> {
        self.check_rests(snapshot, Flaw::RemembersAnything)
    }
}

#[async_trait]
impl KeepsContents for ToyTarget {
    type Contents = ToyContents;

    async fn contents(&self, snapshot: &ToySnapshot) -> Result<Option<ToyContents>> {
        self.check_rests(snapshot, Flaw::KeepsAnyContents)?;
        Ok(Some(ToyContents { release: snapshot.release, secret: self.secret.clone() }))
    }
}
