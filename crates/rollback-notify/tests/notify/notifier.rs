//! What the notifier promises, in virtual time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::{Clock, Lasting, TokioClock};
use rollback_core::{EnvironmentName, Error, ErrorKind, Result};
use rollback_notify::{Kind, Notice, Notifier, Policy, Sink, Subscription};

/// How a sink behaves.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Takes,
    Hangs,
    Panics,
    /// So often it is not there, then it takes.
    Away(u32),
    Refuses,
    /// Wants to be asked again after so many seconds.
    Busy(u64),
}

/// A sink with a mood, that remembers what it took and when.
#[derive(Debug, Clone)]
struct Toy {
    mood: Mood,
    tries: Arc<AtomicU32>,
    took: Arc<Mutex<Vec<(Duration, String)>>>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Sink for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let before = self.tries.fetch_add(1, Ordering::SeqCst);
        match self.mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Panics => panic!("a fault of the sink"),
            Mood::Away(times) if before < times => {
                return Err(Error::new(ErrorKind::Unavailable, "tell toy", "it is away"));
            }
            Mood::Busy(seconds) if before == 0 => {
                let error = Error::new(ErrorKind::Throttled, "tell toy", "too many requests");
                return Err(error.with_retry_after(Lasting::from_secs(seconds)));
            }
            Mood::Refuses => return Err(Error::new(ErrorKind::Denied, "tell toy", "a wrong token")),
            Mood::Takes | Mood::Away(_) | Mood::Busy(_) => {}
        }
        self.took.lock().unwrap().push((self.clock.monotonic(), notice.id.clone()));
        Ok(())
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at("2026-11-21T03:00:00Z".parse().unwrap()))
}

fn toy(mood: Mood, clock: &Arc<dyn Clock>) -> Toy {
    Toy { mood, tries: Arc::default(), took: Arc::default(), clock: Arc::clone(clock) }
}

fn notice(kind: Kind, id: impl Into<String>) -> Notice {
    let at = "2026-11-21T03:00:00Z".parse().unwrap();
    Notice::new(kind, id, EnvironmentName::new("prod").unwrap(), at)
}

