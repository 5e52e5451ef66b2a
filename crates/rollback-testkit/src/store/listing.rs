//! Listing: byte order, whole prefixes, exact pages.

use std::sync::Arc;

use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Store};

use super::{Cases, Open, StoreFixture, deleted, key, stored};
use crate::harness::{CaseResult, Failure, ensure, equal};

pub(super) fn add<F: StoreFixture>(cases: Cases<F>) -> Cases<F> {
    cases
        .one("list_of_nothing_is_empty", empty)
        .one("list_is_in_byte_order", order)
        .one("list_stays_inside_the_prefix", inside)
        .one("list_begins_after_the_given_key", after)
        .one("list_keeps_to_its_limit", limit)
        .one("list_does_not_show_what_was_deleted", gone)
        .one("pages_give_every_key_once", pages)
        .many("pages_are_steady_while_others_write", true, pages_while_writing)
}

async fn fill(store: &dyn Store, texts: &[&str]) -> CaseResult {
    for text in texts {
        stored(store, &key(text)?, b"listed", Condition::Absent).await?;
    }
    Ok(())
}

async fn listed(
    store: &dyn Store,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Failure> {
    let after = after.map(key).transpose()?;
    let keys = store.list(&KeyPrefix::new(prefix)?, after.as_ref(), limit).await?;
    Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
}

fn same(found: &[String], expected: &[&str]) -> CaseResult {
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    equal("the listed keys", found.as_slice(), expected)
}

async fn empty(store: Arc<dyn Store>) -> CaseResult {
    same(&listed(&*store, "runs", None, 10).await?, &[])?;
    fill(&*store, &["run", "runs", "runs-1", "runs.1", "runs2/1"]).await?;
    same(&listed(&*store, "runs", None, 10).await?, &[])
}

async fn order(store: Arc<dyn Store>) -> CaseResult {
    // Not the order of numbers, of a dictionary, of path segments, or of writing.
    let written =
        ["k/b", "k/a", "k/B", "k/10", "k/9", "k/_", "k/a/b", "k/a.b", "k/a-b", "k/aa", "k/Z", "k/a/B"];
    fill(&*store, &written).await?;
    let expected =
        ["k/10", "k/9", "k/B", "k/Z", "k/_", "k/a", "k/a-b", "k/a.b", "k/a/B", "k/a/b", "k/aa", "k/b"];
    same(&listed(&*store, "k", None, 100).await?, &expected)
}

async fn inside(store: Arc<dyn Store>) -> CaseResult {
    let all = ["a/1", "ab/1", "a-b/1", "A/1", "a/1/deep", "a_b/1", "aXb/1", "b/a/1", "a.1", "a", "aa/1"];
    fill(&*store, &all).await?;
    same(&listed(&*store, "a", None, 100).await?, &["a/1", "a/1/deep"])?;
    // An underscore stands for itself only, and the last byte of a prefix for nothing greater.
    same(&listed(&*store, "a_b", None, 100).await?, &["a_b/1"])?;
    same(&listed(&*store, "a/1", None, 100).await?, &["a/1/deep"])
}

async fn after(store: Arc<dyn Store>) -> CaseResult {
    fill(&*store, &["a/9", "b/1", "b/2", "b/3", "c/1"]).await?;
    let list = async |after| listed(&*store, "b", Some(after), 100).await;
    same(&list("b/1").await?, &["b/2", "b/3"])?;
    same(&list("b/11").await?, &["b/2", "b/3"])?;
    same(&list("b/3").await?, &[])?;
    // What comes before the prefix is no limit, and what comes after it leaves nothing.
    same(&list("a/9").await?, &["b/1", "b/2", "b/3"])?;
    same(&list("b").await?, &["b/1", "b/2", "b/3"])?;
    same(&list("c/0").await?, &[])
}

async fn limit(store: Arc<dyn Store>) -> CaseResult {
    fill(&*store, &["b/1", "b/2", "b/3", "c/1"]).await?;
    same(&listed(&*store, "b", None, 0).await?, &[])?;
    same(&listed(&*store, "b", None, 2).await?, &["b/1", "b/2"])?;
    same(&listed(&*store, "b", Some("b/1"), 1).await?, &["b/2"])?;
    same(&listed(&*store, "b", None, 3).await?, &["b/1", "b/2", "b/3"])?;
    same(&listed(&*store, "b", None, usize::MAX).await?, &["b/1", "b/2", "b/3"])
}

async fn gone(store: Arc<dyn Store>) -> CaseResult {
    fill(&*store, &["b/1", "b/3"]).await?;
    let version = stored(&*store, &key("b/2")?, b"soon gone", Condition::Absent).await?;
    deleted(&*store, &key("b/2")?, &version, Delete::Gone).await?;
    same(&listed(&*store, "b", None, 100).await?, &["b/1", "b/3"])
}

/// Every key under `prefix`, read in pages of `size`, with `between` done after each page.
async fn paged(
    store: &dyn Store,
    prefix: &KeyPrefix,
    size: usize,
    mut between: impl AsyncFnMut() -> CaseResult,
) -> Result<Vec<Key>, Failure> {
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let page = store.list(prefix, keys.last(), size).await?;
        if page.is_empty() {
            return Ok(keys);
        }
        ensure(page.len() <= size, format!("a page of {size} holds {} keys", page.len()))?;
        let ascends = keys.last().is_none_or(|last| *last < page[0]);
        ensure(ascends, format!("the page after {:?} begins with {}", keys.last(), page[0]))?;
        keys.extend(page);
        between().await?;
    }
}

async fn pages(store: Arc<dyn Store>) -> CaseResult {
    let prefix = KeyPrefix::new("journal")?;
    let mut expected = Vec::new();
    for number in 0..53 {
        expected.push(prefix.key(format!("{number:04}"))?);
    }
    for key in expected.iter().rev() {
        stored(&*store, key, b"event", Condition::Absent).await?;
    }
    for size in [1, 7, 53, 54] {
        let found = paged(&*store, &prefix, size, async || Ok(())).await?;
        equal(&format!("all pages of {size}"), &found, &expected)?;
    }
    Ok(())
}

async fn pages_while_writing(place: Arc<dyn Open>) -> CaseResult {
    let (reader, writer) = (place.open().await?, place.open().await?);
    let prefix = KeyPrefix::new("journal")?;
    let mut steady = Vec::new();
    for number in 0..40 {
        let key = prefix.key(format!("{number:02}-steady"))?;
        stored(&*writer, &key, b"event", Condition::Absent).await?;
        steady.push(key);
    }
    let mut number = 0;
    let found = paged(&*reader, &prefix, 3, async || {
        // A key behind the page, a key that comes and goes, a key that is written again, a key elsewhere.
        let version = stored(&*writer, &prefix.key(format!("00-new{number}"))?, b"x", Condition::Any).await?;
        if number % 2 == 0 {
            deleted(&*writer, &prefix.key(format!("00-new{number}"))?, &version, Delete::Gone).await?;
        }
        stored(&*writer, &steady[number % steady.len()], b"again", Condition::Any).await?;
        stored(&*writer, &key(&format!("other/{number}"))?, b"x", Condition::Absent).await?;
        number += 1;
        Ok(())
    })
    .await?;
    let found: Vec<Key> = found.into_iter().filter(|key| key.as_str().ends_with("-steady")).collect();
    equal("the keys that were there all the time", &found, &steady)
}
