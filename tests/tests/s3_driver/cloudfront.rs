//! A site behind CloudFront: caches forget what was put back, or the distribution points to another release.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::Ran;
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use rollback_tests::servers::Account;

use super::relay::{Relay, between, cloudfront, deploying, edge, invalidations, slow};
use super::shop::{Emulator, Made, Shop, files, told};
use super::versions;

const BACK: &str = "run web --to version=v1 --yes --no-quarantine --reason bad";
/// A cache policy of AWS's: an object is kept under its path alone.
const BY_PATH: &str = "658327ea-f89d-4fab-a63d-7e88639e58f6";

/// A shop and what is in front of it.
pub(crate) struct Front {
    pub(crate) shop: Shop,
    pub(crate) distribution: String,
    pub(crate) edge: Relay,
}

/// The configuration of a distribution, with a setting that no SDK knows yet.
fn config(shop: &Shop, origin: &str, path: &str) -> String {
    format!(
        "<DistributionConfig xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><CallerReference>{}</CallerReference>\
         <Origins><Quantity>1</Quantity><Items><Origin><Id>site</Id><DomainName>{origin}</DomainName><OriginPath>{path}</OriginPath>\
         <CustomHeaders><Quantity>0</Quantity></CustomHeaders>\
         <S3OriginConfig><OriginAccessIdentity></OriginAccessIdentity></S3OriginConfig></Origin></Items></Origins>\
         <DefaultRootObject>index.html</DefaultRootObject><DefaultCacheBehavior><TargetOriginId>site</TargetOriginId>\
         <ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy><CachePolicyId>{BY_PATH}</CachePolicyId></DefaultCacheBehavior>\
         <Comment>the shop</Comment><Enabled>true</Enabled><Tomorrow>kept</Tomorrow></DistributionConfig>",
        shop.bucket
    )
}

/// What is said of denied requests.
fn denied_answer() -> Fault {
    let body = "<ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error><Type>Sender</Type>\
        <Code>AccessDenied</Code><Message>Access denied</Message></Error><RequestId>1</RequestId></ErrorResponse>";
    Fault::Answer(Answer::new(403).body("text/xml", body))
}

impl Front {
    /// What is live behind a distribution.
    async fn live() -> Made<Self> {
        let front = Self::made("live/", "/live").await?;
        front.configure("")?;
        Ok(front)
    }

    /// A release of the archive behind a distribution.
    async fn pointing(path: &str) -> Made<Self> {
        let front = Self::made("", path).await?;
        front.configure("pointer = true\n")?;
        Ok(front)
    }

    async fn made(live: &'static str, path: &str) -> Made<Self> {
        Self::before(Shop::at(live).await?, path).await
    }

