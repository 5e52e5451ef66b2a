//! The command line without a run: usage, configuration, plans that must not be applied, nobody to ask.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests, with a module that several share")]

mod common;

use common::Bench;
use rollback_core::plan::PlanBody;
use rollback_core::{Digest, Plan};
use serde_json::{Value, json};

const CONFIGURATION: &str = "store = \"kept:\"\n[components.web]\ndriver = \"toy\"\n";

#[tokio::test]
async fn help_is_no_failure_and_nonsense_is_usage() {
    let bench = Bench::new(CONFIGURATION);
    let help = bench.run("--help").await;
    assert_eq!(help.code, 0);
    assert!(help.out.contains("Exit codes:") && help.out.contains("resume"), "{}", help.out);
    assert_eq!(bench.run("--version").await.code, 0);
    for line in ["", "rnu", "run --nope", "run --to yesterday", "apply", "history", "run ../etc"] {
        let ran = bench.run(line).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains("sage: rollback") || ran.err.contains("--help"), "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_broken_configuration_is_usage_and_changes_nothing() {
    for text in ["[components", "stores = 1", "[components.web]\ndriver = \"tox\""] {
        let bench = Bench::new(text);
        for line in ["status", "run --yes", "resume", "runs"] {
            let ran = bench.run(line).await;
            assert_eq!(ran.code, 2, "{line}");
            assert!(ran.err.contains("rollback.toml, line"), "{}", ran.err);
        }
        assert_eq!(bench.current(), "v2");
    }
}

#[tokio::test]
async fn no_configuration_says_how_to_get_one() {
    let bench = Bench::new("");
    std::fs::remove_file(bench.folder.path().join("rollback.toml")).unwrap();
    let ran = bench.run("status").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("rollback init"), "{}", ran.err);
    let ran = bench.run("status --config other.toml").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("other.toml"), "{}", ran.err);
}

#[tokio::test]
async fn a_wrong_name_is_answered_with_the_nearest() {
    let bench = Bench::new(CONFIGURATION);
    for (line, wanted) in [
        ("status wbe", "did you mean \"web\"?"),
        ("status -e prod", "the environments are: default"),
        ("run --yes --to db:previous", "there is no component \"db\""),
    ] {
        let ran = bench.run(line).await;
        assert_eq!(ran.code, 2, "{line}: {}", ran.err);
        assert!(ran.err.contains(wanted), "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_gate_that_could_not_be_asked_is_found_out_before() {
    let gate = "[[gates]]\nname = \"health\"\ncomponent = \"web\"\nprobe = { kind = \"nope\", key = \"${SECRET}\" }\n";
    let bench = Bench::new(&format!("{CONFIGURATION}{gate}"));
    for line in ["plan --to revision=v1", "run --to revision=v1 --yes"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.code, 2, "{line}: {}", ran.err);
        assert!(ran.err.contains("set up the gate \"health\""), "{}", ran.err);
        assert!(
            ran.err.contains("no probe of kind \"nope\"") && !ran.err.contains("hunter22"),
            "{}",
            ran.err
        );
    }
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn secrets_stay_out_of_errors_that_others_write() {
    let bench = Bench::new("store = \"kept:\"\n[components.web]\ndriver = \"toy\"\nsize = \"${SECRET}\"\n");
    for line in ["history web", "status", "status --output json"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("${SECRET}"), "{}", ran.err);
        assert!(!ran.err.contains("hunter22") && !ran.out.contains("hunter22"), "{} {}", ran.err, ran.out);
    }
}

#[tokio::test]
async fn pipelines_get_one_document_even_for_failures() {
    let bench = Bench::new("stores = 1");
    let ran = bench.run("runs --output json").await;
    let document = ran.json();
    assert_eq!(document["command"], "runs");
    assert_eq!(document["exit"], 2);
    assert_eq!(document["error"]["kind"], "invalid");
    assert!(document["error"]["next"].as_str().unwrap().contains("\"store\""));
}

#[tokio::test]
async fn an_unknown_store_is_refused_without_quoting_its_url() {
    let bench = Bench::new("store = \"sqlight://user:hunter22@host\"\n[components.web]\ndriver = \"toy\"\n");
    let ran = bench.run("runs").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean \"sqlite\"?") && !ran.err.contains("hunter22"), "{}", ran.err);
}

