//! The benchmarks run, whatever they measure.

use std::process::Command;

#[test]
fn every_part_gives_a_table() {
    let output = Command::new(env!("CARGO_BIN_EXE_rollback-benchmarks")).arg("--smoke").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "machine",
        "overhead",
        "durable",
        "planning",
        "startup",
        "by-hand",
        "ecs",
        "s3",
        "s3-million",
        "size",
    ] {
        assert!(told.contains(&format!("## {part}\n\n|")), "{part} is missing: {told}");
    }
    assert!(!told.contains("NaN"), "{told}");
}
