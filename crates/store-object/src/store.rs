//! The store itself: the four methods as conditional writes of objects.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error as Cause, GetOptions, ObjectStore, PutMode, PutPayload, PutResult, UpdateVersion};
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned, check_value,
};
use rollback_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::OnceCell;

use crate::envelope::{self, Content, Nonce, SMALLEST, Tag};
use crate::error::{Access, Failing};
use crate::exact;
use crate::location::{Bucket, Provider};
use crate::watch::{Answer, watched};

/// How often a key may come and go between two looks at it before a call gives up.
const ROUNDS: u32 = 8;

/// A [`Store`] in object storage, shared by all machines. Clones share their connections; see the
/// [crate](crate) for what it promises.
#[derive(Clone)]
pub struct BucketStore {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) bucket: Bucket,
    pub(crate) objects: Arc<dyn ObjectStore>,
    exact: OnceCell<()>,
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketStore").field("bucket", &self.shared.bucket).finish_non_exhaustive()
    }
}

/// What is under a key.
enum Held {
    Nothing,
    Tombstone(Tag),
    Value { nonce: Nonce, tag: Tag, value: Vec<u8> },
}

impl BucketStore {
    /// A store over a ready-made client: one with credentials that this crate cannot find, or in memory for tests.
    /// `objects` must be the whole bucket, without a prefix.
    ///
    /// The client must send each write once. One that repeats a write whose answer was lost meets its own write and
    /// reports a conflict with nobody: build it with `RetryConfig { max_retries: 0, .. }`, and with time-outs. What
    /// became of a write that failed is told as *unknown* unless the client says that it was refused.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use object_store::memory::InMemory;
    /// use rollback_store_object::BucketStore;
    ///
    /// let store = BucketStore::over("s3://bucket/prod".parse()?, Arc::new(InMemory::new()));
    /// # let _ = store;
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn over(bucket: Bucket, objects: Arc<dyn ObjectStore>) -> Self {
        Self { shared: Arc::new(Shared { bucket, objects, exact: OnceCell::new() }) }
    }

    /// Where it is.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.shared.bucket
    }

    fn operation(&self, verb: &str, what: impl fmt::Display, preposition: &str) -> String {
        format!("{verb} {what} {preposition} the store {}", self.shared.bucket)
    }
}

impl Shared {
    fn path(&self, key: &Key) -> Path {
        Path::from(self.bucket.object(key))
    }

    /// What the server compares: the ETag, and on Google Cloud Storage the generation.
    fn tag(&self, e_tag: Option<&str>, version: Option<&str>) -> Option<Tag> {
        Tag::new(if self.bucket.provider() == Provider::Google { version? } else { e_tag? })
    }

    fn update(&self, tag: &Tag) -> PutMode {
        let text = Some(tag.as_str().to_owned());
        PutMode::Update(if self.bucket.provider() == Provider::Google {
            UpdateVersion { e_tag: None, version: text }
        } else {
            UpdateVersion { e_tag: text, version: None }
        })
    }

    async fn look(&self, path: &Path, failing: Failing<'_>) -> Result<Held> {
        let get = async {
            let found = self.objects.get_opts(path, GetOptions::default()).await?;
            let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
            Ok((e_tag, version, found.bytes().await?))
        };
        let (e_tag, version, bytes) = match watched(get).await {
            (Ok(found), _) => found,
            (Err(Cause::NotFound { .. }), seen) if seen.answer().is_none_or(Answer::is_no_object) => {
                return Ok(Held::Nothing);
            }
            (Err(cause), seen) => return Err(failing.call(&cause, &seen)),
        };
        let tag = self.tag(e_tag.as_deref(), version.as_deref()).ok_or_else(|| no_tag(failing))?;
        match Content::read(&bytes) {
            Content::Live { nonce, value } => Ok(Held::Value { nonce, tag, value }),
            Content::Gone => Ok(Held::Tombstone(tag)),
            Content::Newer => Err(failing
                .error(ErrorKind::Unsupported, "a newer version of the program wrote it")
                .next("use a version as new as the newest one that uses this store")),
            Content::Foreign => Err(failing
                .error(ErrorKind::Corrupt, "the object was not written by a store")
                .next(format!("see who wrote {path} in the bucket; a store wants a folder of its own"))),
        }
    }

    /// Writes an object on a condition. `None` when the condition does not hold.
    async fn write(
        &self,
        path: &Path,
        bytes: Vec<u8>,
        mode: PutMode,
        failing: Failing<'_>,
    ) -> Result<Option<PutResult>> {
        let creates = mode == PutMode::Create;
        let put = self.objects.put_opts(path, PutPayload::from(bytes), mode.into());
        let (cause, seen) = match watched(put).await {
            (Ok(written), _) => return Ok(Some(written)),
            (Err(cause), seen) => (cause, seen),
        };
        let answer = seen.answer();
        let refused = match &cause {
            // "There is no such object" refuses an update as well; no such bucket, or no such page, is another matter.
            Cause::Precondition { .. } => {
                answer.is_none_or(|answer| answer.status != 404 || answer.is_no_object())
            }
            Cause::AlreadyExists { .. } => creates && !answer.is_some_and(Answer::is_busy),
            _ => false,
        };
        if refused { Ok(None) } else { Err(failing.call(&cause, &seen)) }
    }

