//! What a target can be put back to: one release.

use std::fmt;

use jiff::Timestamp;
use rollback_core::document::decode_exact;
use rollback_core::error::quoted;
use rollback_core::snapshot::{Snapshot, SnapshotInfo};
use rollback_core::{Artifact, Digest, Document, Error, ErrorKind, Identity, Result, Revision, Version};
use serde::{Deserialize, Serialize};

/// The name of a folder under the releases folder, safe to put into a path and to show.
///
/// One plain path component: no `/`, no leading `.` (temporary and hidden folders), no leading `-` (a name that
/// a command would take for an option), nothing that hides on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseName(Revision);

impl ReleaseName {
    /// Parses a name that came from outside.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a name that is not safe to use.
    pub fn new(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Invalid, "use a release", format!("{} {why}", quoted(text)))
                .next("release names are plain folder names, like v42 or 2026-11-21_1830")
        };
        if text.contains('/') || text.starts_with(['.', '-']) {
            return Err(wrong("is not a release name"));
        }
        Revision::new(text).map(Self).map_err(|_| wrong("is not a printable release name"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for ReleaseName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<ReleaseName> for String {
    fn from(name: ReleaseName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One release: its name, and a digest of everything in it.
///
/// The file list is not kept: plans and journals do not grow with the number of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalRelease {
    /// The folder's name.
    pub name: ReleaseName,
    /// Paths, kinds, executable bits, contents and link targets. Not times, not owners, not the name.
    pub digest: Digest,
    /// How many regular files.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
    /// When the folder was last modified.
    pub made_at: Timestamp,
    /// The first few symlinks that lead out of the release: what they point to is not covered by the digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<String>,
}

impl Document for LocalRelease {
    const SCHEMA: &'static str = "local-release/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Snapshot for LocalRelease {
    fn info(&self) -> SnapshotInfo {
        let info = SnapshotInfo::new(self.name.0.clone(), Identity(self.digest))
            .with_made_at(self.made_at)
            .with_artifact(Artifact::new("release", self.name.as_str()));
        // Teams name the folder by the version; `version=v42` then finds it too.
        match Version::new(self.name.as_str()) {
            Ok(version) => info.with_version(version),
            Err(_) => info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_release_names_are_refused_with_advice() {
        for text in [
            "../../etc",
            "..",
            ".",
            "",
            "-rf",
            ".tmp",
            "a/b",
            "/etc",
            "a\nb",
            "\u{1b}[2J",
            "v1 ",
            "safe\u{202e}x",
        ] {
            let error = ReleaseName::new(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
            assert!(error.next_step().is_some(), "{text:?}");
            assert!(serde_json::from_value::<ReleaseName>(text.into()).is_err(), "{text:?}");
        }
        assert_eq!(ReleaseName::new("2026-11-21_1830").unwrap().as_str(), "2026-11-21_1830");
    }
}
