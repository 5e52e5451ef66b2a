//! What a state holds, kept encrypted, so that it can be put back when its backend has forgotten it.
//!
//! A snapshot says by digests what a state was. That is enough as long as the backend still has the state itself: a revision, an
//! image. It is not when the history was pruned, when the thing was deleted, or when configuration was changed in place. For those
//! an installation may choose to keep contents: with a key of its own ([`ContentsKey`]), each recorded deployment is kept with what
//! the driver says it takes to make the state again ([`KeepsContents`]). Without a key nothing is kept.
//!
//! Contents may hold secrets. They are encrypted before they reach a store, are bound to their target and state, and are decrypted
//! only for the step that names them. Plans, journals and reports hold no more than a [`Kept`].

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::document::{Document, Envelope};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::target_segment;
use crate::name::{Entropy, TargetId};
use crate::snapshot::Identity;
use crate::store::{Filed, KeyPrefix, Records};
use crate::target::Target;

/// Where contents are kept.
pub(crate) const SPACE: &str = "contents";
/// How many bytes a nonce has.
const NONCE: usize = 24;

/// What it takes to make a state again, as a driver's document, hidden from everything that prints.
#[derive(Clone, PartialEq)]
pub struct Contents(Envelope);

impl Contents {
    /// Hides a document.
    ///
    /// # Errors
    ///
    /// As [`Envelope::seal`].
    pub fn new<D: Document>(document: &D) -> Result<Self> {
        Envelope::seal(document).map(Self)
    }

    /// The document.
    ///
    /// # Errors
    ///
    /// As [`Document::decode`].
    pub fn open<D: Document>(&self) -> Result<D> {
        self.0.open()
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("schema", &self.0.schema).finish_non_exhaustive()
    }
}

/// A target whose states can be made again from their contents. Bind it with
/// [`Bound::keeping_contents`](crate::Bound::keeping_contents).
///
/// # Contract
///
/// The contents belong to the very state that is asked for: when what is there is another one by now, that is
/// [`ErrorKind::Stale`], and never somebody else's contents. What must not be kept (a Secret's values) is left out, and named
/// where a person will look for it.
#[async_trait]
pub trait KeepsContents: Target {
    /// What is kept. It may hold values in the clear: core encrypts it before it is written anywhere.
    type Contents: Document;

    /// Reads what it takes to make `snapshot`, which rests on the target now, again. `None`: there is nothing that the snapshot
    /// itself does not say.
    ///
    /// # Errors
    ///
    /// What could not be read. Nothing is kept then.
    async fn contents(&self, snapshot: &Self::Snapshot) -> Result<Option<Self::Contents>>;
}

/// The key that contents are encrypted with.
///
/// Whoever has it and the store can read what is kept. Losing it loses nothing but the ways back that need contents.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentsKey {
    key: [u8; 32],
    id: String,
}

impl ContentsKey {
    /// The key that is made of an installation's secret.
    ///
    /// ```
    /// use rollback_core::contents::ContentsKey;
    /// assert!(ContentsKey::new(b"0123456789abcdef0123456789abcdef").is_ok());
    /// assert!(ContentsKey::new(b"hunter2").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for fewer than 32 bytes: what is kept could be read by trying.
    pub fn new(secret: &[u8]) -> Result<Self> {
        if secret.len() < 32 {
            let why = format!("it has {} bytes", secret.len());
            return Err(Error::new(ErrorKind::Invalid, "use the key of kept contents", why)
                .next("use at least 32 random bytes, like those of `openssl rand -hex 32`"));
        }
        let purpose = [b"rollback contents/1 ".as_slice(), secret].concat();
        let key: [u8; 32] = Sha256::digest(&purpose).into();
        // A digest of the key that tells keys apart and does not help to find it.
        let id = Digest::of_bytes(&[b"id ".as_slice(), &key].concat()).hex()[..8].to_owned();
        Ok(Self { key, id })
    }

    /// Which key it is, without giving it away.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }
}

impl fmt::Debug for ContentsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentsKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys of an installation: one that new contents are encrypted with, and earlier ones that still open what they closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentsKeys {
    newest: ContentsKey,
    earlier: Vec<ContentsKey>,
}

impl ContentsKeys {
    /// One key.
    #[must_use]
    pub fn new(newest: ContentsKey) -> Self {
        Self { newest, earlier: Vec::new() }
    }

    /// Adds a key that was used before.
    #[must_use]
    pub fn or(mut self, earlier: ContentsKey) -> Self {
        self.earlier.push(earlier);
        self
    }

