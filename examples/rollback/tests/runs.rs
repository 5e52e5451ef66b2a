//! Whole rollbacks of a toy, as a pipeline sees them.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests, with a module that several share")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::Bench;
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use serde_json::{Map, Value};

const CONFIGURATION: &str = "store = \"kept:\"\n[components.web]\ndriver = \"toy\"\n";

const PRODUCTION: &str = "\
store = \"kept:\"
[environments.prod]
confirm = \"ROLLBACK-PROD\"
single_operator = true
contacts = [\"on-call: +49 30 1\"]
[components.web]
driver = \"toy\"
";

/// Never well.
#[derive(Debug)]
struct Sick;

#[async_trait]
impl Probe for Sick {
    async fn sample(&self) -> Sample {
        Sample::bad("it coughs")
    }
}

impl ProbeFactory for Sick {
    fn kind(&self) -> &'static str {
        "sick"
    }

    fn config_schema(&self) -> Value {
        serde_json::json!({ "type": "object", "properties": {} })
    }

    fn build(&self, _: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        Ok(Arc::new(Self))
    }
}

#[tokio::test]
async fn a_rollback_from_nothing_to_its_report() {
    let bench = Bench::new(CONFIGURATION);
    let status = bench.run("status --output json").await;
    assert_eq!(status.code, 0, "{}", status.err);
    assert_eq!(status.json()["components"]["web"]["observed"]["settled"]["known"]["info"]["revision"], "v2");

    let ran = bench.run("run web --to revision=v1 --yes --actor ana").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v1");
    assert!(ran.out.contains("web: restored  v2 → v1  proven on 1 part"), "{}", ran.out);
    assert!(ran.err.contains("web: restored"), "progress goes to standard error: {}", ran.err);

    let again = bench.run("run web --to revision=v1").await;
    assert_eq!(again.code, 0, "nothing is asked when there is nothing to do: {}", again.err);
    assert!(again.out.contains("web: already there  v1"), "{}", again.out);

    let runs = bench.run("runs --output json").await.json();
    let id = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    let shown = bench.run(&format!("show {}", &id[..8])).await;
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains(&id) && shown.out.contains("journal of web"), "{}", shown.out);
    let resumed = bench.run(&format!("resume {id} --output json")).await;
    assert_eq!(resumed.json()["state"], "restored", "a run that ended gives its report again");
}

#[tokio::test]
async fn a_pipeline_gets_one_document_and_no_question() {
    let bench = Bench::new(CONFIGURATION);
    let refused = bench.run("run --to revision=v1 --output json").await;
    assert_eq!(refused.code, 3);
    assert_eq!(refused.json()["error"]["kind"], "refused");
    assert_eq!(bench.current(), "v2");

    let ran = bench.run("run --to revision=v1 --output json --yes --quiet").await;
    let document = ran.json();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{document:#}");
    assert_eq!(document["command"], "run");
    assert_eq!(document["state"], "restored");
    assert_eq!(document["report"]["components"]["web"]["state"], "restored");
    assert_eq!(document["report"]["plan"], document["plan"]["digest"]);
}

#[tokio::test]
async fn without_a_good_state_somebody_must_choose() {
    let bench = Bench::new(CONFIGURATION);
    for line in ["plan", "run --yes"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.out.contains("rollback run web --to revision=v1"), "{}", ran.out);
    }
    assert_eq!(bench.current(), "v2");
    let document = bench.run("plan --output json").await.json();
    assert_eq!(document["undecided"]["web"]["candidates"][0]["snapshot"]["info"]["revision"], "v2");
}

#[tokio::test]
async fn a_recorded_state_is_where_it_goes_back_to() {
    let bench = Bench::new(CONFIGURATION);
    bench.toy.0.lock().unwrap().current = "v1".to_owned();
    let recorded = bench.run("record web --good --by ana").await;
    assert_eq!(recorded.code, 0, "{}", recorded.err);
    assert!(recorded.out.contains("said to be good by ana"), "{}", recorded.out);
    bench.toy.0.lock().unwrap().current = "v2".to_owned();
    let ran = bench.run("run --yes").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v1");
    let history = bench.run("history web").await;
    assert!(history.out.contains("quarantined"), "what was left is under quarantine: {}", history.out);
}

#[tokio::test]
async fn a_saved_plan_is_what_runs() {
    let bench = Bench::new(CONFIGURATION);
    let planned = bench.run("plan --to revision=v1 -o p.json --output json").await;
    assert_eq!(planned.code, 0, "{}", planned.err);
    let digest = planned.json()["plan"]["digest"].as_str().unwrap().to_owned();
    let again = bench.run("plan --to revision=v1 -o p.json").await;
    assert_eq!(again.code, 3, "a plan is never written over: {}", again.out);
    assert_eq!(bench.run("plan --to revision=v1 -o q.json --force").await.code, 0);

    let ran = bench.run(&format!("apply p.json --yes --digest {digest}")).await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v1");
    let stale = bench.run("apply q.json --yes").await;
    assert_eq!(stale.code, 3, "the world moved: {}{}", stale.out, stale.err);
    let left: Vec<_> = std::fs::read_dir(bench.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "no temporary files stay: {left:?}");
}

#[tokio::test]
async fn an_environment_with_a_phrase_wants_it() {
    let bench = Bench::new(PRODUCTION);
    let line = "run --to revision=v1 --reason broken";
    for flags in ["", "--yes", "--confirm rollback-prod"] {
        let ran = bench.run(&format!("{line} {flags}")).await;
        assert_eq!(ran.code, 3, "{flags}: {}", ran.err);
        assert!(ran.err.contains("ROLLBACK-PROD"), "{}", ran.err);
    }
    assert_eq!(bench.run("run --to revision=v1 --yes --confirm ROLLBACK-PROD").await.code, 3, "no reason");
    let planned = bench.run("plan --to revision=v1 -o p.json").await;
    assert!(planned.err.contains("prod demands a reason and this plan has none"), "{}", planned.err);
    assert_eq!(bench.current(), "v2");
    let ran = bench.run(&format!("{line} --confirm ROLLBACK-PROD")).await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v1");
}

