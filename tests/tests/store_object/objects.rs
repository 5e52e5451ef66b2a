//! What lies in the bucket, and how many requests it takes.

use std::time::Duration;

use rollback_core::ErrorKind;
use rollback_core::store::{Condition, Delete, KeyPrefix, Store as _};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use tokio::task::JoinSet;

use crate::support::{Lab, Place, key, put};

const PATIENCE: Duration = Duration::from_secs(20);
/// A page of S3 has a thousand keys.
const MANY: usize = 1_200;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .case("a_page_of_tombstones_is_not_the_end_of_a_list", true, tombstones)
        .case("an_object_of_somebody_else_is_told_and_left", true, foreign)
        .case("reading_writes_nothing", true, reading)
        .case("a_write_is_one_request_after_the_first", true, requests)
        .case("two_folders_of_a_bucket_are_two_stores", true, folders)
}

async fn tombstones() -> CaseResult {
    let store = Place::made()?.open()?;
    put(&store, "warm/up", b"", Condition::Any).await?;
    let mut writers = JoinSet::new();
    for worker in 0..16 {
        let store = store.clone();
        writers.spawn(async move {
            for number in (worker..MANY).step_by(16) {
                let name = format!("gone/{number:05}");
                let version = put(&store, &name, b"", Condition::Absent).await?;
                if number != MANY - 1 {
                    equal("a delete", &store.delete(&key(name)?, &version).await?, &Delete::Gone)?;
                }
            }
            Ok::<_, Failure>(())
        });
    }
    for done in writers.join_all().await {
        done?;
    }
    let last = key(format!("gone/{:05}", MANY - 1))?;
    let prefix = KeyPrefix::new("gone")?;
    for limit in [1, 2, 5_000] {
        equal("the only key that is left", &store.list(&prefix, None, limit).await?, &vec![last.clone()])?;
    }
    equal("what comes after it", &store.list(&prefix, Some(&last), 1).await?, &vec![])
}

async fn foreign() -> CaseResult {
    let place = Place::made()?;
    let bucket = place.bucket();
    let store = place.open()?;
    put(&store, "runs/2", b"ours", Condition::Absent).await?;
    place.account.s3("PUT", &format!("/{bucket}/shop/prod/runs/1"))?;
    place.account.s3("PUT", &format!("/{bucket}/shop/prod/runs/not%20a%20key"))?;
    place.account.s3("PUT", &format!("/{bucket}/shop/prod/runs/"))?;
    let error =
        store.get(&key("runs/1")?).await.err().ok_or_else(|| Failure::new("it was taken for a value"))?;
    equal("the kind", &error.kind(), &ErrorKind::Corrupt)?;
    equal("the list", &store.list(&KeyPrefix::new("runs")?, None, 9).await?, &vec![key("runs/2")?])?;
    let error = store.put(&key("runs/1")?, b"", &Condition::Absent).await.err();
    let error = error.ok_or_else(|| Failure::new("it was written over"))?;
    equal("the kind of the refusal to write", &error.kind(), &ErrorKind::Corrupt)
}

/// Who may only read can look at everything.
async fn reading() -> CaseResult {
    let lab = Lab::new(PATIENCE).await?;
    let before = lab.proxy.log().len();
    lab.store.get(&key("warm/up")?).await?;
    lab.store.get(&key("no/thing")?).await?;
    lab.store.list(&KeyPrefix::new("warm")?, None, 10).await?;
    let log = lab.proxy.log();
    let sent: Vec<&str> = log[before..].iter().map(|request| request.method.as_str()).collect();
    equal("what was sent", sent.as_slice(), ["GET", "GET", "GET"].as_slice())
}

async fn requests() -> CaseResult {
    let lab = Lab::new(PATIENCE).await?;
    let first =
        lab.proxy.log().iter().filter(|request| request.path.contains(".rollback-store.json")).count();
    ensure((2..=3).contains(&first), format!("{first} requests before the first write"))?;
    let before = lab.proxy.log().len();
    let version = put(&lab.store, "heads/web", b"1", Condition::Absent).await?;
    let version = put(&lab.store, "heads/web", b"2", Condition::Version(version)).await?;
    equal("a delete", &lab.store.delete(&key("heads/web")?, &version).await?, &Delete::Gone)?;
    equal("requests for three writes", &(lab.proxy.log().len() - before), &3)
}

async fn folders() -> CaseResult {
    let place = Place::made()?;
    let bucket = place.bucket();
    let options = place.options(PATIENCE);
    let stores = [
        options.open(&format!("s3://{bucket}"))?,
        options.open(&format!("s3://{bucket}/a"))?,
        options.open(&format!("s3://{bucket}/a/b"))?,
    ];
    for (number, store) in stores.iter().enumerate() {
        put(store, "runs/1", number.to_string().as_bytes(), Condition::Absent).await?;
    }
    for (number, store) in stores.iter().enumerate() {
        let found = store.get(&key("runs/1")?).await?.map(|found| found.value);
        equal("the value in its own folder", &found, &Some(number.to_string().into_bytes()))?;
        equal("keys", &store.list(&KeyPrefix::new("runs")?, None, 9).await?, &vec![key("runs/1")?])?;
    }
    Ok(())
}
