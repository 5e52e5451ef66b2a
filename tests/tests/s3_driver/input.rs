//! What cannot be meant: a clear error, a next step, and nothing is changed.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};

use super::shop::{Shop, files};

const RUN: &str = "run web --to version=v1 --yes --no-quarantine --reason bad";

/// Runs a line that must fail, say these texts and what to do next, and write nothing.
pub(super) async fn refuses(shop: &Shop, line: &str, texts: &[&str]) -> CaseResult {
    let before = shop.below("").await?;
    let ran = shop.run(line)?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    for text in texts {
        ensure(said.contains(text), format!("{text:?} is not said: {ran}"))?;
    }
    ensure(said.contains("next"), format!("it does not say what to do: {ran}"))?;
    equal("the bucket", &shop.below("").await?, &before)
}

pub(super) async fn no_bucket() -> CaseResult {
    let shop = Shop::new().await?;
    shop.configure("site-that-is-not-there", "")?;
    refuses(&shop, RUN, &["site-that-is-not-there", "NoSuchBucket"]).await
}

pub(super) async fn no_release() -> CaseResult {
    let shop = Shop::new().await?;
    refuses(&shop, "run web --to version=v9 --yes --reason bad", &["v9", "v1", "v2"]).await
}

pub(super) async fn denied() -> CaseResult {
    let shop = Shop::new().await?;
    let answer = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    let list = Rule::new(Fault::Answer(answer)).method("GET").path("/*list-type=2*");
    shop.faults(Faults::none().rule(list));
    refuses(&shop, RUN, &["s3:ListBucket", "AccessDenied"]).await
}

pub(super) async fn empty() -> CaseResult {
    let shop = Shop::new().await?;
    for name in files(1).into_keys() {
        shop.remove(&format!("versions/v1/{name}")).await?;
    }
    refuses(&shop, RUN, &["v1"]).await
}