    /// A distribution with this origin path.
    pub(crate) async fn before(shop: Shop, path: &str) -> Made<Self> {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{}/*"}}]}}"#,
            shop.bucket
        );
        shop.s3.put_bucket_policy().bucket(&shop.bucket).policy(policy).send().await.map_err(told)?;
        let (distribution, domain) = made(&shop, &origin(&shop), path)?;
        let edge = edge(&shop.account, &distribution, &domain).map_err(told)?;
        Ok(Self { shop, distribution, edge })
    }

    fn configure(&self, more: &str) -> Made<()> {
        let (id, url) = (&self.distribution, self.edge.url());
        self.shop.configure(&self.shop.bucket, &format!("distribution = {id:?}\nurl = {url:?}\n{more}"))
    }

    fn account(&self) -> &Account {
        &self.shop.account
    }

    /// As a browser gets it.
    fn page(&self, path: &str) -> Made<String> {
        Ok(self.edge.get(path).map_err(told)?.text())
    }

    fn forgotten(&self) -> Made<Vec<Vec<String>>> {
        invalidations(self.account(), &self.distribution).map_err(told)
    }

    /// The distribution's configuration.
    fn now(&self) -> Made<String> {
        let path = format!("/{}/config", self.distribution);
        Ok(cloudfront(self.account(), "GET", &path, "", "").map_err(told)?.text())
    }

    fn origin_path(&self) -> Made<String> {
        Ok(between(&self.now()?, "OriginPath").concat())
    }

    fn back(&self) -> Made<Ran> {
        self.shop.run(BACK)
    }
}

fn origin(shop: &Shop) -> String {
    format!("{}.s3.us-east-1.amazonaws.com", shop.bucket)
}

/// A distribution, and its domain.
fn made(shop: &Shop, origin: &str, path: &str) -> Made<(String, String)> {
    let made = cloudfront(&shop.account, "POST", "", "", &config(shop, origin, path)).map_err(told)?;
    let text = made.text();
    ensure(made.status == 201, format!("no distribution: {text}"))?;
    // The first element of either name is its own.
    let first = |tag: &str| between(&text, tag).into_iter().next().unwrap_or_default();
    Ok((first("Id"), first("DomainName")))
}

/// Which version of a configuration was answered.
fn etag(found: &super::relay::Answer) -> String {
    let tag = |line: &str| line.to_ascii_lowercase().strip_prefix("etag:").map(|tag| tag.trim().to_owned());
    found.headers.lines().find_map(tag).unwrap_or_default()
}

fn failed(ran: &Ran, texts: &[&str]) -> CaseResult {
    ensure(ran.code.is_some_and(|code| code != 0), format!("it ended well: {ran}"))?;
    let said = format!("{}{}", ran.out, ran.err);
    for text in texts {
        ensure(said.contains(text), format!("{text:?} is not said: {ran}"))?;
    }
    Ok(())
}

pub(super) async fn forgotten() -> CaseResult {
    let front = Front::live().await?;
    equal("the bad page at the edge", &front.page("/")?, &files(2)["index.html"])?;
    equal("and by its name", &front.page("/index.html")?, &files(2)["index.html"])?;
    let ran = front.back()?.expect(0);
    equal("the page at the edge", &front.page("/")?, &files(1)["index.html"])?;
    equal("and by its name", &front.page("/index.html")?, &files(1)["index.html"])?;
    let wanted = ["/", "/assets/app.1.js", "/index.html"].map(str::to_owned).to_vec();
    equal("what was forgotten", &front.forgotten()?, &vec![wanted])?;
    let said = "1 of 1 entry points byte for byte through http://127.0.0.1";
    ensure(ran.out.contains(said), format!("what browsers get is not told: {ran}"))?;
    ensure(ran.out.contains("1 assets that they refer to"), format!("{ran}"))?;
    // And nothing is owed any more.
    let left = front.shop.below(".rollback/").await?;
    ensure(!left.keys().any(|key| key.ends_with("owed.json")), format!("{:?}", left.keys()))
}

pub(super) async fn many() -> CaseResult {
    let front = Front::live().await?;
    for number in 0..20 {
        front.shop.put(&format!("versions/v1/data/{number}.txt"), "the good one").await?;
    }
    // As every copy has it that is younger than what is live.
    front.shop.deploy(2).await?;
    front.back()?.expect(0);
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])
}

pub(super) async fn stale() -> CaseResult {
    let front = Front::live().await?;
    equal("the bad page at the edge", &front.page("/index.html")?, &files(2)["index.html"])?;
    // Somebody put the bucket right by hand, and forgot about the caches.
    front.shop.deploy(1).await?;
    let ran = front.back()?;
    ensure(!ran.out.contains("already there"), format!("a stale page is said to be there: {ran}"))?;
    let ran = ran.expect(0);
    equal("the page at the edge", &front.page("/index.html")?, &files(1)["index.html"])?;
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])?;
    equal("what was written", &front.shop.written(), &Vec::new())?;
    drop(ran);
    let ran = front.back()?.expect(0);
    ensure(ran.out.contains("already there"), format!("{ran}"))
}

pub(super) async fn denied() -> CaseResult {
    let front = Front::live().await?;
    equal("the bad page at the edge", &front.page("/index.html")?, &files(2)["index.html"])?;
    let create = Rule::new(denied_answer()).method("POST").path("/2020-05-31/distribution/*/invalidation");
    front.shop.faults(Faults::none().rule(create));
    failed(&front.back()?, &["cloudfront:CreateInvalidation"])?;
    equal("the page in the bucket", &front.shop.served().await?["index.html"], &files(1)["index.html"])?;
    equal("what was forgotten", &front.forgotten()?, &Vec::new())?;
    front.shop.faults(Faults::none());
    front.back()?.expect(0);
    // What the first run changed is known to nobody now.
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])?;
    equal("the page at the edge", &front.page("/index.html")?, &files(1)["index.html"])
}

