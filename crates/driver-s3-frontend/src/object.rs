//! One object: what a listing says of it, what is in it, and what a browser is told with it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result, checked_text};
use serde::{Deserialize, Serialize};

use crate::names::Key;

checked_text! {
    /// An entity tag, without its quotes.
    ETag, |text| {
        let fits = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let refused = || Error::new(ErrorKind::Corrupt, "read an entity tag", format!("{} is none", quoted(text)));
        fits.then_some(()).ok_or_else(refused)
    }
}

impl ETag {
    /// Reads one as S3 sends it: `"9b2cf535f27731c974343645a3985328"`, with its quotes or without.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when it is empty or holds what no header may hold.
    pub(crate) fn read(sent: &str) -> Result<Self> {
        Self::new(sent.trim().trim_start_matches("W/").trim_matches('"'))
    }

    /// The MD5 of the content, if this looks like one. Those of multipart uploads end in the number of their parts. An object that
    /// is encrypted with a KMS key has a tag of the same form that says nothing of its content: two of these are never equal, so
    /// that nothing is left out for it.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>
    pub(crate) fn md5(&self) -> Option<&str> {
        // Every object is asked, and nearly all of them have one: all bytes are looked at, without a way out in between.
        let odd = |byte: u8| u8::from(!byte.is_ascii_hexdigit());
        let digits = self.0.len() == 32 && self.0.bytes().fold(0, |any, byte| any | odd(byte)) == 0;
        digits.then_some(self.as_str())
    }

    /// In how many parts an object with such a tag was uploaded, unless that was in one piece.
    pub(crate) fn parts(&self) -> Option<u64> {
        self.0.rsplit_once('-')?.1.parse().ok()
    }
}

checked_text! {
    /// The id of one version of an object, or of a delete marker: opaque, at most 1,024 bytes. What was written before versioning was
    /// switched on has the id `null`.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html>
    VersionId, |text| {
        let fits = (1..=1024).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        let refused = || Error::new(ErrorKind::Corrupt, "read the id of a version", format!("{} is none", quoted(text)));
        fits.then_some(()).ok_or_else(refused)
    }
}

/// How a checksum of a whole object was made. Those of parts, put together, are as good as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-1: good enough to tell two builds apart, and chosen by old tools.
    Sha1,
    /// CRC-64/NVME, which S3 adds by itself since December 2024.
    Crc64Nvme,
}

/// What is known of an object's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// How many bytes it has.
    pub(crate) size: u64,
    /// Its entity tag.
    pub(crate) etag: Option<ETag>,
    /// Checksums of the whole object, as S3 writes them.
    pub(crate) checksums: BTreeMap<Algorithm, String>,
}

impl Content {
    /// As a listing says it.
    pub(crate) fn listed(size: u64, etag: ETag) -> Self {
        Self { size, etag: Some(etag), checksums: BTreeMap::new() }
    }

    /// Adds a checksum of the whole object.
    pub(crate) fn with_checksum(mut self, algorithm: Algorithm, value: impl Into<String>) -> Self {
        self.checksums.insert(algorithm, value.into());
        self
    }

    /// Whether both have the same bytes; `None` where that cannot be known from what was read.
    ///
    /// Equal tags mean equal bytes: they are a hash of the content, a hash of hashes, or a random number. Different tags mean different
    /// bytes only where both are a hash of the content.
    pub(crate) fn same(&self, other: &Self) -> Option<bool> {
        if self.size != other.size {
            return Some(false);
        }
        let shared = |algorithm: &Algorithm| {
            let (ours, theirs) = (self.checksums.get(algorithm)?, other.checksums.get(algorithm)?);
            Some(ours == theirs)
        };
        if let Some(equal) = self.checksums.keys().find_map(shared) {
            return Some(equal);
        }
        let (ours, theirs) = (self.etag.as_ref()?, other.etag.as_ref()?);
        if ours == theirs {
            return Some(true);
        }
        // Both may be hashes, and either may come from a KMS key: a difference is believed and costs one copy.
        (ours.md5().is_some() && theirs.md5().is_some()).then_some(false)
    }

    /// What stands for it in an identity.
    pub(crate) fn mark(&self) -> Mark<'_> {
        Mark(self)
    }
}

/// What stands for a content in an identity, for whoever writes it down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'a>(&'a Content);

