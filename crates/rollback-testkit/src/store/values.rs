//! What is read is what was written.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use rollback_core::store::{Condition, Delete, KeyPrefix, MAX_VALUE_BYTES, Put, Store};
use rollback_core::{Effect, ErrorKind};

use super::{Cases, Open, StoreFixture, deleted, holds, key, stored};
use crate::harness::{CaseResult, Failure, Need, ensure, equal};

/// The largest value that the contract of a store allows.
const LARGEST: usize = MAX_VALUE_BYTES;

pub(super) fn add<F: StoreFixture>(cases: Cases<F>) -> Cases<F> {
    let persistent = cases.fixture.persistent();
    let lasting = || Need::when(persistent, "a store that outlives its handles");
    cases
        .one("get_of_nothing_is_nothing", nothing)
        .one("values_are_kept_byte_for_byte", every_byte)
        .one("a_value_may_be_one_mebibyte", largest)
        .one("a_larger_value_is_kept_or_refused_without_quoting_it", larger)
        .one("keys_do_not_touch_each_other", separate)
        .one("a_call_that_is_given_up_leaves_the_store_usable", given_up)
        .many("every_handle_sees_a_write", true, shared)
        .many("reopening_sees_everything", lasting(), reopened)
        .many("versions_hold_after_reopening", lasting(), versions_reopened)
}

async fn nothing(store: Arc<dyn Store>) -> CaseResult {
    holds(&*store, &key("runs/none")?, None).await
}

async fn every_byte(store: Arc<dyn Store>) -> CaseResult {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let values: [&[u8]; 5] = [b"", b"\0", b"not \xff UTF-8\0\r\n", b"'); DROP TABLE entries; --", &all];
    for (number, value) in values.into_iter().enumerate() {
        let key = key(&format!("values/{number}"))?;
        let version = stored(&*store, &key, value, Condition::Absent).await?;
        holds(&*store, &key, Some((value, &version))).await?;
    }
    Ok(())
}

async fn largest(store: Arc<dyn Store>) -> CaseResult {
    // No byte repeats at the same distance, so a lost, doubled or moved block shows.
    let value: Vec<u8> = (0..LARGEST).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
    let key = key("values/largest")?;
    let version = stored(&*store, &key, &value, Condition::Absent).await?;
    holds(&*store, &key, Some((&value, &version))).await?;
    let version = stored(&*store, &key, b"short again", Condition::Version(version)).await?;
    holds(&*store, &key, Some((b"short again", &version))).await
}

async fn larger(store: Arc<dyn Store>) -> CaseResult {
    let key = key("values/larger")?;
    let value = b"hunter2 ".repeat(LARGEST / 8 + 1);
    let error = match store.put(&key, &value, &Condition::Absent).await {
        Ok(Put::Stored(version)) => return holds(&*store, &key, Some((&value, &version))).await,
        Ok(Put::Conflict) => return Err(Failure::new("a conflict over nothing")),
        Err(error) => error,
    };
    equal("the kind of the refusal", &error.kind(), &ErrorKind::Invalid)?;
    equal("the effect of the refusal", &error.effect(), &Effect::None)?;
    let quoted = format!("{error}\n{error:?}").contains("hunter2");
    ensure(!quoted, "the error quotes the value, which may be a secret")?;
    holds(&*store, &key, None).await
}

/// The engine stops waiting for calls that take too long.
async fn given_up(store: Arc<dyn Store>) -> CaseResult {
    for number in 0..32 {
        let key = key(&format!("values/{number}"))?;
        let mut put = store.put(&key, b"given up", &Condition::Absent);
        let answered = poll_fn(|context| Poll::Ready(put.as_mut().poll(context).is_ready())).await;
        drop(put);
        let found = store.get(&key).await?.map(|found| found.value);
        let whole = found.is_none() && !answered || found.as_deref() == Some(b"given up");
        ensure(whole, format!("under {key} there is neither nothing nor the value, but {found:?}"))?;
        stored(&*store, &key, b"after", Condition::Any).await?;
    }
    Ok(())
}

async fn separate(store: Arc<dyn Store>) -> CaseResult {
    // The longest key, keys that begin with each other, and keys that differ in case only.
    let longest = "k".repeat(512);
    let texts = ["a", "a/a", "a/aa", "a/A", "A/a", "a.a", "a/a_a", "a/aXa", longest.as_str()];
    let mut versions = Vec::new();
    for text in texts {
        versions.push(stored(&*store, &key(text)?, text.as_bytes(), Condition::Absent).await?);
    }
    for (text, version) in texts.into_iter().zip(&versions) {
        holds(&*store, &key(text)?, Some((text.as_bytes(), version))).await?;
    }
    Ok(())
}

async fn shared(place: Arc<dyn Open>) -> CaseResult {
    let (writer, reader) = (place.open().await?, place.open().await?);
    let (key, prefix) = (key("heads/shared")?, KeyPrefix::new("heads")?);
    // The reader looks before each change as well: what it remembers of that must not be its answer later.
    holds(&*reader, &key, None).await?;
    let mut version = stored(&*writer, &key, b"0", Condition::Absent).await?;
    for number in 1..4 {
        holds(&*reader, &key, Some(((number - 1).to_string().as_bytes(), &version))).await?;
        let value = number.to_string();
        version = stored(&*writer, &key, value.as_bytes(), Condition::Version(version)).await?;
        holds(&*reader, &key, Some((value.as_bytes(), &version))).await?;
    }
    equal("the keys that the reader lists", &reader.list(&prefix, None, 9).await?, &vec![key.clone()])?;
    deleted(&*writer, &key, &version, Delete::Gone).await?;
    holds(&*reader, &key, None).await?;
    equal("the keys after the delete", &reader.list(&prefix, None, 9).await?, &vec![])
}

async fn reopened(place: Arc<dyn Open>) -> CaseResult {
    let mut kept = Vec::new();
    for number in 0..20_u8 {
        let store = place.open().await?;
        let key = key(&format!("runs/{number:02}"))?;
        let version = stored(&*store, &key, &[number; 100], Condition::Absent).await?;
        kept.push((key, number, version));
    }
    let store = place.open().await?;
    for (key, number, version) in &kept {
        holds(&*store, key, Some((&[*number; 100], version))).await?;
    }
    Ok(())
}

async fn versions_reopened(place: Arc<dyn Open>) -> CaseResult {
    let key = key("heads/reopened")?;
    let version = stored(&*place.open().await?, &key, b"before", Condition::Absent).await?;
    let store = place.open().await?;
    super::refused(&*store, &key, Condition::Absent, Some((b"before", &version))).await?;
    let version = stored(&*store, &key, b"after", Condition::Version(version)).await?;
    holds(&*place.open().await?, &key, Some((b"after", &version))).await
}
