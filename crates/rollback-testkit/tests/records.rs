//! Records settle lost answers of a store by their nonce, and wait out what passes, in virtual time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::name::SystemEntropy;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, MemoryStore, Put, Records, Store, StoreInfo, StoreVersion, Versioned,
    Written,
};
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{Effect, Error, ErrorKind, Result};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing: it is answered.
    Answered,
    /// The request is lost on its way, and the caller cannot tell.
    LostBefore,
    /// It is done, and the answer is lost.
    LostAfter,
    /// It is done and the answer lost, and another writer replaces the value at once.
    LostAfterAndReplaced,
    /// The answer is lost, and the request lands when the next write comes in, just before that.
    LandsLate,
    /// The store asks to come back later, before doing anything.
    Busy,
    /// The store refuses for good.
    Denied,
    /// Nothing comes back for five seconds, and the caller cannot tell.
    Silent,
}

/// A store whose answers get lost as two scripts say, one for reads and one for writes.
#[derive(Debug, Default)]
struct Lossy {
    inner: MemoryStore,
    reads: Mutex<VecDeque<Fault>>,
    writes: Mutex<VecDeque<Fault>>,
    late: Mutex<Option<(Key, Vec<u8>, Condition)>>,
    puts: Mutex<u32>,
}

fn next(script: &Mutex<VecDeque<Fault>>) -> Fault {
    script.lock().unwrap().pop_front().unwrap_or(Fault::Answered)
}

fn lost() -> Error {
    Error::new(ErrorKind::Timeout, "ask the store", "the answer was lost")
}

fn busy() -> Error {
    Error::new(ErrorKind::Unavailable, "ask the store", "it is busy").with_effect(Effect::None)
}

async fn silence<T>(clock: TokioClock) -> Result<T> {
    clock.sleep(Duration::from_secs(5)).await;
    Err(lost())
}

fn denied() -> Error {
    Error::new(ErrorKind::Denied, "ask the store", "not for you")
}

#[async_trait]
impl Store for Lossy {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("lossy:", false)
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        match next(&self.reads) {
            Fault::Answered => self.inner.get(key).await,
            Fault::Busy => Err(busy()),
            Fault::Denied => Err(denied()),
            Fault::Silent => silence(TokioClock::starting_at(Timestamp::UNIX_EPOCH)).await,
            _ => Err(lost()),
        }
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        *self.puts.lock().unwrap() += 1;
        let late = self.late.lock().unwrap().take();
        if let Some((key, value, condition)) = late {
            self.inner.put(&key, &value, &condition).await?;
        }
        match next(&self.writes) {
            Fault::Answered => self.inner.put(key, value, condition).await,
            Fault::LostBefore => Err(lost()),
            Fault::LostAfter => {
                self.inner.put(key, value, condition).await?;
                Err(lost())
            }
            Fault::LostAfterAndReplaced => {
                self.inner.put(key, value, condition).await?;
                self.inner.put(key, THEIRS, &Condition::Any).await?;
                Err(lost())
            }
            Fault::LandsLate => {
                *self.late.lock().unwrap() = Some((key.clone(), value.to_vec(), condition.clone()));
                Err(lost())
            }
            Fault::Busy => Err(busy()),
            Fault::Denied => Err(denied()),
            Fault::Silent => silence(TokioClock::starting_at(Timestamp::UNIX_EPOCH)).await,
        }
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        match next(&self.reads) {
            Fault::Answered => self.inner.list(prefix, after, limit).await,
            _ => Err(busy()),
        }
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        match next(&self.writes) {
            Fault::Answered => self.inner.delete(key, version).await,
            Fault::LostAfter => {
                self.inner.delete(key, version).await?;
                Err(lost())
            }
            _ => Err(busy()),
        }
    }
}

const THEIRS: &[u8] = br#"{"nonce":"theirs","body":"theirs"}"#;

struct World {
    store: Arc<Lossy>,
    records: Records,
    clock: TokioClock,
    key: Key,
}

impl World {
    fn new(writes: &[Fault], reads: &[Fault]) -> Self {
        let store = Arc::new(Lossy {
            writes: Mutex::new(writes.iter().copied().collect()),
            reads: Mutex::new(reads.iter().copied().collect()),
            ..Lossy::default()
        });
        let clock = TokioClock::starting_at(Timestamp::UNIX_EPOCH);
        let records = Records::new(store.clone(), Arc::new(clock), Arc::new(SystemEntropy));
        Self { store, records, clock, key: Key::new("heads/web").unwrap() }
    }

    async fn put(&self, condition: &Condition) -> Result<Written> {
        self.records.put(&self.key, &"ours".to_owned(), condition).await
    }

    async fn value(&self) -> Option<String> {
        self.records.get(&self.key).await.unwrap().map(|record| record.value)
    }

    async fn version(&self) -> StoreVersion {
        self.store.inner.get(&self.key).await.unwrap().unwrap().version
    }

