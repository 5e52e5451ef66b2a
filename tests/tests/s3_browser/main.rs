//! What a real browser sees of a site in S3 before, while and after it goes back: never a page without its assets, and an open tab still
//! gets the chunks of its own release. Chromium is needed: without it these fail.

mod app;
mod edges;
#[path = "../s3_driver/relay.rs"]
#[expect(dead_code, reason = "other tests want a CloudFront that takes its time")]
mod relay;
#[path = "../s3_driver/shop.rs"]
#[expect(dead_code, reason = "other tests deploy and look in other ways")]
mod shop;
mod site;
mod visitor;

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rollback_tests::browser::Browser;

use self::edges::Edges;
use self::relay::Relay;
use self::shop::{Emulator, Made, Shop};
use self::visitor::{Visit, Visitor, page};

fn main() -> ExitCode {
    Suite::new("s3-browser")
        .case("every_page_is_whole_while_a_site_goes_back", true, by_archive)
        .case("every_page_is_whole_while_versions_come_back", true, by_versions)
        .case("every_page_is_whole_behind_edges_that_cache", true, behind_edges)
        .case("a_pointer_leaves_open_tabs_without_their_chunks", true, pointer)
        .case("pages_before_their_assets_are_noticed", true, naive)
        .case("assets_of_another_kind_or_release_are_noticed", true, mixed)
        .run()
}

/// Not ignored where it is missing: nothing else here sees what users see.
fn browser() -> Made<Browser> {
    Ok(Browser::start("s3_browser")?)
}

async fn by_archive() -> CaseResult {
    let shop = site::archived().await?;
    let front = site::front(&shop)?;
    goes_back(&shop, &front, "", "version=v1")
}

async fn by_versions() -> CaseResult {
    let (shop, between) = site::versioned().await?;
    let front = site::front(&shop)?;
    goes_back(&shop, &front, "quiet = \"1s\"\n", &format!("as-of={between}"))
}

/// A page stays at the edges until it is invalidated, and what it needs may or may not.
async fn behind_edges() -> CaseResult {
    let shop = site::archived().await?;
    let edges = Edges::before(&shop, "/live").await?;
    goes_back(&shop, &edges.front, &format!("distribution = {:?}\n", edges.distribution), "version=v1")
}

/// Looks at the site all along while the command takes it from v2 to v1.
fn goes_back(shop: &Shop, front: &Relay, settings: &str, to: &str) -> CaseResult {
    let visitor = Visitor::begin(browser()?, &front.url(), 2)?;
    let writes = site::slow_writes(shop, visitor.pace())?;
    let (url, endpoint) = (front.url(), writes.url());
    shop.configure(&shop.bucket, &format!("url = {url:?}\nendpoint_url = {endpoint:?}\n{settings}"))?;
    visitor.pace().visit()?;
    let ran = shop.run(&format!("run web --to {to} --yes --no-quarantine --reason bad"))?;
    let after = visitor.pace().visit()?;
    let visits = visitor.end()?;
    whole(&visits)?;
    ran.expect(0);
    equal("the release after", &after.release, &app::name(1))?;
    let releases: Vec<&str> = visits.iter().map(|visit| visit.release.as_str()).collect();
    let before = releases.iter().take_while(|release| **release == "v2").count();
    ensure(releases[before..].iter().all(|release| *release == "v1"), format!("to and fro: {releases:?}"))?;
    // Beside those before and after: otherwise nobody looked while assets were copied.
    let while_copied = app::MANY / site::AT_A_TIME;
    ensure(before > while_copied, format!("only {before} visits before the page was there: {releases:?}"))
}

/// All of it moves at once, and what the page of the release before may still ask for is not there any more: the documentation says so.
async fn pointer() -> CaseResult {
    let shop = Shop::empty(Emulator::Ministack, "")?;
    for release in [1, 2] {
        site::put(&shop, &format!("versions/{}/", app::name(release)), &app::files(release, app::FEW))
            .await?;
    }
    let edges = Edges::before(&shop, "/versions/v2").await?;
    let (url, id) = (edges.front.url(), &edges.distribution);
    let settings = format!("url = {url:?}\ndistribution = {id:?}\npointer = true\n");
    shop.configure(&shop.bucket, &settings)?;
    let visitor = Visitor::begin(browser()?, &url, 2)?;
    let before = visitor.pace().visit()?;
    equal("what is missing before", &(before.page, before.tab), &(Vec::new(), Vec::new()))?;
    let ran = shop.back(0)?;
    ensure(ran.out.contains("lose those of its assets that v1 has not"), format!("it is not told: {ran}"))?;
    let after = visitor.pace().visit()?;
    equal("the release after", &after.release, &app::name(1))?;
    equal("what is missing of the page", &after.page, &Vec::new())?;
    ensure(
        after.tab.iter().any(|text| text.contains("later-")),
        format!("the open tab got its chunk: {after:?}"),
    )?;
    visitor.end().map(drop)
}