impl fmt::Display for Mark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.0.etag.as_ref();
        match (tag.and_then(ETag::md5), self.0.checksums.iter().next()) {
            (Some(md5), _) if md5.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                write!(f, "md5 {}", md5.to_ascii_lowercase())
            }
            (Some(md5), _) => {
                f.write_str("md5 ")?;
                f.write_str(md5)
            }
            (None, Some((algorithm, value))) => write!(f, "{algorithm} {value}"),
            (None, None) => write!(f, "tag {}", tag.map_or("", ETag::as_str)),
        }
    }
}

/// One object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its key below the prefix that was listed.
    pub(crate) key: Key,
    /// Size and tag.
    pub(crate) content: Content,
    /// When it was written.
    pub(crate) modified: Timestamp,
    /// Where it is stored: `STANDARD` unless told otherwise.
    pub(crate) class: StorageClass,
    /// Which version it is, where versions were listed.
    pub(crate) version: Option<VersionId>,
    /// Whether an archived object can be read for a while.
    pub(crate) restore: Restore,
}

impl Listed {
    /// What a listing says.
    pub(crate) fn new(key: Key, content: Content, modified: Timestamp) -> Self {
        Self { key, content, modified, class: StorageClass::default(), version: None, restore: Restore::None }
    }

    /// Sets the storage class.
    pub(crate) fn stored(mut self, class: StorageClass) -> Self {
        self.class = class;
        self
    }

    /// Sets what became of a restore.
    pub(crate) fn restored(mut self, restore: Restore) -> Self {
        self.restore = restore;
        self
    }

    /// Sets which version it is.
    pub(crate) fn with_version(mut self, version: VersionId) -> Self {
        self.version = Some(version);
        self
    }
}

/// What nearly all objects of a site have: no text is made for each of them.
const STANDARD: &str = "STANDARD";

/// A storage class, as S3 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct StorageClass(Cow<'static, str>);

impl Default for StorageClass {
    fn default() -> Self {
        Self(Cow::Borrowed(STANDARD))
    }
}

impl TryFrom<String> for StorageClass {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<StorageClass> for String {
    fn from(class: StorageClass) -> Self {
        class.0.into_owned()
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl StorageClass {
    /// Where a copy is stored that is served: what must be restored before it can be read serves nobody, and lifecycle rules move old
    /// versions and archives there.
    pub(crate) fn served(&self) -> Self {
        if self.restored_in().is_some() { Self::default() } else { self.clone() }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when it is something else than capitals, digits and `_`.
    pub(crate) fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if text == STANDARD {
            return Ok(Self::default());
        }
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let refused =
            || Error::new(ErrorKind::Corrupt, "read a storage class", format!("{} is none", quoted(text)));
        fits.then(|| Self(Cow::Owned(text.to_owned()))).ok_or_else(refused)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How long a restore takes, for objects that must be restored first.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html>
    pub(crate) fn restored_in(&self) -> Option<&'static str> {
        match self.as_str() {
            "GLACIER" => Some("1 to 5 minutes expedited, 3 to 5 hours by default, 5 to 12 hours in bulk"),
            "DEEP_ARCHIVE" => Some("up to 12 hours by default, up to 48 hours in bulk"),
            _ => None,
        }
    }
}

/// What became of the restore of an archived object: its storage class stays what it is.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreStatus.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Restore {
    /// Nobody asked for one, or it has expired.
    #[default]
    None,
    /// It is under way.
    Underway,
    /// It is done.
    Done,
}

/// What goes with an object and must survive: browsers, caches and people rely on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Headers {
    /// `Content-Type`
    pub(crate) content_type: Option<String>,
    /// `Content-Encoding`
    pub(crate) content_encoding: Option<String>,
    /// `Content-Language`
    pub(crate) content_language: Option<String>,
    /// `Content-Disposition`
    pub(crate) content_disposition: Option<String>,
    /// `Cache-Control`
    pub(crate) cache_control: Option<String>,
    /// `Expires`, as it was written
    pub(crate) expires: Option<String>,
    /// where the website endpoint of S3 sends whoever asks for it; no copy takes that along by itself
    pub(crate) redirect: Option<String>,
    /// `x-amz-meta-…`, without that; values may be secret, and are never written down
    #[serde(skip)]
    pub(crate) metadata: BTreeMap<String, String>,
    /// how it is encrypted, where S3 was told to: `AES256`, `aws:kms`
    pub(crate) encryption: Option<String>,
    /// the ARN of the KMS key that it is encrypted with
    pub(crate) kms_key: Option<String>,
}

impl Headers {
    /// The names of those that are not the same. Of an object that S3 was not told to encrypt the bucket decides how a copy is: that is
    /// no difference which a copy could take away.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let as_told = |ours: &Option<String>, theirs| ours.is_none() || ours == theirs;
        let all = [
            ("Content-Type", self.content_type == other.content_type),
            ("Content-Encoding", self.content_encoding == other.content_encoding),
            ("Content-Language", self.content_language == other.content_language),
            ("Content-Disposition", self.content_disposition == other.content_disposition),
            ("Cache-Control", self.cache_control == other.cache_control),
            ("Expires", self.expires == other.expires),
            ("redirect", self.redirect == other.redirect),
            ("metadata", self.metadata == other.metadata),
            ("encryption", as_told(&self.encryption, &other.encryption)),
            ("KMS key", as_told(&self.kms_key, &other.kms_key)),
        ];
        all.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA256",
            Self::Sha1 => "SHA1",
            Self::Crc64Nvme => "CRC64NVME",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\"9b2cf535f27731c974343645a3985328\"";
    const OTHER: &str = "\"0cc175b9c0f1b6a831c399e269772661\"";

