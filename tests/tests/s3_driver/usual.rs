//! What a rollback does when nothing goes wrong.

use rollback_testkit::harness::{CaseResult, ensure, equal};

use super::shop::{Shop, files};

/// `aws s3 sync` of a runbook skips a page of the same size, erases the archive, and ends well.
pub(super) async fn trap() -> CaseResult {
    let shop = Shop::new().await?;
    let archive = shop.below("versions/").await?;
    equal("the sizes of both pages", &files(1)["index.html"].len(), &files(2)["index.html"].len())?;
    let ran = shop.back(0)?;
    let served = shop.served().await?;
    equal("the page", &served["index.html"], &files(1)["index.html"])?;
    equal("its asset", &served["assets/app.1.js"], &files(1)["assets/app.1.js"])?;
    ensure(served.contains_key("assets/app.2.js"), "tabs that are open have lost their asset")?;
    equal("the archive", &shop.below("versions/").await?, &archive)?;
    // The asset first, the page last, and nothing that was right already.
    equal(
        "what was written",
        &shop.written(),
        &vec!["live/assets/app.1.js".to_owned(), "live/index.html".to_owned()],
    )?;
    ensure(
        ran.out.contains("assets of other releases are kept"),
        format!("the kept asset is not told: {ran}"),
    )
}

pub(super) async fn headers() -> CaseResult {
    let shop = Shop::new().await?;
    let put = shop.s3.put_object().bucket(&shop.bucket).key("versions/v1/index.html");
    put.content_type("text/html; charset=utf-8")
        .cache_control("no-cache")
        .content_language("de")
        .content_disposition("inline")
        .metadata("build", "1")
        .website_redirect_location("/elsewhere")
        .body(files(1)["index.html"].clone().into_bytes().into())
        .send()
        .await
        .map_err(|error| format!("{error:?}"))?;
    // As every copy has it that is younger than what is live.
    shop.deploy(2).await?;
    shop.back(0)?;
    let head = shop.s3.head_object().bucket(&shop.bucket).key("live/index.html").send().await;
    let head = head.map_err(|error| format!("{error:?}"))?;
    equal("its type", &head.content_type(), &Some("text/html; charset=utf-8"))?;
    equal("for how long it is kept", &head.cache_control(), &Some("no-cache"))?;
    equal("its language", &head.content_language(), &Some("de"))?;
    equal("how it is shown", &head.content_disposition(), &Some("inline"))?;
    equal("its metadata", &head.metadata().and_then(|all| all.get("build")).map(String::as_str), &Some("1"))?;
    equal("where it leads", &head.website_redirect_location(), &Some("/elsewhere"))
}

pub(super) async fn odd_keys() -> CaseResult {
    let shop = Shop::new().await?;
    let odd = [
        "with space.html",
        "a+b.js",
        "100%.js",
        "%2e%2e/x.js",
        "grün/🦀.js",
        "a//b.js",
        "x/../y.js",
        "it's \"this\"&<that>.js",
    ];
    for key in odd {
        shop.put(&format!("versions/v1/{key}"), "the good one").await?;
        shop.put(&format!("live/{key}"), "the bad one!").await?;
    }
    shop.back(0)?;
    let served = shop.served().await?;
    for key in odd {
        equal(key, &served.get(key).map(String::as_str), &Some("the good one"))?;
    }
    Ok(())
}

pub(super) async fn already_there() -> CaseResult {
    let shop = Shop::new().await?;
    shop.deploy(1).await?;
    let ran = shop.back(0)?;
    ensure(ran.out.contains("already there"), format!("{ran}"))?;
    equal("what was written", &shop.written(), &Vec::new())?;
    // Also with what an earlier rollback kept for open tabs.
    shop.deploy(2).await?;
    shop.back(0)?;
    let before = shop.written().len();
    let ran = shop.back(0)?;
    ensure(ran.out.contains("already there"), format!("{ran}"))?;
    equal("what was written", &shop.written().len(), &before)
}

pub(super) async fn and_back() -> CaseResult {
    let shop = Shop::new().await?;
    shop.back(0)?;
    shop.run("run web --to version=v2 --yes --no-quarantine --allow-newer --reason fixed")?.expect(0);
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])
}

pub(super) async fn whole_bucket() -> CaseResult {
    let shop = Shop::at("").await?;
    let archive = shop.below("versions/").await?;
    shop.back(0)?;
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])?;
    equal("the archive", &shop.below("versions/").await?, &archive)
}

/// The tag of an object that was uploaded in parts is no hash of its content, and its copy has another one.
pub(super) async fn in_parts() -> CaseResult {
    let shop = Shop::new().await?;
    for (key, body) in [("versions/v1/film.mp4", "the good one"), ("live/film.mp4", "the bad one!")] {
        shop.put_in_parts(key, body).await?;
    }
    shop.back(0)?;
    equal("the film", &shop.body("live/film.mp4").await?.as_str(), &"the good one")?;
    let ran = shop.back(0)?;
    ensure(ran.out.contains("already there"), format!("{ran}"))
}
