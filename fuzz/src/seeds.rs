//! Where the corpora begin: plans, stores and configurations as the product itself writes them.

use std::path::Path;

use rollback_cli::{App, Console};
use rollback_core::condition::{Check, Rule};
use rollback_core::engine::Claim;
use rollback_core::probe::{Gate, ProbeSpec};
use rollback_core::store::Key;
use rollback_core::time::Lasting;
use rollback_core::{
    Approval, Digest, Document as _, Engine, Envelope, Plan, Planned, Request, Snapshot, SnapshotRecord,
};
use rollback_driver_local::{LocalAction, LocalRelease};
use rollback_testkit::sim::{ToyAction, ToySnapshot};
use serde_json::{Value, json};

use crate::lines;
use crate::world::{Lab, in_virtual_time, name};

/// A seed: its target, its name, its content.
type Seed = (&'static str, String, Vec<u8>);

/// Every seed.
#[must_use]
pub fn all() -> Vec<Seed> {
    let mut seeds = names();
    seeds.extend(envelopes());
    seeds.extend(configurations());
    in_virtual_time(async {
        for (number, plan) in plans().await.iter().enumerate() {
            let text = plan.to_json().expect("a plan is JSON").to_string().into_bytes();
            seeds.push(("plan", format!("plan-{number}"), text.clone()));
            seeds.push(("apply", format!("plan-{number}"), text));
        }
        seeds.extend(stores().await);
    });
    seeds
}

fn names() -> Vec<Seed> {
    let texts = [
        "web",
        "previous",
        "last-good",
        "revision=42",
        "version=abc123d",
        "as-of=2h",
        "as-of=2026-11-21T03:00:00Z",
        "1h30m",
        "90s",
        "PT5M",
        "30d",
        "1m1s250ms",
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "019aa3b2-7c00-7000-8000-000000000001",
        "runs/019aa3b2-7c00-7000-8000-000000000001",
        "2026-11-21_1830",
        "release 2026/11 (hotfix)",
    ];
    texts
        .into_iter()
        .enumerate()
        .map(|(number, text)| ("names", format!("name-{number}"), text.into()))
        .collect()
}

fn envelopes() -> Vec<Seed> {
    let body = json!({
        "name": "v42", "digest": Digest::of_bytes(b"v42"), "files": 3, "bytes": 42,
        "made_at": "2026-11-20T12:00:00Z", "outside": ["/etc/hosts"],
    });
    let release = LocalRelease::decode(LocalRelease::SCHEMA, body).expect("a release");
    let identity = release.info().identity;
    let mut documents = vec![
        json!(SnapshotRecord::seal(&release).expect("JSON")),
        json!(Envelope::seal(&release).expect("JSON")),
        json!(SnapshotRecord::seal(&ToySnapshot::of(2)).expect("JSON")),
        json!({ "schema": "toy-release/0", "body": { "release": 7 } }),
        json!(Envelope::seal(&ToyAction::Switch { release: 2 }).expect("JSON")),
    ];
    for body in [
        json!({ "action": "switch", "to": "v42", "identity": identity }),
        json!({ "action": "restart", "on": "v42" }),
    ] {
        documents.push(json!({ "schema": LocalAction::SCHEMA, "body": body }));
    }
    let numbered = documents.into_iter().enumerate();
    numbered
        .map(|(number, one)| ("envelopes", format!("envelope-{number}"), one.to_string().into()))
        .collect()
}

const CONFIGURATION: &str = r#"
store = "sqlite:${ROOT}/state.db"
lease = "20s"
retention = "30d"
environment = "prod"
[environments.dev]
require_reason = false
[environments.prod]
confirm = "ROLLBACK-PROD"
expect_account = "web-1"
automatic = "act"
contacts = ["on-call: +49 30 1"]
single_operator = true
plan_expires_after = "90m"
[[environments.prod.freeze]]
from = 2026-12-24T00:00:00Z
to = "2026-12-27T00:00:00Z"
reason = "nobody is there"
[components.db]
driver = "toy"
environments = ["prod"]
replicas = 3
limits = { cpu = 1.5, memory = 2 }
[components.web]
driver = "local"
after = ["db"]
releases = "${ROOT}/web/$$releases"
current = "${SECRET}"
restart = ["systemctl", "restart", "web"]
restart_timeout = "30s"
pid_file = "/run/web.pid"
health = ["true"]
[components.web.overrides.dev]
releases = "here"
[[gates]]
name = "open"
component = "web"
probe = { kind = "tcp", address = "127.0.0.1:8080" }
rule = { lasting = "10s", within = "2m", every = "1s", all = ["ok", { below = { metric = "latency_ms", limit = 500 } }] }
[[gates]]
name = "check"
component = "db"
probe = { kind = "command", command = ["true"] }
rule = { within = "2m", all = ["not-ok", { above = { metric = "x", limit = 0.5 } }] }
"#;

const ECS: &str = r#"
environment = "prod"
[environments.prod]
expect_account = "123456789012"
[environments.stage]
require_reason = false
[components.web]
driver = "ecs"
cluster = "prod"
service = "web"
region = "eu-west-1"
profile = "ops"
main_container = "web"
fingerprint_key = "${SECRET}"
codedeploy = { application = "shop", group = "web" }
[components.web.overrides.stage]
cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/stage"
role_arn = "arn:aws:iam::123456789012:role/rollback"
external_id = "ours"
endpoint_url = "http://127.0.0.1:4566"
[components.api]
driver = "ecs"
after = ["web"]
cluster = "prod"
service = "api"
"#;

const K8S: &str = r#"
[environments.prod]
[components.web]
driver = "k8s"
kind = "deployment"
name = "web"
namespace = "shop"
context = "prod"
kubeconfig = "/srv/kubeconfig"
server = "https://10.0.0.1:6443"
namespace_uid = "5c4a380b-8ee5-40f1-af13-e4a7b7282c58"
container = "web"
resume_paused = true
fingerprint_key = "${SECRET}"
[components.worker]
driver = "k8s"
kind = "statefulset"
name = "worker"
in_cluster = true
"#;

fn configurations() -> Vec<Seed> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let console = Console::plain(folder.path(), std::io::sink(), std::io::sink());
    in_virtual_time(async { App::new().run(["rollback", "init"], &console).await });
    let written = std::fs::read(folder.path().join("rollback.toml")).expect("init writes a configuration");
    vec![
        ("config", "init".to_owned(), written),
        ("config", "everything".to_owned(), CONFIGURATION.into()),
        ("config", "ecs".to_owned(), ECS.into()),
        ("config", "k8s".to_owned(), K8S.into()),
    ]
}

