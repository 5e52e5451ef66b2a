//! Faults in the middle of a rollback.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};

use super::input::refuses;
use super::shop::{Shop, files};

/// Requests that write this key.
fn writes(fault: Fault, key: &str) -> Rule {
    Rule::new(fault).method("PUT").path(&format!("/*/{key}*"))
}

pub(super) async fn one_copy_fails() -> CaseResult {
    let shop = Shop::new().await?;
    let denied = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    shop.faults(Faults::none().rule(writes(Fault::Answer(denied), "live/assets/app.1.js")));
    let ran = shop.run("run web --to version=v1 --yes --no-quarantine --reason bad")?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("assets/app.1.js") && said.contains("s3:PutObject"), format!("not told: {ran}"))?;
    // The page still has everything it refers to.
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])?;
    shop.faults(Faults::none());
    shop.back(0)?;
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])
}

/// Everything is written, and what is to be said of it may not be: sent once more, that is certain.
pub(super) async fn unsaid() -> CaseResult {
    let shop = Shop::new().await?;
    let denied = Answer::new(403)
        .body("application/xml", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    let rule = Rule::new(Fault::Answer(denied)).method("PUT").path("/*/.rollback/live/*");
    shop.faults(Faults::none().rule(rule));
    let ran = shop.run("run web --to version=v1 --yes --no-quarantine --reason bad")?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("s3:PutObject"), format!("not told: {ran}"))?;
    ensure(!said.contains("is not known"), format!("it is known what became of it: {ran}"))?;
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])
}

pub(super) async fn slow_down() -> CaseResult {
    let shop = Shop::new().await?;
    let busy = Fault::Answer(Answer::s3(503));
    shop.faults(Faults::none().rule(writes(busy, "live/assets/app.1.js").first(1)));
    shop.back(0)?;
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])
}

pub(super) async fn lost_answer() -> CaseResult {
    let shop = Shop::new().await?;
    shop.faults(Faults::none().rule(writes(Fault::ResetAfter, "live/index.html").first(1)));
    shop.back(0)?;
    equal("the page", &shop.served().await?["index.html"], &files(1)["index.html"])
}

pub(super) async fn overtaken() -> CaseResult {
    let shop = Shop::new().await?;
    let planned = shop.run("plan web --to version=v1 --reason bad --out plan.json")?;
    planned.expect(0);
    shop.put("live/index.html", "<p>somebody else's</p>").await?;
    let ran = shop.run("apply plan.json --yes")?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    ensure(said.contains("was changed since"), format!("it is not said why: {ran}"))?;
    equal("the page", &shop.served().await?["index.html"].as_str(), &"<p>somebody else's</p>")
}

/// What S3 says of one copy, and what is told then. The page stays as it is.
async fn refused_copy(status: u16, code: &str, message: &str, texts: &[&str]) -> CaseResult {
    let shop = Shop::new().await?;
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let answer = Answer::new(status).body("application/xml", &body);
    shop.faults(Faults::none().rule(writes(Fault::Answer(answer), "live/assets/app.1.js")));
    let ran = shop.run("run web --to version=v1 --yes --no-quarantine --reason bad")?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    for text in texts {
        ensure(said.contains(text), format!("{text:?} is not said: {ran}"))?;
    }
    ensure(!said.contains("somebody else writes"), format!("nobody else does: {ran}"))?;
    equal("the page", &shop.served().await?["index.html"], &files(2)["index.html"])
}

pub(super) async fn key_denied() -> CaseResult {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let message = format!(
        "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: kms:GenerateDataKey on resource: {key} \
         because no identity-based policy allows the kms:GenerateDataKey action"
    );
    refused_copy(403, "AccessDenied", &message, &["allow kms:GenerateDataKey", key]).await?;
    let message = format!("{key} is disabled.");
    refused_copy(400, "KMS.DisabledException", &message, &[key, "get-bucket-encryption"]).await
}

/// A key that cannot be used to read what is to be copied, or no permission to read it: the plan says so, and nothing is written.
pub(super) async fn source_unreadable() -> CaseResult {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let disabled = (400, "KMS.DisabledException", format!("{key} is disabled."), "key-unusable");
    let denied = (403, "AccessDenied", "Access Denied".to_owned(), "source-denied");
    for (status, code, message, finding) in [disabled, denied] {
        let shop = Shop::new().await?;
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let answer = Fault::Answer(Answer::new(status).body("application/xml", &body));
        shop.faults(Faults::none().rule(Rule::new(answer).method("GET").path("/*/versions/v1/*")));
        let planned = shop.run("plan web --to version=v1 --reason bad --output json")?;
        ensure(planned.out.contains(finding), format!("{finding} is not told: {planned}"))?;
        refuses(&shop, "run web --to version=v1 --yes --reason bad", &[&message]).await?;
        equal("what was written", &shop.written(), &Vec::new())?;
    }
    Ok(())
}

/// What nobody can ask for beforehand, and only what the plan needs after its first writes.
pub(super) async fn unasked() -> CaseResult {
    let shop = Shop::new().await?;
    let planned = shop.run("plan web --to version=v1 --reason bad")?.expect(0);
    ensure(!planned.out.contains("is seen only when it is done"), format!("{planned}"))?;
    shop.put("live/more.html", "<p>a page more").await?;
    let planned = shop.run("plan web --to version=v1 --reason bad")?.expect(0);
    let told = "whether s3:DeleteObject is allowed is seen only when it is done";
    ensure(planned.out.contains(told), format!("{planned}"))
}

pub(super) async fn archived() -> CaseResult {
    let message = "The operation is not valid for the object's access tier";
    refused_copy(403, "InvalidObjectState", message, &["restore-object"]).await
}
