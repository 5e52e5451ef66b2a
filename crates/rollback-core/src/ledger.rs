//! Deployment records with earned last-known-good, retention, and quarantine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::name::{RunId, TargetId};
use crate::snapshot::{Identity, SnapshotRecord};
use crate::store::{Condition, Key, KeyPrefix, Record, Records, Written};
use crate::time::Lasting;

/// How long deployment records are kept unless told otherwise: 30 days. The newest good one is never removed.
pub const DEFAULT_RETENTION: Lasting = Lasting::from_secs(30 * 86_400);

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
        }
    }

    /// Whether it may be called good: it earned it, and was not rolled back from since.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.good.is_some() && self.left_by.is_none()
    }
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

/// A version that must not be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quarantine {
    /// What is under quarantine.
    pub identity: Identity,
    /// How people call it.
    pub label: String,
    /// Why.
    pub reason: String,
    /// Who put it there.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The run that left it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Quarantine {
    /// Puts something under quarantine.
    pub fn new(
        identity: Identity,
        label: impl Into<String>,
        reason: impl Into<String>,
        by: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        Self { identity, label: label.into(), reason: reason.into(), by: by.into(), at, run: None }
    }

    /// In words: `500s on login (by ana at 2026-11-21T…)`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} (by {} at {:.0})", self.reason, self.by, self.at)
    }
}

/// The records of one target.
#[derive(Debug, Clone)]
pub struct Ledger {
    records: Records,
    deployments: KeyPrefix,
    quarantine: KeyPrefix,
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
        let segment = target_segment(target);
        Ok(Self {
            records,
            deployments: KeyPrefix::new(&format!("deployments/{segment}"))?,
            quarantine: KeyPrefix::new(&format!("quarantine/{segment}"))?,
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
        for (key, record) in self.keyed_deployments().await? {
            if record.value.snapshot.info.identity == identity {
                let left = |record: &mut Deployment| {
                    record.left_by.get_or_insert(run);
                };
                self.records.modify(&key, left).await?;
            }
        }
        Ok(())
    }

    /// Removes deployments older than `retention`, but never the newest good one and never the newest of all. How many.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn clean(&self, now: Timestamp, retention: Lasting) -> Result<usize> {
        let oldest = retention.before(now);
        let keyed = self.keyed_deployments().await?;
        let quarantined = self.quarantined().await?;
        let deployments: Vec<_> = keyed.iter().map(|(_, record)| record.value.clone()).collect();
        let keep = last_good(&deployments, &quarantined).map(|good| good.since);
        let mut removed = 0;
        for (key, record) in keyed.iter().skip(1) {
            if record.value.since < oldest && Some(record.value.since) != keep {
                removed += usize::from(self.records.delete(key, &record.version).await?);
            }
        }
        Ok(removed)
    }

    /// Everything under quarantine.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn quarantined(&self) -> Result<Vec<Quarantine>> {
        let keys = self.records.keys(&self.quarantine).await?;
        let found = self.records.get_all::<Quarantine>(&keys).await?;
        Ok(found.into_iter().flatten().map(|record| record.value).collect())
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

    /// Lifts a quarantine. Whether there was one.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn lift(&self, identity: Identity) -> Result<bool> {
        let key = self.quarantine.key(identity.0.hex())?;
        match self.records.get::<Quarantine>(&key).await? {
            Some(record) => self.records.delete(&key, &record.version).await,
            None => Ok(false),
        }
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
