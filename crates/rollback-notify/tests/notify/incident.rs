//! The incident of a real run, in a simulated world.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::condition::Baseline;
use rollback_core::engine::Claim;
use rollback_core::probe::Sample;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{Approval, ComponentName, Engine, OnFailure, Planned, Request, State};
use rollback_notify::incident::Measured;
use rollback_notify::{Incident, Notice, stats};
use rollback_testkit::sim::{Settings, ToyTarget, Way, World};
use rollback_watch::{Facts, Severity, decide, named};

use crate::made::environment;

/// What is measured, every ten seconds.
struct Watching {
    errors: Measured,
    outage: Measured,
}

impl Watching {
    fn new() -> Self {
        let measured = |trigger: &rollback_watch::Trigger| {
            Measured::new(trigger.name(), trigger.rule(), Baseline::default())
        };
        Self { errors: measured(&named::error_rate()), outage: measured(&named::outage()) }
    }

    fn sample(&mut self, at: jiff::Timestamp, number: u32, good: bool) {
        let noise = f64::from(number * 7 % 5) / 10.0;
        let rate = if good { 0.2 + noise } else { 9.0 + 4.0 * noise };
        self.errors.sample(at, &Sample::ok("").with("error_rate_percent", rate));
        let sample = match number % 17 {
            3 => Sample::unknown("no such name"),
            _ if good => Sample::ok("200"),
            _ => Sample::bad("503"),
        };
        self.outage.sample(at, &sample);
    }
}

/// Two components, two hours after the deploy of a version that turns bad.
async fn story(sick: Option<OnFailure>) -> Incident {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at("2026-11-21T01:00:00Z".parse().unwrap()));
    let names = ["api", "web"].map(|name| ComponentName::new(name).unwrap());
    let settings = Settings::default().parts(3).rollout(Duration::from_secs(12));
    let worlds = [Way::PartByPart, Way::Switch].map(|way| World::new(settings.way(way), Arc::clone(&clock)));
    if sick.is_some() {
        worlds[1].sicken(1);
    }
    let mut builder =
        Engine::builder(Arc::new(MemoryStore::new())).environment(environment()).clock(Arc::clone(&clock));
    for (name, world) in names.iter().zip(&worlds) {
        builder = builder.component(name.clone(), ToyTarget::new(name.as_str(), world.clone()).erase());
    }
    let engine = builder.build();
    for (name, world) in names.iter().zip(&worlds) {
        engine.record(name, &Claim::good().by("ana")).await.unwrap();
        world.deploy(2, "pipeline").unwrap();
    }
    let deployed = clock.now();
    clock.sleep(Duration::from_secs(7_000)).await;
    let mut watching = Watching::new();
    let every = Duration::from_secs(10);
    for number in 0..12 {
        watching.sample(clock.now(), number, true);
        clock.sleep(every).await;
    }
    for number in 12..25 {
        watching.sample(clock.now(), number, false);
        clock.sleep(every).await;
    }
    (watching.outage.fired, watching.errors.fired) = (Some(clock.now()), Some(clock.now()));
    let decided = clock.now();
    let facts =
        Facts { good: Some("r1 (1.1.0)".to_owned()), ..Facts::fired(Severity::P0, Duration::from_secs(120)) };

    let mut request = Request::new(environment().name)
        .reason("outage: HTTP 503 for 2m")
        .automatic(true)
        .actor("watch@ops-1");
    if let Some(on_failure) = sick {
        request = request.on_failure(on_failure);
    }
    for name in &names {
        request = request.component(name.clone(), None);
    }
    let Planned::Ready(plan) = engine.plan(&request).await.unwrap() else { panic!("no plan") };
    let approval = Approval::yes();
    let running = engine.apply(&plan, &approval);
    let watching_on = async {
        for number in 25..50 {
            let well = worlds.iter().all(|world| world.look().everywhere() == Some(1));
            watching.sample(clock.now(), number, well);
            clock.sleep(every).await;
        }
    };
    let (report, ()) = tokio::join!(running, watching_on);
    let report = report.unwrap();
    let details = engine.run(report.run).await.unwrap();
    let to = vec!["slack (hooks.slack.com): delivered".to_owned()];
    Incident::of_run(&details)
        .deployed(deployed)
        .decided(decide(&facts), Severity::P0, decided)
        .rule(watching.errors)
        .rule(watching.outage)
        .told(&Notice::started(report.run, &plan, report.started_at), to.clone())
        .told(&Notice::ended(&plan, &report), to)
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_with_its_times_and_actions() {
    let incident = story(None).await;
    assert_eq!(incident.state, Some(State::Restored));
    let times = incident.times;
    let order =
        [times.deployed, times.first_bad, times.detected, times.decided, times.started, times.first_effect];
    let order: Vec<_> = order.into_iter().map(|at| at.expect("every time is known")).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(times.proven > times.first_effect && times.restored > times.first_effect, "{times:?}");
    assert!(times.proven <= times.ended, "{times:?}");
    for (component, sent) in incident.components.iter().zip([3, 1]) {
        // An action that the journal tells of in words that are not understood would be missing, or have no end.
        assert_eq!(component.actions.len(), sent, "{:#?}", component.journal);
        for action in &component.actions {
            assert!(action.ended.is_some() && action.outcome.starts_with("applied"), "{action:?}");
            assert!(!action.title.is_empty(), "{action:?}");
        }
        assert_eq!(component.parts.len(), 3);
    }

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (page, text) = (incident.html(), incident.markdown());
    std::fs::write(folder.join("incident.html"), &page).unwrap();
    std::fs::write(folder.join("incident.md"), &text).unwrap();
    for told in ["Rollback of api, web in prod", "r2 (1.2.0)", "outage", "watch@ops-1", "roll back"] {
        assert!(page.contains(told), "{told} is not in the page");
    }
    for told in ["Rollback of api, web in prod", "## Timeline", " | first bad sample | ", "### Actions"] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_proven_of_all_is_not_proven() {
    let incident = story(Some(OnFailure::Hold)).await;
    assert_eq!((incident.state, incident.components[0].state), (Some(State::Partial), Some(State::Restored)));
    assert_eq!((incident.times.proven, incident.times.restored), (None, None));
    let figures = stats::by_component([&incident]);
    let counted = figures.values().map(|figures| (figures.incidents, figures.restored)).collect::<Vec<_>>();
    assert_eq!(counted, [(1, 1), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_told_as_what_it_was() {
    let incident = story(Some(OnFailure::Back)).await;
    assert_eq!(incident.state, Some(State::FailedRestored));
    assert_eq!(incident.times.proven, None, "what was proven is the origin");
    // The same steps were sent with other goals: each is named by what it did.
    for component in &incident.components {
        let titles = |back: bool| -> Vec<&str> {
            let goes = |leg: &str| leg.starts_with("goes back with ");
            let wanted =
                component.actions.iter().filter(|action| action.leg.as_deref().is_some_and(goes) == back);
            wanted.map(|action| action.title.as_str()).collect()
        };
        for (back, release) in [(true, "r2"), (false, "r1")] {
            let titles = titles(back);
            assert!(!titles.is_empty() && titles.iter().all(|title| title.contains(release)), "{titles:?}");
        }
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("incident-back.html"), incident.html())
        .unwrap();
}