    /// Writes where there is no value: nothing at all, or a tombstone.
    async fn create(&self, path: &Path, bytes: &[u8], failing: Failing<'_>) -> Result<Option<PutResult>> {
        let mut mode = PutMode::Create;
        for _ in 0..ROUNDS {
            if let Some(written) = self.write(path, bytes.to_vec(), mode, failing).await? {
                return Ok(Some(written));
            }
            mode = match self.look(path, Failing { access: Access::Read, ..failing }).await? {
                Held::Value { .. } => return Ok(None),
                Held::Tombstone(tag) => self.update(&tag),
                Held::Nothing => PutMode::Create,
            };
        }
        Err(failing.busy())
    }

    /// Before the first write: a server that ignores conditions is worse than none.
    async fn ready(&self, failing: Failing<'_>) -> Result<()> {
        self.exact.get_or_try_init(|| exact::check(self, failing)).await.map(drop)
    }
}

fn no_tag(failing: Failing<'_>) -> Error {
    failing
        .error(ErrorKind::Unsupported, "the server gives no version that could be compared")
        .next("use a bucket whose server gives strong ETags, with nothing in between that weakens them")
}

#[async_trait]
impl Store for BucketStore {
    fn info(&self) -> StoreInfo {
        StoreInfo::new(self.shared.bucket.to_string(), true)
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        let operation = self.operation("read", key, "from");
        let failing = Failing { operation: &operation, bucket: &self.shared.bucket, access: Access::Read };
        Ok(match self.shared.look(&self.shared.path(key), failing).await? {
            Held::Nothing | Held::Tombstone(_) => None,
            Held::Value { nonce, tag, value } => {
                Some(Versioned { value, version: envelope::version(&nonce, &tag) })
            }
        })
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        let operation = self.operation("write", key, "to");
        check_value(&operation, value)?;
        let shared = &*self.shared;
        let failing = Failing { operation: &operation, bucket: &shared.bucket, access: Access::Write };
        shared.ready(failing).await?;
        let (path, nonce) = (shared.path(key), Nonce::new());
        let bytes = envelope::live(&nonce, value);
        let written = match condition {
            Condition::Absent => shared.create(&path, &bytes, failing).await?,
            Condition::Any => shared.write(&path, bytes, PutMode::Overwrite, failing).await?,
            Condition::Version(version) => match Tag::of(version) {
                Some(tag) => shared.write(&path, bytes, shared.update(&tag), failing).await?,
                // No write of ours ever had it.
                None => None,
            },
        };
        let Some(written) = written else { return Ok(Put::Conflict) };
        let tag = shared.tag(written.e_tag.as_deref(), written.version.as_deref());
        let tag = tag.ok_or_else(|| no_tag(failing).with_effect(Effect::Applied))?;
        Ok(Put::Stored(envelope::version(&nonce, &tag)))
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let operation = self.operation("list", prefix, "in");
        let shared = &*self.shared;
        let failing = Failing { operation: &operation, bucket: &shared.bucket, access: Access::Read };
        let begin = shared.bucket.objects(prefix);
        let folder = Path::from(begin.trim_end_matches('/'));
        let pages = match after {
            // What comes before the folder is no limit; "start after" something elsewhere is not the same to all servers.
            Some(after) if prefix.covers(after) => {
                shared.objects.list_with_offset(Some(&folder), &shared.path(after))
            }
            Some(after) if after.as_str() > prefix.as_str() => return Ok(Vec::new()),
            _ => shared.objects.list(Some(&folder)),
        };
        let collect = async {
            let (mut pages, mut found) = (pages, Vec::new());
            // Pages are fetched as they are needed, also past a run of tombstones: a short answer means the end.
            while found.len() < limit {
                let Some(object) = pages.try_next().await? else { break };
                let key = shared.bucket.key(object.location.as_ref()).filter(|_| object.size >= SMALLEST);
                found.extend(key.filter(|key| prefix.covers(key) && after.is_none_or(|after| key > after)));
            }
            Ok(found)
        };
        match watched(collect).await {
            (Ok(keys), _) if keys.is_sorted() => Ok(keys),
            (Ok(_), _) => Err(failing
                .error(ErrorKind::Unsupported, "the server does not list objects in byte order")
                .next("use a bucket whose server does; directory buckets do not")),
            (Err(cause), seen) => Err(failing.call(&cause, &seen)),
        }
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        let operation = self.operation("delete", key, "from");
        let shared = &*self.shared;
        let failing = Failing { operation: &operation, bucket: &shared.bucket, access: Access::Write };
        let path = shared.path(key);
        if let Some(tag) = Tag::of(version) {
            shared.ready(failing).await?;
            let tombstone = envelope::gone(&Nonce::new());
            if shared.write(&path, tombstone, shared.update(&tag), failing).await?.is_some() {
                return Ok(Delete::Gone);
            }
        }
        match shared.look(&path, Failing { access: Access::Read, ..failing }).await? {
            Held::Nothing | Held::Tombstone(_) => Ok(Delete::Gone),
            Held::Value { .. } => Ok(Delete::Conflict),
        }
    }
}
