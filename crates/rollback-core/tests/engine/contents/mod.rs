//! Kept contents: encrypted, opt-in, and a way back when the backend has forgotten.

mod shelf;

use std::sync::{Arc, Mutex, MutexGuard};

use rollback_core::contents::{ContentsKey, ContentsKeys};
use rollback_core::engine::Claim;
use rollback_core::environment::Environment;
use rollback_core::lease::Holder;
use rollback_core::plan::MethodVerdict;
use rollback_core::store::{KeyPrefix, MemoryStore};
use rollback_core::time::{Clock, Lasting};
use rollback_core::{
    Approval, Destination, Engine, EnvironmentName, Plan, Planned, Report, Request, State, Store as _,
};
use rollback_testkit::sim::SeededEntropy;

use self::shelf::{Driver, Shelf};
use crate::setup::{clock, ended, name, plan};

/// What must be nowhere in the clear.
const GOOD: &str = "password = correct horse battery staple";
const BAD: &str = "password = typed by mistake";

struct Bed {
    shelf: Arc<Mutex<Shelf>>,
    store: MemoryStore,
    clock: Arc<dyn Clock>,
}

fn keys(last: u8) -> ContentsKeys {
    ContentsKeys::new(ContentsKey::new(&[[7; 31].as_slice(), &[last]].concat()).unwrap())
}

