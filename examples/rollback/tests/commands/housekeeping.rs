use crate::common::Bench;
use crate::{CONFIGURATION, repository, same_as};

#[tokio::test]
async fn old_runs_are_counted_agreed_to_and_removed() {
    let bench = Bench::new(CONFIGURATION);
    for to in ["v1", "v2", "v1", "v2"] {
        let line = format!("run --to revision={to} --yes --allow-quarantined --allow-newer --no-quarantine");
        assert_eq!(bench.run(&line).await.code, 0);
    }
    let young = bench.run("clean --dry-run").await;
    assert_eq!(young.code, 0, "{}", young.err);
    assert!(young.out.starts_with("0 runs with 0 journal events"), "{}", young.out);
    let counted = bench.run("clean --older-than 0s --dry-run --output json").await.json();
    assert_eq!(counted["dry_run"], true);
    let runs = counted["cleaned"]["runs"].as_u64().unwrap();
    assert!((1..4).contains(&runs), "something stands on the newest ones: {counted:#}");
    let refused = bench.run("clean --older-than 0s").await;
    assert!(refused.code == 3 && refused.err.contains("add --yes"), "{}", refused.err);
    let done = bench.with("clean --older-than 0s", Some("y\n")).await;
    assert!(done.code == 0 && done.out.contains("removed"), "{}{}", done.out, done.err);
    let left = bench.run("runs --output json").await.json();
    assert_eq!(left["runs"].as_array().unwrap().len() as u64, 4 - runs);
    for run in left["runs"].as_array().unwrap() {
        let shown = bench.run(&format!("show {}", run["run"].as_str().unwrap())).await;
        assert!(shown.code == 0 && shown.out.contains("journal of web"), "{}{}", shown.out, shown.err);
    }
}

#[test]
fn the_reference_in_the_docs_is_up_to_date() {
    same_as(&repository("docs/cli.md"), &rollback_cli::reference());
}

#[tokio::test]
async fn completions_know_the_new_commands() {
    let bench = Bench::new(CONFIGURATION);
    for shell in ["bash", "zsh", "fish"] {
        let ran = bench.run(&format!("completions {shell}")).await;
        for word in ["check", "quarantine", "lift", "allowed", "unlock", "clean", "schema", "warn-within"] {
            assert!(ran.out.contains(word), "{shell} has no {word}");
        }
    }
}

/// The exit codes are a promise: every place that tells them tells the same ones.
#[tokio::test]
async fn every_exit_code_is_documented_everywhere() {
    let help = Bench::new(CONFIGURATION).run("--help").await.out;
    let readme = std::fs::read_to_string(repository("examples/rollback/README.md")).unwrap();
    let guide = std::fs::read_to_string(repository("docs/operator-guide.md")).unwrap();
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130"] {
        assert!(
            help.contains(&format!(" {code}  ")) || help.contains(&format!("\n{code}  ")),
            "help: {code}"
        );
        assert!(readme.contains(&format!("\n| {code} | ")), "README: {code}");
        assert!(guide.contains(&format!("\n| {code} | ")), "operator guide: {code}");
    }
}
