use crate::common::Bench;

const PLACES: &str = "store = \"kept:\"\n[environments.stage]\n[environments.prod]\nconfirm = \"DO IT\"\n\
                      single_operator = true\n[components.web]\ndriver = \"toy\"\n";

#[tokio::test]
async fn there_and_back_and_nothing_loses_its_standing() {
    let bench = Bench::new(PLACES);
    bench.toy.0.lock().unwrap().current = "v1".to_owned();
    assert_eq!(bench.run("record web --good -e stage").await.code, 0);
    bench.toy.0.lock().unwrap().current = "v2".to_owned();
    assert_eq!(bench.run("record web --good -e stage").await.code, 0);
    let refused = bench.run("drill web --to last-good -e stage --yes").await;
    assert_eq!(refused.code, 3, "{}", refused.out);
    assert!(refused.err.contains("what runs is where it would go"), "{}", refused.err);

    let ran = bench.run("drill web --to previous -e stage --yes").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(bench.current(), "v2", "forward again");
    let rows: Vec<_> = ran.out.lines().rev().take(2).map(|row| row.split_whitespace().next()).collect();
    assert_eq!(rows, [Some("forward"), Some("back")], "{}", ran.out);
    let runs = bench.run("runs --output json").await.json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    // Nothing is under quarantine, and both are as good as they were.
    assert_eq!(bench.run("quarantine -e stage").await.out, "nothing is under quarantine\n");
    let check = bench.run("check web -e stage --output json").await.json();
    assert_eq!(check["checks"][0]["to"]["revision"], "v1", "{check:#}");
    let status = bench.run("status -e stage --output json").await.json();
    assert_eq!(status["components"]["web"]["last_good"]["snapshot"]["info"]["revision"], "v2", "{status:#}");
    assert_eq!(bench.run("run web --to last-good -e stage --reason x --yes").await.code, 0);
}

#[tokio::test]
async fn never_where_a_phrase_is_asked_for() {
    let bench = Bench::new(PLACES);
    let ran = bench.run("drill web --to revision=v1 -e prod --yes --confirm DO_IT").await;
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("no place for an exercise"), "{}", ran.err);
    assert_eq!(bench.current(), "v2");
}

#[tokio::test]
async fn a_way_back_that_fails_is_told_and_not_followed_by_another() {
    let bench = Bench::new(PLACES);
    bench.toy.0.lock().unwrap().locked = true;
    let ran = bench.run("drill web --to revision=v1 -e stage --yes --output json").await;
    let document = ran.json();
    assert_ne!(ran.code, 0, "{}", ran.out);
    assert_eq!(document["ways"].as_array().unwrap().len(), 1, "{document:#}");
}
