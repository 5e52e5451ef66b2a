//! Batched look-ups in virtual time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollback_aws_support::{Batcher, Batchers};
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{Error, ErrorKind, Result};

const WINDOW: Duration = Duration::from_millis(10);
const CALL: Duration = Duration::from_millis(100);

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at(jiff::Timestamp::UNIX_EPOCH))
}

type Calls = Arc<Mutex<Vec<Vec<u32>>>>;

/// Answers each key with ten times it, after a while, but for what `fail` says.
fn backend(
    fail: impl Fn(&[u32]) -> Option<ErrorKind> + Send + Sync + Clone + 'static,
) -> (Batcher<u32, u32>, Calls) {
    let (calls, clock) = (Calls::default(), clock());
    let (seen, own) = (Arc::clone(&calls), Arc::clone(&clock));
    let batcher = Batcher::new(clock, 10, WINDOW, move |keys: Vec<u32>| {
        seen.lock().unwrap().push(keys.clone());
        let (clock, fail) = (Arc::clone(&own), fail.clone());
        async move {
            clock.sleep(CALL).await;
            match fail(&keys) {
                Some(kind) => Err(Error::new(kind, "describe", "no").next("try it again")),
                None => Ok(keys.into_iter().filter(|key| *key != 404).map(|key| (key, key * 10)).collect()),
            }
        }
    });
    (batcher, calls)
}

fn ask(batcher: &Batcher<u32, u32>, key: u32) -> tokio::task::JoinHandle<Result<Option<u32>>> {
    let batcher = batcher.clone();
    tokio::spawn(async move { batcher.get(key).await })
}

