//! What rollbacks kept for open tabs is taken away after a while, and nothing else is.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::Ran;
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};

use super::shop::{Emulator, Made, Shop, files};
use super::versions::{keep_versions, pages, run, serves};

const KEPT: &str = "assets/app.2.js";
const NOW: &str = "grace = \"0s\"\n";

/// Release 1 is back, and an asset of release 2 is kept; nothing waits longer than that.
async fn rolled_back(emulator: Emulator) -> Made<Shop> {
    let shop = Shop::empty(emulator, "live/")?;
    shop.faults(Faults::none());
    for release in [1, 2] {
        shop.archive(release).await?;
        shop.deploy(release).await?;
    }
    shop.back(0)?;
    shop.configure(&shop.bucket, NOW)?;
    Ok(shop)
}

fn says(ran: &Ran, text: &str) -> CaseResult {
    ensure(ran.out.contains(text), format!("{text:?} is not said: {ran}"))
}

pub(super) async fn grace(emulator: Emulator) -> CaseResult {
    let shop = rolled_back(emulator).await?;
    let (archive, before) = (shop.below("versions/").await?, shop.served().await?);
    ensure(before.contains_key(KEPT), "nothing was kept")?;
    shop.configure(&shop.bucket, "")?;
    says(&shop.run("clean --yes")?.expect(0), "web: 1 leftover of rollbacks: not old enough")?;
    shop.configure(&shop.bucket, NOW)?;
    let would = shop.run("clean --dry-run")?.expect(0);
    says(&would, "web: 1 leftover of rollbacks, 14 bytes would be removed\n  assets/app.2.js\n")?;
    let told = shop.run("clean --dry-run --output json")?.expect(0).json();
    equal("what would go", &told["leftovers"]["web"]["due"].as_u64(), &Some(1))?;
    equal("what is served", &shop.served().await?, &before)?;
    says(&shop.run("clean --yes")?.expect(0), "14 bytes removed")?;
    equal("what is served", &shop.served().await?, &files(1))?;
    equal("the archive", &shop.below("versions/").await?, &archive)?;
    // It is the same release, and there is nothing left to do.
    says(&shop.back(0)?, "already there")?;
    let again = shop.run("clean --yes --output json")?.expect(0).json();
    equal("what would go", &again["leftovers"]["web"]["due"].as_u64(), &Some(0))
}

/// A deploy that leaves alone what is there already needs what was kept.
pub(super) async fn needed() -> CaseResult {
    let shop = rolled_back(Emulator::Ministack).await?;
    shop.put("live/index.html", &files(2)["index.html"]).await?;
    let before = shop.served().await?;
    says(&shop.run("clean --yes")?.expect(0), "it stays, as what is served now has it")?;
    equal("what is served", &shop.served().await?, &before)?;
    // No release tells what is served now.
    shop.put("live/index.html", "<script src=assets/app.2.js></script><p>more").await?;
    let before = shop.served().await?;
    says(&shop.run("clean --yes")?.expect(0), "it stays, as something was deployed since")?;
    equal("what is served", &shop.served().await?, &before)?;
    // A fix was deployed, and is in the archive: nothing of it is what was kept.
    shop.archive(3).await?;
    for (key, body) in files(3) {
        shop.put(&format!("live/{key}"), &body).await?;
    }
    says(&shop.run("clean --yes")?.expect(0), "14 bytes removed")?;
    ensure(!shop.served().await?.contains_key(KEPT), "it is still there")?;
    // Written over since: it is another object.
    let shop = rolled_back(Emulator::Ministack).await?;
    shop.put("live/assets/app.2.js", "somebody else's").await?;
    let before = shop.served().await?;
    shop.run("clean --yes")?.expect(0);
    equal("what is served", &shop.served().await?, &before)
}

fn denied() -> Fault {
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    Fault::Answer(Answer::new(403).body("application/xml", denied))
}

pub(super) async fn cut_off() -> CaseResult {
    let shop = Shop::new().await?;
    shop.put("live/assets/more.2.js", "more").await?;
    shop.back(0)?;
    shop.configure(&shop.bucket, NOW)?;
    shop.faults(Faults::none().rule(Rule::new(denied()).method("DELETE").path("/*/live/assets/more.2.js*")));
    let ran = shop.run("clean --yes")?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("s3:DeleteObject"), format!("the permission is not named: {ran}"))?;
    ensure(!shop.served().await?.contains_key(KEPT), "the other one is still there")?;
    shop.faults(Faults::none());
    says(&shop.run("clean --yes")?.expect(0), "1 leftover of rollbacks, 4 bytes removed")?;
    equal("what is served", &shop.served().await?, &files(1))?;
    says(&shop.back(0)?, "already there")
}

pub(super) async fn unreachable() -> CaseResult {
    let shop = rolled_back(Emulator::Ministack).await?;
    let other = "[components.other]\ndriver = \"s3-frontend\"\nbucket = \"site-that-is-not-there\"\npath_style = true\n";
    shop.configure(&shop.bucket, &format!("{NOW}{other}"))?;
    let ran = shop.run("clean --yes")?;
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    says(&ran, "other: not asked what rollbacks left")?;
    says(&ran, "web: 1 leftover of rollbacks, 14 bytes removed")?;
    equal("what is served", &shop.served().await?, &files(1))
}

/// Where the bucket keeps versions, what goes is only hidden.
pub(super) async fn and_back() -> CaseResult {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    keep_versions(&shop, "Enabled").await?;
    shop.configure(&shop.bucket, NOW)?;
    shop.deploy_files(&pages(1)).await?;
    shop.run("record web --good")?.expect(0);
    shop.deploy_files(&pages(2)).await?;
    shop.run("run web --yes --no-quarantine --reason bad")?.expect(0);
    says(&shop.run("clean --yes")?.expect(0), "14 bytes removed")?;
    equal("what is served", &shop.served().await?, &pages(1))?;
    let revision = super::undo::revision(&shop, KEPT).await?;
    shop.run(&run(&format!("revision={revision}")))?.expect(0);
    serves(&shop, 2).await
}
