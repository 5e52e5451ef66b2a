//! Manifests: what is written down of a state, and going back by it.

use std::collections::BTreeMap;

use rollback_core::Digest;
use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use serde_json::Value;

use super::input::refuses;
use super::shop::{Emulator, Made, Shop, told};
use super::versions::{expire, keep_versions, pages, run, served_twice, serves, versioned, versions};

const MANIFESTS: &str = ".rollback/manifests/";
const ODD: &str = "odd/a+b %2e\"]}.js";

/// All manifests, by the end of their names.
pub(super) async fn manifests(shop: &Shop) -> Made<BTreeMap<String, String>> {
    shop.below(MANIFESTS).await
}

/// The entry of each key.
fn entries(manifest: &str) -> Made<BTreeMap<String, Value>> {
    let manifest: Value = serde_json::from_str(manifest).map_err(told)?;
    let objects = manifest["objects"].as_array().cloned().unwrap_or_default();
    Ok(objects.into_iter().map(|entry| (entry[0].as_str().unwrap_or_default().to_owned(), entry)).collect())
}

pub(super) async fn recorded(emulator: Emulator) -> CaseResult {
    let shop = versioned(emulator).await?;
    let mut files = pages(1);
    files.insert(ODD.to_owned(), "odd".to_owned());
    shop.deploy_files(&files).await?;
    shop.run("record web")?.expect(0);
    let written = manifests(&shop).await?;
    equal("manifests", &written.len(), &1)?;
    let Some((name, body)) = written.first_key_value() else { return Ok(()) };
    let digest = Digest::of_bytes(body.as_bytes()).hex();
    ensure(name.ends_with(&format!("/{digest}.json")), format!("{name} is not {digest}"))?;
    let entries = entries(body)?;
    equal("keys", &entries.keys().collect::<Vec<_>>(), &files.keys().collect())?;
    let (ids, _) = versions(&shop, "live/index.html").await?;
    equal("the version", &entries["index.html"][4].as_str(), &ids.first().map(String::as_str))?;
    equal("the size", &entries[ODD][1].as_u64(), &Some(3))?;
    // Once more is nothing more.
    shop.run("record web --good")?.expect(0);
    equal("manifests", &manifests(&shop).await?, &written)?;
    equal("what is served", &shop.served().await?, &files)
}

/// Also where the bucket keeps no versions.
pub(super) async fn left() -> CaseResult {
    let shop = Shop::new().await?;
    let served = shop.served().await?;
    shop.back(0)?;
    let written = manifests(&shop).await?;
    equal("manifests", &written.len(), &1)?;
    for body in written.values() {
        equal("keys", &entries(body)?.keys().collect::<Vec<_>>(), &served.keys().collect())?;
    }
    // It is written before anything else is.
    let log = shop.proxy.log();
    let first = log.iter().find(|one| one.method == "PUT").map(|one| one.path.clone()).unwrap_or_default();
    ensure(first.contains(MANIFESTS), format!("{first} was written first"))?;
    // What is kept for open tabs is no part of what is served now.
    shop.run("record web")?.expect(0);
    let bodies = manifests(&shop).await?;
    let new = bodies.iter().find(|(name, _)| !written.contains_key(*name)).map(|(_, body)| body);
    let Some(new) = new else { return ensure(false, "what is served now was not written down") };
    let keys: Vec<String> = entries(new)?.into_keys().collect();
    equal("keys", &keys, &super::shop::files(1).into_keys().collect())
}

fn denied() -> Fault {
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    Fault::Answer(Answer::new(403).body("application/xml", denied))
}

pub(super) async fn unwritten() -> CaseResult {
    let shop = Shop::new().await?;
    shop.faults(Faults::none().rule(Rule::new(denied()).method("PUT").path("/*/.rollback/manifests/*")));
    let recorded = shop.run("record web --output json")?.expect(0);
    ensure(recorded.out.contains("is not written down"), format!("{recorded}"))?;
    let ran = shop.back(0)?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("is not written down") && said.contains("s3:PutObject"), &said)?;
    equal("manifests", &manifests(&shop).await?.len(), &0)
}

