//! A bad release on real hosts with a watcher beside it, and nobody who touches anything.

use rollback_testkit::harness::{CaseResult, ensure};
use rollback_tests::automatic::{self, LASTING};
use rollback_tests::hosts::{BAD, CRASHING, GOOD, Setup};

use super::Shop;

/// It is healthy for Docker, and answers 500.
pub(super) async fn answers_badly() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    let host = &shop.bed.hosts[0];
    let probe = format!("{{ kind = \"http\", url = \"{}\" }}", host.url());
    automatic::watched(&shop.site, &automatic::outage(&probe))?;
    shop.rests()?;
    automatic::record(&shop.site)?;
    let watcher = automatic::watch(&shop.site)?;
    host.deploy(BAD)?;
    let (incident, _) = automatic::ended(&shop.site, "compose, HTTP 500", watcher)?;
    automatic::detected_in_time(&incident, "outage", LASTING)?;
    shop.serves(GOOD)
}

/// Nobody asks it anything: that its container ends again and again is what the driver sees. When that is detected is not held to: a look
/// may come while compose has stopped the old container and not yet started the new one, and what follows from it is decided again later.
pub(super) async fn crashes() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    automatic::watched(&shop.site, automatic::DEPLOY)?;
    shop.rests()?;
    automatic::record(&shop.site)?;
    let watcher = automatic::watch(&shop.site)?;
    shop.bed.hosts[0].deploy(CRASHING)?;
    let (incident, _) = automatic::ended(&shop.site, "compose, a crash", watcher)?;
    let told = incident["detail"].as_str().unwrap_or_default();
    ensure(told.contains("host0"), format!("it is not told where: {told}"))?;
    shop.serves(GOOD)
}