#[tokio::test]
async fn init_writes_a_file_that_can_be_read_and_never_writes_over_one() {
    let bench = Bench::new(CONFIGURATION);
    let refused = bench.run("init").await;
    assert_eq!(refused.code, 3);
    let file = bench.folder.path().join("rollback.toml");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), CONFIGURATION);

    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(bench.folder.path().join("My Site/releases")).unwrap();
    let ran = bench.run("init --output json").await;
    assert_eq!(ran.json()["components"], json!(["my-site"]), "{}", ran.err);
    let text = std::fs::read_to_string(&file).unwrap();
    let parsed: toml::Table = text.parse().unwrap();
    assert_eq!(parsed["components"]["my-site"]["driver"].as_str(), Some("local"));
    let everything: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|line| line.contains('=') || line.starts_with("[["))
                .unwrap_or(line)
        })
        .fold(String::new(), |all, line| if line.starts_with('#') { all } else { all + line + "\n" });
    everything.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}\n{everything}"));
}

#[tokio::test]
async fn completions_name_the_commands() {
    let ran = Bench::new(CONFIGURATION).run("completions bash").await;
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("resume") && ran.out.contains("--on-failure"));
}

/// A plan as another process would have saved it.
fn plan(expires: &str) -> Plan {
    let snapshot = |name: &str| {
        json!({
            "info": { "revision": name, "identity": Digest::of(name).unwrap() },
            "document": { "schema": "toy-release/1", "body": name },
        })
    };
    let body: PlanBody = serde_json::from_value(json!({
        "schema": "rollback-plan/1",
        "created_at": "2026-11-21T03:00:00Z",
        "expires_at": expires,
        "request": { "environment": "default", "components": { "web": "previous" } },
        "actor": "ana@laptop",
        "environment": {
            "name": "default", "require_reason": false, "automatic": "propose", "single_operator": true,
            "plan_expires_after": "1h",
        },
        "components": { "web": {
            "driver": "toy",
            "target": { "id": "toy:web", "account": "toy-account", "capabilities": { "history": true } },
            "from": { "known": snapshot("v2") },
            "to": snapshot("v1"),
            "because": "previous", "already_there": false, "token": "0", "phase": "settled", "methods": [],
            "way_back": "rename it back",
        } },
    }))
    .unwrap();
    Plan::seal(body).unwrap()
}

fn save(bench: &Bench, document: &Value) {
    std::fs::write(bench.folder.path().join("p.json"), document.to_string()).unwrap();
}

#[tokio::test]
async fn a_plan_is_not_applied_when_nobody_can_be_asked() {
    let bench = Bench::new(CONFIGURATION);
    let plan = plan("2999-01-01T00:00:00Z");
    save(&bench, &plan.to_json().unwrap());
    let ran = bench.run("apply p.json").await;
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("add --yes"), "{}", ran.err);
    let document = bench.run("apply p.json --output json").await.json();
    assert_eq!(document["exit"], 3);
    assert_eq!(document["error"]["kind"], "refused");
    assert_eq!(document["plan"]["digest"], plan.digest().to_string());
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn an_edited_or_unapproved_plan_is_refused() {
    let bench = Bench::new(CONFIGURATION);
    let good = plan("2999-01-01T00:00:00Z").to_json().unwrap();
    let mut edited = good.clone();
    edited["plan"]["actor"] = "mallory".into();
    save(&bench, &edited);
    let ran = bench.run("apply p.json --yes").await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("changed after it was made"), "{}", ran.err);

    save(&bench, &good);
    let other = Digest::of_bytes(b"another plan");
    let ran = bench.run(&format!("apply p.json --yes --digest {other}")).await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("approved is"), "{}", ran.err);
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn a_plan_that_is_not_there_or_of_another_environment() {
    let bench = Bench::new("store = \"kept:\"\n[environments.prod]\n[components.web]\ndriver = \"toy\"\n");
    assert_eq!(bench.run("apply nope.json --yes").await.code, 2);
    save(&bench, &plan("2999-01-01T00:00:00Z").to_json().unwrap());
    let ran = bench.run("apply p.json --yes").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no environment \"default\""), "{}", ran.err);
    let ran = bench.run("apply p.json --yes -e prod").await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("made for default, not for prod"), "{}", ran.err);
}
