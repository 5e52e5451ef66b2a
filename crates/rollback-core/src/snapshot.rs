//! Snapshots: one state that a target can be put back to.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::document::{Document, Envelope};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Revision, Version};

/// The content digest of what a strategy puts back: equal if and only if restoring one gives the other.
///
/// It leaves out names that change on re-registering (ARN, revision number), and covers *exactly* what a
/// strategy promises to restore. State that merely belongs to it has a digest of its own:
/// [`SnapshotInfo::coupled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub Digest);

impl Identity {
    /// The identity of some content, by its canonical form.
    ///
    /// # Errors
    ///
    /// When the content cannot be written as JSON.
    pub fn of<T: Serialize + ?Sized>(content: &T) -> Result<Self> {
        Digest::of(content).map(Self)
    }

    /// Twelve hex digits for tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.short()
    }

    /// Whether `text` is the beginning of it, with or without `sha256:`, and at least eight digits long.
    ///
    /// ```
    /// let identity = rollback_core::Identity::of("v1")?;
    /// assert!(identity.begins_with(&identity.short()) && identity.begins_with(&identity.to_string()));
    /// assert!(!identity.begins_with(&identity.short()[..7]));
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn begins_with(&self, text: &str) -> bool {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        digits.len() >= 8 && self.0.hex().starts_with(&digits.to_ascii_lowercase())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that must still exist for a snapshot to be restorable: an image, a release folder, a secret version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is: `image`, `directory`, `secret-version`.
    pub kind: String,
    /// Where it is, without secrets.
    pub name: String,
}

impl Artifact {
    /// An artifact of `kind` at `name`.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

/// What a snapshot says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// What a person types to name it.
    pub revision: Revision,
    /// Image tag or commit, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// When it was made (not when it ran), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// What must still exist for it to be restorable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What is put back, as a digest.
    pub identity: Identity,
    /// The digest of state that belongs to it and is put back by named actions, or reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupled: Option<Digest>,
}

impl SnapshotInfo {
    /// The least a snapshot can say.
    #[must_use]
    pub fn new(revision: Revision, identity: Identity) -> Self {
        Self { revision, version: None, made_at: None, artifacts: Vec::new(), identity, coupled: None }
    }

    /// Adds the version.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Adds when it was made.
    #[must_use]
    pub fn with_made_at(mut self, made_at: Timestamp) -> Self {
        self.made_at = Some(made_at);
        self
    }

    /// Adds something that must exist.
    #[must_use]
    pub fn with_artifact(mut self, artifact: Artifact) -> Self {
        self.artifacts.push(artifact);
        self
    }

    /// Adds the digest of the coupled state.
    #[must_use]
    pub fn with_coupled(mut self, coupled: Digest) -> Self {
        self.coupled = Some(coupled);
        self
    }

    /// Revision and version as one text: `42 (abc123d)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.version {
            Some(version) if version.as_str() != self.revision.as_str() => {
                format!("{} ({version})", self.revision)
            }
            _ => self.revision.to_string(),
        }
    }
}

/// One state a target can be put back to, as a driver's own type.
///
/// # Contract
///
/// `info` is computed from the content alone, the same each time and on each machine: envelopes are checked
/// against it when they are read back. What could not be read (a missing permission) is kept as unknown, never as
/// absent. A large snapshot carries a digest, counts and a reference: plans and journals do not grow with the
/// number of objects.
pub trait Snapshot: Document {
    /// Revision, version, artifacts and identity.
    fn info(&self) -> SnapshotInfo;

    /// Takes over what only an earlier record of the same state knows: coupled state as it was then, digests of images whose
    /// tags have moved since. A history read from the backend seldom knows that. Identity and revision stay.
    ///
    /// A driver whose history knows all that its records know has nothing to do here.
    fn recall(&mut self, recorded: &Self) {
        let _ = recorded;
    }
}

/// A snapshot as core handles it: what it says about itself, and the driver's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRecord {
    /// What it says about itself.
    pub info: SnapshotInfo,
    /// The driver's own document.
    pub document: Envelope,
}

impl SnapshotRecord {
    /// Records a driver's snapshot.
    ///
    /// # Errors
    ///
    /// When the snapshot cannot be written as JSON.
    pub fn seal<S: Snapshot>(snapshot: &S) -> Result<Self> {
        Ok(Self { info: snapshot.info(), document: Envelope::seal(snapshot)? })
    }

    /// With what a record of the same state knows more.
    ///
    /// # Errors
    ///
    /// When one of them is not a snapshot of this driver.
    pub(crate) fn recalling<S: Snapshot>(&self, recorded: &Self) -> Result<Self> {
        let mut snapshot: S = self.open()?;
        snapshot.recall(&recorded.open()?);
        let recalled = Self::seal(&snapshot)?;
        if (recalled.info.identity, &recalled.info.revision) != (self.info.identity, &self.info.revision) {
            let what = "what a record knows more changed what the state is";
            return Err(Error::new(ErrorKind::Invalid, "read the history", what)
                .next("this is a fault of the driver: report it"));
        }
        Ok(recalled)
    }

    /// Gives the driver its snapshot back, checked again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when the document no longer says what the record says: somebody edited one of
    /// them.
    pub fn open<S: Snapshot>(&self) -> Result<S> {
        let snapshot: S = self.document.open()?;
        let info = snapshot.info();
        if info.identity != self.info.identity || info.revision != self.info.revision {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("read snapshot {:?}", self.info.revision),
                format!(
                    "its document is {} with identity {}, its record says {}",
                    info.revision,
                    info.identity.short(),
                    self.info.identity.short()
                ),
            )
            .next("it was altered after it was written; plan again"));
        }
        Ok(snapshot)
    }
}
