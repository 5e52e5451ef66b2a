//! One store in a bucket for several machines: the command over it, and without it.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::proxy::{Fault, Faults, Proxy, Rule};
use rollback_tests::servers::{Account, Ministack, need};
use rollback_tests::{Binaries, Running, Site};

const BINARIES: Binaries = rollback_tests::binaries!();
const STORE: &str = "s3://state/shop";
const RUN: &str = "run web --to revision=v1 --yes";
const GLASS: [&str; 7] = ["run", "web", "--to", "revision=v1", "--yes", "--break-glass", "the store is down"];
const PROD: &str = "[environments.prod]\nconfirm = \"ROLLBACK-PROD\"\nrequire_reason = false\n";

fn main() -> ExitCode {
    Suite::new("shared-store")
        .case("every_machine_sees_the_runs_of_the_others", true, seen_by_all)
        .case("looking_writes_nothing", true, looking)
        .case("a_colleague_on_another_machine_is_left_in_peace", true, colleague)
        .case("break_glass_works_while_the_store_is_down_and_is_merged", true, || glass(false))
        .case("break_glass_works_while_the_store_is_silent_and_is_merged", true, || glass(true))
        .case("a_production_environment_wants_a_shared_store", true, shared_wanted)
        .case("a_store_that_cannot_be_used_says_why", true, told)
        .run()
}

struct Shop {
    account: Account,
    proxy: Proxy,
    store: String,
}

impl Shop {
    fn new() -> Result<Self, Failure> {
        let account = need(Ministack::shared())?.account();
        // The names of the buckets of all accounts share one name space.
        let bucket = format!("state-{}", account.id());
        account.make_bucket(&bucket)?;
        let port: u16 = account.endpoint().rsplit(':').next().unwrap_or_default().parse()?;
        let proxy = Proxy::http(("127.0.0.1", port))?;
        Ok(Self { account: account.behind(proxy.port()), proxy, store: format!("s3://{bucket}/shop") })
    }

    fn site(&self) -> Result<Site, Failure> {
        Ok(Site::plain(BINARIES)?.stored_in(&self.store, self.account.environment())?)
    }

    /// Another machine's configuration for the same releases.
    fn other_machine(&self, site: &Site) -> Result<Site, Failure> {
        let other = self.site()?;
        let (store, releases, current) = (&self.store, site.path("releases"), site.path("current"));
        other.write_configuration(&format!(
            "store = \"{store}\"\n[components.web]\ndriver = \"local\"\nreleases = {releases:?}\ncurrent = {current:?}\n"
        ))?;
        Ok(other)
    }

    /// How many requests a command takes.
    fn requests(&self, site: &Site, line: &str) -> Result<u64, Failure> {
        let count = || self.proxy.counts().get("requests").copied().unwrap_or_default();
        let before = count();
        site.run(line)?.expect(0);
        Ok(count() - before)
    }
}

async fn seen_by_all() -> CaseResult {
    let shop = Shop::new()?;
    let site = shop.site()?;
    let status = shop.requests(&site, "status")?;
    let run = shop.requests(&site, RUN)?;
    println!("requests: status {status}, run {run}, status after it {}", shop.requests(&site, "status")?);
    site.assert_current("v1");
    let elsewhere = shop.other_machine(&site)?;
    let runs = elsewhere.runs()?;
    equal("runs seen elsewhere", &runs.len(), &1)?;
    equal("the state seen elsewhere", &runs[0]["state"], &"restored".into())?;
    // Nobody pays for a store that is asked a hundred times.
    ensure(status < 40 && run < 150, format!("{status} requests for a status, {run} for a run"))
}

/// Who may only read the bucket can look at everything. What is gone back from is newer, unless both were made in one tick of the file system.
async fn looking() -> CaseResult {
    let shop = Shop::new()?;
    let site = shop.site()?;
    site.run(RUN)?.expect(0);
    let before = shop.proxy.log().len();
    for line in
        ["status", "history web", "runs", "plan web --to revision=v2 --allow-quarantined --allow-newer"]
    {
        site.run(line)?.expect(0);
    }
    let log = shop.proxy.log();
    let written: Vec<&str> =
        log[before..].iter().filter(|sent| sent.method != "GET").map(|sent| sent.path.as_str()).collect();
    ensure(
        written.is_empty() && log.len() > before,
        format!("{} requests, writes {written:?}", log.len() - before),
    )
}