    fn named(&self, id: &str) -> Option<&ContentsKey> {
        std::iter::once(&self.newest).chain(&self.earlier).find(|key| key.id == id)
    }
}

/// Names contents that are kept, without holding any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    filed: Filed,
    /// Of which target, as its keys name it.
    target: String,
    /// Of which state.
    identity: Identity,
    /// Under which key.
    key: String,
    /// How many bytes they are, decrypted.
    bytes: usize,
}

impl Kept {
    /// How many bytes they are, decrypted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Which state they are of.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where they are.
    pub(crate) fn place(&self) -> &str {
        self.filed.at().as_str()
    }
}

/// What the encryption is bound to: contents of one target or state are not taken for another's.
fn bound_to(target: &str, identity: Identity) -> String {
    format!("rollback contents/1 {target} {identity}")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    nonce: String,
    text: String,
}

fn hidden(operation: &str, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, operation.to_owned(), why.to_owned())
        .next("they cannot be used; choose a way that does not need them")
}

/// Encrypts contents and writes them. They are found again by what this gives, so that goes into a record afterwards.
pub(crate) async fn keep(
    records: &Records,
    keys: &ContentsKeys,
    entropy: &dyn Entropy,
    now: Timestamp,
    (target, identity): (&TargetId, Identity),
    contents: &Contents,
) -> Result<Kept> {
    let plain = serde_json::to_vec(&contents.0).map_err(|error| {
        Error::new(ErrorKind::Invalid, "keep contents", "they are not JSON").with_source(error)
    })?;
    let segment = target_segment(target);
    let (one, two) = (entropy.bytes(), entropy.bytes());
    let mut nonce = [0; NONCE];
    nonce[..16].copy_from_slice(&one);
    nonce[16..].copy_from_slice(&two[..NONCE - 16]);
    let place = KeyPrefix::new(&format!("{SPACE}/{segment}"))?;
    let name = format!("{:015}-{}", now.as_millisecond().max(0), Digest::of_bytes(&nonce).short());
    let bound_to = bound_to(&segment, identity);
    let payload = Payload { msg: &plain, aad: bound_to.as_bytes() };
    let sealed = keys.newest.cipher().encrypt(&XNonce::from(nonce), payload);
    let sealed =
        sealed.map_err(|_| Error::new(ErrorKind::Other, "keep contents", "they cannot be encrypted"))?;
    let sealed = Sealed { nonce: STANDARD.encode(nonce), text: STANDARD.encode(sealed) };
    let text = serde_json::to_string(&sealed).map_err(|error| {
        Error::new(ErrorKind::Invalid, "keep contents", "they are not JSON").with_source(error)
    })?;
    let filed = records.file(place.key(name)?, &text).await?;
    Ok(Kept { filed, target: segment, identity, key: keys.newest.id.clone(), bytes: plain.len() })
}

