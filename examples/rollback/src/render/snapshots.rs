//! What a person sees, word for word.

use serde_json::json;

use super::{Style, plan, report, runs};

/// Plans and reports to render.
pub(crate) mod samples {
    use rollback_core::engine::RunSummary;
    use rollback_core::plan::PlanBody;
    use rollback_core::{Digest, Plan, Report};
    use serde_json::{Value, json};

    fn snapshot(revision: &str, version: &str) -> Value {
        let identity = Digest::of_bytes(revision.as_bytes());
        json!({
            "info": { "revision": revision, "version": version, "identity": identity },
            "document": { "schema": "toy/1", "body": revision },
        })
    }

    fn info(revision: &str) -> Value {
        json!({ "revision": revision, "identity": Digest::of_bytes(revision.as_bytes()) })
    }

    fn proposal(downtime: &str, risk: &str, reversible: bool) -> Value {
        let step = |id: &str, title: &str| {
            json!({
                "id": id, "title": title, "kind": "single-effect", "reversible": reversible, "timeout": "1m",
                "action": { "schema": "toy-action/1", "body": {} },
            })
        };
        json!({
            "steps": [step("switch", "point current at releases/v1"), step("restart", "restart web")],
            "expected": "10s", "downtime": downtime, "risk": risk, "parallel": 1, "restarts": true,
            "preconditions": ["the old unit file is still there"],
        })
    }

    /// The environment, asking for `confirm`.
    fn environment(confirm: Option<&str>) -> Value {
        json!({
            "name": "prod", "confirm": confirm, "require_reason": true, "automatic": "propose",
            "single_operator": true, "plan_expires_after": "1h", "contacts": ["on-call: +49 30 1"],
        })
    }

    fn component() -> Value {
        json!({
            "driver": "local",
            "target": {
                "id": "web-1:/srv/web", "account": "web-1", "caller": "deploy",
                "capabilities": {},
            },
            "from": { "known": snapshot("v2", "bad1234") },
            "to": snapshot("v1", "abc123d"),
            "because": "last good: said to be good by ana at 2026-11-20T10:00:00Z",
            "already_there": false,
            "token": "t1",
            "phase": "settled",
            "methods": [
                { "strategy": "switch", "summary": "switch the link, then restart",
                  "verdict": { "chosen": proposal("1s", "low", true) } },
                { "strategy": "copy", "summary": "copy the files over",
                  "verdict": { "alternative": proposal("30s", "high", false) } },
                { "strategy": "undo", "summary": "ask the platform",
                  "verdict": { "rejected": "the platform keeps no history" } },
            ],
            "diff": [
                { "path": "files/index.html", "from": { "plain": "10 bytes" }, "to": { "plain": "12 bytes" } },
                { "path": "env.TOKEN", "from": "redacted" },
                { "path": "files/evil\u{1b}[2J", "to": { "plain": "new" } },
            ],
            "diff_omitted": 3,
            "findings": [
                { "code": "who-deploys", "severity": "info", "message": "the pipeline deploys on each push" },
                { "code": "gone-soon", "severity": "warning", "message": "v1 is cleaned up tomorrow",
                  "next": "keep it: touch releases/v1/.keep" },
            ],
            "way_back": "switch the link to releases/v2",
            "after": ["db"],
        })
    }

    /// A plan for one component.
    pub(crate) fn plan(confirm: Option<&str>) -> Plan {
        sealed(confirm, &component())
    }

    /// The same plan with a finding that forbids it.
    pub(crate) fn blocked_plan() -> Plan {
        let mut component = component();
        component["findings"] = json!([{
            "code": "artifact-missing", "severity": "blocker", "message": "releases/v1 is gone",
        }]);
        sealed(None, &component)
    }

    fn sealed(confirm: Option<&str>, component: &Value) -> Plan {
        let body: PlanBody = serde_json::from_value(json!({
            "schema": "rollback-plan/1",
            "created_at": "2026-11-21T03:00:00Z",
            "expires_at": "2026-11-21T04:00:00Z",
            "request": {
                "environment": "prod", "components": { "web": "last-good" }, "reason": "checkout fails",
            },
            "actor": "ana@laptop",
            "environment": environment(confirm),
            "components": { "web": component },
            "gates": [{
                "name": "health", "component": "web",
                "probe": { "kind": "http", "url": "http://127.0.0.1:8080/health" },
                "rule": { "lasting": "10s", "within": "2m" },
            }],
        }))
        .unwrap();
        Plan::seal(body).unwrap()
    }

