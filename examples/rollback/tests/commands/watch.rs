//! `guard`, `auto`, `incidents` and `record --pending`, as a pipeline uses them.

use rollback_core::time::{Clock as _, SystemClock};

use crate::common::Bench;

/// The toy is bad while `bad` names its release: a probe that reads a file which the test writes.
fn watched(automatic: &str) -> String {
    format!(
        "store = \"kept:\"\n[environments.prod]\nautomatic = \"{automatic}\"\ncontacts = [\"ops@example.com\"]\n\
         [watch]\nlook_every = \"100ms\"\n\
         [components.web]\ndriver = \"toy\"\n\
         [[triggers]]\nname = \"outage\"\ncomponent = \"web\"\n\
         probe = {{ kind = \"command\", argv = [\"test\", \"!\", \"-e\", \"FILE\"] }}\n\
         rule = {{ lasting = \"200ms\", every = \"50ms\" }}\n"
    )
}

fn bench(automatic: &str) -> Bench {
    let bench = Bench::new("");
    let file = bench.folder.path().join("bad").display().to_string();
    let text = watched(automatic).replace("FILE", &file);
    std::fs::write(bench.folder.path().join("rollback.toml"), text).unwrap();
    bench
}

fn is_bad(bench: &Bench) {
    std::fs::write(bench.folder.path().join("bad"), "").unwrap();
}

fn deploy(bench: &Bench, release: &str) {
    let mut world = bench.toy.0.lock().unwrap();
    world.current = release.to_owned();
    world.moves += 1;
}

/// The good release v1 is recorded, and v2 is deployed.
async fn deployed(automatic: &str) -> Bench {
    let bench = bench(automatic);
    deploy(&bench, "v1");
    assert_eq!(bench.run("record web --good --by ana").await.code, 0);
    deploy(&bench, "v2");
    let recorded = bench.run("record web --pending --version 2.0 --commit abc123d --by ci").await;
    assert_eq!(recorded.code, 0, "{}", recorded.err);
    assert!(recorded.out.contains("has to show that it is good"), "{}", recorded.out);
    bench
}

#[tokio::test]
async fn what_stays_well_is_called_good() {
    let bench = deployed("act").await;
    for shown in ["status web", "history web"] {
        let shown = bench.run(shown).await.out;
        assert!(shown.contains("on trial"), "{shown}");
    }
    let ran = bench.run("guard --for 1s").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("web: healthy for 1s, and called good"), "{}", ran.out);
    let history = bench.run("history web --output json").await.json().to_string();
    assert!(history.contains("soaked"), "{history}");
    assert_eq!(bench.run("incidents").await.out, "no incidents\n");
}

#[tokio::test]
async fn plan_and_report_say_which_commit_is_left() {
    let bench = deployed("act").await;
    let told = ["info commit: what is left was built from commit abc123d", "git revert abc123d"];
    let ran = bench.run("run web --yes --reason bad").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    // Once in the plan, once in the report.
    told.iter().for_each(|text| assert_eq!(ran.out.matches(text).count(), 2, "{}", ran.out));
    let recorded = bench.run("record web --commit def4567 --by ci").await;
    assert_eq!(recorded.code, 0, "{}", recorded.err);
    deploy(&bench, "v2");
    let plan = bench.run("plan web --to revision=v1 --output json").await.json().to_string();
    assert!(plan.contains("git revert --no-commit def4567..abc123d"), "{plan}");
}