    fn puts(&self) -> u32 {
        *self.store.puts.lock().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_landing_is_settled_without_writing_again() {
    let world = World::new(&[Fault::LostAfter], &[]);
    let written = world.put(&Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Stored(world.version().await));
    assert_eq!(world.puts(), 1);
    assert_eq!(world.value().await.as_deref(), Some("ours"));
}

#[tokio::test(start_paused = true)]
async fn a_request_lost_before_landing_is_sent_again() {
    for lost in 1..=4_usize {
        let world = World::new(&vec![Fault::LostBefore; lost], &[]);
        let written = world.put(&Condition::Absent).await.unwrap();
        assert_eq!(written, Written::Stored(world.version().await));
        assert_eq!(world.puts() as usize, lost + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lands_late_is_recognised_as_ours() {
    // The second try meets a conflict: with our own first one.
    let world = World::new(&[Fault::LandsLate], &[]);
    let written = world.put(&Condition::Absent).await.unwrap();
    assert_eq!(written, Written::Stored(world.version().await));
    assert_eq!(world.puts(), 2);
    assert_eq!(world.value().await.as_deref(), Some("ours"));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_somebody_else_is_not_mistaken_for_ours() {
    for faults in [&[][..], &[Fault::LostBefore], &[Fault::LostAfter], &[Fault::Busy]] {
        let world = World::new(faults, &[]);
        world.store.inner.put(&world.key, THEIRS, &Condition::Absent).await.unwrap();
        assert_eq!(world.put(&Condition::Absent).await.unwrap(), Written::Conflict, "{faults:?}");
        assert_eq!(world.value().await.as_deref(), Some("theirs"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_whose_value_was_replaced_at_once_never_overwrites() {
    let world = World::new(&[Fault::LostAfterAndReplaced], &[]);
    world.put(&Condition::Absent).await.unwrap();
    assert_eq!(world.value().await.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn a_version_condition_survives_a_lost_answer() {
    let world = World::new(&[Fault::Answered, Fault::LostAfter, Fault::LandsLate], &[]);
    let Written::Stored(first) = world.put(&Condition::Absent).await.unwrap() else { panic!("a conflict") };
    let second = world.put(&Condition::Version(first.clone())).await.unwrap();
    assert_eq!(second, Written::Stored(world.version().await));
    assert_eq!(world.put(&Condition::Version(first)).await.unwrap(), Written::Conflict);
}

#[tokio::test(start_paused = true)]
async fn reading_back_is_patient() {
    let world = World::new(&[Fault::LostAfter], &[Fault::Busy, Fault::LostBefore, Fault::Busy]);
    assert!(matches!(world.put(&Condition::Absent).await.unwrap(), Written::Stored(_)));
    assert_eq!(world.puts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_cannot_be_read_back_stays_unknown() {
    for read in [Fault::Denied, Fault::Busy] {
        let world = World::new(&[Fault::LostAfter], &[read; 6]);
        let error = world.put(&Condition::Absent).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{error}");
        assert_eq!(world.puts(), 1, "an unknown write must not be sent again before it was read back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_loses_everything_leaves_the_effect_unknown() {
    let world = World::new(&[Fault::LostBefore; 10], &[]);
    let error = world.put(&Condition::Absent).await.unwrap_err();
    assert_eq!((error.effect(), error.kind()), (Effect::Unknown, ErrorKind::Timeout));
    assert_eq!(world.puts(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_is_waited_for_with_growing_pauses() {
    let world = World::new(&[Fault::Busy; 5], &[]);
    assert!(matches!(world.put(&Condition::Absent).await.unwrap(), Written::Stored(_)));
    assert_eq!(world.clock.monotonic(), Duration::from_millis(50 + 100 + 200 + 400 + 800));
    let world = World::new(&[Fault::Busy; 6], &[]);
    let error = world.put(&Condition::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert_eq!(world.value().await, None);
}

/// A person waits for this, and a lease runs out meanwhile.
#[tokio::test(start_paused = true)]
async fn a_silent_store_is_told_after_two_tries() {
    let world = World::new(&[Fault::Silent; 6], &[Fault::Silent; 60]);
    let error = world.records.get::<String>(&world.key).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown));
    assert_eq!(world.clock.monotonic(), Duration::from_millis(10_050));
    let error = world.put(&Condition::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.effect(), world.puts()), (ErrorKind::Timeout, Effect::Unknown, 1));
    // One write, and two looks whether it landed.
    assert_eq!(world.clock.monotonic(), Duration::from_millis(10_050 + 15_050));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_answered_at_once() {
    let world = World::new(&[Fault::Denied], &[]);
    let error = world.put(&Condition::Absent).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::None));
    assert_eq!((world.puts(), world.clock.monotonic()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_stays_unknown() {
    let world = World::new(&[Fault::LandsLate, Fault::Denied], &[]);
    let error = world.put(&Condition::Absent).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "the first request landed after all: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_was_lost_is_done() {
    let world = World::new(&[Fault::Answered, Fault::LostAfter, Fault::Busy], &[]);
    let Written::Stored(version) = world.put(&Condition::Absent).await.unwrap() else { panic!("a conflict") };
    assert!(world.records.delete(&world.key, &version).await.unwrap());
    assert_eq!(world.value().await, None);
}

#[tokio::test(start_paused = true)]
async fn keys_come_page_by_page_however_many() {
    let world = World::new(&[], &[Fault::Busy, Fault::Answered, Fault::Busy]);
    let prefix = KeyPrefix::new("journal").unwrap();
    let mut expected = Vec::new();
    for number in 0..1_201 {
        let key = prefix.key(format!("{number:05}")).unwrap();
        world.store.inner.put(&key, THEIRS, &Condition::Absent).await.unwrap();
        expected.push(key);
    }
    assert_eq!(world.records.keys(&prefix).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_record_is_corrupt_and_never_quoted() {
    let world = World::new(&[], &[]);
    world.store.inner.put(&world.key, b"hunter2 is no record", &Condition::Absent).await.unwrap();
    let error = world.records.get::<String>(&world.key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}
