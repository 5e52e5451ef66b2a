//! `--output json`: one document for each command, with fields that pipelines can rely on.

use rollback_tests::{Binaries, Result, Site};
use serde_json::Value;

const BINARIES: Binaries = rollback_tests::binaries!();

/// Every pointer leads to something, and nothing but the document is on standard output.
#[track_caller]
fn check(document: &Value, command: &str, exit: i64, pointers: &[&str]) {
    assert_eq!(document["command"], command, "{document:#}");
    assert_eq!(document["exit"], exit, "{document:#}");
    for pointer in pointers {
        assert!(document.pointer(pointer).is_some(), "{command} has no {pointer}: {document:#}");
    }
}

const PLAN: [&str; 11] = [
    "/plan/digest",
    "/plan/plan/created_at",
    "/plan/plan/expires_at",
    "/plan/plan/actor",
    "/plan/plan/environment/name",
    "/plan/plan/request/components/web",
    "/plan/plan/components/web/to/info/revision",
    "/plan/plan/components/web/to/info/identity",
    "/plan/plan/components/web/target/id",
    "/plan/plan/components/web/target/caller",
    "/plan/plan/components/web/methods/0/verdict/chosen/steps/0/title",
];

const REPORT: [&str; 10] = [
    "/state",
    "/report/run",
    "/report/plan",
    "/report/state",
    "/report/started_at",
    "/report/ended_at",
    "/report/components/web/state",
    "/report/components/web/summary",
    "/report/components/web/steps/0/outcome",
    "/report/components/web/evidence/parts/0/identity",
];

#[test]
fn status_and_history() -> Result<()> {
    let site = Site::served(BINARIES)?;
    let document = site.run("status --output json")?.expect(0).json();
    check(&document, "status", 0, &["/environment", "/components/web/target/id", "/components/web/driver"]);
    assert_eq!(document["components"]["web"]["observed"]["settled"]["known"]["info"]["revision"], "v2");
    let document = site.run("history web --output json")?.expect(0).json();
    check(&document, "history", 0, &[]);
    assert!(document.to_string().contains("\"v0\""), "{document:#}");
    Ok(())
}

#[test]
fn plan_run_runs_and_show() -> Result<()> {
    let site = Site::served(BINARIES)?;
    let document = site.run("plan web --to revision=v1 --output json")?.expect(0).json();
    check(&document, "plan", 0, &PLAN);

    let ran = site.run("run web --to revision=v1 --yes --output json --quiet")?.expect(0);
    assert_eq!(ran.err, "", "nothing beside the document with --quiet");
    let document = ran.json();
    check(&document, "run", 0, &REPORT);
    check(&document, "run", 0, &PLAN);
    let run = document["report"]["run"].clone();
    assert_eq!(document["report"]["plan"], document["plan"]["digest"]);

    let document = site.run("runs --output json")?.expect(0).json();
    let fields = ["run", "started_at", "actor", "reason", "components", "state", "break_glass"];
    let pointers: Vec<String> = fields.iter().map(|field| format!("/runs/0/{field}")).collect();
    check(&document, "runs", 0, &pointers.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((&document["runs"][0]["run"], &document["runs"][0]["state"]), (&run, &"restored".into()));

    let line = format!("show {} --output json", run.as_str().ok_or("no run")?);
    let document = site.run(&line)?.expect(0).json();
    check(
        &document,
        "show",
        0,
        &["/run/summary/run", "/run/plan/digest", "/run/report/state", "/run/journal/web/0/1"],
    );
    Ok(())
}

#[test]
fn refusals() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let error = ["/error/kind", "/error/operation", "/error/message", "/error/next", "/error/effect"];
    let ran = site.run("run web --to revision=v1 --output json")?.expect(3);
    check(&ran.json(), "run", 3, &error);
    let ran = site.run("run wbe --to revision=v1 --output json")?.expect(2);
    check(&ran.json(), "run", 2, &error);
    let ran = site.run("show 0123 --output json")?.expect(1);
    check(&ran.json(), "show", 1, &error);
    let ran = site.run("run web --output json --yes")?.expect(3);
    check(&ran.json(), "run", 3, &["/undecided/web/candidates/0/snapshot/info/revision"]);
    std::fs::write(site.path("rollback.toml"), "[")?;
    let ran = site.run("status --output json")?.expect(2);
    check(&ran.json(), "status", 2, &error);
    Ok(())
}