fn start(clock: &Arc<dyn Clock>, policy: Policy, sinks: &[&Toy]) -> Notifier {
    let subscriptions = sinks.iter().map(|toy| Subscription::usual((*toy).clone())).collect();
    Notifier::start(Arc::clone(clock), policy, subscriptions)
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_delays_nothing() {
    let clock = clock();
    let (hanging, good) = (toy(Mood::Hangs, &clock), toy(Mood::Takes, &clock));
    let notifier = start(&clock, Policy::default(), &[&hanging, &good]);
    for number in 0..10 {
        notifier.notify(notice(Kind::Started, number.to_string()));
    }
    assert_eq!(clock.monotonic(), Duration::ZERO, "telling takes no time");
    tokio::task::yield_now().await;
    clock.sleep(Duration::from_millis(1)).await;
    assert_eq!(good.took.lock().unwrap().len(), 10, "the others are not delayed");
    assert!(good.took.lock().unwrap().iter().all(|(at, _)| *at == Duration::ZERO));

    let before = clock.monotonic();
    let deliveries = notifier.close(Duration::from_secs(7)).await;
    assert_eq!(clock.monotonic() - before, Duration::from_secs(7), "the end is bounded");
    assert!(deliveries[1].is_complete() && deliveries[1].delivered == 10);
    assert_eq!((deliveries[0].delivered, deliveries[0].failed), (0, 10), "what was not delivered is told");
    assert!(deliveries[0].undelivered[0].why.contains("did not answer in time"), "{deliveries:?}");
    assert!(deliveries[0].undelivered[9].why.contains("no time left"), "{deliveries:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_a_pause_that_doubles() {
    let clock = clock();
    let sink = toy(Mood::Away(3), &clock);
    let notifier = start(&clock, Policy::default(), &[&sink]);
    notifier.notify(notice(Kind::Done, "a"));
    let deliveries = notifier.close(Duration::from_secs(60)).await;
    assert!(deliveries[0].is_complete(), "{deliveries:?}");
    assert_eq!(sink.took.lock().unwrap()[0], (Duration::from_secs(1 + 2 + 4), "a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_asked_again_when_it_wants_to_be() {
    for (asked, waited) in [(45, 45), (86_400, 300), (0, 1)] {
        let clock = clock();
        let sink = toy(Mood::Busy(asked), &clock);
        let notifier = start(&clock, Policy::default(), &[&sink]);
        notifier.notify(notice(Kind::Done, "a"));
        let deliveries = notifier.close(Duration::from_secs(600)).await;
        assert!(deliveries[0].is_complete(), "{deliveries:?}");
        assert_eq!(sink.took.lock().unwrap()[0].0, Duration::from_secs(waited));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_tried_for_ever() {
    let clock = clock();
    let (away, hanging) = (toy(Mood::Away(1_000), &clock), toy(Mood::Hangs, &clock));
    let notifier = start(&clock, Policy::default(), &[&away, &hanging]);
    notifier.notify(notice(Kind::Done, "a"));
    let deliveries = notifier.close(Duration::from_secs(600)).await;
    for (sink, delivery) in [&away, &hanging].iter().zip(&deliveries) {
        assert_eq!(sink.tries.load(Ordering::SeqCst), 5);
        assert_eq!(delivery.failed, 1);
        assert!(delivery.undelivered[0].why.contains("tried 5 times"), "{delivery:?}");
    }
    assert!(deliveries[1].undelivered[0].why.contains("no answer within 10s"), "{deliveries:?}");
    let spent = clock.monotonic();
    assert_eq!(spent, Duration::from_secs(5 * 10 + 1 + 2 + 4 + 8), "and the end waits no longer than needed");
}

#[tokio::test(start_paused = true)]
async fn what_never_helps_is_tried_once() {
    let clock = clock();
    let sink = toy(Mood::Refuses, &clock);
    let notifier = start(&clock, Policy::default(), &[&sink]);
    notifier.notify(notice(Kind::Done, "a"));
    let deliveries = notifier.close(Duration::from_secs(600)).await;
    assert_eq!((sink.tries.load(Ordering::SeqCst), clock.monotonic()), (1, Duration::ZERO));
    assert!(deliveries[0].undelivered[0].why.contains("a wrong token"), "{deliveries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_throws_away_the_oldest_that_needs_nobody_and_tells() {
    let clock = clock();
    let sink = toy(Mood::Hangs, &clock);
    let notifier = start(&clock, Policy::default().queue(3), &[&sink]);
    notifier.notify(notice(Kind::Done, "being sent"));
    clock.sleep(Duration::from_millis(1)).await;
    let mut urgent = notice(Kind::Failed, "urgent");
    urgent.needs_person = true;
    notifier.notify(urgent);
    for id in ["old", "b", "c"] {
        notifier.notify(notice(Kind::Done, id));
    }
    let deliveries = notifier.close(Duration::from_secs(1)).await;
    assert_eq!(deliveries[0].dropped, 1);
    let left: Vec<_> = deliveries[0].undelivered.iter().map(|left| left.id.as_str()).collect();
    assert_eq!(left, ["being sent", "urgent", "b", "c"]);
    assert!(!deliveries[0].is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_takes_nobody_with_it() {
    let clock = clock();
    let (broken, good) = (toy(Mood::Panics, &clock), toy(Mood::Takes, &clock));
    let notifier = start(&clock, Policy::default(), &[&broken, &good]);
    notifier.notify(notice(Kind::Done, "a"));
    notifier.notify(notice(Kind::Done, "b"));
    let deliveries = notifier.close(Duration::from_secs(60)).await;
    assert_eq!((deliveries[0].failed, deliveries[1].delivered), (2, 2));
    assert!(deliveries[0].undelivered[1].why.contains("the sink panicked"), "{deliveries:?}");
}

#[tokio::test(start_paused = true)]
async fn each_hears_of_what_it_wants() {
    let clock = clock();
    let (usual, pager) = (toy(Mood::Takes, &clock), toy(Mood::Takes, &clock));
    let called = Subscription::usual(pager.clone()).on([Kind::NeedsSomebody]);
    let subscriptions = vec![Subscription::usual(usual.clone()), called];
    let notifier = Notifier::start(Arc::clone(&clock), Policy::default(), subscriptions);
    for kind in Kind::ALL {
        notifier.notify(notice(kind, kind.as_str()));
    }
    let mut stuck = notice(Kind::Failed, "stuck");
    stuck.needs_person = true;
    notifier.notify(stuck);
    notifier.close(Duration::from_secs(1)).await;
    let heard = |toy: &Toy| toy.took.lock().unwrap().iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    assert_eq!(heard(&usual), ["started", "done", "failed", "needs-somebody", "proposed", "stuck"]);
    assert_eq!(heard(&pager), ["needs-somebody", "stuck"]);
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_is_dropped_goes_on() {
    let clock = clock();
    let sink = toy(Mood::Away(2), &clock);
    let notifier = start(&clock, Policy::default(), &[&sink]);
    notifier.notify(notice(Kind::Done, "a"));
    drop(notifier);
    clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(sink.took.lock().unwrap().len(), 1);
}
