//! The store: a compare-and-set key-value space of four methods, on which all memory is built.

mod documents;
mod memory;
mod records;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub(crate) use self::documents::Filed;
pub use self::memory::MemoryStore;
pub use self::records::{Record, Records, Written};
use crate::error::{Error, ErrorKind, Result, quoted};

/// The largest value that a store takes, in bytes: one mebibyte. A larger one is refused with
/// [`ErrorKind::Invalid`], and nothing of it is written.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Refuses a value that is larger than [`MAX_VALUE_BYTES`]. `operation` completes "cannot …".
///
/// # Errors
///
/// [`ErrorKind::Invalid`]; the value is not quoted.
pub fn check_value(operation: &str, value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("the value has {} bytes; {MAX_VALUE_BYTES} is the most", value.len());
    Err(Error::new(ErrorKind::Invalid, operation, message)
        .next("keep large content elsewhere and store a reference and a digest"))
}

/// Where runs, journals, heads and deployment records are kept.
///
/// # Contract
///
/// - A `put` that answers [`Put::Stored`] is durable: it survives a crash of this process and of the machine.
/// - Conditions are exact under any number of writers: of many `put`s with the same condition, one wins.
/// - `get` and `list` see every `put` that was answered before they were called.
/// - An error of `put` and `delete` says what became of the write ([`Effect`](crate::Effect)); core settles an
///   unknown one by reading back, since each value carries a nonce.
/// - Values are opaque bytes, up to [`MAX_VALUE_BYTES`]. Errors never quote them.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What sort of store it is. No I/O.
    fn info(&self) -> StoreInfo;

    /// The value under `key` with its version, if there is one.
    async fn get(&self, key: &Key) -> Result<Option<Versioned>>;

    /// Writes `value` under `key` if `condition` holds.
    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put>;

    /// At most `limit` keys that begin with `prefix` and come after `after`, in byte order.
    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>>;

    /// Removes `key` if it still has `version`. Removing what is not there is no conflict.
    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete>;
}

/// What sort of store it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Where it is, without secrets: `sqlite:/var/lib/rollback/state.db`.
    pub url: String,
    /// Whether operators on other machines see the same: a lease in a machine-local store protects from nobody
    /// else.
    pub shared: bool,
}

impl StoreInfo {
    /// A store at `url`.
    pub fn new(url: impl Into<String>, shared: bool) -> Self {
        Self { url: url.into(), shared }
    }
}

/// A key: segments of letters, digits, `.`, `_`, `-`, joined by `/`; at most 512 bytes. No segment begins with
/// a dot, so a store may use keys as paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// What keys begin with: whole segments, ending in `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(String);

fn check_key(text: &str) -> Result<()> {
    let segment = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if text.len() <= 512 && text.split('/').all(segment) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "use a store key", format!("{} is not a store key", quoted(text))))
}

impl Key {
    /// Parses a key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when it breaks the rules above.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        check_key(&text)?;
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segment after the last `/`.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl KeyPrefix {
    /// Parses a prefix, with or without its closing `/`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when it breaks the rules of keys.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        check_key(text)?;
        Ok(Self(format!("{text}/")))
    }

    /// The text, ending in `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `key` begins with it.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }

    /// The key `segment` under this prefix.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the segment breaks the rules of keys.
    pub fn key(&self, segment: impl fmt::Display) -> Result<Key> {
        Key::new(format!("{}{segment}", self.0))
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A store's own version of one value: a row version, an ETag. Never the same for two writes of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreVersion(String);

impl StoreVersion {
    /// A version from whatever the store uses.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes.
    pub value: Vec<u8>,
    /// Their version.
    pub version: StoreVersion,
}

/// What must hold for a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no value.
    Absent,
    /// The value still has this version.
    Version(StoreVersion),
    /// Nothing: write in any case.
    Any,
}

/// What became of a `put`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Written, durable, under this version.
    Stored(StoreVersion),
    /// The condition did not hold; nothing was written.
    Conflict,
}

/// What became of a `delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// It is gone.
    Gone,
    /// It has another version; nothing was removed.
    Conflict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_safe_as_paths() {
        for text in ["", "/a", "a/", "a//b", "a/../b", ".hidden", "a b", "a\\b", "é", &"k".repeat(513)] {
            assert!(Key::new(text).is_err(), "{text:?}");
        }
        let prefix = KeyPrefix::new("runs/").unwrap();
        assert!(prefix.covers(&Key::new("runs/1").unwrap()));
        assert!(!prefix.covers(&Key::new("runs2/1").unwrap()));
        assert!(prefix.key("../x").is_err());
    }
}