#[tokio::test]
async fn a_gate_that_fails_is_told_apart() {
    let gate = "[[gates]]\nname = \"health\"\ncomponent = \"web\"\nprobe = { kind = \"sick\" }\n\
                rule = { within = \"20ms\", every = \"5ms\" }\n";
    let mut bench = Bench::new(&format!("{CONFIGURATION}{gate}"));
    bench.app = bench.app.probe(Sick);
    let ran = bench.run("run --to revision=v1 --yes").await;
    assert_eq!(ran.code, 8, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("health: FAILED"), "{}", ran.out);
    assert_eq!(bench.current(), "v1");
}

#[tokio::test]
async fn a_refused_change_is_no_success() {
    let bench = Bench::new(CONFIGURATION);
    bench.toy.0.lock().unwrap().locked = true;
    let ran = bench.run("run --to revision=v1 --yes").await;
    assert_eq!(ran.code, 4, "the origin is proven: {}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn break_glass_works_while_the_store_is_down() {
    let bench = Bench::new("store = \"down:\"\n[components.web]\ndriver = \"toy\"\n");
    let ran = bench.run("run --to revision=v1 --yes").await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(bench.current(), "v2");
    let ran = bench.run("run --to revision=v1 --yes --break-glass fire").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("the store cannot be opened: the bucket does not answer"), "{}", ran.err);
    assert!(ran.out.contains("BREAK-GLASS") && ran.out.contains("fire"), "{}", ran.out);
    assert_eq!(bench.current(), "v1");
}

#[tokio::test]
async fn nothing_to_resume_is_said() {
    let bench = Bench::new(CONFIGURATION);
    let ran = bench.run("resume").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no run is unfinished"), "{}", ran.err);
    let ran = bench.run("show 0123").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`rollback runs` lists"), "{}", ran.err);
    let ran = bench.run("runs").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "no runs yet\n"));
}

#[tokio::test]
async fn break_glass_runs_are_brought_home() {
    let bench = Bench::new(CONFIGURATION);
    let nothing = bench.run("merge").await;
    assert_eq!((nothing.code, nothing.out.as_str()), (0, "there are no break-glass runs to merge\n"));
    assert_eq!(bench.run("run --to revision=v1 --yes --break-glass fire").await.code, 0);

    let runs = bench.run("runs").await;
    assert_eq!(runs.out, "no runs yet\n");
    assert!(runs.err.contains("`rollback merge`"), "{}", runs.err);
    let merged = bench.run("merge").await;
    assert_eq!(merged.code, 0, "{}", merged.err);
    let runs = bench.run("runs").await;
    assert!(runs.out.contains("restored") && runs.out.contains("[break-glass]"), "{}", runs.out);
    assert_eq!(runs.err, "", "what is merged is not warned of any more");
    assert_eq!(bench.run("merge --output json").await.json()["copied"], 0);
}

#[tokio::test]
async fn one_component_that_cannot_be_read_does_not_hide_the_others() {
    let bench = Bench::new(
        "store = \"kept:\"\n[components.bad]\ndriver = \"toy\"\nsize = \"large\"\n[components.web]\ndriver = \"toy\"\n",
    );
    let ran = bench.run("status").await;
    assert_eq!(ran.code, 2, "{}", ran.err);
    let wanted = "\
COMPONENT  DRIVER  RUNS  PHASE    PARTS  LAST GOOD  NOTES
bad        -       -     -        -      -          cannot be read: size is \"large\"
web        toy     v2    settled  1/1    none yet   -
";
    assert_eq!(ran.out, wanted);
    let document = bench.run("status --output json").await.json();
    assert_eq!(document["components"]["bad"]["error"]["kind"], "invalid");
    assert_eq!(document["components"]["web"]["driver"], "toy");
}

#[tokio::test]
async fn candidates_come_with_the_command_that_chooses_them() {
    let bench = Bench::new(CONFIGURATION);
    let ran = bench.run("history web").await;
    let rows: Vec<_> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "REVISION VERSION STANDING RAN NOTES TO CHOOSE IT");
    assert!(rows[1].starts_with("v2 - runs now") && rows[1].ends_with(" -"), "{}", ran.out);
    assert!(
        rows[2].starts_with("v1 -") && rows[2].ends_with("rollback run web --to revision=v1"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn colour_is_for_terminals_or_on_request() {
    let bench = Bench::new(CONFIGURATION);
    assert!(!bench.run("status").await.out.contains('\u{1b}'));
    assert!(bench.run("status --color always").await.out.contains('\u{1b}'));
    let json = bench.run("status --color always --output json").await;
    assert!(!json.out.contains('\u{1b}'), "a document is never coloured");
}

#[tokio::test]
async fn components_go_in_their_order() {
    let bench = Bench::new(
        "store = \"kept:\"\n[components.db]\ndriver = \"toy\"\n[components.web]\ndriver = \"toy\"\nafter = [\"db\"]\n",
    );
    let document = bench.run("plan --to revision=v1 --output json").await.json();
    assert_eq!(document["plan"]["plan"]["components"]["web"]["after"][0], "db");
    let only = bench.run("plan --to web:revision=v1 --output json").await.json();
    let components = only["plan"]["plan"]["components"].as_object().unwrap();
    assert_eq!(components.keys().collect::<Vec<_>>(), ["web"], "its neighbour was not asked for");
}
