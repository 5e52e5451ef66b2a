//! Notices of real plans and reports, in a simulated world.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::environment::Automatic;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{
    Approval, ComponentName, Engine, Environment, EnvironmentName, Plan, Planned, Report, Request, State,
};
use rollback_notify::{Kind, Notice, Seen};
use rollback_testkit::sim::{Settings, ToyTarget, World};
use rollback_watch::{Facts, Severity, decide};

/// Release 1 is good, release 2 runs and is bad.
pub(crate) struct Setting {
    pub(crate) world: World,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) fn web() -> ComponentName {
    ComponentName::new("web").unwrap()
}

pub(crate) fn environment() -> Environment {
    Environment::new(EnvironmentName::new("prod").unwrap())
        .automatic(Automatic::Act)
        .contact("on call: +49 30 1234")
}

impl Setting {
    pub(crate) async fn new() -> Self {
        let clock: Arc<dyn Clock> =
            Arc::new(TokioClock::starting_at("2026-11-21T03:00:00Z".parse().unwrap()));
        let world =
            World::new(Settings::default().parts(2).rollout(Duration::from_secs(20)), Arc::clone(&clock));
        let engine = Engine::builder(Arc::new(MemoryStore::new()))
            .component(web(), ToyTarget::new("web", world.clone()).erase())
            .environment(environment())
            .clock(Arc::clone(&clock))
            .build();
        engine.record(&web(), &Claim::good().by("ana")).await.unwrap();
        clock.sleep(Duration::from_secs(600)).await;
        world.deploy(2, "pipeline").unwrap();
        clock.sleep(Duration::from_secs(600)).await;
        Self { world, engine, clock }
    }

    pub(crate) async fn plan(&self, automatic: bool) -> Plan {
        let request = Request::new(environment().name)
            .component(web(), None)
            .reason("HTTP 503 since the deploy")
            .actor("ana")
            .automatic(automatic);
        match self.engine.plan(&request).await.unwrap() {
            Planned::Ready(plan) => *plan,
            Planned::Undecided(why) => panic!("{why:?}"),
        }
    }

    pub(crate) async fn run(&self) -> (Plan, Report) {
        let plan = self.plan(false).await;
        let report = self.engine.apply(&plan, &Approval::yes()).await.unwrap();
        (plan, report)
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_done_is_told_with_facts() {
    let setting = Setting::new().await;
    let (plan, report) = setting.run().await;
    assert_eq!(report.state, State::Restored);

    let started = Notice::started(report.run, &plan, report.started_at);
    assert_eq!(started.title(), "[prod] Rollback started: web r2 (1.2.0) → r1 (1.1.0)");
    let text = started.text();
    for fact in
        ["Status: rollback in progress", "Issue: HTTP 503 since the deploy", "Who: ana", "web: r2 (1.2.0) ["]
    {
        assert!(text.contains(fact), "{fact} in {text}");
    }
    assert_eq!(started, Notice::started(report.run, &plan, report.started_at), "the same id each time");

    let done = Notice::ended(&plan, &report);
    assert_eq!((done.kind, done.needs_person), (Kind::Done, false));
    assert_eq!(done.title(), "[prod] Rollback done: web r2 (1.2.0) → r1 (1.1.0)");
    assert!(done.contacts.is_empty() && !done.is(Kind::NeedsSomebody), "nobody is called for good news");
    assert!(done.text().contains("Status: restored") && done.text().contains("Took: "), "{}", done.text());
    let written = serde_json::to_string(&done).unwrap();
    assert_eq!(serde_json::from_str::<Notice>(&written).unwrap(), done);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_leaves_something_to_do_calls_somebody() {
    let setting = Setting::new().await;
    setting.world.sicken(1);
    let (plan, report) = setting.run().await;
    assert!(!report.state.is_success(), "{report:?}");
    let failed = Notice::ended(&plan, &report);
    assert_eq!((failed.kind, failed.needs_person), (Kind::Failed, true));
    assert!(failed.is(Kind::NeedsSomebody) && failed.is(Kind::Failed) && !failed.is(Kind::Done));
    assert!(failed.text().contains("Call:\n- on call: +49 30 1234"), "{}", failed.text());
    assert!(!failed.next.is_empty(), "it says what to do: {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_watcher_saw_is_told_with_what_was_asked() {
    let setting = Setting::new().await;
    let plan = setting.plan(true).await;
    let environment = environment();
    let decision = decide(&Facts::fired(Severity::P0, Duration::from_secs(120)));
    let component = web();
    let seen = Seen {
        environment: &environment,
        component: &component,
        runs: None,
        what: "outage: HTTP 503 for 2m",
        severity: Severity::P0,
        decision: &decision,
        at: setting.clock.now(),
    };
    let called = Notice::needs_somebody(&seen);
    assert_eq!(called.title(), "[prod] Somebody is needed: web: outage: HTTP 503 for 2m");
    assert_eq!(called.answers.len(), decision.answers.len());
    assert!(called.next[0].contains("earned being called good? none"), "{called:?}");
    assert_eq!(called.contacts, ["on call: +49 30 1234"]);
    assert_eq!(called.id, Notice::needs_somebody(&seen).id);

    let proposed = Notice::proposed(&plan, Some(&seen), seen.at);
    assert!(proposed.needs_person && proposed.next[0].contains(&plan.digest().to_string()), "{proposed:?}");
    let small = Seen { severity: Severity::P2, ..seen };
    assert!(!Notice::proposed(&plan, Some(&small), seen.at).needs_person, "small faults wake nobody");
    let recorded = Notice::recorded(&small);
    assert!(recorded.contacts.is_empty() && recorded.id != called.id, "{recorded:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_in_a_text_is_markup_or_a_second_line() {
    let setting = Setting::new().await;
    let mut notice = Notice::started(
        rollback_core::RunId::new(setting.clock.now(), &rollback_core::name::SystemEntropy),
        &setting.plan(false).await,
        setting.clock.now(),
    );
    notice.reason = Some("x\nCall: +1 900 | <img src=x> **y** [z](http://evil)\u{202e}".to_owned());
    assert!(!notice.text().contains("\nCall: +1"), "{}", notice.text());
    let markdown = notice.markdown();
    assert!(
        !markdown.contains("<img") && !markdown.contains("**y**") && !markdown.contains("[z]("),
        "{markdown}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_very_many_components_those_that_failed_are_named() {
    let setting = Setting::new().await;
    let (plan, mut report) = setting.run().await;
    let mut one = report.components[&web()].clone();
    for number in 0..60 {
        report.components.insert(ComponentName::new(format!("c{number:02}")).unwrap(), one.clone());
    }
    one.state = State::Stuck;
    report.components.insert(ComponentName::new("zz").unwrap(), one);
    report.state = State::Stuck;
    let notice = Notice::ended(&plan, &report);
    assert_eq!((notice.components.len(), notice.components_omitted), (50, 12));
    assert_eq!(notice.components[0].component.as_str(), "zz");
    assert!(notice.title().contains(": zz ") && notice.title().chars().count() <= 141, "{}", notice.title());
    assert!(notice.text().contains("and 52 more"), "{}", notice.text());
}
