//! Headers of assets: nothing but what was written down says what they were.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use rollback_testkit::harness::{CaseResult, ensure, equal};

use super::shop::{Emulator, Made, Shop, files, told};
use super::undo::manifests;
use super::versions::{between, versioned, versions};

const LOGO: &str = "live/assets/logo.svg";
const BACK: &str = "run web --yes --no-quarantine --reason bad";
const SECRET: &str = "hunter2";

/// Writes the asset that all releases share, as a deploy with other settings would.
async fn logo(shop: &Shop, cached: &str, kind: &str, team: &str) -> Made<()> {
    let put = shop.s3.put_object().bucket(&shop.bucket).key(LOGO).content_type(kind).cache_control(cached);
    let put = put.metadata("owner", SECRET).tagging(format!("team={team}&on%20call=a%2Bb"));
    put.body(files(1)["assets/logo.svg"].clone().into_bytes().into()).send().await.map(drop).map_err(told)
}

async fn head(shop: &Shop) -> Made<HeadObjectOutput> {
    shop.s3.head_object().bucket(&shop.bucket).key(LOGO).send().await.map_err(told)
}

async fn tags(shop: &Shop) -> Made<BTreeMap<String, String>> {
    let found = shop.s3.get_object_tagging().bucket(&shop.bucket).key(LOGO).send().await.map_err(told)?;
    Ok(found.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
}

fn team(name: &str) -> BTreeMap<String, String> {
    [("team", name), ("on call", "a+b")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// What the asset is served with is what it was recorded with.
async fn as_recorded(shop: &Shop) -> CaseResult {
    let head = head(shop).await?;
    equal("the type", &head.content_type(), &Some("image/svg+xml"))?;
    equal("for how long it is cached", &head.cache_control(), &Some("max-age=60"))?;
    let owner = head.metadata().and_then(|all| all.get("owner")).map(String::as_str);
    equal("its metadata", &owner, &Some(SECRET))
}

/// A release that was recorded, and a bad one that wrote the same bytes with other headers.
async fn served_twice(emulator: Emulator) -> Made<Shop> {
    let shop = versioned(emulator).await?;
    shop.deploy_files(&files(1)).await?;
    logo(&shop, "max-age=60", "image/svg+xml", "one").await?;
    shop.run("record web --good")?.expect(0);
    between();
    shop.deploy_files(&files(2)).await?;
    logo(&shop, "no-store", "text/plain", "two").await?;
    Ok(shop)
}

/// By the version itself.
pub(super) async fn come_back(emulator: Emulator) -> CaseResult {
    let shop = served_twice(emulator).await?;
    let body = manifests(&shop).await?.into_values().next().unwrap_or_default();
    ensure(body.contains("max-age=60") && body.contains("\"owner\""), format!("not written down: {body}"))?;
    ensure(!body.contains(SECRET), "a value of metadata is written down")?;
    let planned = shop.run("plan web --reason bad")?.expect(0);
    ensure(
        planned.out.contains("assets/logo.svg: Content-Type, Cache-Control"),
        format!("it is not told: {planned}"),
    )?;
    shop.run(BACK)?.expect(0);
    as_recorded(&shop).await?;
    equal("its tags", &tags(&shop).await?, &team("one"))?;
    let before = shop.written().len();
    let again = shop.run(BACK)?.expect(0);
    ensure(again.out.contains("already there"), format!("{again}"))?;
    equal("what was written", &shop.written().len(), &before)
}

/// By what was written down, where the version is gone.
pub(super) async fn recorded(emulator: Emulator) -> CaseResult {
    let shop = served_twice(emulator).await?;
    let (ids, _) = versions(&shop, LOGO).await?;
    for id in ids.iter().skip(1) {
        let gone = shop.s3.delete_object().bucket(&shop.bucket).key(LOGO).version_id(id);
        gone.send().await.map_err(told)?;
    }
    shop.run(BACK)?.expect(0);
    as_recorded(&shop).await?;
    // ministack does not say with an answer to HEAD how many tags there are, as S3 does: nobody asks for them there.
    if matches!(emulator, Emulator::Moto) {
        equal("its tags", &tags(&shop).await?, &team("one"))?;
    }
    ensure(shop.run(BACK)?.expect(0).out.contains("already there"), "it is not proven")
}

/// Whose headers were asked for since.
fn asked(shop: &Shop, from: usize) -> BTreeSet<String> {
    let log = shop.proxy.log();
    let heads = log.iter().skip(from).filter(|one| one.method == "HEAD");
    heads.filter_map(|one| one.path.split('?').next()?.rsplit('/').next().map(str::to_owned)).collect()
}

/// A version keeps its headers: the next record asks only for what is new, and for what has tags, which can change without a write.
pub(super) async fn asked_once() -> CaseResult {
    let shop = versioned(Emulator::Moto).await?;
    shop.deploy_files(&files(1)).await?;
    logo(&shop, "max-age=60", "image/svg+xml", "one").await?;
    shop.put("live/assets/same.css", "p {}").await?;
    shop.run("record web --good")?.expect(0);
    let all = ["app.1.js", "index.html", "logo.svg", "same.css"].map(str::to_owned);
    equal("what was asked first", &asked(&shop, 0), &all.into())?;
    shop.put("live/assets/app.2.js", "console.log(2)").await?;
    let from = shop.proxy.log().len();
    shop.run("record web --good")?.expect(0);
    let new = ["app.2.js", "logo.svg"].map(str::to_owned);
    equal("what was asked next", &asked(&shop, from), &new.into())?;
    // What was not asked is written down all the same.
    let last = manifests(&shop).await?.into_values().find(|body| body.contains("app.2.js"));
    let last: serde_json::Value = serde_json::from_str(&last.unwrap_or_default()).map_err(told)?;
    let rows = last["objects"].as_array().cloned().unwrap_or_default();
    equal("objects with headers", &rows.iter().filter(|row| row[7].is_u64()).count(), &5)
}

/// What is bad is served until the first write: nobody asks for the headers of all that is left before.
pub(super) async fn not_in_an_outage() -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&files(1)).await?;
    shop.run("record web --good")?.expect(0);
    between();
    shop.deploy_files(&files(2)).await?;
    let from = shop.proxy.log().len();
    shop.run(BACK)?.expect(0);
    let asked = asked(&shop, from);
    ensure(asked.contains("index.html"), "what is written over is an entry point")?;
    ensure(!asked.contains("app.2.js"), format!("an asset that is left was asked: {asked:?}"))
}

/// Copies in an archive have headers of their own: what was served had those that were written down.
pub(super) async fn of_the_archive(emulator: Emulator) -> CaseResult {
    // Whether a bucket keeps versions moto says so that no SDK for Rust reads it: there it keeps them.
    let shop = match emulator {
        Emulator::Ministack => Shop::empty(emulator, "live/")?,
        Emulator::Moto => versioned(emulator).await?,
    };
    shop.archive(1).await?;
    shop.archive(2).await?;
    shop.deploy(1).await?;
    logo(&shop, "max-age=60", "image/svg+xml", "one").await?;
    let script = "live/assets/app.1.js";
    let put = shop.s3.put_object().bucket(&shop.bucket).key(script).content_type("text/javascript");
    let put = put.cache_control("max-age=31536000, immutable").website_redirect_location("/elsewhere.js");
    put.body(files(1)["assets/app.1.js"].clone().into_bytes().into()).send().await.map_err(told)?;
    shop.run("record web --good")?.expect(0);
    between();
    shop.deploy(2).await?;
    logo(&shop, "no-store", "text/plain", "two").await?;
    shop.back(0)?;
    let script = shop.s3.head_object().bucket(&shop.bucket).key(script).send().await.map_err(told)?;
    equal("the script", &script.cache_control(), &Some("max-age=31536000, immutable"))?;
    equal("its redirect", &script.website_redirect_location(), &Some("/elsewhere.js"))?;
    let logo = head(&shop).await?;
    equal("what was written again", &logo.cache_control(), &Some("max-age=60"))?;
    equal("its type", &logo.content_type(), &Some("image/svg+xml"))?;
    let before = shop.written().len();
    ensure(shop.back(0)?.out.contains("already there"), "it is not proven")?;
    equal("what was written", &shop.written().len(), &before)
}
