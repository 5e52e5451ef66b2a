use rollback_core::time::{Clock as _, Lasting, SystemClock};

use crate::CONFIGURATION;
use crate::common::Bench;

const TWO: &str = "store = \"kept:\"\n[environments.prod]\nrequire_reason = true\n[environments.stage]\n\
                   [components.web]\ndriver = \"toy\"\n[components.bad]\ndriver = \"toy\"\nsize = \"large\"\n\
                   environments = [\"stage\"]\n";

#[tokio::test]
async fn a_check_needs_no_reason_and_saves_nothing() {
    let bench = Bench::new(TWO);
    let ran = bench.run("check -e prod --to revision=v1").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let rows: Vec<_> = ran.out.lines().collect();
    assert_eq!(
        rows[0].split_whitespace().collect::<Vec<_>>(),
        ["COMPONENT", "READY", "FROM", "TO", "UNTIL", "METHOD", "TAKES", "DOWN"]
    );
    assert_eq!(
        rows[1].split_whitespace().collect::<Vec<_>>(),
        ["web", "yes", "v2", "v1", "-", "rename", "1m", "0s"]
    );
    assert_eq!(bench.run("runs -e prod").await.out, "no runs yet\n");
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn one_that_cannot_be_checked_hides_no_other_and_has_its_own_exit() {
    let bench = Bench::new(TWO);
    let ran = bench.run("check --all --output json").await;
    assert_eq!((ran.code, ran.err.as_str()), (9, ""));
    let document = ran.json();
    assert_eq!((&document["command"], &document["ready"]), (&"check".into(), &false.into()));
    let checks = document["checks"].as_array().unwrap();
    let seen: Vec<_> = checks
        .iter()
        .map(|one| format!("{} {} {}", one["environment"], one["component"], one["verdict"]).replace('"', ""))
        .collect();
    assert_eq!(seen, ["prod web warned", "stage bad blocked", "stage web warned"]);
    assert_eq!(checks[1]["error"]["kind"], "invalid");
    assert_eq!(checks[0]["to"]["revision"], "v1");
    let text = bench.run("check --all").await;
    assert!(text.out.contains("bad in stage") && text.out.contains("size is \"large\""), "{}", text.out);
}

#[tokio::test]
async fn warnings_count_only_when_that_is_wanted() {
    let bench = Bench::new(CONFIGURATION);
    let lax = bench.run("check").await;
    assert!(lax.code == 0 && lax.out.contains("no-last-good"), "{}", lax.out);
    assert_eq!(bench.run("check --strict").await.code, 9);
    assert_eq!(bench.run("check --strict --to revision=v1").await.code, 0);
}

#[tokio::test]
async fn what_must_not_run_is_no_way_out() {
    let bench = Bench::new(CONFIGURATION);
    assert_eq!(bench.run("quarantine add web v1 --reason leaks").await.code, 0);
    let ran = bench.run("check --to revision=v1").await;
    assert_eq!(ran.code, 9, "{}", ran.out);
    assert!(ran.out.contains("NO") && ran.out.contains("under quarantine: leaks"), "{}", ran.out);
    let ran = bench.run("check").await;
    assert!(ran.code == 9 && ran.out.contains("no-destination"), "{}", ran.out);
}

#[tokio::test]
async fn without_a_store_nothing_could_be_rolled_back() {
    let bench = Bench::new("store = \"down:\"\n[components.web]\ndriver = \"toy\"\n");
    let ran = bench.run("check").await;
    assert!(ran.code == 9 && ran.out.contains("the bucket does not answer"), "{}{}", ran.out, ran.err);
}

#[tokio::test]
async fn what_disappears_soon_is_a_warning_and_later_is_told() {
    let bench = Bench::new(CONFIGURATION);
    let at = Lasting::from_secs(3 * 86_400).after(SystemClock.now());
    bench.toy.0.lock().unwrap().removed_at = Some(at);
    let soon = bench.run("check --strict --to revision=v1").await;
    assert_eq!(soon.code, 9, "{}", soon.out);
    assert!(soon.out.contains("warning artifact-expires: release v1 will be removed"), "{}", soon.out);
    assert!(soon.out.contains(&format!("{at:.0}")), "{}", soon.out);
    let later = bench.run("check --strict --warn-within 1d --to revision=v1").await;
    assert_eq!(later.code, 0, "{}", later.out);
    assert!(later.out.contains("info artifact-expires"), "{}", later.out);
    let document = bench.run("check --to revision=v1 --output json").await.json();
    assert_eq!(document["checks"][0]["until"], at.to_string());
    let plan = bench.run("plan --to revision=v1 --output json").await.json();
    assert_eq!(plan["plan"]["plan"]["components"]["web"]["restorable_until"], at.to_string());
}
