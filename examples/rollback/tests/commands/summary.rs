use crate::CONFIGURATION;
use crate::common::Bench;

async fn summary(bench: &Bench, line: &str) -> String {
    let file = bench.folder.path().join("summary.md");
    let _ = std::fs::remove_file(&file);
    bench.run(line).await;
    std::fs::read_to_string(&file).unwrap_or_default()
}

#[tokio::test]
async fn a_pipeline_gets_a_summary_of_what_matters() {
    let mut bench = Bench::new(CONFIGURATION);
    bench.summary = Some("summary.md".to_owned());
    let check = summary(&bench, "check").await;
    assert!(
        check.starts_with("### Rollback check: everything could be rolled back\n\n| environment |"),
        "{check}"
    );
    assert!(check.contains("| default | web | yes, see below | v2 | v1 | - | rename |"), "{check}");
    assert!(check.contains("\n- web: warning: "), "{check}");
    let plan = summary(&bench, "plan --to revision=v1 --reason slow").await;
    assert!(plan.starts_with("### Rollback plan for default\n"), "{plan}");
    assert!(plan.contains("| web | v2 | v1 | ") && plan.contains("because: slow"), "{plan}");
    let failed = summary(&bench, "run --to revision=v9 --yes").await;
    assert!(failed.contains("- **rollback run**: cannot plan web"), "{failed}");
    let report = summary(&bench, "run --to revision=v1 --yes --reason a|b_`c`_<img>").await;
    assert!(
        report.contains("### Rollback plan for") && report.contains("### Rollback: restored"),
        "{report}"
    );
    assert!(report.contains("a&#124;b &#96;c&#96; &#60;img&#62;"), "{report}");
    assert_eq!(summary(&bench, "status").await, "", "only what matters");
    // What is there already stays.
    bench.run("check").await;
    bench.run("check").await;
    let twice = std::fs::read_to_string(bench.folder.path().join("summary.md")).unwrap();
    assert_eq!(twice.matches("### Rollback check").count(), 2);
}

#[tokio::test]
async fn a_summary_that_cannot_be_written_changes_nothing_but_is_said() {
    let mut bench = Bench::new(CONFIGURATION);
    bench.summary = Some("no/such/folder.md".to_owned());
    let ran = bench.run("check --to revision=v1").await;
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("warning: the summary of this step cannot be written"), "{}", ran.err);
}
