//! Deployment records with earned last-known-good, retention, and quarantine.

mod quarantine;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::quarantine::{Lifted, Quarantine};
use crate::contents::{self, Kept};
use crate::digest::Digest;
use crate::error::Result;
use crate::name::{EnvironmentName, RunId, TargetId, Version};
use crate::snapshot::{Identity, SnapshotInfo, SnapshotRecord};
use crate::store::{Condition, Key, KeyPrefix, Record, Records, StoreVersion, Written};
use crate::time::Lasting;

/// How long deployment records are kept unless told otherwise: 30 days. The newest good one is never removed.
pub const DEFAULT_RETENTION: Lasting = Lasting::from_secs(30 * 86_400);

/// What is written before the record that names it can be seen: younger than this, it is nobody's rubbish.
pub(crate) const NEVER_YOUNGER: Lasting = Lasting::from_secs(3_600);

/// One deployment of a target: what ran from when on, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Deployment {
    /// What ran.
    pub snapshot: SnapshotRecord,
    /// Since when, as far as it was seen.
    pub since: Timestamp,
    /// Who recorded it.
    pub recorded_by: String,
    /// The rollback that made it, if one did. It must earn being good again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<RunId>,
    /// Whether it was proven on every part when it was recorded.
    pub proven: bool,
    /// How it earned being called good, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<GoodMark>,
    /// The rollback that left it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_by: Option<RunId>,
    /// Its contents, where the installation keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// The commit that it was built from, where whoever recorded it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Version>,
    /// The environment that it was recorded in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Whether it still has to show that it is good, or has shown that it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

impl Deployment {
    /// A deployment that has earned nothing yet.
    #[must_use]
    pub fn new(snapshot: SnapshotRecord, since: Timestamp, recorded_by: impl Into<String>) -> Self {
        Self {
            snapshot,
            since,
            recorded_by: recorded_by.into(),
            made_by: None,
            proven: false,
            good: None,
            left_by: None,
            kept: None,
            commit: None,
            environment: None,
            trial: None,
        }
    }

    /// Whether it may be called good: it earned it, and was not rolled back from since.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.good.is_some() && self.left_by.is_none()
    }
}

/// Where a deployment is that has earned nothing yet, and was recorded so that it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trial {
    /// It is watched. What stays well through its soak is called good, and is no longer on trial.
    Pending,
    /// It was seen to be bad.
    Failed {
        /// What was seen.
        reason: String,
        /// Who saw it.
        by: String,
        /// When.
        at: Timestamp,
    },
}

/// How a deployment came to be called good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GoodMark {
    /// A person says so.
    Claimed {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It was watched and stayed healthy.
    Soaked {
        /// For how long.
        lasting: Lasting,
        /// When that was reached.
        at: Timestamp,
    },
}

impl GoodMark {
    /// In words: `soaked 15m on 2026-11-20T…`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Claimed { by, at } => format!("said to be good by {by} at {at:.0}"),
            Self::Soaked { lasting, at } => format!("watched healthy for {lasting} until {at:.0}"),
        }
    }
}

/// The records of one target.
#[derive(Debug, Clone)]
pub struct Ledger {
    records: Records,
    deployments: KeyPrefix,
    quarantine: KeyPrefix,
    lifted: KeyPrefix,
    contents: KeyPrefix,
}

/// The segment under which a target's records are kept: ids hold characters that keys cannot.
pub(crate) fn target_segment(target: &TargetId) -> String {
    Digest::of_bytes(target.as_str().as_bytes()).hex()[..32].to_owned()
}

impl Ledger {
    /// The records of `target`.
    ///
    /// # Errors
    ///
    /// Never for parsed ids; keys are checked all the same.
    pub fn new(records: Records, target: &TargetId) -> Result<Self> {
        Self::of_segment(records, &target_segment(target))
    }