pub(super) async fn lost_answer() -> CaseResult {
    let front = Front::live().await?;
    let create = Rule::new(Fault::ResetAfter).method("POST").path("/2020-05-31/distribution/*/invalidation");
    front.shop.faults(Faults::none().rule(create.first(1)));
    front.back()?.expect(0);
    equal("how many invalidations", &front.forgotten()?.len(), &1)
}

pub(super) async fn awaited() -> CaseResult {
    let front = Front::live().await?;
    let slow = slow(front.account(), 3).map_err(told)?;
    front.configure(&format!("endpoint_url = {:?}\n", slow.url()))?;
    let ran = front.back()?.expect(0);
    equal("how many invalidations", &front.forgotten()?.len(), &1)?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("CloudFront works on the invalidation"), format!("it was not waited for: {ran}"))
}

/// What is put back from versions is forgotten as well, by the names of what was copied, uncovered and deleted.
pub(super) async fn by_versions() -> CaseResult {
    let shop = versions::versioned(Emulator::Ministack).await?;
    shop.deploy_files(&files(1)).await?;
    let time = versions::between();
    shop.deploy_files(&files(2)).await?;
    shop.put("live/new.html", "<p>new</p>").await?;
    let front = Front::before(shop, "/live").await?;
    for (path, wanted) in [("/", &files(2)["index.html"]), ("/index.html", &files(2)["index.html"])] {
        equal(path, &front.page(path)?, wanted)?;
    }
    equal("the new page", &front.page("/new.html")?.as_str(), &"<p>new</p>")?;
    let slow = slow(front.account(), 3).map_err(told)?;
    front.configure(&format!("quiet = \"1s\"\nendpoint_url = {:?}\n", slow.url()))?;
    let back = format!("run web --to as-of={time} --yes --no-quarantine --reason bad");
    let ran = front.shop.run(&back)?.expect(0);
    for path in ["/", "/index.html"] {
        equal(path, &front.page(path)?, &files(1)["index.html"])?;
    }
    ensure(front.page("/new.html")? != "<p>new</p>", "a page that was not there is still at the edge")?;
    let wanted = ["/", "/assets/app.1.js", "/index.html", "/new.html"].map(str::to_owned).to_vec();
    equal("what was forgotten", &front.forgotten()?, &vec![wanted])?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("put back what was served at"), format!("it is another way: {ran}"))?;
    ensure(said.contains("CloudFront works on the invalidation"), format!("it was not waited for: {ran}"))?;
    let ran = front.shop.run(&back)?.expect(0);
    ensure(ran.out.contains("already there"), format!("{ran}"))?;
    equal("how many invalidations", &front.forgotten()?.len(), &1)
}

/// Nobody is served through it: that is told, and the bucket is put right all the same.
pub(super) async fn disabled() -> CaseResult {
    let front = Front::live().await?;
    let path = format!("/{}/config", front.distribution);
    let found = cloudfront(front.account(), "GET", &path, "", "").map_err(told)?;
    let more = format!("If-Match: {}\r\n", etag(&found));
    let off = config(&front.shop, &origin(&front.shop), "/live")
        .replace("<Enabled>true</Enabled>", "<Enabled>false</Enabled>");
    let changed = cloudfront(front.account(), "PUT", &path, &more, &off).map_err(told)?;
    ensure(changed.status == 200, changed.text())?;
    let id = &front.distribution;
    front.shop.configure(&front.shop.bucket, &format!("distribution = {id:?}\n"))?;
    let planned = front.shop.run("plan web --to version=v1 --reason bad")?.expect(0);
    for text in [format!("the distribution {id} is disabled: nobody is served"), "enable it in".to_owned()] {
        ensure(planned.out.contains(&text), format!("{text:?} is not said: {planned}"))?;
    }
    let ran = front.back()?.expect(0);
    equal("the page", &front.shop.served().await?["index.html"], &files(1)["index.html"])?;
    // Once it is enabled, its edges may still have what was there before.
    equal("how many invalidations", &front.forgotten()?.len(), &1)?;
    let said = format!("nobody looked as browsers do: the distribution {id} is disabled");
    ensure(ran.out.contains(&said), format!("the proof claims more: {ran}"))
}