/// Nothing is missing, in any of them.
fn whole(visits: &[Visit]) -> CaseResult {
    for (number, visit) in visits.iter().enumerate() {
        let Visit { release, page, tab } = visit;
        let told =
            format!("visit {number} of {}, of {release}: {page:?}, in the open tab: {tab:?}", visits.len());
        ensure(page.is_empty() && tab.is_empty(), told)?;
    }
    Ok(())
}

/// What an upload does that begins with the page and deletes what is not its own: the same eyes must see what is wrong with it.
async fn naive() -> CaseResult {
    let shop = site::small().await?;
    let front = site::front(&shop)?;
    let visitor = Visitor::begin(browser()?, &front.url(), 2)?;
    let pace = visitor.pace();
    let mut files = app::files(1, app::FEW);
    let index = files.remove("index.html").unwrap_or_default();
    shop.put("live/index.html", &index).await?;
    let early = pace.visit()?;
    for stem in ["app.", "style.", "logo."] {
        let missed = early.page.iter().any(|text| text.contains(stem) && text.contains("404"));
        ensure(missed, format!("{stem} is not missed: {early:?}"))?;
    }
    site::put(&shop, "live/", &files).await?;
    let done = pace.visit()?;
    equal("what is missing once all is there", &done.page, &Vec::new())?;
    equal("what the open tab misses then", &done.tab, &Vec::new())?;
    let old = app::files(2, app::FEW);
    site::remove(&shop, old.keys().filter(|key| *key != "index.html" && !files.contains_key(*key))).await?;
    let late = pace.visit()?;
    equal("what is missing of the page", &late.page, &Vec::new())?;
    ensure(late.tab.iter().any(|text| text.contains("later-") && text.contains("404")), format!("{late:?}"))?;
    ensure(whole(&visitor.end()?).is_err(), "all of it counts as whole")
}

/// Each asset answers, and is not the one that the page needs.
async fn mixed() -> CaseResult {
    let shop = site::small().await?;
    let front = site::front(&shop)?;
    let browser = browser()?;
    let tab = browser.open()?;
    let (good, bad) = (app::files(2, app::FEW), app::files(1, app::FEW));
    let named = |files: &std::collections::BTreeMap<String, String>, stem: &str| {
        files.iter().find(|(name, _)| name.contains(stem)).map(|(name, body)| (name.clone(), body.clone()))
    };
    for stem in ["assets/style.", "assets/logo.", "assets/chunk.", "assets/app."] {
        let ((key, right), (_, wrong)) = named(&good, stem).zip(named(&bad, stem)).ok_or("no such asset")?;
        shop.put(&format!("live/{key}"), &wrong).await?;
        let (release, missing) = page(&tab, &front.url())?;
        equal("whose page it is", &release.as_str(), &"v2")?;
        ensure(!missing.is_empty(), format!("{key} of another release is not noticed"))?;
        put_as(&shop, &format!("live/{key}"), &right, "text/plain").await?;
        let (_, missing) = page(&tab, &front.url())?;
        ensure(
            missing.iter().any(|text| text.contains(&key)),
            format!("{key} as text is not noticed: {missing:?}"),
        )?;
        shop.put(&format!("live/{key}"), &right).await?;
        equal("what is missing at last", &page(&tab, &front.url())?.1, &Vec::new())?;
    }
    Ok(())
}

async fn put_as(shop: &Shop, key: &str, body: &str, kind: &str) -> CaseResult {
    let put = shop.s3.put_object().bucket(&shop.bucket).key(key).content_type(kind);
    put.body(body.as_bytes().to_vec().into()).send().await.map(drop).map_err(shop::told)
}
