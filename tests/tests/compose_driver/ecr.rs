//! What ECR has and no host: an emulator tells of it, and a real registry has it.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::hosts::{BAD, GOOD, OLDER, REGISTRY, Setup};
use rollback_tests::servers::{Account, Moto, need};
use rollback_tests::{Ran, until};
use serde_json::{Value, json};

use super::{Shop, neighbour};

/// Whose registry it is, by its name.
fn account() -> Result<Account, Failure> {
    let id = REGISTRY.split('.').next().unwrap_or_default();
    Ok(need(Moto::shared())?.account_of(id)?)
}

fn ask(account: &Account, operation: &str, input: &Value) -> Result<Value, Failure> {
    let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
    let (status, answer) = account.json("ecr", &target, input)?;
    ensure(status == 200, format!("{operation}: {status} {answer}"))?;
    Ok(answer)
}

/// As a pipeline's push of this version: the time of it, in seconds.
fn push(shop: &Shop, account: &Account, version: &str) -> Result<i64, Failure> {
    // The emulator would make up a digest of its own.
    let digest = shop.bed.registry.digest("backend", version)?;
    let media = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media, "of": version }).to_string();
    let image = json!({
        "repositoryName": "backend", "imageTag": version, "imageManifest": manifest, "imageDigest": digest,
    });
    ask(account, "PutImage", &image)?;
    let which = json!({ "repositoryName": "backend", "imageIds": [{ "imageTag": version }] });
    let answer = ask(account, "DescribeImages", &which)?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    let at = answer["imageDetails"][0]["imagePushedAt"].as_f64().map(|at| at as i64);
    Ok(at.ok_or_else(|| format!("it was never pushed: {answer}"))?)
}

/// Pushes the version once the emulator's clock, which knows seconds alone, says a later one.
fn push_after(shop: &Shop, account: &Account, version: &str, earlier: i64) -> Result<i64, Failure> {
    let gone = json!({ "repositoryName": "backend", "imageIds": [{ "imageTag": version }] });
    until("a later second", || match push(shop, account, version) {
        Ok(at) if at > earlier => Some(Ok(at)),
        Ok(_) => ask(account, "BatchDeleteImage", &gone).err().map(Err),
        Err(failure) => Some(Err(failure)),
    })?
}

/// The tags of the history, in its order.
fn versions(ran: &Ran) -> Vec<String> {
    let version = |entry: &Value| Some(entry.pointer("/snapshot/info/version")?.as_str()?.to_owned());
    ran.json()["candidates"].as_array().into_iter().flatten().filter_map(version).collect()
}

/// Those that there are, newest first, each with the time of its push.
fn nobody_has_it(shop: &Shop) -> CaseResult {
    let ran = shop.site.run("run web --to version=v9 --yes")?;
    ensure(ran.code != Some(0), format!("{ran}"))?;
    let newest = ran.err.split_once("the newest are: ").map(|(_, rest)| rest).unwrap_or_default();
    let told: Vec<_> = newest.lines().next().unwrap_or_default().split(", ").collect();
    let tags: Vec<_> = told.iter().map(|one| one.split(" (").next().unwrap_or_default()).collect();
    ensure(tags == [BAD, GOOD, OLDER], format!("{ran}"))?;
    ensure(told.iter().all(|one| one.contains(" (20") && one.contains('T')), format!("{ran}"))
}

pub(super) async fn only_there() -> CaseResult {
    let account = account()?;
    let mut shop = Shop::new(Setup::hosts(1), "")?;
    shop.site = shop.site.with_environment(account.environment());
    ask(&account, "CreateRepository", &json!({ "repositoryName": "backend" }))?;
    let first = push(&shop, &account, OLDER)?;
    let second = push_after(&shop, &account, GOOD, first)?;
    push_after(&shop, &account, BAD, second)?;
    shop.site.write_configuration(&format!(
        "[components.web]\ndriver = \"ec2-compose\"\nproject = \"app\"\nservices = [\"backend\"]\nhosts = [\"host0\"]\n\
         ssh = {{ config_file = {:?} }}\n",
        shop.bed.ssh_config(),
    ))?;
    shop.rests()?;
    nobody_has_it(&shop)?;
    shop.deploy_badly()?;
    let history = shop.run("history web --output json", 0)?;
    ensure(versions(&history) == [BAD, GOOD, OLDER], format!("{history}"))?;
    // Records of our own do not hide what the registry tells.
    nobody_has_it(&shop)?;

    // No host ever had it: it is pulled before anything is touched.
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    shop.run(&format!("run web --to version={OLDER} --yes"), 0)?;
    shop.serves(OLDER)?;
    equal("the neighbour", &neighbour(host)?, &before)
}