/// Another change is on its way to the edges: that is told, and what was written is forgotten without waiting for it.
pub(super) async fn deployed_meanwhile() -> CaseResult {
    let front = Front::live().await?;
    equal("the bad page at the edge", &front.page("/index.html")?, &files(2)["index.html"])?;
    let busy = deploying(front.account(), u32::MAX).map_err(told)?;
    front.configure(&format!("endpoint_url = {:?}\n", busy.url()))?;
    let planned = front.shop.run("plan web --to version=v1 --reason bad")?.expect(0);
    let text =
        format!("a change of the distribution {} is still on its way to the edges", front.distribution);
    ensure(planned.out.contains(&text), format!("{planned}"))?;
    front.back()?.expect(0);
    equal("how many invalidations", &front.forgotten()?.len(), &1)?;
    equal("the page at the edge", &front.page("/index.html")?, &files(1)["index.html"])
}

/// Where it is the pointer itself that is still on its way, edges may fetch from where it was: nothing is forgotten before it has arrived.
pub(super) async fn pointer_on_its_way() -> CaseResult {
    let front = Front::pointing("/versions/v2").await?;
    let busy = deploying(front.account(), 12).map_err(told)?;
    front.configure(&format!("pointer = true\nendpoint_url = {:?}\n", busy.url()))?;
    let ran = front.back()?.expect(0);
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v1")?;
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])?;
    equal("the page at the edge", &front.page("/")?, &files(1)["index.html"])?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("is still on its way to the edges"), format!("it is not said: {ran}"))
}

pub(super) async fn broken() -> CaseResult {
    let front = Front::live().await?;
    front.shop.run("record web")?.expect(0);
    // An edge that has the pages and not the assets.
    let account = front.account().clone();
    let page = files(2)["index.html"].clone();
    let broken = Relay::start(move |asked| {
        let known = asked.path == "/" || asked.path == "/index.html";
        let (status, kind) = if known { (200, "text/html") } else { (404, "text/html") };
        Ok(super::relay::Answer {
            status,
            headers: format!("Content-Type: {kind}\r\nX-Account: {}\r\n", account.id()),
            body: page.clone().into_bytes(),
        })
    })
    .map_err(told)?;
    let url = broken.url();
    front.shop.configure(&front.shop.bucket, &format!("url = {url:?}\n"))?;
    failed(&front.shop.run("record web")?, &["assets/app.2.js answers 404"])?;
    front.shop.configure(&front.shop.bucket, &format!("url = {url:?}\ncheck_pages = false\n"))?;
    front.shop.run("record web")?.expect(0);
    Ok(())
}

pub(super) async fn pointer() -> CaseResult {
    let front = Front::pointing("/versions/v2").await?;
    equal("the bad page at the edge", &front.page("/")?, &files(2)["index.html"])?;
    let before = front.shop.below("").await?;
    let ran = front.back()?.expect(0);
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v1")?;
    ensure(front.now()?.contains("<Tomorrow>kept</Tomorrow>"), "a setting is lost that nobody here knows")?;
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])?;
    equal("the page at the edge", &front.page("/")?, &files(1)["index.html"])?;
    equal("the bucket", &front.shop.below("").await?, &before)?;
    ensure(ran.out.contains("the origin path of"), format!("the proof is not told: {ran}"))?;
    let ran = front.back()?.expect(0);
    ensure(ran.out.contains("already there"), format!("{ran}"))?;
    front.shop.run("run web --to version=v2 --yes --no-quarantine --allow-newer --reason fixed")?.expect(0);
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v2")
}