/// Release 2 was left, and a rollback took away that an asset of release 1 was deleted then: no time shows it as it was. And how to go
/// back to it.
async fn left_without_a_time(emulator: Emulator) -> Made<(Shop, String)> {
    let (shop, first) = served_twice(emulator).await?;
    shop.run(&run(&format!("as-of={first}")))?.expect(0);
    for key in shop.below(".rollback/live/").await?.into_keys() {
        shop.remove(&format!(".rollback/live/{key}")).await?;
    }
    let written = manifests(&shop).await?;
    let identity = written.keys().find_map(|name| name.split('/').nth(1)).unwrap_or_default();
    let back = run(&format!("revision={}", &identity[..12]));
    Ok((shop, back))
}

pub(super) async fn unshown(emulator: Emulator) -> CaseResult {
    let (shop, back) = left_without_a_time(emulator).await?;
    let before = versions(&shop, "live/assets/app.2.js").await?;
    shop.run(&back)?.expect(0);
    serves(&shop, 2).await?;
    equal("the asset", &versions(&shop, "live/assets/app.2.js").await?, &before)
}

pub(super) async fn altered() -> CaseResult {
    let (shop, back) = left_without_a_time(Emulator::Ministack).await?;
    for (name, body) in manifests(&shop).await? {
        let other = body.replace("assets/app.2.js", "assets/app.3.js");
        ensure(other != body, "there is nothing to alter")?;
        shop.put(&format!("{MANIFESTS}{name}"), &other).await?;
    }
    refuses(&shop, &back, &["no time is known at which it was served"]).await
}

pub(super) async fn gone() -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    shop.deploy_files(&pages(2)).await?;
    let (ids, _) = versions(&shop, "live/index.html").await?;
    let gone = shop.s3.delete_object().bucket(&shop.bucket).key("live/index.html").version_id(&ids[1]);
    gone.send().await.map_err(told)?;
    let line = "run web --yes --no-quarantine --reason bad";
    let named = format!("1 of its recorded versions are gone: index.html (version {})", ids[1]);
    refuses(&shop, line, &[&named, "somebody did"]).await?;
    expire(&shop).await?;
    refuses(&shop, line, &[&named, "lifecycle rule tidy-up removes versions 7 days"]).await?;
    equal("what was written", &shop.written().len(), &0)
}

/// Which state that was written down has this key and no other release's.
pub(super) async fn revision(shop: &Shop, key: &str) -> Made<String> {
    for (name, body) in manifests(shop).await? {
        if entries(&body)?.contains_key(key) {
            return Ok(name.split('/').nth(1).unwrap_or_default()[..12].to_owned());
        }
    }
    Err(Failure::new(format!("no manifest holds {key}")))
}

/// All of it within what counts as one deploy.
pub(super) async fn and_back(emulator: Emulator) -> CaseResult {
    let shop = Shop::empty(emulator, "live/")?;
    keep_versions(&shop, "Enabled").await?;
    shop.faults(Faults::none());
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    shop.deploy_files(&pages(2)).await?;
    let bad = shop.served().await?;
    shop.run("run web --yes --no-quarantine --reason bad")?.expect(0);
    serves(&shop, 1).await?;
    shop.run(&run(&format!("revision={}", revision(&shop, "assets/app.2.js").await?)))?.expect(0);
    serves(&shop, 2).await?;
    let served = shop.served().await?;
    ensure(bad.iter().all(|(key, body)| served.get(key) == Some(body)), format!("{served:?}"))?;
    // And once more: to what that one left.
    shop.run(&run(&format!("revision={}", revision(&shop, "assets/app.1.js").await?)))?.expect(0);
    serves(&shop, 1).await
}