impl Bed {
    /// Release 2 with a good configuration, recorded as good.
    async fn new() -> Self {
        let bed = Self { shelf: Arc::default(), store: MemoryStore::new(), clock: clock() };
        bed.shelf().put(2, GOOD);
        bed.record(&bed.engine(Some(keys(1))), true).await;
        bed
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    fn configure(&self, config: &str) {
        config.clone_into(&mut self.shelf().config);
    }

    /// What is there, and how much was sent. The lock is held by nobody else meanwhile.
    fn is(&self) -> (Option<u32>, String, u32) {
        let shelf = self.shelf();
        (shelf.release, shelf.config.clone(), shelf.sent)
    }

    fn engine(&self, keys: Option<ContentsKeys>) -> Engine {
        let environment = EnvironmentName::new("test").unwrap();
        let engine = Engine::builder(Arc::new(self.store.clone()))
            .component(name("web"), Driver(Arc::clone(&self.shelf)).erase())
            .environment(Environment::new(environment).require_reason(false))
            .clock(Arc::clone(&self.clock))
            .entropy(Arc::new(SeededEntropy::new(self.clock.monotonic().as_secs() + 7)))
            .holder(Holder::named("ana", "host", 1));
        match keys {
            Some(keys) => engine.contents(keys),
            None => engine,
        }
        .build()
    }

    async fn record(&self, engine: &Engine, good: bool) {
        self.clock.sleep(Lasting::from_secs(60).as_duration()).await;
        let claim = if good { Claim::good() } else { Claim::deployed() };
        engine.record(&name("web"), &claim).await.unwrap();
    }

    fn request(destination: Option<&str>) -> Request {
        let destination = destination.map(|text| text.parse::<Destination>().unwrap());
        Request::new(EnvironmentName::new("test").unwrap()).component(name("web"), destination)
    }

    async fn back(&self, engine: &Engine) -> (Plan, Report) {
        let plan = plan(engine, &Self::request(None)).await;
        let report = engine.apply(&plan, &Approval::yes()).await.unwrap();
        (plan, report)
    }

    /// Everything that is stored, as text.
    async fn stored(&self) -> String {
        let spaces =
            ["contents", "deployments", "documents", "heads", "journal", "lifted", "quarantine", "runs"];
        let mut all = String::new();
        for space in spaces {
            for key in self.store.list(&KeyPrefix::new(space).unwrap(), None, 500).await.unwrap() {
                let found = self.store.get(&key).await.unwrap().unwrap();
                all.push_str(&String::from_utf8_lossy(&found.value));
            }
        }
        all
    }
}

/// The strategy that was chosen, if one was.
fn chosen(plan: &Plan) -> Option<&str> {
    let methods = &plan.components[&name("web")].methods;
    let found = methods.iter().find(|method| matches!(method.verdict, MethodVerdict::Chosen(_)));
    found.map(|method| method.strategy.as_str())
}

fn why_not(plan: &Plan, strategy: &str) -> String {
    let methods = &plan.components[&name("web")].methods;
    match methods.iter().find(|method| method.strategy == strategy).map(|method| &method.verdict) {
        Some(MethodVerdict::Rejected(why)) => why.clone(),
        other => panic!("{strategy}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_backend_forgot_is_made_again() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    bed.shelf().put(3, BAD);
    bed.record(&engine, false).await;
    // Pruned, or deleted altogether.
    bed.shelf().history.clear();
    for (gone, sent) in [(false, 1), (true, 2)] {
        if gone {
            bed.shelf().release = None;
            bed.shelf().config.clear();
        }
        let (plan, report) = bed.back(&engine).await;
        ended(&report, State::Restored);
        assert_eq!(chosen(&plan), Some("remake"));
        assert!(why_not(&plan, "switch").contains("revision r2 does not exist any more"));
        assert_eq!(bed.is(), (Some(2), GOOD.to_owned(), sent));
        let told = serde_json::to_string(&(&plan, &report)).unwrap() + &bed.stored().await;
        assert!(!told.contains("correct horse") && !told.contains("by mistake"));
        engine.record(&name("web"), &Claim::good().lift_quarantine(true)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_has_it_is_the_nearer_way() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    bed.shelf().put(3, BAD);
    let (plan, report) = bed.back(&engine).await;
    ended(&report, State::Restored);
    assert_eq!(chosen(&plan), Some("switch"));
    assert_eq!(bed.is(), (Some(2), BAD.to_owned(), 1));
    // Recorded is what is there now, and not what was there when it was good.
    let newest = engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap().remove(0);
    let now = engine.status(&name("web")).await.unwrap().observed.settled;
    assert_eq!(newest.snapshot.info.coupled, now.known().unwrap().info.coupled);
    assert!(newest.kept.is_some());
}

#[tokio::test(start_paused = true)]
async fn configuration_alone_is_put_back() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    bed.configure(BAD);
    let (plan, report) = bed.back(&engine).await;
    ended(&report, State::Restored);
    assert_eq!(chosen(&plan), Some("remake"));
    assert!(why_not(&plan, "switch").contains("runs already"));
    assert_eq!(bed.shelf().config, GOOD);
    // What was there before is kept too, and is not good.
    let records = engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap();
    let left: Vec<_> = records.iter().filter(|record| record.left_by == Some(report.run)).collect();
    assert!(left.len() == 1 && left[0].kept.is_some(), "{records:?}");
    // Now there is nothing to do.
    let (plan, report) = bed.back(&engine).await;
    ended(&report, State::AlreadyThere);
    assert_eq!((chosen(&plan), bed.shelf().sent), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_is_a_deployment_of_its_own() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    let when = bed.clock.now();
    bed.configure(BAD);
    bed.record(&engine, true).await;
    bed.record(&engine, true).await;
    let records = engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap();
    assert_eq!(records.len(), 2);
    let request = Bed::request(Some(&format!("as-of={when}")));
    let plan = plan(&engine, &request).await;
    ended(&engine.apply(&plan, &Approval::yes()).await.unwrap(), State::Restored);
    assert_eq!(bed.shelf().config, GOOD);
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_proven() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    bed.configure(BAD);
    bed.shelf().forgets_config = true;
    let (_, report) = bed.back(&engine).await;
    assert!(!report.state.is_success(), "{report:?}");
    assert!(serde_json::to_string(&report).unwrap().contains("what belongs to it is not what it was"));
}

#[tokio::test(start_paused = true)]
async fn without_the_key_nothing_is_kept_or_used() {
    let bed = Bed { shelf: Arc::default(), store: MemoryStore::new(), clock: clock() };
    bed.shelf().put(2, GOOD);
    let engine = bed.engine(None);
    bed.record(&engine, true).await;
    bed.configure(BAD);
    let (plan, report) = bed.back(&engine).await;
    ended(&report, State::AlreadyThere);
    assert!(plan.components[&name("web")].methods.is_empty());
    assert!(!bed.stored().await.contains("shelf-contents"));
    // Kept later, by a record of the same.
    bed.configure(GOOD);
    bed.record(&bed.engine(Some(keys(1))), false).await;
    let records = engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap();
    assert!(records.len() == 1 && records[0].kept.is_some() && records[0].good.is_some());
    // Another key, or none: the step says which is missing, and nothing was changed.
    bed.shelf().put(3, BAD);
    bed.shelf().history.clear();
    for keys in [Some(keys(9)), None] {
        bed.clock.sleep(Lasting::from_secs(60).as_duration()).await;
        let engine = bed.engine(keys);
        let (_, report) = bed.back(&engine).await;
        assert!(!report.state.is_success());
        assert!(serde_json::to_string(&report).unwrap().contains("which is not configured"), "{report:?}");
        assert_eq!(bed.is(), (Some(3), BAD.to_owned(), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn contents_go_with_the_records_that_name_them() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(keys(1)));
    let kept =
        || async { bed.store.list(&KeyPrefix::new("contents").unwrap(), None, 500).await.unwrap().len() };
    bed.shelf().put(3, BAD);
    bed.record(&engine, false).await;
    bed.shelf().put(4, BAD);
    bed.record(&engine, false).await;
    assert_eq!(kept().await, 3);
    bed.clock.sleep(Lasting::from_secs(40 * 86_400).as_duration()).await;
    let month = Lasting::from_secs(30 * 86_400);
    let would = engine.clean_up(month, true, &|_| {}).await.unwrap();
    assert_eq!((would.deployments, would.contents, kept().await), (1, 1, 3));
    assert_eq!(engine.clean_up(month, false, &|_| {}).await.unwrap(), would);
    // Those of the last good and of the newest stay.
    assert_eq!(kept().await, 2);
    let Planned::Ready(plan) = engine.plan(&Bed::request(None)).await.unwrap() else { panic!() };
    bed.shelf().history.clear();
    drop(plan);
    ended(&bed.back(&engine).await.1, State::Restored);
}
