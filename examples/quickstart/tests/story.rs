//! The whole story, as the first command of the README tells it.

use std::process::Command;

#[test]
fn it_comes_to_its_good_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("quickstart");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollback-quickstart"));
    let ran = command.arg("--folder").arg(&place).env_remove("ROLLBACK_CONFIG").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    for said in ["web: restored; P0 health since", "wanted 200", "with nobody touching anything", "1 part"] {
        assert!(out.contains(said), "{said:?} is not said: {out}{err}");
    }
    assert!(err.contains("rolling back from r3 to r1"), "{err}");
    let report = std::fs::read_to_string(place.join("incident.html")).unwrap();
    assert!(report.contains("<svg") && report.contains("r3"), "the report of the last run");
    // The service has ended with the story.
    assert!(!place.join("web.pid").exists());
}
