//! Headers of objects whose bytes are right already.

use std::collections::BTreeMap;

use rollback_core::Digest;
use rollback_testkit::harness::{CaseResult, ensure, equal};
use serde_json::{Value, json};

use super::shop::{Emulator, Made, Shop, content_type, files, told};
use super::undo::manifests;
use super::versions::{between, run, versioned, versions};

const PAGE: &str = "live/index.html";
const SECRET: &str = "hunter2";

/// What a release has whose page is that of every other one.
fn release(number: u32) -> BTreeMap<String, String> {
    let mut release = files(number);
    release.insert("index.html".to_owned(), "<p>the same".to_owned());
    release
}

/// Writes the page, with how long it is cached and a tag of the build.
async fn page(shop: &Shop, cached: &str, build: &str) -> Made<()> {
    let put = shop.s3.put_object().bucket(&shop.bucket).key(PAGE).content_type(content_type(PAGE));
    let put = put.cache_control(cached).metadata("build", build);
    put.body(release(1)["index.html"].clone().into_bytes().into()).send().await.map(drop).map_err(told)
}

/// What the page is served with: how long it is cached, and the tag of the build.
async fn served_with(shop: &Shop) -> Made<(String, String)> {
    let head = shop.s3.head_object().bucket(&shop.bucket).key(PAGE).send().await.map_err(told)?;
    equal("the type", &head.content_type(), &Some("text/html"))?;
    let build = head.metadata().and_then(|all| all.get("build")).cloned().unwrap_or_default();
    Ok((head.cache_control().unwrap_or_default().to_owned(), build))
}

fn pair(cached: &str, build: &str) -> (String, String) {
    (cached.to_owned(), build.to_owned())
}

/// Two releases whose pages have the same bytes, and other headers. And a time between them.
async fn served_twice(emulator: Emulator) -> Made<(Shop, String)> {
    let shop = versioned(emulator).await?;
    shop.deploy_files(&release(1)).await?;
    page(&shop, "no-cache", SECRET).await?;
    shop.run("record web --good")?.expect(0);
    let between = between();
    shop.deploy_files(&release(2)).await?;
    page(&shop, "max-age=31536000", "two").await?;
    Ok((shop, between))
}

/// By the versions themselves: with metadata.
pub(super) async fn come_back(emulator: Emulator) -> CaseResult {
    let (shop, between) = served_twice(emulator).await?;
    let logo = versions(&shop, "live/assets/logo.svg").await?;
    let planned = shop.run(&format!("plan web --to as-of={between} --reason bad"))?.expect(0);
    ensure(
        planned.out.contains("index.html: Cache-Control, metadata"),
        format!("it is not told: {planned}"),
    )?;
    ensure(!format!("{planned}").contains(SECRET), format!("metadata is shown: {planned}"))?;
    shop.run(&run(&format!("as-of={between}")))?.expect(0);
    equal("the page", &served_with(&shop).await?, &pair("no-cache", SECRET))?;
    equal("the logo", &versions(&shop, "live/assets/logo.svg").await?, &logo)?;
    // What is served has the headers of that time: there is nothing left to do.
    let before = shop.written().len();
    let again = shop.run(&run(&format!("as-of={between}")))?.expect(0);
    ensure(again.out.contains("already there"), format!("{again}"))?;
    equal("what was written", &shop.written().len(), &before)
}

/// By what was written down of them, where the very version is gone.
pub(super) async fn recorded(emulator: Emulator) -> CaseResult {
    let (shop, _) = served_twice(emulator).await?;
    let written = manifests(&shop).await?;
    let body = written.values().next().cloned().unwrap_or_default();
    ensure(body.contains("no-cache") && body.contains("\"build\""), format!("not written down: {body}"))?;
    ensure(!body.contains(SECRET), "a value of metadata is written down")?;
    // Every version of the page from before the second release goes.
    let (ids, _) = versions(&shop, PAGE).await?;
    for id in ids.iter().skip(1) {
        let gone = shop.s3.delete_object().bucket(&shop.bucket).key(PAGE).version_id(id);
        gone.send().await.map_err(told)?;
    }
    shop.run("run web --yes --no-quarantine --reason bad")?.expect(0);
    // Its metadata is that of what has the same bytes.
    equal("the page", &served_with(&shop).await?, &pair("no-cache", "two"))?;
    ensure(shop.served().await?.contains_key("assets/app.1.js"), "the asset is missing")
}

/// A manifest as it was written before there were headers in it.
pub(super) async fn unrecorded() -> CaseResult {
    let (shop, _) = served_twice(Emulator::Ministack).await?;
    for (name, body) in manifests(&shop).await? {
        let mut old: Value = serde_json::from_str(&body).map_err(told)?;
        old["schema"] = json!("s3-manifest/1");
        let headers = old.as_object_mut().and_then(|old| old.remove("headers"));
        ensure(headers.is_some(), "it has no headers")?;
        for row in old["objects"].as_array_mut().into_iter().flatten().filter_map(Value::as_array_mut) {
            row.truncate(7);
        }
        let old = old.to_string();
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let digest = Digest::of_bytes(old.as_bytes()).hex();
        shop.put(&format!(".rollback/manifests/{folder}/{digest}.json"), &old).await?;
        shop.remove(&format!(".rollback/manifests/{name}")).await?;
    }
    let (ids, _) = versions(&shop, PAGE).await?;
    for id in ids.iter().skip(1) {
        let gone = shop.s3.delete_object().bucket(&shop.bucket).key(PAGE).version_id(id);
        gone.send().await.map_err(told)?;
    }
    shop.run("run web --yes --no-quarantine --reason bad")?.expect(0);
    // Nobody knows what its headers were.
    equal("the page", &served_with(&shop).await?, &pair("max-age=31536000", "two"))?;
    ensure(shop.served().await?.contains_key("assets/app.1.js"), "the asset is missing")
}
