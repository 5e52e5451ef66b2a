//! Documents of any size, in values of bounded size.

use serde::{Deserialize, Serialize};

use super::{Condition, Key, KeyPrefix, Records, Written};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// How many bytes of a document one value holds. Text doubles at worst when it is quoted as JSON once more, so
/// that each value stays well under what a store takes.
const PART: usize = 256 * 1024;

/// How many parts a document may have: a gibibyte. Whoever reads a record that says more does not believe it.
const MOST_PARTS: usize = 4_096;

/// Where a document is. Whoever holds this knows what the document says: its digest is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filed {
    at: Key,
    parts: usize,
    digest: Digest,
}

impl Filed {
    /// Where it is.
    pub(crate) fn at(&self) -> &Key {
        &self.at
    }
}

impl Records {
    /// Writes a text under `at`, where nothing was written before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] where something was; else the store's.
    pub(crate) async fn file(&self, at: Key, text: &str) -> Result<Filed> {
        let space = KeyPrefix::new(at.as_str())?;
        if text.len() / PART >= MOST_PARTS {
            let wrong = Error::new(ErrorKind::Invalid, format!("write {at}"), "it is larger than a gibibyte");
            return Err(wrong.next("take fewer components at once"));
        }
        let mut parts = 0;
        for part in split(text) {
            let key = part_key(&space, parts)?;
            if self.put(&key, &part, &Condition::Absent).await? == Written::Conflict {
                let wrong = Error::new(ErrorKind::Conflict, format!("write {key}"), "something is there");
                return Err(wrong.next("try again"));
            }
            parts += 1;
        }
        Ok(Filed { at, parts, digest: Digest::of_bytes(text.as_bytes()) })
    }

    /// Reads back what [`file`](Self::file) wrote.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when parts are missing or it is not what was written; else the store's.
    pub(crate) async fn filed(&self, filed: &Filed) -> Result<String> {
        let broken = |what: &str| {
            Error::new(ErrorKind::Corrupt, format!("read {} from {}", filed.at, self.info().url), what)
                .next("it cannot be trusted; keep a copy of the store before changing it")
        };
        if filed.parts > MOST_PARTS {
            return Err(broken("its record names more parts than any document has"));
        }
        let space = KeyPrefix::new(filed.at.as_str())?;
        let keys: Vec<_> = (0..filed.parts).map(|number| part_key(&space, number)).collect::<Result<_>>()?;
        let mut text = String::new();
        for part in self.get_all::<String>(&keys).await? {
            text.push_str(&part.ok_or_else(|| broken("a part of it is missing"))?.value);
        }
        if Digest::of_bytes(text.as_bytes()) != filed.digest {
            return Err(broken("it is not what was written"));
        }
        Ok(text)
    }
}

fn part_key(space: &KeyPrefix, number: usize) -> Result<Key> {
    space.key(format!("{number:06}"))
}

/// Pieces of at most [`PART`] bytes that together are `text`.
fn split(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = (0..=PART.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        let (part, rest) = text.split_at(end.unwrap_or(text.len()));
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::name::SystemEntropy;
    use crate::store::{MemoryStore, Store};
    use crate::time::SystemClock;

    fn place() -> (Records, Key, MemoryStore) {
        let store = MemoryStore::new();
        let records = Records::new(Arc::new(store.clone()), Arc::new(SystemClock), Arc::new(SystemEntropy));
        (records, Key::new("documents/one").unwrap(), store)
    }

    #[tokio::test]
    async fn documents_of_any_size_come_back() {
        for text in ["", "short", &"é\"".repeat(PART / 2), &"x".repeat(3 * PART)] {
            let (records, at, store) = place();
            let filed = records.file(at, text).await.unwrap();
            assert_eq!(records.filed(&filed).await.unwrap(), text);
            for key in records.keys(&KeyPrefix::new("documents").unwrap()).await.unwrap() {
                assert!(store.get(&key).await.unwrap().unwrap().value.len() < 1 << 20, "{key}");
            }
        }
    }

    #[tokio::test]
    async fn a_part_that_is_gone_or_changed_is_noticed() {
        let text = "a".repeat(2 * PART);
        for change in [None, Some("b")] {
            let (records, at, store) = place();
            let filed = records.file(at, &text).await.unwrap();
            let key = Key::new("documents/one/000001").unwrap();
            match change {
                Some(other) => {
                    records.put(&key, &other, &Condition::Any).await.unwrap();
                }
                None => {
                    let version = store.get(&key).await.unwrap().unwrap().version;
                    records.delete(&key, &version).await.unwrap();
                }
            }
            let error = records.filed(&filed).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[tokio::test]
    async fn a_record_that_names_parts_without_end_is_not_believed() {
        let (records, at, _) = place();
        let filed = records.file(at, "short").await.unwrap();
        let error = records.filed(&Filed { parts: usize::MAX, ..filed }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn nothing_is_written_over() {
        let (records, at, _) = place();
        records.file(at.clone(), "mine").await.unwrap();
        assert_eq!(records.file(at, "yours").await.unwrap_err().kind(), ErrorKind::Conflict);
    }
}
