//! Buckets that lose answers, ignore conditions, or hold what somebody else wrote, without a network.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as Cause, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use rollback_core::name::SystemEntropy;
use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, Records, Store, Written};
use rollback_core::time::SystemClock;
use rollback_core::{Effect, ErrorKind};
use rollback_store_object::BucketStore;

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Answered,
    /// It is done, and the answer is lost.
    LostAfter,
    /// It never arrives.
    LostBefore,
    /// Another conditional write was under way.
    Busy,
    Denied,
    /// The answer has no version.
    Untagged,
}

type Which = fn(&PutMode) -> bool;

#[derive(Debug, Default)]
struct Faulty {
    inner: InMemory,
    writes: Mutex<VecDeque<Fault>>,
    /// Modes that are carried out as if there were no condition.
    ignores: Option<Which>,
    unsorted: bool,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

fn lost() -> Cause {
    Cause::Generic { store: "faulty", source: "the answer was lost <Token>hunter2</Token>".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if self.ignores.is_some_and(|ignores| ignores(&options.mode)) {
            options.mode = PutMode::Overwrite;
        }
        // The first looks at the server are not what is tested.
        let fault = match path.filename() {
            Some(".rollback-store.json") => None,
            _ => self.writes.lock().unwrap().pop_front(),
        };
        let (path_text, source) = (path.to_string(), "hunter2".into());
        match fault.unwrap_or(Fault::Answered) {
            Fault::Answered => self.inner.put_opts(path, payload, options).await,
            Fault::LostAfter => {
                self.inner.put_opts(path, payload, options).await?;
                Err(lost())
            }
            Fault::LostBefore => Err(lost()),
            Fault::Busy => Err(Cause::AlreadyExists { path: path_text, source }),
            Fault::Denied => Err(Cause::PermissionDenied { path: path_text, source: "not for you".into() }),
            Fault::Untagged => {
                let result = self.inner.put_opts(path, payload, options).await?;
                Ok(PutResult { e_tag: None, ..result })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        // A store never deletes an object: nothing would tell it that somebody wrote a new one in between.
        paths
            .map(|_| Err(Cause::NotImplemented { operation: "delete".into(), implementer: "Faulty".into() }))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        if !self.unsorted {
            return listed;
        }
        stream::once(async { listed.collect::<Vec<_>>().await })
            .flat_map(|all| stream::iter(all.into_iter().rev()))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct World {
    objects: Arc<Faulty>,
    store: BucketStore,
    key: Key,
}

impl World {
    fn new(faulty: Faulty) -> Self {
        let objects = Arc::new(faulty);
        let store = BucketStore::over("s3://bucket/prod".parse().unwrap(), objects.clone());
        Self { objects, store, key: Key::new("heads/web").unwrap() }
    }

    fn with(writes: &[Fault]) -> Self {
        Self::new(Faulty { writes: Mutex::new(writes.iter().copied().collect()), ..Faulty::default() })
    }

    fn records(&self) -> Records {
        Records::new(Arc::new(self.store.clone()), Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    async fn put(&self, condition: &Condition) -> rollback_core::Result<Put> {
        self.store.put(&self.key, b"value", condition).await
    }

    async fn object(&self, name: &str) -> String {
        let bytes = self.objects.inner.get(&Path::from(name)).await.unwrap().bytes().await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_foreign_client_that_fails_leaves_the_effect_unknown() {
    for (fault, kind, effect) in [
        (Fault::LostAfter, ErrorKind::Unavailable, Effect::Unknown),
        (Fault::LostBefore, ErrorKind::Unavailable, Effect::Unknown),
        (Fault::Denied, ErrorKind::Denied, Effect::None),
        (Fault::Untagged, ErrorKind::Unsupported, Effect::Applied),
    ] {
        for condition in [Condition::Absent, Condition::Any] {
            let world = World::with(&[fault]);
            let error = world.put(&condition).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (kind, effect), "{fault:?} {condition:?}: {error}");
            assert!(error.next_step().is_some(), "{error}");
            let told = format!("{error} {error:?} {:?}", error.to_record());
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_write_that_met_another_one_is_neither_a_conflict_nor_done() {
    let world = World::with(&[]);
    let Put::Stored(version) = world.put(&Condition::Absent).await.unwrap() else { panic!("a conflict") };
    world.objects.writes.lock().unwrap().push_back(Fault::Busy);
    let error = world.put(&Condition::Version(version.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
    assert!(error.is_transient());
    assert!(matches!(world.put(&Condition::Version(version)).await.unwrap(), Put::Stored(_)));
}

#[tokio::test]
async fn records_settle_what_was_lost() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let world = World::with(&[fault]);
        let records = world.records();
        let Written::Stored(version) = records.put(&world.key, &1, &Condition::Absent).await.unwrap() else {
            panic!("{fault:?}: a create conflicts with nobody");
        };
        world.objects.writes.lock().unwrap().push_back(fault);
        let updated = records.put(&world.key, &2, &Condition::Version(version)).await.unwrap();
        let Written::Stored(version) = updated else { panic!("{fault:?}: an update conflicts with nobody") };
        world.objects.writes.lock().unwrap().push_back(fault);
        assert!(
            records.delete(&world.key, &version).await.unwrap(),
            "{fault:?}: a delete conflicts with nobody"
        );
        assert!(world.store.get(&world.key).await.unwrap().is_none());
        // A tombstone is revived by a conditional write as well.
        world.objects.writes.lock().unwrap().extend([Fault::Answered, fault]);
        let revived = records.put(&world.key, &3, &Condition::Absent).await.unwrap();
        assert!(matches!(revived, Written::Stored(_)), "{fault:?}: a revival conflicts with nobody");
    }
}

#[tokio::test]
async fn a_server_that_ignores_a_condition_is_never_written_to() {
    let ignores: [(Which, &str); 2] = [
        (|mode| matches!(mode, PutMode::Create), "If-None-Match"),
        (|mode| matches!(mode, PutMode::Update(_)), "If-Match"),
    ];
    for (ignores, text) in ignores {
        let world = World::new(Faulty { ignores: Some(ignores), ..Faulty::default() });
        for _ in 0..2 {
            let error = world.put(&Condition::Absent).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(world.store.get(&world.key).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_tombstone_has_a_version_of_its_own() {
    let world = World::with(&[]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let Put::Stored(version) = world.put(&Condition::Absent).await.unwrap() else { panic!("a conflict") };
        assert!(seen.insert(world.object("prod/heads/web").await));
        assert_eq!(world.store.delete(&world.key, &version).await.unwrap(), Delete::Gone);
        let tombstone = world.object("prod/heads/web").await;
        assert!(tombstone.starts_with("rollback-gone/1 ") && tombstone.len() < 50, "{tombstone:?}");
        assert!(seen.insert(tombstone));
    }
}

#[tokio::test]
async fn a_value_is_readable_for_a_person_with_the_providers_own_tools() {
    let world = World::with(&[]);
    world.put(&Condition::Absent).await.unwrap();
    let object = world.object("prod/heads/web").await;
    let (head, value) = object.split_once('\n').unwrap();
    assert!(head.starts_with("rollback-store/1 "), "{head}");
    assert_eq!(value, "value");
}

#[tokio::test]
async fn what_a_later_version_wrote_is_not_touched() {
    let world = World::with(&[]);
    let path = Path::from("prod/heads/web");
    let later = format!("rollback-store/2 {} compressed\nvalue", "0".repeat(32));
    world.objects.inner.put(&path, later.clone().into()).await.unwrap();
    assert_eq!(world.store.get(&world.key).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(world.put(&Condition::Absent).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(world.object("prod/heads/web").await, later);
}

#[tokio::test]
async fn a_server_that_lists_in_no_order_is_refused() {
    let world = World::new(Faulty { unsorted: true, ..Faulty::default() });
    for name in ["runs/1", "runs/2"] {
        world.store.put(&Key::new(name).unwrap(), b"", &Condition::Absent).await.unwrap();
    }
    let error = world.store.list(&KeyPrefix::new("runs").unwrap(), None, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
