//! Commands that are declared for rollbacks, and the values that they are fed.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{GOOD, Setup};
use rollback_tests::servers::{Moto, need};
use rollback_tests::{Ran, until};
use serde_json::json;

use super::Shop;

const CANARY: &str = "canary-5b1f0c7e9d";

/// What is run, and how often: once on the first host, and on every host.
pub(super) async fn declared() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2), "")?;
    shop.deploy_badly()?;
    shop.is("\
[[components.web.commands]]
name = \"migrate\"
on = \"rollback\"
service = \"backend\"
run = [\"sh\", \"-c\", \"echo once >> /data/migrated\"]
[[components.web.commands]]
name = \"assets\"
on = \"rollback\"
hosts = \"every\"
run = [\"sh\", \"-c\", \"echo each >> data/assets; pwd\"]
")?;
    let ran = shop.run("run web --yes", 0)?;
    shop.serves(GOOD)?;
    let lines = |host: usize, file: &str| {
        let text = std::fs::read_to_string(shop.bed.hosts[host].path(format!("app/data/{file}")));
        text.unwrap_or_default().lines().count()
    };
    equal("migrated", &[lines(0, "migrated"), lines(1, "migrated")], &[1, 0])?;
    equal("assets", &[lines(0, "assets"), lines(1, "assets")], &[1, 1])?;
    ensure(ran.out.contains("run migrate"), format!("{ran}"))
}

/// One that fails is no success, and says why.
pub(super) async fn failing() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    shop.is("[[components.web.commands]]\nname = \"migrate\"\non = \"rollback\"\nrun = [\"sh\", \"-c\", \"echo no such table; exit 7\"]\n")?;
    let ran = shop.site.run("run web --yes")?;
    ensure(ran.code != Some(0) && ran.out.contains("no such table"), format!("{ran}"))?;
    // The images are back all the same.
    shop.serves(GOOD)
}

/// A value of Parameter Store goes to the command's standard input, and nowhere else.
pub(super) async fn fed() -> CaseResult {
    let account = need(Moto::shared())?.account()?;
    let parameter = json!({ "Name": "/shop/db-password", "Type": "SecureString", "Value": CANARY });
    let (status, answer) = account.json("ssm", "AmazonSSM.PutParameter", &parameter)?;
    ensure(status == 200, format!("{status} {answer}"))?;
    let mut shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    shop.site = shop.site.with_environment(account.environment());
    shop.is(&format!(
        "region = \"{}\"\n[[components.web.commands]]\nname = \"seed\"\non = \"rollback\"\n\
         run = [\"sh\", \"-c\", \"wc -c > data/fed; touch data/waits; sleep 2\"]\nstdin = [\"ssm:/shop/db-password\"]\n",
        account.region()
    ))?;
    let host = &shop.bed.hosts[0];
    let running = shop.site.start("run web --yes -vvv")?;
    until("the command", || host.path("app/data/waits").exists().then_some(()))?;
    // While it runs: what everybody can see of processes, on both sides.
    let there =
        host.run_as_root("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")?;
    let here = processes();
    let ran = running.end()?;
    ensure(ran.code == Some(0), format!("{ran}"))?;
    let fed = std::fs::read_to_string(host.path("app/data/fed"))?;
    equal("how much it was fed", &fed.trim().to_owned(), &(CANARY.len() + 1).to_string())?;
    let files =
        host.run_as_root(&format!("grep -rlF {CANARY} /home /tmp /var/tmp /dev/shm /run/user 2>/dev/null"))?;
    nowhere("the host's processes", &there.out)?;
    nowhere("processes here", &here)?;
    nowhere("the host's files", &files.out)?;
    nowhere("what the command says", &said(&ran))?;
    for line in ["show", "plan web --to last-good --output json", "runs --output json"] {
        nowhere(line, &said(&shop.site.run(line)?))?;
    }
    for entry in std::fs::read_dir(shop.site.path(".rollback"))? {
        let path = entry?.path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        nowhere(&path.display().to_string(), &String::from_utf8_lossy(&bytes))?;
    }
    Ok(())
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

fn nowhere(place: &str, text: &str) -> CaseResult {
    ensure(!text.contains(CANARY), format!("the canary is in {place}"))
}

/// What can be seen of all processes here but this one, which made the value.
fn processes() -> String {
    let mut all = String::new();
    let me = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.chars().all(|c| c.is_ascii_digit()) && name != me {
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
                all.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
    all
}
