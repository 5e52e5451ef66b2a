//! Going back by the versions of the objects.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, VersioningConfiguration,
};
use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::pause;
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};

use super::input::refuses;
use super::shop::{Emulator, Made, Shop, files, told};

/// Servers tell whole seconds: two deploys are two only if more than one lies in between.
const APART: Duration = Duration::from_millis(1_300);

/// Lets some time pass, and says which time lies in the middle of it.
pub(super) fn between() -> String {
    pause(APART);
    let now = SystemClock.now().to_string();
    pause(APART);
    now
}

pub(super) async fn keep_versions(shop: &Shop, status: &str) -> Made<()> {
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::from(status)).build();
    let put = shop.s3.put_bucket_versioning().bucket(&shop.bucket).versioning_configuration(versioning);
    put.send().await.map(drop).map_err(told)
}

/// A site without an archive, in a bucket that keeps versions.
pub(super) async fn versioned(emulator: Emulator) -> Made<Shop> {
    let shop = Shop::empty(emulator, "live/")?;
    keep_versions(&shop, "Enabled").await?;
    shop.configure(&shop.bucket, "quiet = \"1s\"\n")?;
    shop.faults(Faults::none());
    Ok(shop)
}

/// What a release has beside [`files`]: a page that the next one has not.
pub(super) fn pages(release: u32) -> BTreeMap<String, String> {
    let mut files = files(release);
    files.insert(format!("only-in-{release}.html"), "a page of its own".to_owned());
    files
}

/// With releases v1 and v2 that were served one after the other, and a time in between.
pub(super) async fn served_twice(emulator: Emulator) -> Made<(Shop, String)> {
    let shop = versioned(emulator).await?;
    shop.deploy_files(&pages(1)).await?;
    let between = between();
    shop.deploy_files(&pages(2)).await?;
    Ok((shop, between))
}

pub(super) fn run(to: &str) -> String {
    format!("run web --to {to} --yes --no-quarantine --reason bad")
}

/// The pages and assets of a release are served, and of other releases only assets.
pub(super) async fn serves(shop: &Shop, release: u32) -> CaseResult {
    let (served, wanted) = (shop.served().await?, pages(release));
    for (key, body) in &wanted {
        equal(key, &served.get(key), &Some(body))?;
    }
    let pages = served.keys().filter(|key| key.ends_with(".html") && !wanted.contains_key(*key));
    equal("pages of other releases", &pages.count(), &0)
}

/// The ids of the versions of a key, newest first, and whether the newest is a deletion.
pub(super) async fn versions(shop: &Shop, key: &str) -> Made<(Vec<String>, bool)> {
    let listed =
        shop.s3.list_object_versions().bucket(&shop.bucket).prefix(key).send().await.map_err(told)?;
    let ids = listed.versions().iter().filter_map(|version| version.version_id()).map(str::to_owned);
    let deleted = listed.delete_markers().iter().any(|marker| marker.is_latest() == Some(true));
    Ok((ids.collect(), deleted))
}

pub(super) async fn back_in_time(emulator: Emulator) -> CaseResult {
    let (shop, between) = served_twice(emulator).await?;
    let before = versions(&shop, "live/assets/app.1.js").await?;
    equal("its asset is deleted", &(before.0.len(), before.1), &(1, true))?;
    shop.run(&run(&format!("as-of={between}")))?.expect(0);
    serves(&shop, 1).await?;
    let served = shop.served().await?;
    ensure(served.contains_key("assets/app.2.js"), "tabs that are open have lost their asset")?;
    // It is the very version: only the marker in front of it is gone.
    equal("the asset", &versions(&shop, "live/assets/app.1.js").await?, &(before.0, false))?;
    // What was not there then is hidden, and not gone.
    equal("the new page", &versions(&shop, "live/only-in-2.html").await?.1, &true)?;
    let written = shop.written();
    equal("what was written", &written.len(), &4)?;
    equal("the asset first", &written[0].as_str(), &"live/assets/app.1.js")?;
    equal("what goes last", &written[3].as_str(), &"live/only-in-2.html")?;
    let again = shop.run(&run(&format!("as-of={between}")))?.expect(0);
    ensure(again.out.contains("already there"), format!("{again}"))?;
    equal("what was written", &shop.written().len(), &4)
}

