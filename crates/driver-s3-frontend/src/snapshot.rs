//! What a site can be put back to.

use jiff::Timestamp;
use rollback_core::document::decode_exact;
use rollback_core::{
    Artifact, Digest, Document, Error, ErrorKind, Identity, Result, Revision, Snapshot, SnapshotInfo, Version,
};
use serde::{Deserialize, Serialize};

use crate::names::{Bucket, Prefix, Release};
use crate::sum::{Sum, Totals};

/// Where the objects of a release are to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// Copies of them are in the archive.
    Archive(Release),
    /// They are versions of what is served: those that were current at this time.
    Versions(Timestamp),
    /// They are versions of what is served: those that this manifest names.
    Manifest(Digest),
}

/// One state of a site: which objects it has, with which contents.
///
/// It holds no list of them: a site may have a million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SiteSnapshot {
    /// The bucket.
    pub bucket: Bucket,
    /// What of the bucket is served.
    pub live: Prefix,
    /// What a person calls it: the beginning of its identity.
    pub revision: Revision,
    /// The digest of its keys, sizes and contents.
    pub identity: Identity,
    /// How many objects it has.
    pub objects: u64,
    /// How many bytes they have together.
    pub bytes: u64,
    /// When its newest object was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// Where its objects are to be had, best first; empty where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

impl SiteSnapshot {
    /// The release in the archive that it is a copy of.
    #[must_use]
    pub fn release(&self) -> Option<&Release> {
        self.sources.iter().find_map(|source| match source {
            Source::Archive(release) => Some(release),
            Source::Versions(_) | Source::Manifest(_) => None,
        })
    }

    /// When it was served, as far as the versions of its objects were read.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.sources.iter().find_map(|source| match source {
            Source::Versions(at) => Some(*at),
            Source::Archive(_) | Source::Manifest(_) => None,
        })
    }

    /// The manifest that names its versions, as far as one is known.
    #[must_use]
    pub fn manifest(&self) -> Option<Digest> {
        self.sources.iter().find_map(|source| match source {
            Source::Manifest(digest) => Some(*digest),
            Source::Archive(_) | Source::Versions(_) => None,
        })
    }

    /// A state with these contents.
    pub(crate) fn new(bucket: Bucket, live: Prefix, sum: &Sum) -> Result<Self> {
        let (identity, Totals { objects, bytes }) = (sum.identity(), sum.totals());
        let revision = Revision::new(identity.short())?;
        Ok(Self { bucket, live, revision, identity, objects, bytes, made_at: None, sources: Vec::new() })
    }

    /// The same place with other contents.
    pub(crate) fn of(mut self, identity: Identity, objects: u64, bytes: u64) -> Result<Self> {
        self.revision = Revision::new(identity.short())?;
        (self.identity, self.objects, self.bytes) = (identity, objects, bytes);
        Ok(self)
    }

    /// What must be there for it to be put back: its copy, wherever that is.
    pub(crate) fn artifact(&self) -> Artifact {
        Artifact::new("release", self.identity.to_string())
    }

    fn check(&self) -> Result<()> {
        if self.identity.short() == self.revision.as_str() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "read a site's snapshot", "it is not what it is called"))
    }
}

impl Document for SiteSnapshot {
    const SCHEMA: &'static str = "s3-site/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        let snapshot: Self = decode_exact(schema, body)?;
        snapshot.check()?;
        Ok(snapshot)
    }
}

impl Snapshot for SiteSnapshot {
    fn info(&self) -> SnapshotInfo {
        let mut info = SnapshotInfo::new(self.revision.clone(), self.identity);
        info.version = self.release().and_then(|release| Version::new(release.as_str()).ok());
        info.made_at = self.made_at;
        info.artifacts = vec![self.artifact()];
        info
    }

    /// Where a copy of it is, a look at what is live does not know.
    fn recall(&mut self, recorded: &Self) {
        self.made_at = self.made_at.or(recorded.made_at);
        let new = recorded.sources.iter().filter(|source| !self.sources.contains(source));
        let new: Vec<_> = new.cloned().collect();
        self.sources.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn site() -> SiteSnapshot {
        SiteSnapshot {
            bucket: Bucket::new("shop-site").unwrap(),
            live: Prefix::new("live/").unwrap(),
            revision: Revision::new(Digest::of_bytes(b"v1").short()).unwrap(),
            identity: Identity(Digest::of_bytes(b"v1")),
            objects: 3,
            bytes: 12,
            made_at: None,
            sources: vec![Source::Archive(Release::new("v1").unwrap())],
        }
    }

    #[test]
    fn documents_that_were_altered_are_refused() {
        let written = serde_json::to_value(site()).unwrap();
        assert_eq!(SiteSnapshot::decode(SiteSnapshot::SCHEMA, written.clone()).unwrap(), site());
        for (at, value) in [
            ("/revision", json!("v2")),
            ("/bucket", json!("../other")),
            ("/live", json!("live")),
            ("/sources/0/archive", json!("../v1")),
        ] {
            let mut wrong = written.clone();
            *wrong.pointer_mut(at).unwrap() = value;
            assert!(SiteSnapshot::decode(SiteSnapshot::SCHEMA, wrong).is_err(), "{at}");
        }
    }

    #[test]
    fn what_only_a_record_knows_is_taken_over() {
        let mut seen = site();
        let mut recorded = site();
        recorded.made_at = Some("2026-11-22T03:00:00Z".parse().unwrap());
        seen.sources.clear();
        seen.recall(&recorded);
        assert_eq!(seen, recorded);
    }
}