    /// A report of one component in `state`.
    pub(crate) fn report(state: &str) -> Report {
        serde_json::from_value(json!({
            "run": "019aa3f0-0000-7000-8000-000000000001",
            "plan": Digest::of_bytes(b"plan"),
            "request": { "environment": "prod", "components": { "web": null } },
            "state": state,
            "started_at": "2026-11-21T03:00:00Z",
            "ended_at": "2026-11-21T03:00:02.345Z",
            "components": { "web": {
                "state": state,
                "summary": "every part was compared",
                "from": info("v2"),
                "to": info("v1"),
                "steps": [
                    { "title": "point current at releases/v1", "outcome": "applied" },
                    { "title": "restart web", "outcome": "unknown: no answer\nin time" },
                ],
                "evidence": {
                    "parts": [{
                        "part": "web-1", "identity": Digest::of_bytes(b"v1"), "certainty": "verified",
                        "replicas": { "wanted": 2, "ready": 2 }, "health": "healthy",
                    }],
                    "compared": ["12 files under releases/v1"],
                },
                "gates": [{ "name": "health", "passed": true, "detail": "HTTP 200 for 10s" }],
                "errors": [{
                    "kind": "timeout", "operation": "restart web", "message": "no answer", "effect": "unknown",
                }],
                "next": ["look at journalctl -u web"],
                "findings": [{
                    "code": "who-deploys", "severity": "warning", "message": "the next push deploys v2 again",
                }],
            } },
        }))
        .unwrap()
    }

    /// A run that was not brought to an end.
    pub(crate) fn unfinished(id: &str) -> RunSummary {
        serde_json::from_value(json!({
            "run": id, "started_at": "2026-11-21T03:00:00Z", "actor": "ana", "reason": "checkout\u{7}",
            "components": ["db", "web"], "component_count": 2, "state": null, "break_glass": "store is down",
        }))
        .unwrap()
    }
}

const PLAIN: Style = Style { color: false, width: None };

const PLAN: &str = "\
Plan {short} for prod, asked by ana@laptop
reason: checkout fails

