//! What must not run: put under quarantine by hand, lifted, and asked by pipelines.

use jiff::Timestamp;
use serde::Serialize;

use super::{Claim, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Quarantine};
use crate::name::{ComponentName, Revision, Version};
use crate::registry::known;
use crate::request::check_text;
use crate::snapshot::SnapshotInfo;
use crate::target::HistoryQuery;

/// How many states are searched for an identity.
const SEARCHED: usize = 100;

/// Whether a version may be shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Admission {
    /// Whether it may.
    pub allowed: bool,
    /// The states that are known by this name. None: nothing is known of it, which forbids nothing.
    pub states: Vec<SnapshotInfo>,
    /// Why it must not be shipped.
    pub quarantine: Vec<Quarantine>,
}

impl Engine {
    /// Whether what people call `name` (a revision, a version, or eight digits of an identity and more) may be shipped
    /// to a component: everything may that is not under quarantine. A new revision of the very content that is counts
    /// as the same.
    ///
    /// # Errors
    ///
    /// What could not be read: then nothing is known, and whoever asks must decide.
    pub async fn admits(&self, component: &ComponentName, name: &str) -> Result<Admission> {
        let ledger = self.ledger(component).await?;
        let states = self.called(component, &ledger, name).await?;
        let mut quarantine = ledger.quarantined().await?;
        let same = |entry: &Quarantine| states.iter().any(|state| state.identity == entry.identity);
        quarantine.retain(|entry| entry.is_called(name) || same(entry));
        Ok(Admission { allowed: quarantine.is_empty(), states, quarantine })
    }

    /// Puts every state that people call `name` under quarantine. What stands there now: what was there already keeps its
    /// first reason.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when nothing is known by this name.
    pub async fn quarantine(
        &self,
        component: &ComponentName,
        name: &str,
        reason: &str,
        by: Option<&str>,
    ) -> Result<Vec<Quarantine>> {
        check_text("reason", Some(reason))?;
        check_text("name", by)?;
        let (ledger, by) = (self.ledger(component).await?, self.word(component, by).await?);
        let states = self.called(component, &ledger, name).await?;
        if states.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("put {name:?} under quarantine"),
                format!("no state of {component} is called that"),
            )
            .next(format!("rollback history {component} lists what there is")));
        }
        let now = self.context.clock.now();
        for state in &states {
            ledger.quarantine(&Quarantine::of(state, reason, by.clone(), now)).await?;
        }
        let mut standing = ledger.quarantined().await?;
        standing.retain(|entry| states.iter().any(|state| state.identity == entry.identity));
        Ok(standing)
    }

    /// Lifts every quarantine that people call `name`. What was lifted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when nothing of this name is under quarantine, with what is.
    pub async fn lift_quarantine(
        &self,
        component: &ComponentName,
        name: &str,
        reason: &str,
        by: Option<&str>,
    ) -> Result<Vec<Quarantine>> {
        check_text("reason", Some(reason))?;
        check_text("name", by)?;
        let (ledger, by) = (self.ledger(component).await?, self.word(component, by).await?);
        let (mut found, others): (Vec<_>, Vec<_>) =
            ledger.quarantined().await?.into_iter().partition(|entry| entry.is_called(name));
        if found.is_empty() {
            let error = Error::new(
                ErrorKind::NotFound,
                format!("lift the quarantine of {name:?}"),
                format!("nothing of {component} under quarantine is called that"),
            );
            let labels: Vec<_> = others.iter().map(|entry| entry.label.as_str()).collect();
            return Err(match labels.as_slice() {
                [] => error.next("rollback quarantine list shows what is under quarantine"),
                _ => error.next(known("states under quarantine", name, labels)),
            });
        }
        let now = self.context.clock.now();
        for entry in &found {
            ledger.lift(entry.identity, reason, by.clone(), now).await?;
        }
        found.sort_by_key(|entry| entry.at);
        Ok(found)
    }

    /// The states that people call `name`: the backend's and those of our own records.
    async fn called(
        &self,
        component: &ComponentName,
        ledger: &Ledger,
        name: &str,
    ) -> Result<Vec<SnapshotInfo>> {
        let target = self.context.target(component)?;
        let mut states = Vec::new();
        let mut queries = vec![HistoryQuery::newest(SEARCHED)];
        // Older than the part of the history that is searched for identities: asked for by name.
        queries.extend(Revision::new(name).ok().map(HistoryQuery::revision));
        queries.extend(Version::new(name).ok().map(HistoryQuery::version));
        for query in queries {
            let found = target.history(&query).await?;
            states.extend(found.into_iter().map(|entry| entry.snapshot.info));
        }
        states.extend(ledger.deployments().await?.into_iter().map(|record| record.snapshot.info));
        states.retain(|state| is_called(state, name));
        let mut seen = std::collections::BTreeSet::new();
        states.retain(|state| seen.insert((state.identity, state.revision.clone())));
        Ok(states)
    }

    /// Whose word it is: the one named, else the backend's signed-in identity, else user and host.
    async fn word(&self, component: &ComponentName, by: Option<&str>) -> Result<String> {
        match by {
            Some(by) => Ok(by.to_owned()),
            None => {
                let caller = self.context.target(component)?.info().await?.caller;
                Ok(caller.unwrap_or_else(|| self.context.leasing.holder.person()))
            }
        }
    }
}

fn is_called(state: &SnapshotInfo, name: &str) -> bool {
    state.label() == name
        || state.revision.as_str() == name
        || state.version.as_ref().is_some_and(|version| version.as_str() == name)
        || state.identity.begins_with(name)
}

/// Nothing is good and under quarantine at once.
pub(super) async fn clear(
    component: &ComponentName,
    ledger: &Ledger,
    info: &SnapshotInfo,
    claim: &Claim,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let quarantined = ledger.quarantined().await?;
    match quarantined.iter().find(|entry| entry.identity == info.identity) {
        Some(_) if claim.lift_quarantine => {
            ledger.lift(info.identity, "said to be good", by, now).await.map(drop)
        }
        Some(entry) => Err(Error::new(
            ErrorKind::Refused,
            format!("record {} as good", info.label()),
            format!("it is under quarantine: {}", entry.describe()),
        )
        .next(format!("if that is over, say so: rollback record {component} --good --lift-quarantine"))),
        None => Ok(()),
    }
}