#[tokio::test]
async fn what_is_bad_is_rolled_back_and_may_not_ship_again() {
    let mut bench = deployed("act").await;
    bench.summary = Some("summary.md".to_owned());
    is_bad(&bench);
    let ran = bench.run("guard web --for 30s").await;
    assert_eq!(ran.code, 10, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v1");
    assert!(ran.out.contains("web: restored; P0 outage since"), "{}", ran.out);
    assert!(ran.err.contains("rolling back from v2 to v1"), "{}", ran.err);
    let summary = std::fs::read_to_string(bench.folder.path().join("summary.md")).unwrap();
    assert!(summary.contains("| web | restored; P0 outage"), "{summary}");
    assert_eq!(bench.run("allowed v2").await.code, 3);
    let incidents = bench.run("incidents web --output json").await.json();
    let incident = &incidents["incidents"][0];
    assert_eq!((&incident["state"], &incident["bad"]["revision"]), (&"restored".into(), &"v2".into()));
    assert!(incident["decisions"][0]["decision"]["answers"].as_array().unwrap().len() >= 12);
    let listed = bench.run("incidents").await.out;
    assert!(listed.contains("outage") && listed.contains("rolled back"), "{listed}");
    let cleaned = bench.run("clean --older-than 1ms --yes").await;
    assert!(cleaned.out.contains("and 1 incident removed"), "{}{}", cleaned.out, cleaned.err);
    assert_eq!(bench.run("incidents").await.out, "no incidents\n");
}

#[tokio::test]
async fn the_run_says_who_began_it() {
    let bench = deployed("act").await;
    is_bad(&bench);
    assert_eq!(bench.run("guard web --for 30s").await.code, 10);
    let runs = bench.run("runs --output json").await.json();
    assert_eq!(runs["runs"][0]["state"], "restored");
    assert!(runs["runs"][0]["actor"].as_str().unwrap().starts_with("rollback guard"), "{runs}");
}

#[tokio::test]
async fn where_a_person_is_asked_nothing_is_done_and_they_are_named() {
    let bench = deployed("propose").await;
    is_bad(&bench);
    let ran = bench.run("guard web --for 30s --output json").await;
    assert_eq!(ran.code, 11, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v2");
    let document = ran.json();
    assert_eq!(document["components"][0]["ended"], "not-acted-on");
    for shown in ["status web", "history web"] {
        let shown = bench.run(shown).await.out;
        assert!(shown.contains("failed: P0 outage"), "{shown}");
    }
    let text = bench.run("guard web --for 30s").await.out;
    for words in
        ["unhealthy", "proposed", "next: look at it; to go back: rollback run web", "call: ops@example.com"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn switched_off_it_stays_off_until_the_time_or_until_it_is_switched_on() {
    let bench = deployed("act").await;
    let shown = bench.run("auto").await.out;
    assert_eq!(shown, "prod: bad deploys are rolled back\n");
    let off = bench.run("auto off web --until 2h --reason a_migration --by ana").await;
    assert_eq!(off.code, 0, "{}", off.err);
    assert!(
        off.out.starts_with("web: off until 20") && off.out.contains("a migration (by ana"),
        "{}",
        off.out
    );
    assert!(bench.run("auto show").await.out.contains("  web: off until"));
    is_bad(&bench);
    let ran = bench.run("guard --for 30s").await;
    assert_eq!(ran.code, 11, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("only recorded (is automatic rollback switched on? not until"), "{}", ran.out);
    assert_eq!(bench.current(), "v2");
    assert_eq!(bench.run("auto on web").await.out, "web: switched on again\n");
    assert_eq!(bench.run("auto on web").await.out, "web: was not switched off\n");
    assert_eq!(bench.run("auto off --reason all_of_it").await.code, 0);
    assert!(bench.run("auto").await.out.contains("  prod: off until somebody switches it on"));
    assert_eq!(bench.run("auto on").await.code, 0);
    assert_eq!(bench.run("guard --for 30s").await.code, 10);
    let past = SystemClock.now().checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
    assert_eq!(bench.run(&format!("auto off --until {past} --reason x")).await.code, 2);
}

#[tokio::test]
async fn a_probe_that_learns_nothing_makes_nothing_healthy() {
    let bench = deployed("act").await;
    let file = bench.folder.path().join("rollback.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"test\"", "\"no-such-program-anywhere\"")).unwrap();
    let ran = bench.run("guard --for 1s").await;
    assert_eq!(ran.code, 11, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("nobody knows how it is: outage:"), "{}", ran.out);
    assert_eq!(bench.current(), "v2");
}
