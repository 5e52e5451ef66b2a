//! What a store holds: run records, journals, heads, deployments, quarantine.

use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::store::MemoryStore;
use rollback_core::{Destination, Engine, Request, Result, RunId};

use crate::lines::{self, Line};
use crate::promises::bounded;
use crate::world::{Lab, in_virtual_time, name, named_time};

/// Everything that only looks at a store, or adds to it.
pub(crate) fn read(data: &[u8]) {
    let lines = lines::read(data);
    in_virtual_time(async {
        let lab = Lab::new().await;
        lab.load(&lines).await;
        let engine = lab.engine(Lab::environment(), 1);
        fine(engine.runs(20).await);
        for run in runs(&lines) {
            if let Some(details) = fine(engine.run(run).await) {
                serde_json::to_string(&details).expect("a run is JSON");
            }
        }
        fine(engine.status(&name("web")).await);
        fine(engine.history(&name("web"), 20).await);
        ledger(&engine).await;
        let request =
            Request::new(Lab::environment().name).component(name("web"), Some(Destination::LastGood));
        fine(engine.plan(&request).await);
        fine(engine.record(&name("web"), &Claim::good().by("ana")).await);
        let other = Lab { store: MemoryStore::new(), ..lab };
        let copied =
            other.engine(Lab::environment(), 2).merge_break_glass(std::sync::Arc::new(lab.store)).await;
        fine(copied);
    });
}

async fn ledger(engine: &Engine) {
    let Some(ledger) = fine(engine.ledger(&name("web")).await) else { return };
    let deployments = fine(ledger.deployments().await);
    for deployment in deployments.iter().flatten() {
        let written = serde_json::to_value(deployment).expect("a deployment is JSON");
        assert_eq!(
            serde_json::from_value(written).ok().as_ref(),
            Some(deployment),
            "it changes by being written"
        );
    }
    if let Some(good) = fine(ledger.last_good().await).flatten() {
        assert!(good.is_good(), "what did not earn it is called good");
    }
    fine(ledger.quarantined().await);
}

/// Takes up every run that the store holds. Each ends in time, no effect lands twice, and the end is stored.
pub(crate) fn resume(data: &[u8]) {
    let lines = lines::read(data);
    let value = |line: &Line<'_>| {
        serde_json::from_slice(line.value).map_or(Duration::ZERO, |value| named_time(&value))
    };
    let named = lines.iter().map(value).fold(Duration::ZERO, Duration::saturating_add);
    in_virtual_time(async {
        let lab = Lab::new().await;
        lab.load(&lines).await;
        let engine = lab.engine(Lab::environment(), 1);
        for run in runs(&lines).into_iter().take(3) {
            let Some(resumed) = lab.ends(named, engine.resume(run)).await else { return };
            let Some(report) = fine(resumed) else { continue };
            lab.check_report(&report);
        }
    });
}

fn runs(lines: &[Line<'_>]) -> Vec<RunId> {
    let keys = lines.iter().filter(|line| line.key.as_str().starts_with("runs/"));
    keys.filter_map(|line| line.key.last_segment().parse().ok()).collect()
}

/// Reading may fail; its error is fit to be shown.
fn fine<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(bounded).ok()
}