    fn content(size: u64, etag: &str) -> Content {
        Content::listed(size, ETag::read(etag).unwrap())
    }

    #[test]
    fn hashes_tell_contents_apart_and_other_tags_only_say_when_they_are_equal() {
        assert_eq!(content(3, ONE).same(&content(3, ONE)), Some(true));
        assert_eq!(content(3, ONE).same(&content(3, OTHER)), Some(false));
        assert_eq!(content(3, ONE).same(&content(4, ONE)), Some(false), "the size says it");
        let parts = "\"9b2cf535f27731c974343645a3985328-3\"";
        assert_eq!(
            content(3, ONE).same(&content(3, parts)),
            None,
            "the same bytes in parts have another tag"
        );
        assert_eq!(content(3, parts).same(&content(3, parts)), Some(true));
        assert_eq!(Content { size: 3, ..Content::default() }.same(&content(3, ONE)), None);
    }

    #[test]
    fn a_checksum_of_the_whole_decides_before_any_tag() {
        let parts = content(3, "\"9b2cf535f27731c974343645a3985328-3\"");
        let known = parts.clone().with_checksum(Algorithm::Crc64Nvme, "x");
        let whole = content(3, ONE).with_checksum(Algorithm::Crc64Nvme, "x");
        assert_eq!(known.same(&whole), Some(true));
        assert_eq!(known.same(&content(3, ONE).with_checksum(Algorithm::Crc64Nvme, "y")), Some(false));
        assert_eq!(
            known.same(&content(3, ONE).with_checksum(Algorithm::Sha256, "x")),
            None,
            "not comparable"
        );
        // A KMS key gives each copy a tag of its own that looks like a hash: the checksum knows better.
        let other = content(3, OTHER).with_checksum(Algorithm::Crc64Nvme, "x");
        assert_eq!(whole.same(&other), Some(true));
    }

    #[test]
    fn how_the_bucket_encrypts_what_it_was_told_nothing_of_is_no_difference() {
        let encrypted = |how: &str| Headers { encryption: Some(how.to_owned()), ..Headers::default() };
        assert!(Headers::default().differing(&encrypted("AES256")).is_empty());
        assert_eq!(encrypted("aws:kms").differing(&encrypted("AES256")), ["encryption"]);
    }

    #[test]
    fn tags_and_classes_from_outside_are_parsed() {
        assert_eq!(ETag::read("W/\"abc\"").unwrap().as_str(), "abc");
        for wrong in ["", "\"\"", "a b", "a\nb", "\"a\"b\""] {
            assert!(ETag::read(wrong).is_err(), "{wrong:?}");
        }
        let restored_in = |class: &str| StorageClass::new(class).unwrap().restored_in();
        assert!(restored_in("DEEP_ARCHIVE").is_some() && restored_in("GLACIER").is_some());
        assert_eq!(restored_in("GLACIER_IR"), None, "instant retrieval needs no restore");
        assert!(StorageClass::new("standard").is_err());
        let served = |class: &str| StorageClass::new(class).unwrap().served().as_str().to_owned();
        assert_eq!((served("DEEP_ARCHIVE"), served("ONEZONE_IA")), ("STANDARD".into(), "ONEZONE_IA".into()));
    }
}