pub(super) async fn previous() -> CaseResult {
    let (shop, _) = served_twice(Emulator::Ministack).await?;
    shop.run(&run("previous"))?.expect(0);
    serves(&shop, 1).await
}

pub(super) async fn recorded() -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    between();
    for release in [2, 3] {
        shop.deploy_files(&pages(release)).await?;
        between();
    }
    shop.run("run web --yes --no-quarantine --reason bad")?.expect(0);
    serves(&shop, 1).await
}

/// Also to a state whose deletions were removed on the way: they are remembered.
pub(super) async fn and_back(emulator: Emulator) -> CaseResult {
    let (shop, first) = served_twice(emulator).await?;
    let second = between();
    shop.run(&run(&format!("as-of={first}")))?.expect(0);
    serves(&shop, 1).await?;
    between();
    shop.run(&run(&format!("as-of={second}")))?.expect(0);
    serves(&shop, 2).await?;
    between();
    shop.run(&run(&format!("as-of={first}")))?.expect(0);
    serves(&shop, 1).await
}

pub(super) async fn archive_first() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    for (name, body) in pages(1) {
        shop.put(&format!("versions/v1/{name}"), &body).await?;
    }
    let to = format!("as-of={between}");
    let planned =
        shop.run(&format!("plan web --to {to} --explain --reason bad --output json"))?.expect(0).json();
    let methods = planned.to_string();
    let place = |name: &str| methods.find(&format!("\"strategy\":\"{name}\""));
    ensure(
        place("archive-copy").is_some_and(|archive| place("object-versions").is_some_and(|v| archive < v)),
        &methods,
    )?;
    ensure(methods.contains("\"alternative\""), &methods)?;
    // What was served then is that release.
    let history = shop.run("history web")?.expect(0);
    ensure(history.out.contains("v1"), format!("{history}"))?;
    shop.run(&format!("{} --method object-versions", run("version=v1")))?.expect(0);
    serves(&shop, 1).await
}

pub(super) async fn unlisted() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    for (name, body) in pages(1) {
        shop.put(&format!("versions/v1/{name}"), &body).await?;
    }
    let denied = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    let list = Rule::new(Fault::Answer(denied.clone())).method("GET").path("/*versions&*");
    shop.faults(Faults::none().rule(list));
    // When it was served is not known now: only that it was archived after what is live.
    shop.run(&format!("{} --allow-newer", run("version=v1")))?.expect(0);
    serves(&shop, 1).await?;
    // Without an archive there is nothing else: it says which permission is missing.
    let (bare, between) = (served_twice(Emulator::Ministack).await?.0, between);
    let list = Rule::new(Fault::Answer(denied)).method("GET").path("/*versions&*");
    bare.faults(Faults::none().rule(list));
    refuses(&bare, &run(&format!("as-of={between}")), &["s3:ListBucketVersions"]).await
}

pub(super) async fn not_kept(status: Option<&str>) -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    let bare = Shop::empty(Emulator::Ministack, "live/")?;
    let (shop, told) = match status {
        Some(status) => {
            keep_versions(&shop, status).await?;
            (shop, "suspended")
        }
        None => {
            bare.deploy_files(&pages(1)).await?;
            bare.run("record web --good")?.expect(0);
            (bare, "off")
        }
    };
    shop.deploy_files(&pages(2)).await?;
    let line = "run web --yes --no-quarantine --reason bad";
    refuses(&shop, line, &[&format!("versioning of the bucket is {told}"), "put-bucket-versioning"]).await
}

pub(super) async fn removed() -> CaseResult {
    let shop = versioned(Emulator::Ministack).await?;
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    between();
    shop.deploy_files(&pages(2)).await?;
    shop.run("plan web --reason bad --out plan.json")?.expect(0);
    let (ids, _) = versions(&shop, "live/index.html").await?;
    let gone = shop.s3.delete_object().bucket(&shop.bucket).key("live/index.html").version_id(&ids[1]);
    gone.send().await.map_err(told)?;
    refuses(&shop, "apply plan.json --yes", &["versions"]).await?;
    refuses(
        &shop,
        "run web --yes --no-quarantine --reason bad",
        &["1 of its recorded versions are gone: index.html"],
    )
    .await
}

