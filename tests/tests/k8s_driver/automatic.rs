//! A bad release on the real control plane with a watcher beside it, and nobody who touches anything.

use rollback_testkit::harness::{CaseResult, ensure};
use rollback_tests::automatic;
use rollback_tests::kubernetes::scenes;

use super::Shop;

/// A release whose containers crash: the driver sees it before any deadline is over.
pub(super) async fn crashes() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1"])?;
    automatic::watched(&shop.site, automatic::DEPLOY)?;
    automatic::record(&shop.site)?;
    let watcher = automatic::watch(&shop.site)?;
    shop.space.set_image("deployments", "web", "bad")?;
    let (incident, _) = automatic::ended(&shop.site, "Kubernetes, a crash", watcher)?;
    automatic::detected_in_time(&incident, "deploy", automatic::FAILING)?;
    let told = incident["detail"].as_str().unwrap_or_default();
    ensure(told.contains("CrashLoopBackOff"), format!("it is not told what was seen: {told}"))?;
    shop.runs("deployments", "v1", 2)
}
