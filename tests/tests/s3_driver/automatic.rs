//! A bad release of a site with a watcher beside it, and nobody who touches anything.

use rollback_testkit::harness::{CaseResult, equal};
use rollback_tests::automatic;

use super::relay::{Relay, forward, port_of, signed};
use super::shop::{Emulator, Made, Shop, files};

/// What visitors speak to: the bucket's own web server, as it were.
fn front(shop: &Shop) -> Made<Relay> {
    let (port, headers) = (port_of(&shop.account), signed(&shop.account, "s3"));
    let folder = format!("/{}/{}", shop.bucket, shop.live);
    let relay = Relay::start(move |asked| {
        forward(port, "GET", &format!("{folder}{}", asked.path.trim_start_matches('/')), &headers, b"")
    })?;
    Ok(relay)
}

/// The page is as long as the good one and its status is 200: nothing but its text tells that it is empty.
pub(super) async fn bad_page() -> CaseResult {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    shop.archive(1).await?;
    shop.deploy(1).await?;
    let front = front(&shop)?;
    let probe =
        format!("{{ kind = \"http\", url = \"{}index.html\", contains = \"src=assets/app.\" }}", front.url());
    automatic::watched(&shop.site, &automatic::outage(&probe))?;
    automatic::record(&shop.site)?;
    let mut bad = files(2);
    let good = files(1);
    bad.insert("index.html".to_owned(), format!("{:<1$}", "<p>", good["index.html"].len()));
    let watcher = automatic::watch(&shop.site)?;
    shop.deploy_files(&bad).await?;
    let (incident, _) = automatic::ended(&shop.site, "S3", watcher)?;
    automatic::detected_in_time(&incident, "outage", automatic::LASTING)?;
    let served = shop.served().await?;
    for (name, body) in &good {
        equal(name, &served.get(name), &Some(body))?;
    }
    let page = front.get("/index.html")?;
    equal("what visitors get", &page.text(), &good["index.html"])
}