pub(super) async fn expiring() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    expire(&shop).await?;
    let planned = shop.run(&format!("plan web --to as-of={between} --reason bad"))?.expect(0);
    ensure(planned.out.contains("tidy-up removes versions 7 days"), format!("{planned}"))?;
    shop.run(&run(&format!("as-of={between}")))?.expect(0);
    serves(&shop, 1).await
}

/// Has the bucket remove versions a week after they were replaced.
pub(super) async fn expire(shop: &Shop) -> Made<()> {
    let expiration = NoncurrentVersionExpiration::builder().noncurrent_days(7).build();
    let rule = LifecycleRule::builder().id("tidy-up").status(ExpirationStatus::Enabled);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix("live/").build());
    let rule = rule.noncurrent_version_expiration(expiration).build().map_err(told)?;
    let rules = BucketLifecycleConfiguration::builder().rules(rule).build().map_err(told)?;
    let put =
        shop.s3.put_bucket_lifecycle_configuration().bucket(&shop.bucket).lifecycle_configuration(rules);
    put.send().await.map(drop).map_err(told)
}

pub(super) async fn cut_off() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    let denied = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    // The marker in front of the asset may not go: no page is touched.
    let marker = Rule::new(Fault::Answer(denied)).method("DELETE").path("/*/live/assets/app.1.js*");
    shop.faults(Faults::none().rule(marker));
    let ran = shop.run(&run(&format!("as-of={between}")))?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("app.1.js") && said.contains("s3:DeleteObjectVersion"), format!("not told: {ran}"))?;
    serves(&shop, 2).await?;
    // The asset lands, its answer does not; then a page does.
    let lost = Rule::new(Fault::ResetAfter).method("DELETE").path("/*/live/assets/app.1.js*").first(1);
    let page = Rule::new(Fault::ResetAfter).method("PUT").path("/*/live/index.html*").first(1);
    shop.faults(Faults::none().rule(lost).rule(page));
    shop.run(&run(&format!("as-of={between}")))?.expect(0);
    serves(&shop, 1).await
}

pub(super) async fn overtaken() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    shop.run(&format!("plan web --to as-of={between} --reason bad --out plan.json"))?.expect(0);
    shop.deploy_files(&pages(3)).await?;
    let ran = shop.run("apply plan.json --yes")?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    ensure(said.contains("was changed since"), format!("it is not said why: {ran}"))?;
    serves(&shop, 3).await
}

/// A page cannot be written: what was written before it goes back, also right after the bad deploy.
pub(super) async fn taken_back() -> CaseResult {
    let (shop, between) = served_twice(Emulator::Ministack).await?;
    let denied = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    shop.faults(
        Faults::none().rule(Rule::new(Fault::Answer(denied)).method("PUT").path("/*/live/index.html*")),
    );
    let ran = shop.run(&format!("{} --on-failure back", run(&format!("as-of={between}"))))?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let served = shop.served().await?;
    equal("the page", &served.get("index.html"), &pages(2).get("index.html"))?;
    ensure(!served.contains_key("only-in-1.html"), format!("a page of the other release is served: {ran}"))?;
    serves(&shop, 2).await
}

/// Neither the archive nor what is ours is a part of it.
pub(super) async fn whole_bucket() -> CaseResult {
    let shop = Shop::empty(Emulator::Ministack, "")?;
    keep_versions(&shop, "Enabled").await?;
    shop.configure(&shop.bucket, "quiet = \"1s\"\n")?;
    shop.put("versions/v0/index.html", "of the archive").await?;
    shop.deploy_files(&pages(1)).await?;
    let first = between();
    shop.deploy_files(&pages(2)).await?;
    shop.put("versions/v9/index.html", "of the archive").await?;
    let archive = shop.below("versions/").await?;
    let second = between();
    for (time, release) in [(&first, 1), (&second, 2), (&first, 1)] {
        shop.run(&run(&format!("as-of={time}")))?.expect(0);
        serves(&shop, release).await?;
    }
    equal("the archive", &shop.below("versions/").await?, &archive)
}

/// Such a version has no id of its own.
pub(super) async fn from_before() -> CaseResult {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    shop.deploy_files(&pages(1)).await?;
    keep_versions(&shop, "Enabled").await?;
    shop.configure(&shop.bucket, "quiet = \"1s\"\n")?;
    let between = between();
    shop.deploy_files(&pages(2)).await?;
    shop.run(&run(&format!("as-of={between}")))?.expect(0);
    serves(&shop, 1).await
}