/// Reads contents back and decrypts them: those of this target and no other.
pub(crate) async fn recall(
    records: &Records,
    keys: Option<&ContentsKeys>,
    target: &TargetId,
    kept: &Kept,
) -> Result<Contents> {
    let operation = "read kept contents";
    if kept.target != target_segment(target) {
        return Err(hidden(operation, "they belong to another target"));
    }
    let key = keys.and_then(|keys| keys.named(&kept.key)).ok_or_else(|| {
        let why = format!("they were encrypted with key {}, which is not configured", kept.key);
        Error::new(ErrorKind::Denied, operation, why)
            .next("configure that key as the key of contents, or among the earlier ones")
    })?;
    let sealed: Sealed = serde_json::from_str(&records.filed(&kept.filed).await?)
        .map_err(|_| hidden(operation, "they are not what was written"))?;
    let decoded =
        |text: &str| STANDARD.decode(text).map_err(|_| hidden(operation, "they are not what was written"));
    let nonce: [u8; NONCE] =
        decoded(&sealed.nonce)?.try_into().map_err(|_| hidden(operation, "they are not what was written"))?;
    let (sealed, bound_to) = (decoded(&sealed.text)?, bound_to(&kept.target, kept.identity));
    let payload = Payload { msg: &sealed, aad: bound_to.as_bytes() };
    let plain = key
        .cipher()
        .decrypt(&XNonce::from(nonce), payload)
        .map_err(|_| hidden(operation, "they were altered, or belong to another state"))?;
    let envelope =
        serde_json::from_slice(&plain).map_err(|_| hidden(operation, "they are not what was written"))?;
    Ok(Contents(envelope))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::document::decode_exact;
    use crate::name::SystemEntropy;
    use crate::store::{Condition, Key, MemoryStore, Store as _};
    use crate::time::SystemClock;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Files(Value);

    impl Document for Files {
        const SCHEMA: &'static str = "files/1";

        fn decode(schema: &str, body: Value) -> Result<Self> {
            decode_exact(schema, body)
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    struct Place {
        store: MemoryStore,
        records: Records,
        target: TargetId,
    }

    impl Place {
        fn new() -> Self {
            let store = MemoryStore::new();
            let records =
                Records::new(Arc::new(store.clone()), Arc::new(SystemClock), Arc::new(SystemEntropy));
            Self { store, records, target: TargetId::new("toy:web").unwrap() }
        }

        async fn keep(&self, keys: &ContentsKeys, identity: Identity) -> Kept {
            let contents = Contents::new(&Files(json!({ "password": "hunter2 hunter2" }))).unwrap();
            let of = (&self.target, identity);
            keep(&self.records, keys, &SystemEntropy, NOW, of, &contents).await.unwrap()
        }

        async fn everything(&self) -> String {
            let mut all = String::new();
            for key in self.records.keys(&KeyPrefix::new(SPACE).unwrap()).await.unwrap() {
                let found = self.store.get(&key).await.unwrap().unwrap();
                all.push_str(&String::from_utf8_lossy(&found.value));
            }
            all
        }
    }

    fn key(last: u8) -> ContentsKey {
        ContentsKey::new(&[[7; 31].as_slice(), &[last]].concat()).unwrap()
    }

    fn identity(what: &str) -> Identity {
        Identity::of(what).unwrap()
    }

    #[tokio::test]
    async fn they_come_back_and_are_nowhere_in_the_clear() {
        let (place, keys) = (Place::new(), ContentsKeys::new(key(1)));
        let kept = place.keep(&keys, identity("v1")).await;
        let back = recall(&place.records, Some(&keys), &place.target, &kept).await.unwrap();
        assert_eq!(back.open::<Files>().unwrap().0["password"], "hunter2 hunter2");
        let stored =
            place.everything().await + &serde_json::to_string(&kept).unwrap() + &format!("{back:?} {keys:?}");
        assert!(
            !stored.contains("hunter2") && !stored.contains(&STANDARD.encode("hunter2 hunter2")),
            "{stored}"
        );
        // The same contents again are other bytes: nobody sees that nothing changed.
        let again = place.keep(&keys, identity("v1")).await;
        assert_ne!(again.filed, kept.filed);
    }

    #[tokio::test]
    async fn earlier_keys_still_open_and_others_are_named() {
        let place = Place::new();
        let kept = place.keep(&ContentsKeys::new(key(1)), identity("v1")).await;
        let rotated = ContentsKeys::new(key(2)).or(key(1));
        assert!(recall(&place.records, Some(&rotated), &place.target, &kept).await.is_ok());
        for keys in [None, Some(&ContentsKeys::new(key(2)))] {
            let error = recall(&place.records, keys, &place.target, &kept).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.to_string().contains(key(1).id()), "{error}");
        }
    }

    #[tokio::test]
    async fn contents_of_something_else_are_refused() {
        let (place, keys) = (Place::new(), ContentsKeys::new(key(1)));
        let kept = place.keep(&keys, identity("v1")).await;
        let other = TargetId::new("toy:db").unwrap();
        let renamed = Kept { target: target_segment(&other), ..kept.clone() };
        let state = Kept { identity: identity("v2"), ..kept.clone() };
        for (target, kept) in [(&other, &kept), (&other, &renamed), (&place.target, &state)] {
            let error = recall(&place.records, Some(&keys), target, kept).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[tokio::test]
    async fn a_changed_byte_is_noticed() {
        let (place, keys) = (Place::new(), ContentsKeys::new(key(1)));
        let kept = place.keep(&keys, identity("v1")).await;
        let part = place.records.keys(&KeyPrefix::new(SPACE).unwrap()).await.unwrap().remove(0);
        let text = place.records.get::<String>(&part).await.unwrap().unwrap().value;
        let mut sealed: Sealed = serde_json::from_str(&text).unwrap();
        let mut bytes = STANDARD.decode(&sealed.text).unwrap();
        bytes[3] ^= 1;
        sealed.text = STANDARD.encode(bytes);
        // Also when whoever changed it can change the record that names it.
        let at = Key::new("contents/elsewhere").unwrap();
        let filed = place.records.file(at, &serde_json::to_string(&sealed).unwrap()).await.unwrap();
        let error = recall(&place.records, Some(&keys), &place.target, &Kept { filed, ..kept.clone() }).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
        place.records.put(&part, &"x", &Condition::Any).await.unwrap();
        let error = recall(&place.records, Some(&keys), &place.target, &kept).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
