//! The suite for stores catches stores that break the contract in one way each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned,
};
use rollback_core::{Error, ErrorKind, Result};
use rollback_testkit::harness::Outcome;
use rollback_testkit::store::{StoreFixture, suite};

/// In which one way a store is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    IgnoresAbsent,
    IgnoresVersion,
    ComparesVersionsAsNumbers,
    CreatesOnVersion,
    KeepsOnAny,
    VersionsFromContent,
    VersionsRestart,
    WritesOnConflict,
    ChecksThenWrites,
    LosesTails,
    KeepsTextOnly,
    QuotesValues,
    StaysBusyWhenGivenUp,
    FoldsCase,
    ForgetsWhenClosed,
    ReadsFromItsOwnCache,
    DeletesAnyVersion,
    MissesDeleteOfNothing,
    ListsInReverse,
    ListsBeyondThePrefix,
    ListsFromTheGivenKey,
    ListsWithoutLimit,
    ListsDeletedKeys,
    SkipsKeysBetweenPages,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<Key, (Vec<u8>, u64)>,
    deleted: Vec<Key>,
    writes: u64,
    busy: bool,
}

#[derive(Debug)]
struct Broken {
    flaw: Flaw,
    state: Arc<Mutex<State>>,
    cache: Mutex<BTreeMap<Key, Versioned>>,
}

impl Broken {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn kept(&self, value: &[u8]) -> Vec<u8> {
        match self.flaw {
            Flaw::LosesTails => value[..value.len().min(1 << 16)].to_vec(),
            Flaw::KeepsTextOnly => String::from_utf8_lossy(value).into_owned().into_bytes(),
            _ => value.to_vec(),
        }
    }

    fn under(&self, key: &Key) -> Key {
        if self.has(Flaw::FoldsCase) { Key::new(key.as_str().to_lowercase()).unwrap() } else { key.clone() }
    }

    fn same(&self, found: u64, wanted: &StoreVersion) -> bool {
        match self.flaw {
            Flaw::IgnoresVersion => true,
            Flaw::ComparesVersionsAsNumbers => wanted.as_str().trim().parse() == Ok(found),
            _ => found.to_string() == wanted.as_str(),
        }
    }

    fn allows(&self, found: Option<u64>, condition: &Condition) -> bool {
        match (condition, found) {
            (Condition::Absent, found) => found.is_none() || self.has(Flaw::IgnoresAbsent),
            (Condition::Version(wanted), Some(found)) => self.same(found, wanted),
            (Condition::Version(_), None) => self.has(Flaw::CreatesOnVersion),
            (Condition::Any, found) => found.is_none() || !self.has(Flaw::KeepsOnAny),
        }
    }

    async fn keep_busy(&self) -> Result<()> {
        if std::mem::replace(&mut self.state().busy, true) {
            return Err(Error::new(ErrorKind::Unavailable, "write", "another write is not done"));
        }
        tokio::task::yield_now().await;
        self.state().busy = false;
        Ok(())
    }

    fn write(&self, state: &mut State, key: Key, value: &[u8]) -> u64 {
        state.writes += 1;
        let number = match self.flaw {
            Flaw::VersionsFromContent => value.iter().map(|&byte| u64::from(byte)).sum(),
            Flaw::VersionsRestart => state.values.get(&key).map_or(1, |(_, number)| number + 1),
            _ => state.writes,
        };
        state.values.insert(key, (self.kept(value), number));
        number
    }
}

#[async_trait]
impl Store for Broken {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("broken:", false)
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        let key = self.under(key);
        let cached = self.cache.lock().unwrap().get(&key).cloned();
        if cached.is_some() && self.has(Flaw::ReadsFromItsOwnCache) {
            return Ok(cached);
        }
        let found = self.state().values.get(&key).cloned();
        let found =
            found.map(|(value, number)| Versioned { value, version: StoreVersion::new(number.to_string()) });
        self.cache.lock().unwrap().extend(found.clone().map(|found| (key, found)));
        Ok(found)
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        let key = self.under(key);
        let found = self.state().values.get(&key).map(|(_, number)| *number);
        if self.has(Flaw::ChecksThenWrites) {
            tokio::task::yield_now().await;
        }
        if self.has(Flaw::StaysBusyWhenGivenUp) {
            self.keep_busy().await?;
        }
        if self.has(Flaw::QuotesValues) && value.len() > 1 << 20 {
            let message = format!("it is too large: {}", String::from_utf8_lossy(value));
            return Err(Error::new(ErrorKind::Invalid, "write", message));
        }
        let mut state = self.state();
        if !self.allows(found, condition) {
            if self.has(Flaw::WritesOnConflict) {
                self.write(&mut state, key, value);
            }
            return Ok(Put::Conflict);
        }
        self.cache.lock().unwrap().remove(&key);
        let number = self.write(&mut state, key, value);
        Ok(Put::Stored(StoreVersion::new(number.to_string())))
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.state();
        let start = prefix.as_str().trim_end_matches('/');
        let beyond = self.has(Flaw::ListsBeyondThePrefix);
        let inside = |key: &Key| prefix.covers(key) || beyond && key.as_str().starts_with(start);
        let later = |key: &Key| match after {
            Some(after) if self.has(Flaw::ListsFromTheGivenKey) => key >= after,
            Some(after) => key > after,
            None => true,
        };
        let limit = if self.has(Flaw::ListsWithoutLimit) { usize::MAX } else { limit };
        let skip = usize::from(self.has(Flaw::SkipsKeysBetweenPages) && after.is_some());
        let mut keys: Vec<Key> = state.values.keys().cloned().collect();
        if self.has(Flaw::ListsDeletedKeys) {
            keys.extend(state.deleted.iter().cloned());
            keys.sort();
        }
        keys.retain(|key| inside(key) && later(key));
        if self.has(Flaw::ListsInReverse) {
            keys.reverse();
        }
        Ok(keys.into_iter().skip(skip).take(limit).collect())
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        let key = self.under(key);
        let mut state = self.state();
        match state.values.get(&key) {
            None if self.has(Flaw::MissesDeleteOfNothing) => return Ok(Delete::Conflict),
            None => return Ok(Delete::Gone),
            Some((_, found)) if self.same(*found, version) || self.has(Flaw::DeletesAnyVersion) => {}
            Some(_) => return Ok(Delete::Conflict),
        }
        state.values.remove(&key);
        state.deleted.push(key.clone());
        self.cache.lock().unwrap().remove(&key);
        Ok(Delete::Gone)
    }
}