async fn colleague() -> CaseResult {
    let shop = Shop::new()?;
    let site = shop.site()?.lease("6s")?;
    let elsewhere = shop.other_machine(&site)?;
    let first = site.held(1, RUN)?;
    let second = elsewhere.run(RUN)?.expect(3);
    let who = format!("(process {})", first.pid());
    ensure(second.out.contains(&who) || second.err.contains(&who), format!("nobody is named: {second}"))?;
    site.assert_current("v2");
    site.let_go()?;
    first.end()?.expect(0);
    site.assert_current("v1");
    Ok(())
}

async fn glass(silent: bool) -> CaseResult {
    let shop = Shop::new()?;
    let site = shop.site()?;
    site.run("status")?.expect(0);
    if silent {
        shop.proxy.faults(Faults::none().rule(Rule::new(Fault::Hang)));
    } else {
        shop.proxy.down();
        // A reset is seen while connecting or right after it: the words differ.
        site.refuses(RUN, 1, &["in the store s3://", "check the network"])?;
    }
    site.assert_current("v2");

    let ran = Running::start(site.command(&GLASS))?.end()?.expect(0);
    let said = format!("{}{}", ran.out, ran.err);
    ensure(said.contains("BREAK-GLASS") && said.contains("the store is down"), format!("no shout: {ran}"))?;
    site.assert_current("v1");

    shop.proxy.up();
    shop.proxy.faults(Faults::none());
    let elsewhere = shop.other_machine(&site)?;
    equal("runs before the merge", &elsewhere.runs()?.len(), &0)?;
    site.run("runs")?.expect(0).says("rollback merge");
    site.run("merge")?.expect(0);
    let runs = elsewhere.runs()?;
    equal("runs after the merge", &runs.len(), &1)?;
    equal("the mark", &runs[0]["break_glass"], &"the store is down".into())?;
    equal("the state", &runs[0]["state"], &"restored".into())?;
    let again = site.run("merge")?.expect(0);
    ensure(again.out.contains("no break-glass runs"), format!("merged twice: {again}"))
}

async fn shared_wanted() -> CaseResult {
    let confirmed = "run web --to revision=v1 --confirm ROLLBACK-PROD";
    let site = Site::plain(BINARIES)?;
    site.configure(PROD)?;
    site.run("status")?.expect(0);
    let refused = site.run(confirmed)?.expect(3);
    let said = format!("{}{}", refused.out, refused.err);
    ensure(said.contains("seen by this machine only"), format!("the store is not named: {refused}"))?;
    ensure(said.contains("single_operator = true"), format!("the way out is not named: {refused}"))?;
    site.assert_current("v2");

    // Under break-glass there is no store to share.
    let declared = Site::plain(BINARIES)?;
    declared.configure(&format!("{PROD}single_operator = true\n"))?;
    declared.run(confirmed)?.expect(0);
    declared.assert_current("v1");

    let shop = Shop::new()?;
    let shared = Site::plain(BINARIES)?;
    shared.configure(PROD)?;
    let shared = shared.stored_in(&shop.store, shop.account.environment())?;
    shared.run(confirmed)?.expect(0);
    shared.assert_current("v1");
    Ok(())
}

async fn told() -> CaseResult {
    let environment = |wanted: &[(&'static str, &str)]| {
        let unset =
            ["AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"];
        let set = |name| wanted.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value);
        unset.map(|name| (name, set(name).to_owned())).to_vec()
    };
    let keys = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let with = |more: &[(&'static str, &'static str)]| environment(&[&keys, more].concat());
    for (store, variables, code, text) in [
        ("s3://UPPER/x", with(&[]), 2, "lower-case"),
        ("s3://key:hunter2@state/x", with(&[]), 2, "keep credentials in the environment"),
        (STORE, with(&[]), 2, "AWS_REGION"),
        (STORE, with(&[("AWS_ENDPOINT_URL", "http://192.0.2.1:9000")]), 2, "AWS_ALLOW_HTTP"),
        (
            STORE,
            environment(&[("AWS_PROFILE", "prod"), ("AWS_REGION", "eu-west-1")]),
            1,
            "export-credentials",
        ),
        (STORE, with(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]), 1, "no connection"),
    ] {
        let site = Site::plain(BINARIES)?.stored_in(store, variables)?;
        let ran = site.refuses("status", code, &[text])?;
        ensure(!format!("{}{}", ran.out, ran.err).contains("hunter2"), format!("a secret is told: {ran}"))?;
    }
    Ok(())
}