    /// The records of the target whose keys have this segment.
    pub(crate) fn of_segment(records: Records, segment: &str) -> Result<Self> {
        Ok(Self {
            records,
            deployments: KeyPrefix::new(&format!("deployments/{segment}"))?,
            quarantine: KeyPrefix::new(&format!("quarantine/{segment}"))?,
            lifted: KeyPrefix::new(&format!("lifted/{segment}"))?,
            contents: KeyPrefix::new(&format!("{}/{segment}", contents::SPACE))?,
        })
    }

    /// All deployments, newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn deployments(&self) -> Result<Vec<Deployment>> {
        Ok(self.keyed_deployments().await?.into_iter().map(|(_, record)| record.value).collect())
    }

    async fn keyed_deployments(&self) -> Result<Vec<(Key, Record<Deployment>)>> {
        let keys: Vec<_> = self.records.keys(&self.deployments).await?.into_iter().rev().collect();
        let found = self.records.get_all(&keys).await?;
        // One may have been removed by somebody's clean-up since it was listed.
        Ok(keys.into_iter().zip(found).filter_map(|(key, record)| Some((key, record?))).collect())
    }

    /// The contents that are kept of a state, with its coupled state: the newest of them.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn kept(&self, info: &SnapshotInfo) -> Result<Option<Kept>> {
        let of = |record: &Deployment| {
            let found = &record.snapshot.info;
            found.identity == info.identity && (info.coupled.is_none() || found.coupled == info.coupled)
        };
        let records = self.deployments().await?;
        Ok(records.into_iter().filter(of).find_map(|record| record.kept))
    }

    /// The newest deployment that earned being good and is not under quarantine.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn last_good(&self) -> Result<Option<Deployment>> {
        let quarantined = self.quarantined().await?;
        let deployments = self.deployments().await?;
        Ok(last_good(&deployments, &quarantined).cloned())
    }

    /// Writes a deployment. Two that began in the same millisecond are both kept.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn record(&self, deployment: &Deployment) -> Result<()> {
        let millis = deployment.since.as_millisecond().max(0);
        for number in 0..1_000 {
            let key = self.deployments.key(format!("{millis:015}-{number:03}"))?;
            if let Written::Stored(_) = self.records.put(&key, deployment, &Condition::Absent).await? {
                return Ok(());
            }
        }
        Err(crate::Error::new(
            crate::ErrorKind::Conflict,
            "record the deployment",
            "a thousand deployments began in the same millisecond",
        ))
    }

    /// Changes the newest deployment of `identity`, if there is one. Whether there was.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn update(&self, identity: Identity, change: impl Fn(&mut Deployment) + Send) -> Result<bool> {
        let mut keyed = self.keyed_deployments().await?.into_iter();
        match keyed.find(|(_, record)| record.value.snapshot.info.identity == identity) {
            Some((key, _)) => self.records.modify(&key, change).await,
            None => Ok(false),
        }
    }

    /// Marks every deployment of `identity` as left by `run`: what was rolled back from is no longer good.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn mark_left(&self, identity: Identity, run: RunId) -> Result<()> {
        self.mark_all_left(|info| info.identity == identity, run).await
    }

    /// Marks every deployment of a state with this coupled state as left by `run`: the state itself stays, and what belonged to it
    /// is no longer good.
    pub(crate) async fn mark_configuration_left(&self, left: &SnapshotInfo, run: RunId) -> Result<()> {
        let is_it = |info: &SnapshotInfo| info.identity == left.identity && info.coupled == left.coupled;
        self.mark_all_left(is_it, run).await
    }

    async fn mark_all_left(&self, is_it: impl Fn(&SnapshotInfo) -> bool + Send, run: RunId) -> Result<()> {
        for (key, record) in self.keyed_deployments().await? {
            if is_it(&record.value.snapshot.info) {
                let left = |record: &mut Deployment| {
                    record.left_by.get_or_insert(run);
                };
                self.records.modify(&key, left).await?;
            }
        }
        Ok(())
    }

    /// Removes deployments older than `retention`, with their contents, but never the newest good one and never the newest of all.
    /// How many.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn clean(&self, now: Timestamp, retention: Lasting) -> Result<usize> {
        let (stale, kept) = self.stale(retention.before(now)).await?;
        let mut removed = 0;
        for (key, version) in &stale {
            removed += usize::from(self.records.delete(key, version).await?);
        }
        if removed > 0 {
            for key in self.stale_contents(&kept, now).await?.into_values().flatten() {
                self.records.remove(&key).await?;
            }
        }
        Ok(removed)
    }

    /// The parts of kept contents that no deployment names, by what they are parts of. Contents are written before the
    /// deployment that names them: very young ones are left alone.
    pub(crate) async fn stale_contents(
        &self,
        kept: &[Deployment],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Key>>> {
        let oldest = NEVER_YOUNGER.before(now).as_millisecond();
        let named: BTreeSet<_> = kept.iter().filter_map(|one| Some(one.kept.as_ref()?.place())).collect();
        let mut stale = BTreeMap::<_, Vec<_>>::new();
        for key in self.records.keys(&self.contents).await? {
            let Some((place, _)) = key.as_str().rsplit_once('/') else { continue };
            let made = place.rsplit('/').next().and_then(|name| name.split('-').next());
            let old = made.and_then(|millis| millis.parse::<i64>().ok()).is_some_and(|made| made < oldest);
            if old && !named.contains(place) {
                stale.entry(place.to_owned()).or_default().push(key);
            }
        }
        Ok(stale)
    }

    /// The deployments older than `oldest` that nothing stands on, and those that stay.
    pub(crate) async fn stale(
        &self,
        oldest: Timestamp,
    ) -> Result<(Vec<(Key, StoreVersion)>, Vec<Deployment>)> {
        let keyed = self.keyed_deployments().await?;
        let quarantined = self.quarantined().await?;
        let deployments: Vec<_> = keyed.iter().map(|(_, record)| record.value.clone()).collect();
        let good = last_good(&deployments, &quarantined).map(|good| good.since);
        let (mut stale, mut kept) = (Vec::new(), Vec::new());
        for (number, (key, record)) in keyed.into_iter().enumerate() {
            let since = record.value.since;
            if number > 0 && since < oldest && Some(since) != good {
                stale.push((key, record.version));
            } else {
                kept.push(record.value);
            }
        }
        Ok((stale, kept))
    }

    /// Everything under quarantine.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn quarantined(&self) -> Result<Vec<Quarantine>> {
        self.records.values(&self.quarantine).await
    }

    /// Puts something under quarantine. What is there already keeps its first reason.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn quarantine(&self, entry: &Quarantine) -> Result<()> {
        let key = self.quarantine.key(entry.identity.0.hex())?;
        self.records.put(&key, entry, &Condition::Absent).await?;
        Ok(())
    }

    /// Lifts a quarantine, and keeps who did it and why. Whether there was one.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn lift(
        &self,
        identity: Identity,
        reason: impl Into<String> + Send,
        by: impl Into<String> + Send,
        at: Timestamp,
    ) -> Result<bool> {
        let key = self.quarantine.key(identity.0.hex())?;
        let Some(record) = self.records.get::<Quarantine>(&key).await? else { return Ok(false) };
        let (reason, by) = (reason.into(), by.into());
        let lifted = Lifted { quarantine: record.value, by, reason, at };
        // The word first: cut off in between, the quarantine still stands and can be lifted again.
        let millis = at.as_millisecond().max(0);
        let kept = self.lifted.key(format!("{millis:015}-{}", identity.short()))?;
        self.records.put(&kept, &lifted, &Condition::Any).await?;
        self.records.delete(&key, &record.version).await
    }

    /// Every quarantine that was lifted, the oldest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn lifted(&self) -> Result<Vec<Lifted>> {
        self.records.values(&self.lifted).await
    }
}

/// The newest good deployment among these (newest first).
pub(crate) fn last_good<'a>(
    deployments: &'a [Deployment],
    quarantined: &[Quarantine],
) -> Option<&'a Deployment> {
    let left = |identity: Identity| quarantined.iter().any(|entry| entry.identity == identity);
    deployments.iter().find(|deployment| deployment.is_good() && !left(deployment.snapshot.info.identity))
}