struct Fixture(Flaw);

#[async_trait]
impl StoreFixture for Fixture {
    type Place = Arc<Mutex<State>>;

    async fn empty(&self) -> Result<Self::Place> {
        Ok(Arc::default())
    }

    async fn open(&self, place: &Self::Place) -> Result<Arc<dyn Store>> {
        if self.0 == Flaw::ForgetsWhenClosed && Arc::strong_count(place) == 1 {
            *place.lock().unwrap() = State::default();
        }
        let state = Arc::clone(place);
        Ok(Arc::new(Broken { flaw: self.0, state, cache: Mutex::default() }))
    }

    fn persistent(&self) -> bool {
        true
    }
}

fn failed_cases(flaw: Flaw) -> Vec<String> {
    let outcomes = suite("store", Fixture(flaw)).outcomes().unwrap();
    let failed = outcomes.into_iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    failed.map(|(name, _)| name.trim_start_matches("store::").to_owned()).collect()
}

#[test]
fn a_store_without_a_flaw_passes() {
    assert_eq!(failed_cases(Flaw::None), Vec::<String>::new());
}

#[test]
fn every_flaw_is_caught_by_the_case_about_it() {
    for (flaw, case) in [
        (Flaw::IgnoresAbsent, "put_absent_wins_once"),
        (Flaw::IgnoresVersion, "put_version_wins_with_the_current_version_only"),
        (Flaw::ComparesVersionsAsNumbers, "unknown_versions_never_match"),
        (Flaw::CreatesOnVersion, "put_version_of_nothing_conflicts"),
        (Flaw::KeepsOnAny, "put_any_overwrites"),
        (Flaw::VersionsFromContent, "versions_of_a_key_never_repeat"),
        (Flaw::VersionsRestart, "versions_do_not_repeat_after_delete"),
        (Flaw::WritesOnConflict, "put_absent_wins_once"),
        (Flaw::ChecksThenWrites, "of_32_puts_of_one_new_key_one_wins"),
        (Flaw::ChecksThenWrites, "of_32_puts_over_one_version_one_wins"),
        (Flaw::ChecksThenWrites, "of_32_deletes_and_puts_over_one_version_one_wins"),
        (Flaw::ChecksThenWrites, "a_counter_of_8_writers_loses_nothing"),
        (Flaw::LosesTails, "a_value_may_be_one_mebibyte"),
        (Flaw::KeepsTextOnly, "values_are_kept_byte_for_byte"),
        (Flaw::QuotesValues, "a_larger_value_is_kept_or_refused_without_quoting_it"),
        (Flaw::StaysBusyWhenGivenUp, "a_call_that_is_given_up_leaves_the_store_usable"),
        (Flaw::FoldsCase, "keys_do_not_touch_each_other"),
        (Flaw::ForgetsWhenClosed, "reopening_sees_everything"),
        (Flaw::ForgetsWhenClosed, "versions_hold_after_reopening"),
        (Flaw::ReadsFromItsOwnCache, "every_handle_sees_a_write"),
        (Flaw::DeletesAnyVersion, "delete_needs_the_current_version"),
        (Flaw::MissesDeleteOfNothing, "delete_of_nothing_is_gone"),
        (Flaw::ListsInReverse, "list_is_in_byte_order"),
        (Flaw::ListsBeyondThePrefix, "list_stays_inside_the_prefix"),
        (Flaw::ListsFromTheGivenKey, "list_begins_after_the_given_key"),
        (Flaw::ListsWithoutLimit, "list_keeps_to_its_limit"),
        (Flaw::ListsDeletedKeys, "list_does_not_show_what_was_deleted"),
        (Flaw::SkipsKeysBetweenPages, "pages_give_every_key_once"),
        (Flaw::SkipsKeysBetweenPages, "pages_are_steady_while_others_write"),
    ] {
        let failed = failed_cases(flaw);
        assert!(
            failed.iter().any(|name| name == case),
            "{flaw:?} is not caught by {case}, only by {failed:?}"
        );
    }
}
