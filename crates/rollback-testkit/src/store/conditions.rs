//! Conditions are exact, and a conflict changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollback_core::store::{Condition, Delete, Store, StoreVersion};

use super::{Cases, Open, StoreFixture, deleted, holds, key, refused, stored};
use crate::harness::{CaseResult, ensure};

pub(super) fn add<F: StoreFixture>(cases: Cases<F>) -> Cases<F> {
    cases
        .one("put_absent_wins_once", absent)
        .one("put_version_wins_with_the_current_version_only", version)
        .one("put_version_of_nothing_conflicts", version_of_nothing)
        .one("put_any_overwrites", any)
        .one("unknown_versions_never_match", foreign_versions)
        .one("versions_of_a_key_never_repeat", versions)
        .many("versions_do_not_repeat_after_delete", true, after_delete)
        .one("delete_needs_the_current_version", delete_if)
        .one("delete_of_nothing_is_gone", delete_nothing)
        .one("deleted_keys_can_be_put_again", put_again)
}

async fn absent(store: Arc<dyn Store>) -> CaseResult {
    let key = key("runs/1")?;
    let version = stored(&*store, &key, b"first", Condition::Absent).await?;
    holds(&*store, &key, Some((b"first", &version))).await?;
    refused(&*store, &key, Condition::Absent, Some((b"first", &version))).await
}

async fn version(store: Arc<dyn Store>) -> CaseResult {
    let key = key("heads/1")?;
    let first = stored(&*store, &key, b"first", Condition::Absent).await?;
    let second = stored(&*store, &key, b"second", Condition::Version(first.clone())).await?;
    refused(&*store, &key, Condition::Version(first), Some((b"second", &second))).await?;
    let third = stored(&*store, &key, b"third", Condition::Version(second)).await?;
    holds(&*store, &key, Some((b"third", &third))).await
}

async fn version_of_nothing(store: Arc<dyn Store>) -> CaseResult {
    let (here, gone, never) = (key("heads/here")?, key("heads/gone")?, key("heads/never")?);
    let other = stored(&*store, &here, b"here", Condition::Absent).await?;
    refused(&*store, &never, Condition::Version(other), None).await?;
    let old = stored(&*store, &gone, b"gone", Condition::Absent).await?;
    deleted(&*store, &gone, &old, Delete::Gone).await?;
    refused(&*store, &gone, Condition::Version(old), None).await
}

async fn any(store: Arc<dyn Store>) -> CaseResult {
    let key = key("notes/1")?;
    let first = stored(&*store, &key, b"first", Condition::Any).await?;
    holds(&*store, &key, Some((b"first", &first))).await?;
    let second = stored(&*store, &key, b"second", Condition::Any).await?;
    holds(&*store, &key, Some((b"second", &second))).await?;
    ensure(first != second, "two writes of one key got the same version")
}

async fn foreign_versions(store: Arc<dyn Store>) -> CaseResult {
    let key = key("heads/1")?;
    let current = stored(&*store, &key, b"kept", Condition::Absent).await?;
    let real = current.as_str();
    let texts = [String::new(), "0".to_owned(), format!("0{real}"), format!("{real} "), format!("+{real}")];
    for text in texts.into_iter().chain(["-1".to_owned(), "*".to_owned(), "9".repeat(40)]) {
        let other = StoreVersion::new(text);
        refused(&*store, &key, Condition::Version(other.clone()), Some((b"kept", &current))).await?;
        deleted(&*store, &key, &other, Delete::Conflict).await?;
    }
    holds(&*store, &key, Some((b"kept", &current))).await
}

async fn versions(store: Arc<dyn Store>) -> CaseResult {
    let key = key("heads/1")?;
    let mut seen = BTreeSet::new();
    // The same bytes each time: a version that is made from the content alone repeats here.
    for _ in 0..20 {
        let version = stored(&*store, &key, b"the same", Condition::Any).await?;
        ensure(seen.insert(version.clone()), format!("{version:?} was given to two writes of one key"))?;
    }
    Ok(())
}

async fn after_delete(place: Arc<dyn Open>) -> CaseResult {
    let key = key("heads/again")?;
    let mut seen = BTreeSet::new();
    let mut old: Option<StoreVersion> = None;
    for _ in 0..5 {
        // A handle of its own for each life of the key: a counter must not live in the handle.
        let store = place.open().await?;
        let version = stored(&*store, &key, b"the same", Condition::Absent).await?;
        ensure(seen.insert(version.clone()), format!("{version:?} came back after the key was deleted"))?;
        if let Some(old) = old {
            refused(&*store, &key, Condition::Version(old.clone()), Some((b"the same", &version))).await?;
            deleted(&*store, &key, &old, Delete::Conflict).await?;
        }
        deleted(&*store, &key, &version, Delete::Gone).await?;
        old = Some(version);
    }
    Ok(())
}

async fn delete_if(store: Arc<dyn Store>) -> CaseResult {
    let (key, other) = (key("heads/1")?, key("heads/2")?);
    let first = stored(&*store, &key, b"first", Condition::Absent).await?;
    let second = stored(&*store, &key, b"second", Condition::Any).await?;
    let beside = stored(&*store, &other, b"beside", Condition::Absent).await?;
    deleted(&*store, &key, &first, Delete::Conflict).await?;
    holds(&*store, &key, Some((b"second", &second))).await?;
    deleted(&*store, &key, &second, Delete::Gone).await?;
    holds(&*store, &key, None).await?;
    holds(&*store, &other, Some((b"beside", &beside))).await
}

async fn delete_nothing(store: Arc<dyn Store>) -> CaseResult {
    let key = key("heads/1")?;
    deleted(&*store, &key, &StoreVersion::new("1"), Delete::Gone).await?;
    let version = stored(&*store, &key, b"here", Condition::Absent).await?;
    deleted(&*store, &key, &version, Delete::Gone).await?;
    deleted(&*store, &key, &version, Delete::Gone).await
}

async fn put_again(store: Arc<dyn Store>) -> CaseResult {
    let key = key("heads/1")?;
    let first = stored(&*store, &key, b"first", Condition::Absent).await?;
    deleted(&*store, &key, &first, Delete::Gone).await?;
    let second = stored(&*store, &key, b"second", Condition::Absent).await?;
    holds(&*store, &key, Some((b"second", &second))).await
}
