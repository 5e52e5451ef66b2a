use crate::CONFIGURATION;
use crate::common::Bench;

#[tokio::test]
async fn what_was_rolled_back_from_may_not_ship_until_somebody_lifts_it() {
    let bench = Bench::new(CONFIGURATION);
    assert_eq!(bench.run("quarantine").await.out, "nothing is under quarantine\n");
    assert_eq!(bench.run("allowed v2").await.out, "web: v2 may ship\n");
    assert_eq!(bench.run("allowed v9 web").await.out, "web: v9 may ship; nothing is known of it\n");
    assert_eq!(bench.run("run --to revision=v1 --yes --actor ana --reason slow").await.code, 0);

    let refused = bench.run("allowed v2").await;
    assert_eq!(refused.code, 3, "{}", refused.out);
    for words in
        ["web: v2 must not ship", "under quarantine: slow (by ana at", "rollback show", "quarantine lift web"]
    {
        assert!(refused.out.contains(words), "{words}: {}", refused.out);
    }
    let document = bench.run("allowed v2 --output json").await.json();
    assert_eq!((&document["allowed"], &document["exit"]), (&false.into(), &3.into()));
    assert_eq!(document["components"][0]["quarantine"][0]["reason"], "slow");

    let listed = bench.run("quarantine list web").await;
    assert!(listed.out.contains("slow") && listed.out.contains("ana"), "{}", listed.out);
    let identity = document["components"][0]["quarantine"][0]["identity"].as_str().unwrap();
    let lifted = bench.run(&format!("quarantine lift web {identity} --reason fixed --by ben")).await;
    assert_eq!(lifted.code, 0, "{}", lifted.err);
    assert!(lifted.out.starts_with("web: v2 is no longer under quarantine; it was: slow"), "{}", lifted.out);
    assert_eq!(bench.run("allowed v2").await.code, 0);
    assert_eq!(bench.run("quarantine").await.out, "nothing is under quarantine\n");
    let kept = bench.run("quarantine list --lifted").await;
    assert!(kept.out.contains("lifted by ben") && kept.out.contains("fixed"), "{}", kept.out);
}

#[tokio::test]
async fn a_version_known_to_be_bad_is_put_there_by_hand() {
    let bench = Bench::new(CONFIGURATION);
    let added = bench.run("quarantine add web v1 --reason leaks_memory --by ana").await;
    assert_eq!(added.code, 0, "{}", added.err);
    assert!(added.out.starts_with("web: v1 is under quarantine: leaks memory (by ana at"), "{}", added.out);
    let again = bench.run("quarantine add web v1 --reason other --output json").await.json();
    assert_eq!(again["quarantine"][0]["reason"], "leaks memory", "the first word stays");
    assert_eq!(bench.run("run --to revision=v1 --yes").await.code, 3);
}

#[tokio::test]
async fn a_store_that_is_down_leaves_it_to_the_pipeline() {
    let bench = Bench::new("store = \"down:\"\n[components.web]\ndriver = \"toy\"\n");
    let ran = bench.run("allowed v2").await;
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("unknown whether v2 may ship"), "{}", ran.out);
    let document = bench.run("allowed v2 --output json").await.json();
    assert_eq!(document["allowed"], false);
    assert_eq!(document["components"][0]["error"]["kind"], "unavailable");
}

#[tokio::test]
async fn the_old_way_to_lift_still_works() {
    let bench = Bench::new(CONFIGURATION);
    assert_eq!(bench.run("quarantine add web v2 --reason bad").await.code, 0);
    assert_eq!(bench.run("record web --good").await.code, 3);
    assert_eq!(bench.run("record web --good --lift-quarantine --by ben").await.code, 0);
    let kept = bench.run("quarantine list --lifted").await;
    assert!(kept.out.contains("lifted by ben"), "{}", kept.out);
}
