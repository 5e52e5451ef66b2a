//! Pacing in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollback_aws_support::pacing::ecs;
use rollback_aws_support::{Pacer, Quota, Scope};
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

const QUOTA: Quota = Quota::new("test", "things", 10, 5.0);

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at(jiff::Timestamp::UNIX_EPOCH))
}

fn scope() -> Scope {
    Scope::new("123456789012", "eu-central-1")
}

async fn refused() -> Result<()> {
    Err(Error::new(ErrorKind::Throttled, "ask", "slow down"))
}

/// Waits for tasks that were spawned to get as far as they can without time passing.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.05 * b
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    for _ in 0..10 {
        let _ = pacer.turn(&scope(), QUOTA).await;
    }
    assert_eq!(clock.monotonic(), Duration::ZERO);
    for _ in 0..50 {
        let _ = pacer.turn(&scope(), QUOTA).await;
    }
    let took = clock.monotonic().as_secs_f64();
    assert!((10.0..10.2).contains(&took), "50 calls at 5 a second took {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_rest_does_not_save_up_more_than_a_burst() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    let _ = pacer.turn(&scope(), QUOTA).await;
    clock.sleep(Duration::from_secs(3_600)).await;
    let start = clock.monotonic();
    for _ in 0..15 {
        let _ = pacer.turn(&scope(), QUOTA).await;
    }
    let took = (clock.monotonic() - start).as_secs_f64();
    assert!((1.0..1.1).contains(&took), "10 at once and 5 more took {took} s");
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_documented_calls_in_any_stretch_of_time() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    let quota = ecs::quota("UpdateService");
    let passed = Arc::new(Mutex::new(Vec::new()));
    let calls = (0..1_000).map(|_| {
        let (pacer, clock, passed) = (pacer.clone(), Arc::clone(&clock), Arc::clone(&passed));
        tokio::spawn(async move {
            let _ = pacer.turn(&scope(), quota).await;
            passed.lock().await.push(clock.monotonic().as_secs_f64());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let passed = passed.lock().await;
    for (i, start) in passed.iter().enumerate() {
        for (count, end) in passed[i..].iter().enumerate() {
            let allowed = 50.0 + 5.0 * (end - start) + 0.01;
            assert!((count as f64) < allowed, "{count} calls between {start} and {end}");
        }
    }
    let last = passed.last().unwrap();
    assert!((190.0..195.0).contains(last), "a thousand took {last} s");
}

#[tokio::test(start_paused = true)]
async fn accounts_regions_and_groups_do_not_wait_for_each_other() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    let other = Quota::new("test", "others", 10, 5.0);
    for (scope, quota) in [
        (scope(), QUOTA),
        (scope(), other),
        (Scope::new("999999999999", "eu-central-1"), QUOTA),
        (Scope::new("123456789012", "us-east-1"), QUOTA),
    ] {
        for _ in 0..10 {
            let _ = pacer.turn(&scope, quota).await;
        }
    }
    assert_eq!(clock.monotonic(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_came_first_goes_first_and_a_dropped_waiter_holds_up_nobody() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    for _ in 0..10 {
        let _ = pacer.turn(&scope(), QUOTA).await;
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    for number in 0..20 {
        let (pacer, order) = (pacer.clone(), Arc::clone(&order));
        waiters.push(tokio::spawn(async move {
            let _ = pacer.turn(&scope(), QUOTA).await;
            order.lock().await.push(number);
        }));
        settle().await;
    }
    // The one that waits for the token, and one in the middle of the line.
    waiters[0].abort();
    waiters[7].abort();
    for waiter in waiters {
        let _ = waiter.await;
    }
    let expected: Vec<i32> = (0..20).filter(|number| ![0, 7].contains(number)).collect();
    assert_eq!(*order.lock().await, expected);
    let took = clock.monotonic().as_secs_f64();
    assert!((3.6..3.8).contains(&took), "18 calls at 5 a second, none for the dropped: {took} s");
}

/// The machine's clock when the machine is busy: the first sleep returns late.
#[derive(Debug)]
struct Late {
    clock: Arc<dyn Clock>,
    slept: AtomicBool,
}

#[async_trait::async_trait]
impl Clock for Late {
    fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        let late = if self.slept.swap(true, Ordering::SeqCst) { 0 } else { 10 };
        self.clock.sleep(duration + Duration::from_secs(late)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_a_waiter_that_wakes_late() {
    let clock = clock();
    let pacer = Pacer::new(Arc::new(Late { clock: Arc::clone(&clock), slept: AtomicBool::new(false) }));
    for _ in 0..10 {
        let _ = pacer.turn(&scope(), QUOTA).await;
    }
    let first = tokio::spawn({
        let pacer = pacer.clone();
        async move { drop(pacer.turn(&scope(), QUOTA).await) }
    });
    settle().await;
    // By now there are tokens, and the first in the line has not seen it.
    clock.sleep(Duration::from_secs(5)).await;
    let _ = pacer.turn(&scope(), QUOTA).await;
    assert!(first.is_finished(), "the second went first");
}

#[tokio::test(start_paused = true)]
async fn after_throttling_nothing_is_left_of_a_burst() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    pacer.turn(&scope(), QUOTA).await.throttled();
    let _ = pacer.turn(&scope(), QUOTA).await;
    let took = clock.monotonic().as_secs_f64();
    assert!((0.38..0.41).contains(&took), "one token at a rate that grows from 2.5 a second took {took} s");
}

#[tokio::test(start_paused = true)]
async fn throttling_halves_the_rate_once_for_calls_under_way_and_it_grows_back() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    let mut turns = Vec::new();
    for _ in 0..8 {
        turns.push(pacer.turn(&scope(), QUOTA).await);
    }
    clock.sleep(Duration::from_millis(50)).await;
    for turn in turns {
        turn.throttled();
    }
    assert!(close(pacer.rate(&scope(), QUOTA), 2.5), "{}", pacer.rate(&scope(), QUOTA));

    // A call that was sent after that, and throttled again.
    assert!(pacer.paced(&scope(), QUOTA, refused()).await.is_err());
    let low = pacer.rate(&scope(), QUOTA);
    assert!((1.2..1.5).contains(&low), "{low}");
    clock.sleep(Duration::from_secs(4)).await;
    let later = pacer.rate(&scope(), QUOTA);
    assert!(close(later, low + 4.0 * 0.25), "{later} after {low}");
    clock.sleep(Duration::from_secs(60)).await;
    assert!(close(pacer.rate(&scope(), QUOTA), 5.0));
}

#[tokio::test(start_paused = true)]
async fn the_rate_never_falls_to_nothing() {
    let pacer = Pacer::new(clock());
    for _ in 0..100 {
        assert!(pacer.paced(&scope(), QUOTA, refused()).await.is_err());
        assert!(pacer.rate(&scope(), QUOTA) >= 0.25);
    }
}

#[tokio::test(start_paused = true)]
async fn other_failures_do_not_slow_down() {
    let pacer = Pacer::new(clock());
    let failing = async { Err::<(), _>(Error::new(ErrorKind::Denied, "ask", "no")) };
    assert!(pacer.paced(&scope(), QUOTA, failing).await.is_err());
    assert!(close(pacer.rate(&scope(), QUOTA), 5.0));
}

/// An account whose limit is far below what is documented, because others call in it too.
#[tokio::test(start_paused = true)]
async fn the_pace_finds_what_others_leave() {
    let clock = clock();
    let pacer = Pacer::new(Arc::clone(&clock));
    let left = Pacer::new(Arc::clone(&clock));
    let narrow = Quota::new("aws", "what is left", 5, 2.0);
    let (mut done, mut throttled) = (0, 0);
    for _ in 0..100 {
        let call = async {
            // What AWS would say: a token at once, or a throttle answer.
            let own = scope();
            let mut turn = Box::pin(left.turn(&own, narrow));
            tokio::select! {
                biased;
                _ = &mut turn => Ok(()),
                () = std::future::ready(()) => refused().await,
            }
        };
        match pacer.paced(&scope(), QUOTA, call).await {
            Ok(()) => done += 1,
            Err(_) => throttled += 1,
        }
    }
    assert!(done >= 60, "{done} of 100 passed, {throttled} were throttled");
}
