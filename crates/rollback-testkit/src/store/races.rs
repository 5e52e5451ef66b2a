//! Many writers at once, over several handles.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, Store};
use tokio::task::JoinSet;

use super::{Cases, Open, StoreFixture, brief, key, stored};
use crate::harness::{CaseResult, Failure, ensure, equal};

const HANDLES: usize = 4;
const WRITERS: usize = 32;

pub(super) fn add<F: StoreFixture>(cases: Cases<F>) -> Cases<F> {
    cases
        .many("of_32_puts_of_one_new_key_one_wins", true, create)
        .many("of_32_puts_over_one_version_one_wins", true, replace)
        .many("of_32_deletes_and_puts_over_one_version_one_wins", true, delete_or_replace)
        .many("a_counter_of_8_writers_loses_nothing", true, counter)
        .many("concurrent_writes_of_many_keys_all_land", true, many_keys)
}

/// What each of `writers` tasks found, which run at once over a few handles.
async fn race<T, R>(
    place: &dyn Open,
    writers: usize,
    task: impl Fn(usize, Arc<dyn Store>) -> R,
) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    R: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(place.open().await?);
    }
    let mut tasks = JoinSet::new();
    for number in 0..writers {
        tasks.spawn(task(number, Arc::clone(&handles[number % HANDLES])));
    }
    let mut found = Vec::new();
    while let Some(result) = tasks.join_next().await {
        found.push(result??);
    }
    Ok(found)
}

/// Fails unless exactly one writer won, and its value and version are what is there now.
async fn one_winner(store: &dyn Store, key: &Key, puts: Vec<(usize, Put)>) -> CaseResult {
    let won: Vec<_> = puts
        .into_iter()
        .filter_map(|(number, put)| match put {
            Put::Stored(version) => Some((number, version)),
            Put::Conflict => None,
        })
        .collect();
    let [(number, version)] = won.as_slice() else {
        return Err(Failure::new(format!("{} of {WRITERS} writers were told that they won", won.len())));
    };
    super::holds(store, key, Some((number.to_string().as_bytes(), version))).await
}

async fn contend(place: &dyn Open, key: &Key, condition: Condition) -> CaseResult {
    let puts = race(place, WRITERS, |number, store| {
        let (key, condition) = (key.clone(), condition.clone());
        async move { Ok((number, store.put(&key, number.to_string().as_bytes(), &condition).await?)) }
    });
    one_winner(&*place.open().await?, key, puts.await?).await
}

async fn create(place: Arc<dyn Open>) -> CaseResult {
    contend(&*place, &key("heads/new")?, Condition::Absent).await
}

async fn replace(place: Arc<dyn Open>) -> CaseResult {
    let key = key("heads/old")?;
    let version = stored(&*place.open().await?, &key, b"old", Condition::Absent).await?;
    contend(&*place, &key, Condition::Version(version)).await
}

async fn delete_or_replace(place: Arc<dyn Open>) -> CaseResult {
    let key = key("heads/old")?;
    let version = stored(&*place.open().await?, &key, b"old", Condition::Absent).await?;
    let wins = race(&*place, WRITERS, |number, store| {
        let (key, version) = (key.clone(), version.clone());
        async move {
            if number % 2 == 0 {
                let put = store.put(&key, b"new", &Condition::Version(version)).await?;
                return Ok(matches!(put, Put::Stored(_)).then_some("put"));
            }
            // Gone is also the answer when somebody else deleted it: those count as one.
            Ok((store.delete(&key, &version).await? == Delete::Gone).then_some("delete"))
        }
    });
    let wins: Vec<&str> = wins.await?.into_iter().flatten().collect();
    let puts = wins.iter().filter(|&&win| win == "put").count();
    let deletes = wins.len() - puts;
    let there = place.open().await?.get(&key).await?.is_some();
    let one = puts == 1 && deletes == 0 && there || puts == 0 && deletes > 0 && !there;
    ensure(one, format!("{puts} puts and {deletes} deletes won over one version; a value is there: {there}"))
}

async fn counter(place: Arc<dyn Open>) -> CaseResult {
    const EACH: u64 = 12;
    const COUNTERS: usize = 8;
    let key = key("counter")?;
    stored(&*place.open().await?, &key, b"0", Condition::Absent).await?;
    race(&*place, COUNTERS, |_, store| {
        let key = key.clone();
        async move {
            for _ in 0..EACH {
                add_one(&*store, &key).await?;
            }
            Ok(())
        }
    })
    .await?;
    let total = read(&*place.open().await?, &key).await?.0;
    equal("the counter", &total, &(EACH * COUNTERS as u64))
}

async fn add_one(store: &dyn Store, key: &Key) -> CaseResult {
    loop {
        let (number, condition) = read(store, key).await?;
        if let Put::Stored(_) = store.put(key, (number + 1).to_string().as_bytes(), &condition).await? {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn read(store: &dyn Store, key: &Key) -> Result<(u64, Condition), Failure> {
    let found = store.get(key).await?.ok_or_else(|| Failure::new("the counter is gone"))?;
    let number = std::str::from_utf8(&found.value).ok().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| Failure::new(format!("the counter reads {}", brief(&found.value))))?;
    Ok((number, Condition::Version(found.version)))
}

async fn many_keys(place: Arc<dyn Open>) -> CaseResult {
    let prefix = KeyPrefix::new("many")?;
    let written = race(&*place, WRITERS, |number, store| {
        let key = prefix.key(format!("{number:02}"));
        async move {
            let key = key?;
            stored(&*store, &key, key.as_str().as_bytes(), Condition::Absent).await?;
            Ok(key)
        }
    });
    let written: BTreeSet<Key> = written.await?.into_iter().collect();
    let store = place.open().await?;
    let listed: BTreeSet<Key> = store.list(&prefix, None, WRITERS * 2).await?.into_iter().collect();
    equal("the keys that were written at once", &listed, &written)?;
    for key in written {
        let value = store.get(&key).await?.map(|found| found.value);
        equal("a value that was written at once", &value.as_deref(), &Some(key.as_str().as_bytes()))?;
    }
    Ok(())
}