#[tokio::test(start_paused = true)]
async fn a_thousand_keys_are_a_hundred_calls() {
    let (batcher, calls) = backend(|_| None);
    let asked: Vec<_> = (1_000..2_000).map(|key| (key, ask(&batcher, key))).collect();
    for (key, answer) in asked {
        assert_eq!(answer.await.unwrap().unwrap(), Some(key * 10));
    }
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 100);
    assert!(calls.iter().all(|keys| keys.len() == 10));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_full_goes_out_after_the_window() {
    let (batcher, calls) = backend(|_| None);
    let answers = tokio::join!(batcher.get(1), batcher.get(404), batcher.get(1), batcher.get(2));
    assert_eq!(answers.0.unwrap(), Some(10));
    assert_eq!(answers.1.unwrap(), None, "what the answer does not have");
    assert_eq!(answers.2.unwrap(), Some(10), "the same key twice is asked once");
    assert_eq!(answers.3.unwrap(), Some(20));
    let mut calls = calls.lock().unwrap().clone();
    calls[0].sort_unstable();
    assert_eq!(calls, [[1, 2, 404]]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_call_went_out_gets_a_newer_answer() {
    let clock = clock();
    let (batcher, calls) = backend(|_| None);
    let first = ask(&batcher, 1);
    clock.sleep(WINDOW * 3).await;
    assert_eq!(calls.lock().unwrap().len(), 1, "it is under way");
    let late = ask(&batcher, 1);
    assert_eq!(first.await.unwrap().unwrap(), Some(10));
    assert_eq!(calls.lock().unwrap().len(), 2, "a call of its own");
    assert_eq!(late.await.unwrap().unwrap(), Some(10));
}

#[tokio::test(start_paused = true)]
async fn who_asks_within_the_window_joins() {
    let clock = clock();
    let (batcher, calls) = backend(|_| None);
    let first = ask(&batcher, 1);
    clock.sleep(WINDOW / 2).await;
    let second = ask(&batcher, 2);
    assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (Some(10), Some(20)));
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_window_of_a_full_call_does_not_cut_the_next_one_short() {
    let clock = clock();
    let (batcher, calls) = backend(|_| None);
    let full: Vec<_> = (0..10).map(|key| ask(&batcher, key)).collect();
    clock.sleep(WINDOW / 2).await;
    let opens = ask(&batcher, 20);
    clock.sleep(WINDOW * 7 / 10).await;
    let joins = ask(&batcher, 21);
    for answer in full.into_iter().chain([opens, joins]) {
        assert!(answer.await.unwrap().unwrap().is_some());
    }
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_waiter_may_be_dropped_at_any_time() {
    for wait in [Duration::ZERO, WINDOW / 2, WINDOW * 2, CALL] {
        let clock = clock();
        let (batcher, calls) = backend(|_| None);
        let first = ask(&batcher, 1);
        tokio::task::yield_now().await;
        let second = ask(&batcher, 2);
        clock.sleep(wait).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(second.await.unwrap().unwrap(), Some(20), "dropped after {wait:?}");
        assert_eq!(calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_that_fills_a_call_may_be_dropped() {
    let (batcher, calls) = backend(|_| None);
    let mut asked: Vec<_> = (0..10).map(|key| ask(&batcher, key)).collect();
    while calls.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    asked.pop().unwrap().abort();
    for (key, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), Some(key as u32 * 10));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_not_asked() {
    let clock = clock();
    let (batcher, calls) = backend(|_| None);
    let (gone, stays) = (ask(&batcher, 1), ask(&batcher, 2));
    clock.sleep(WINDOW / 2).await;
    gone.abort();
    assert_eq!(stays.await.unwrap().unwrap(), Some(20));
    assert_eq!(*calls.lock().unwrap(), [[2]]);

    let gone = ask(&batcher, 3);
    clock.sleep(WINDOW / 2).await;
    gone.abort();
    clock.sleep(CALL).await;
    assert_eq!(calls.lock().unwrap().len(), 1, "no call for nobody");
}

#[tokio::test(start_paused = true)]
async fn an_error_goes_to_all_who_wait_and_to_nobody_after() {
    let (batcher, calls) = backend(|keys| keys.contains(&500).then_some(ErrorKind::Throttled));
    let (a, b) = tokio::join!(batcher.get(1), batcher.get(500));
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert!(error.is_transient());
        assert_eq!(error.to_string(), "cannot describe: no\n  next: try it again");
    }
    assert_eq!(calls.lock().unwrap().len(), 1, "asking again is for core");
    assert_eq!(batcher.get(1).await.unwrap(), Some(10));
}

#[tokio::test(start_paused = true)]
async fn one_bad_name_does_not_fail_its_neighbours() {
    for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::NotFound] {
        let (batcher, calls) = backend(move |keys| keys.contains(&3).then_some(kind));
        let asked: Vec<_> = (0..10).map(|key| (key, ask(&batcher, key))).collect();
        for (key, answer) in asked {
            match answer.await.unwrap() {
                Ok(found) => assert_eq!(found, Some(key * 10)),
                Err(error) => assert_eq!((key, error.kind()), (3, kind)),
            }
        }
        assert_eq!(calls.lock().unwrap().len(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_fails_its_waiters_and_nobody_else() {
    let batcher = Batcher::new(clock(), 10, WINDOW, |keys: Vec<u32>| async move {
        assert!(!keys.contains(&13), "a mistake in the look-up");
        Ok(keys.into_iter().map(|key| (key, key)).collect::<HashMap<_, _>>())
    });
    assert_eq!(batcher.get(13).await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(batcher.get(1).await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn groups_have_calls_of_their_own() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let clusters: Batchers<&str, u32, &str> = Batchers::new(move |cluster: &&'static str| {
        let (cluster, seen) = (*cluster, Arc::clone(&seen));
        Batcher::new(clock(), 10, WINDOW, move |keys: Vec<u32>| {
            seen.lock().unwrap().push(cluster);
            async move { Ok(keys.into_iter().map(|key| (key, cluster)).collect()) }
        })
    });
    let (prod, again, test) = (clusters.of(&"prod"), clusters.of(&"prod"), clusters.of(&"test"));
    let answers = tokio::join!(prod.get(1), again.get(2), test.get(1));
    assert_eq!(
        (answers.0.unwrap(), answers.1.unwrap(), answers.2.unwrap()),
        (Some("prod"), Some("prod"), Some("test"))
    );
    let mut calls = calls.lock().unwrap().clone();
    calls.sort_unstable();
    assert_eq!(calls, ["prod", "test"]);
}