web (local)
  from      v2 (bad1234)  fb04dcb6970e
  to        v1 (abc123d)  3bfc269594ef
  why       last good: said to be good by ana at 2026-11-20T10:00:00Z
  target    web-1:/srv/web
  account   web-1
  caller    deploy
  now       settled
  way back  switch the link to releases/v2
  after     db
  methods
    METHOD  VERDICT      RISK  DOWNTIME  EXPECTED  UNDO  WHAT, OR WHY NOT
    switch  chosen       low   1s        10s       yes   switch the link, then restart
    copy    alternative  high  30s       10s       no    copy the files over
    undo    rejected     -     -         -         -     the platform keeps no history
  steps
    1. point current at releases/v1
    2. restart web
    needs: the old unit file is still there
  changes
    ~ files/index.html: 10 bytes → 12 bytes
    - env.TOKEN: (not shown)
    + files/evil\\u{1b}[2J: new
    … and 3 more
  findings
    warning gone-soon: v1 is cleaned up tomorrow
      next: keep it: touch releases/v1/.keep
    info who-deploys: the pipeline deploys on each push

gates
  health on web: http ok for 10s within 2m

confirm  ROLLBACK-PROD
expires  2026-11-21T04:00:00Z
digest   {digest}
";

#[test]
fn a_plan_shows_all_that_must_be_known() {
    let plan = samples::plan(Some("ROLLBACK-PROD"));
    let digest = plan.digest();
    let wanted = PLAN.replace("{short}", &digest.short()).replace("{digest}", &digest.to_string());
    assert_eq!(plan::render(&plan, PLAIN, false), wanted);
}

#[test]
fn explaining_a_plan_adds_the_alternatives() {
    let text = plan::render(&samples::plan(None), PLAIN, true);
    let steps =
        "  steps of the alternative copy\n    1. point current at releases/v1  (cannot be taken back)\n";
    assert!(text.contains(steps), "{text}");
    assert!(!text.contains("confirm  "), "{text}");
}

#[test]
fn a_blocked_plan_says_so() {
    let text = plan::render(&samples::blocked_plan(), PLAIN, false);
    assert!(text.contains("    BLOCKER artifact-missing: releases/v1 is gone\n"), "{text}");
    assert!(text.contains("This plan must not run: 1 blocker.\n"), "{text}");
}

#[test]
fn a_report_begins_with_the_truth() {
    let wanted = "\
web: restored  v2 → v1  proven on 1 part

web
  every part was compared
  steps
    1. point current at releases/v1: applied
    2. restart web: unknown: no answer\\nin time
  evidence
    web-1: runs 3bfc269594ef, 2 of 2 replicas ready, healthy
    compared 12 files under releases/v1
  gates
    health: passed: HTTP 200 for 10s
  errors
    cannot restart web: no answer
  findings
    warning who-deploys: the next push deploys v2 again

next for web
  1. look at journalctl -u web
run 019aa3f0-0000-7000-8000-000000000001 took 2.3s
";
    let environment = samples::plan(None).environment.clone();
    assert_eq!(report::render(&samples::report("restored"), PLAIN, Some(&environment)), wanted);
}

#[test]
fn whoever_must_look_is_told_whom_to_call() {
    let environment = samples::plan(None).environment.clone();
    for (state, called) in
        [("stuck", true), ("partial", true), ("restored", false), ("failed-restored", false)]
    {
        let text = report::render(&samples::report(state), PLAIN, Some(&environment));
        assert_eq!(text.contains("a person must look; call\n  on-call: +49 30 1\n"), called, "{text}");
    }
}

#[test]
fn headlines_claim_no_more_than_was_proven() {
    for (state, wanted) in [
        ("restored", "web: restored  v2 → v1  proven on 1 part\n"),
        ("restored-unhealthy", "web: restored, unhealthy  v2 → v1  proven on 1 part, a gate failed\n"),
        ("already-there", "web: already there  v1  proven on 1 part\n"),
        ("failed-restored", "web: failed, origin proven  v1 not reached, back on v2  proven on 1 part\n"),
        ("stuck", "web: stuck  v2 → v1  not proven\n"),
        ("partial", "web: partial  v2 → v1  not proven\n"),
        ("superseded", "web: superseded  v2 → v1  not proven\n"),
        ("cancelled", "web: cancelled  v2 → v1  not proven\n"),
        ("refused", "web: refused  v2 → v1  nothing was done\n"),
    ] {
        let text = report::render(&samples::report(state), PLAIN, None);
        assert!(text.starts_with(wanted), "{state}: {text}");
    }
}

#[test]
fn runs_are_listed_with_ids_that_can_be_told_apart() {
    let ids = ["019aa3f0-0000-7000-8000-000000000001", "019aa3f0-0000-7111-8000-000000000001"];
    let list: Vec<_> = ids.iter().map(|id| samples::unfinished(id)).collect();
    let wanted = "\
RUN              STARTED               STATE       COMPONENTS  BY   REASON
019aa3f0-0000-70  2026-11-21T03:00:00Z  unfinished  db, web     ana  checkout\\u{7} [break-glass]
019aa3f0-0000-71  2026-11-21T03:00:00Z  unfinished  db, web     ana  checkout\\u{7} [break-glass]
"
    .replace("RUN              S", "RUN               S");
    assert_eq!(runs::list(PLAIN, &list), wanted);
}

#[test]
fn documents_have_the_command_and_the_exit() {
    let error =
        rollback_core::Error::new(rollback_core::ErrorKind::Stale, "apply", "it expired").next("plan again");
    let outcome = crate::outcome::Outcome::failed(error).with("state", &"x").unwrap();
    let text = outcome.to_json("apply", &crate::config::Hidden::default());
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let wanted = json!({
        "command": "apply", "exit": 3, "state": "x",
        "error": {
            "kind": "stale", "operation": "apply", "message": "it expired", "next": "plan again", "effect": "none",
        },
    });
    assert_eq!(document, wanted);
}