fn gate() -> Gate {
    let config = json!({ "command": ["true"] });
    Gate {
        name: "health".to_owned(),
        component: name("web"),
        probe: ProbeSpec {
            kind: "nothing".to_owned(),
            config: config.as_object().cloned().unwrap_or_default(),
        },
        rule: Rule {
            all: vec![Check::Ok, Check::Below { metric: "latency_ms".to_owned(), limit: 500.5 }],
            ..Rule::once_ok(Lasting::from_secs(10))
        },
    }
}

async fn plan(engine: &Engine, request: &Request) -> Plan {
    match engine.plan(request).await.expect("a plan") {
        Planned::Ready(plan) => *plan,
        Planned::Undecided(why) => panic!("no plan: {why:?}"),
    }
}

async fn plans() -> Vec<Plan> {
    let lab = Lab::new().await;
    let request = |names: &[&str], to: &str| {
        let request = Request::new(Lab::environment().name).reason("it is bad").actor("ana");
        names.iter().fold(request, |request, one| request.component(name(one), to.parse().ok()))
    };
    let plain = lab.engine(Lab::environment(), 1);
    let rules = Lab::environment()
        .confirm("ROLLBACK-TEST")
        .expect_account("simulated")
        .single_operator(true)
        .contact("ana");
    let strict = lab.engine(rules, 1);
    let web = plan(&plain, &request(&["web"], "previous")).await;
    let mut gated = (*web).clone();
    gated.gates = vec![gate()];
    vec![
        plan(&plain, &request(&["db", "web"], "previous")).await,
        plan(&plain, &request(&["web"], "revision=r1").on_failure(rollback_core::OnFailure::Back)).await,
        plan(&strict, &request(&["db"], "as-of=90s")).await,
        Plan::seal(gated).expect("a plan can be sealed"),
        web,
    ]
}

/// Stores after a run, and cut off at each of its steps.
async fn stores() -> Vec<Seed> {
    let lab = Lab::new().await;
    let engine = lab.engine(Lab::environment(), 7);
    engine.record(&name("web"), &Claim::good().by("ana")).await.expect("what runs is proven");
    let request = ["db", "web"].iter().fold(Request::new(Lab::environment().name), |request, one| {
        request.component(name(one), "previous".parse().ok())
    });
    let plan = plan(&engine, &request).await;
    engine.apply(&plan, &Approval::yes()).await.expect("a run");
    let records = lab.dump().await;
    let whole = lines::write(&records);
    let mut seeds = vec![
        ("records", "whole".to_owned(), whole.clone()),
        ("resume", "whole".to_owned(), whole.clone()),
        ("shown", "whole".to_owned(), [b"memory:\n".to_vec(), whole.clone()].concat()),
        ("shown", "empty".to_owned(), b"s3://bucket/prefix\n".to_vec()),
        ("shown", "unknown".to_owned(), b"postgres://user:secret@host/db\n".to_vec()),
    ];
    for kept in 0..7 {
        let cut = lines::write(&cut_off(&records, kept));
        seeds.push(("resume", format!("cut-off-{kept}"), cut.clone()));
        seeds.push(("records", format!("cut-off-{kept}"), cut));
    }
    seeds
}

/// The store of a run that was cut off after so many events of each journal.
fn cut_off(records: &[(Key, Vec<u8>)], kept: usize) -> Vec<(Key, Vec<u8>)> {
    let early = |key: &Key| {
        !key.as_str().starts_with("journal/") || key.last_segment().parse::<usize>().is_ok_and(|at| at < kept)
    };
    let before = records.iter().filter(|(key, _)| early(key) && !key.as_str().starts_with("heads/"));
    let unfinished = |(key, value): &(Key, Vec<u8>)| {
        let mut document: Value = serde_json::from_slice(value).expect("records are JSON");
        if key.as_str().starts_with("runs/") {
            document["body"]["report"] = Value::Null;
        }
        (key.clone(), document.to_string().into_bytes())
    };
    before.map(unfinished).collect()
}

/// Writes every seed that is not there yet into the folders of a corpus.
///
/// # Errors
///
/// When a folder cannot be written.
pub fn write(corpus: &Path) -> std::io::Result<()> {
    for (target, name, content) in all() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{name}")), content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rollback_core::Store as _;
    use rollback_core::store::Condition;

    use super::*;

    #[test]
    fn seeds_are_stores_that_can_be_filled() {
        in_virtual_time(async {
            let lab = Lab::new().await;
            let key = Key::new("runs/x").unwrap();
            lab.store.put(&key, b"{}", &Condition::Any).await.unwrap();
            assert_eq!(lab.dump().await, [(key, b"{}".to_vec())]);
        });
    }
}