pub(super) async fn pointer_awaited() -> CaseResult {
    let front = Front::pointing("/versions/v2").await?;
    let slow = slow(front.account(), 3).map_err(told)?;
    front.configure(&format!("pointer = true\nendpoint_url = {:?}\n", slow.url()))?;
    let ran = front.back()?.expect(0);
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v1")?;
    equal("what was forgotten", &front.forgotten()?, &vec![vec!["/*".to_owned()]])?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("brings the new origin path"), format!("the edges were not waited for: {ran}"))
}

pub(super) async fn pointer_lost_answer() -> CaseResult {
    let front = Front::pointing("/versions/v2").await?;
    let update = Rule::new(Fault::ResetAfter).method("PUT").path("/2020-05-31/distribution/*/config");
    front.shop.faults(Faults::none().rule(update.first(1)));
    front.back()?.expect(0);
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v1")?;
    let log = front.shop.proxy.log();
    equal(
        "how often it was sent",
        &log.iter().filter(|one| one.method == "PUT" && one.path.contains("/config")).count(),
        &1,
    )
}

pub(super) async fn pointer_overtaken() -> CaseResult {
    let front = Front::pointing("/versions/v2").await?;
    front.shop.run("plan web --to version=v1 --reason bad --out plan.json")?.expect(0);
    let path = format!("/{}/config", front.distribution);
    let found = cloudfront(front.account(), "GET", &path, "", "").map_err(told)?;
    let more = format!("If-Match: {}\r\n", etag(&found));
    let changed = config(&front.shop, &origin(&front.shop), "/versions/v3");
    let changed = cloudfront(front.account(), "PUT", &path, &more, &changed).map_err(told)?;
    ensure(changed.status == 200, changed.text())?;
    failed(&front.shop.run("apply plan.json --yes --no-quarantine")?, &[])?;
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v3")?;
    // In the moment before it is sent, CloudFront itself refuses.
    let front = Front::pointing("/versions/v2").await?;
    let stale = "<ErrorResponse><Error><Type>Sender</Type><Code>PreconditionFailed</Code><Message>no</Message></Error></ErrorResponse>";
    let update = Fault::Answer(Answer::new(412).body("text/xml", stale));
    let update = Rule::new(update).method("PUT").path("/2020-05-31/distribution/*/config");
    front.shop.faults(Faults::none().rule(update));
    failed(&front.back()?, &["superseded"])?;
    equal("the origin path", &front.origin_path()?.as_str(), &"/versions/v2")
}

pub(super) async fn pointer_elsewhere() -> CaseResult {
    let front = Front::pointing("/live").await?;
    failed(&front.back()?, &["/live", "no release"])?;
    equal("the origin path", &front.origin_path()?.as_str(), &"/live")
}

pub(super) async fn input() -> CaseResult {
    let shop = Shop::new().await?;
    let before = shop.below("").await?;
    let refuses = async |distribution: &str, texts: &[&str]| -> CaseResult {
        let more = format!("distribution = {distribution:?}\ncheck_pages = false\n");
        shop.configure(&shop.bucket, &more)?;
        failed(&shop.run(BACK)?, texts)?;
        equal("the bucket", &shop.below("").await?, &before)
    };
    refuses("E0NOTTHERE", &["E0NOTTHERE", "aws cloudfront list-distributions"]).await?;
    refuses("../../etc", &["distribution", "aws cloudfront list-distributions"]).await?;
    let (ours, _) = made(&shop, &origin(&shop), "/live")?;
    shop.faults(
        Faults::none().rule(Rule::new(denied_answer()).method("GET").path("/2020-05-31/distribution/*")),
    );
    refuses(&ours, &["cloudfront:GetDistribution"]).await?;
    shop.faults(Faults::none());
    // One that is not ours is told, and what is put back is put back.
    let other = Shop::new().await?;
    let (foreign, _) = made(&other, "other.s3.us-east-1.amazonaws.com", "")?;
    let more = format!("distribution = {foreign:?}\ncheck_pages = false\n");
    other.configure(&other.bucket, &more)?;
    let ran = other.back(0)?;
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("none of the origins"), format!("it is not said: {ran}"))
}
