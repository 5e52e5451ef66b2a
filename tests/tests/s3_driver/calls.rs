//! How often S3 is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::proxy::{Exchange, Fault, Faults, Rule};
use rollback_tests::{CALLS_BESIDE, Ran, until};

use super::relay::strict;
use super::shop::{Emulator, Shop, files};
use super::versions::{between, versioned};

/// More than one page of a listing holds.
const OBJECTS: usize = 1_200;
/// How many of them differ.
const DIFFER: usize = 8;
const LIVE: &str = "list live%2F";
const RELEASE: &str = "list versions%2Fv1%2F";

fn page(number: usize, release: u32) -> (String, String) {
    let release = if number.is_multiple_of(OBJECTS / DIFFER) { release } else { 0 };
    (format!("pages/{number:05}.html"), format!("<p>{number} of {release}</p>"))
}

/// How many requests there were, by what they ask for.
fn asked(shop: &Shop) -> BTreeMap<String, usize> {
    kinds(&shop.proxy.log())
}

fn kinds(log: &[Exchange]) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for one in log {
        let (path, query) = one.path.split_once('?').unwrap_or((&one.path, ""));
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let what = match (prefix, one.method.as_str()) {
            (Some(prefix), _) if query.contains("list-type") => format!("list {prefix}"),
            (_, method) if key.starts_with("live/") || key.starts_with("versions/") => {
                format!("{method} {}", key.split('/').next().unwrap_or_default())
            }
            _ => "beside".to_owned(),
        };
        *asked.entry(what).or_default() += 1;
    }
    asked
}

/// Release v1 in the archive, and live what differs from it in a few pages.
async fn large() -> Result<Shop, rollback_testkit::harness::Failure> {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    let all = (0..OBJECTS).flat_map(|number| {
        let ((key, good), (_, bad)) = (page(number, 1), page(number, 2));
        [(format!("versions/v1/{key}"), good), (format!("live/{key}"), bad)]
    });
    let put = async |(key, body): (String, String)| shop.put(&key, &body).await;
    stream::iter(all).map(put).buffer_unordered(16).try_collect::<Vec<()>>().await?;
    Ok(shop)
}

/// Looked at once before anything is written, and once after; and the release once.
pub(super) async fn two_looks() -> CaseResult {
    let shop = large().await?;
    // How many calls one look takes: the list is asked for in several places at a time, some of them in vain.
    shop.run("status web")?.expect(0);
    let look = asked(&shop).get(LIVE).copied().unwrap_or_default();
    let pages = OBJECTS.div_ceil(1_000);
    ensure(pages <= look && look <= 2 * pages, format!("one look takes {look} calls"))?;
    let before = shop.proxy.log().len();
    shop.back(0)?;
    let log = shop.proxy.log();
    let asked = kinds(log.get(before..).unwrap_or_default());
    let count = |what: &str| asked.get(what).copied().unwrap_or_default();
    let told = format!("{asked:?}");
    equal("copies", &count("PUT live"), &DIFFER)?;
    equal("looks at what is copied", &count("HEAD versions"), &DIFFER)?;
    ensure(count(LIVE) <= 2 * look, format!("what is live is listed more than twice: {told}"))?;
    ensure(count(RELEASE) <= look, format!("the release is listed more than once: {told}"))?;
    let all: usize = asked.values().sum();
    ensure(all <= 2 * 2 * pages + 2 * DIFFER + CALLS_BESIDE, format!("{all} requests: {told}"))
}

/// For a plan versions are listed once: for its history, and what is inspected right after that is the same. They are listed again when
/// the plan is checked before it runs, when it is carried out, and when that is proven.
pub(super) async fn versions_once() -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&files(1)).await?;
    let time = between();
    shop.deploy_files(&files(2)).await?;
    let lists = |from: usize| {
        let log = shop.proxy.log();
        log.iter().skip(from).filter(|one| one.method == "GET" && one.path.contains("?versions")).count()
    };
    shop.run(&format!("plan web --to as-of={time} --reason bad --out plan.json"))?.expect(0);
    equal("how often a plan lists versions", &lists(0), &1)?;
    let before = shop.proxy.log().len();
    shop.run("apply plan.json --yes")?.expect(0);
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])?;
    // When the plan is checked, for the manifest of what is left, to act, and to prove it.
    equal("how often versions are listed to go back", &lists(before), &4)
}

const OTHERS: &str = "<p>somebody else's</p>";

/// What no write touches is seen by the look after them: a page that came right after the look before them.
pub(super) async fn page_in_between() -> CaseResult {
    let shop = Shop::new().await?;
    let slow = Rule::new(Fault::delay(Duration::from_millis(700)));
    shop.faults(Faults::none().rule(slow.path("/*/versions/v1/*").first(1)));
    let running = shop.site.start("run web --to version=v1 --yes --no-quarantine --reason bad")?;
    // Of what is to be copied, which is known after both lists.
    until("one byte is read", || asked(&shop).contains_key("GET versions").then_some(()))?;
    shop.put("live/more.html", OTHERS).await?;
    told(&running.end()?)?;
    // Nobody looked once more before writing.
    let log = shop.proxy.log();
    let before = log.iter().take_while(|one| one.method != "PUT");
    equal("looks", &before.filter(|one| one.path.contains(&LIVE.replace("list ", "prefix="))).count(), &1)?;
    equal("the page", &shop.served().await?["more.html"].as_str(), &OTHERS)
}

/// What is written over is what was seen: each write says so, and S3 refuses it else.
pub(super) async fn overtaken_in_between() -> CaseResult {
    let shop = Shop::new().await?;
    let strict = strict(&shop.account, &shop.bucket, "index.html", OTHERS)?;
    shop.configure(&shop.bucket, &format!("endpoint_url = {:?}\n", strict.url()))?;
    told(&shop.run("run web --to version=v1 --yes --no-quarantine --reason bad")?)?;
    equal("the page", &shop.served().await?["index.html"].as_str(), &OTHERS)
}

fn told(ran: &Ran) -> CaseResult {
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("somebody else"), format!("it is not said why: {ran}"))
}
