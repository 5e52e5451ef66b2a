//! What an object holds: one readable line, then the value.
//!
//! ```text
//! rollback-store/1 5f0c2c0a8e5e4a0d9f6f3f0c1f2b7a61
//! …the bytes of the value…
//! ```
//!
//! The nonce makes each write's content its own. The ETag of an object is often a digest of its content: without a
//! nonce two writes of equal bytes had equal ETags, and a version must never come back.
//!
//! A deleted key keeps an object, a *tombstone*: `rollback-gone/1`, with a nonce as well, so that also its ETag is its
//! own. It is one byte shorter than the smallest value, by which a listing knows it.

use rollback_core::name::{Entropy, SystemEntropy};
use rollback_core::store::StoreVersion;

const LIVE: &str = "rollback-store/1 ";
const GONE: &str = "rollback-gone/1 ";
/// What the first line of every format begins with, of this one and of later ones.
const FAMILY: [&str; 2] = ["rollback-store/", "rollback-gone/"];
const NONCE: usize = 32;

/// The size of the smallest object that holds a value. Whatever is smaller does not.
pub(crate) const SMALLEST: u64 = (LIVE.len() + NONCE + 1) as u64;
const _: () = assert!(GONE.len() < LIVE.len());

/// A random name for one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonce(String);

impl Nonce {
    pub(crate) fn new() -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(SystemEntropy.bytes())))
    }

    fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == NONCE && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }
}

/// What an object says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is a value.
    Live { nonce: Nonce, value: Vec<u8> },
    /// The key was deleted.
    Gone,
    /// A later format wrote it.
    Newer,
    /// Somebody else wrote it.
    Foreign,
}

impl Content {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let nonce = |rest: &[u8]| Nonce::parse(std::str::from_utf8(rest.get(..NONCE)?).ok()?);
        if let Some(rest) = bytes.strip_prefix(LIVE.as_bytes()) {
            let value = rest.get(NONCE..).and_then(|rest| rest.strip_prefix(b"\n"));
            return match (nonce(rest), value) {
                (Some(nonce), Some(value)) => Self::Live { nonce, value: value.to_vec() },
                _ => Self::Foreign,
            };
        }
        if let Some(rest) = bytes.strip_prefix(GONE.as_bytes()) {
            let whole = nonce(rest).is_some() && &rest[NONCE..] == b"\n";
            return if whole { Self::Gone } else { Self::Foreign };
        }
        let numbered = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_digit);
        let ours = FAMILY.iter().filter_map(|family| bytes.strip_prefix(family.as_bytes())).any(numbered);
        if ours { Self::Newer } else { Self::Foreign }
    }
}

/// The object for a value.
pub(crate) fn live(nonce: &Nonce, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LIVE.len() + NONCE + 1 + value.len());
    bytes.extend_from_slice(LIVE.as_bytes());
    bytes.extend_from_slice(nonce.0.as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(value);
    bytes
}

/// The object for a key that was deleted.
pub(crate) fn gone(nonce: &Nonce) -> Vec<u8> {
    format!("{GONE}{}\n", nonce.0).into_bytes()
}

/// The version that callers see: the nonce of the write and what the server compares, joined by a dot.
pub(crate) fn version(nonce: &Nonce, tag: &Tag) -> StoreVersion {
    StoreVersion::new(format!("{}.{}", nonce.0, tag.0))
}

/// What the server compares for a conditional write: a strong ETag or, on Google Cloud Storage, a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// Only what can stand for exactly one write: neither `*` nor a list, which match others as well, nor a weak ETag,
    /// which matches nothing.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'*');
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        (!inner.is_empty() && inner.bytes().all(plain) && !text.starts_with("W/"))
            .then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag in a version, if the version can be one of ours.
    pub(crate) fn of(version: &StoreVersion) -> Option<Self> {
        let (nonce, tag) = version.as_str().split_once('.')?;
        Nonce::parse(nonce)?;
        Self::new(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [b"".as_slice(), b"\n", b"rollback-gone/1 ", &[0, 255]] {
            let nonce = Nonce::new();
            let bytes = live(&nonce, value);
            assert!(bytes.len() as u64 >= SMALLEST);
            assert_eq!(Content::read(&bytes), Content::Live { nonce, value: value.to_vec() });
        }
        let bytes = gone(&Nonce::new());
        assert!((bytes.len() as u64) < SMALLEST);
        assert_eq!(Content::read(&bytes), Content::Gone);
    }

    #[test]
    fn whatever_else_is_there_is_not_taken_for_a_value() {
        let nonce = "0".repeat(32);
        for text in ["", "{}", "rollback-store/1 ", "rollback-store/1 abc\nx", "rollback-store/"] {
            assert_eq!(Content::read(text.as_bytes()), Content::Foreign, "{text:?}");
        }
        for text in [format!("rollback-store/1 {nonce}"), format!("rollback-gone/1 {nonce}\nmore")] {
            assert_eq!(Content::read(text.as_bytes()), Content::Foreign, "{text:?}");
        }
        for text in ["rollback-store/2 x\n", "rollback-gone/17 x"] {
            assert_eq!(Content::read(text.as_bytes()), Content::Newer, "{text:?}");
        }
    }

    #[test]
    fn only_a_tag_of_one_write_is_taken_from_a_version() {
        let nonce = "0".repeat(32);
        for tag in ["\"abc\"", "0x8D", "17"] {
            assert!(Tag::of(&StoreVersion::new(format!("{nonce}.{tag}"))).is_some(), "{tag}");
        }
        for tag in ["*", "\"*\"", "", "\"\"", "\"a\",\"b\"", "\"a\" ", " \"a\"", "W/\"a\"", "a\nb", "\"a"] {
            assert!(Tag::of(&StoreVersion::new(format!("{nonce}.{tag}"))).is_none(), "{tag}");
        }
        for text in ["\"abc\"", "1", "", ".\"a\""] {
            assert!(Tag::of(&StoreVersion::new(text)).is_none(), "{text}");
        }
    }
}
