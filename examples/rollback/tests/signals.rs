//! The real binary, stopped by signals and taken up again.

#![cfg(all(unix, feature = "local"))]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A site whose restart waits for the file `go`.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for release in ["v1", "v2"] {
        std::fs::create_dir_all(path.join("releases").join(release)).unwrap();
        std::fs::write(path.join("releases").join(release).join("index.html"), release).unwrap();
    }
    std::os::unix::fs::symlink("releases/v2", path.join("current")).unwrap();
    let root = path.display();
    // It ends with the folder as well, so that a failed test leaves no process behind.
    let restart = format!("while [ -e {root}/releases -a ! -e {root}/go ]; do sleep 0.02; done");
    let configuration = format!(
        "[components.web]\ndriver = \"local\"\nreleases = \"{root}/releases\"\ncurrent = \"{root}/current\"\n\
         restart = [\"/bin/sh\", \"-c\", \"{restart}\"]\n"
    );
    std::fs::write(path.join("rollback.toml"), configuration).unwrap();
    folder
}

fn rollback(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollback"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a rollback and waits until its restart command runs.
fn start(folder: &Path) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = rollback(folder, "run --to revision=v1 --yes").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    wait_for(&mut lines, "running the restart command");
    (child, lines)
}

fn wait_for(lines: &mut Lines<BufReader<ChildStderr>>, wanted: &str) {
    let mut seen = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if line.contains(wanted) {
            return;
        }
        seen += &(line + "\n");
    }
    panic!("{wanted:?} was not said:\n{seen}");
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn let_go(folder: &Path) {
    std::fs::write(folder.join("go"), "").unwrap();
}

#[test]
fn one_signal_stops_at_a_safe_point() {
    for name in ["INT", "TERM"] {
        let folder = site();
        let (mut child, mut lines) = start(folder.path());
        signal(&child, name);
        wait_for(&mut lines, "stopping at the next safe point");
        let_go(folder.path());
        lines.for_each(|line| drop(line.unwrap()));
        assert_eq!(child.wait().unwrap().code(), Some(7), "{name}");
    }
}

#[test]
fn a_lost_terminal_stops_nothing() {
    let folder = site();
    let (mut child, lines) = start(folder.path());
    signal(&child, "HUP");
    let_go(folder.path());
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_leaves_at_once_and_resume_takes_it_up() {
    let folder = site();
    let (mut child, mut lines) = start(folder.path());
    signal(&child, "INT");
    wait_for(&mut lines, "stopping at the next safe point");
    signal(&child, "TERM");
    wait_for(&mut lines, "`rollback resume ");
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let_go(folder.path());
    let resumed = rollback(folder.path(), "resume --output json --quiet").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert_eq!(document["state"], "restored", "{document:#}");
    assert_eq!(resumed.status.code(), Some(0));
    assert_eq!(std::fs::read_link(folder.path().join("current")).unwrap(), Path::new("releases/v1"));
}

#[test]
fn a_killed_run_is_taken_up() {
    let folder = site();
    let (mut child, lines) = start(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    let_go(folder.path());
    let resumed = rollback(folder.path(), "resume --output json --quiet").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert_eq!(document["state"], "restored", "{document:#}");
}

#[test]
fn nobody_is_waited_for_without_a_terminal() {
    let folder = site();
    let refused = rollback(folder.path(), "run --to revision=v1").output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("add --yes"));
    assert_eq!(std::fs::read_link(folder.path().join("current")).unwrap(), Path::new("releases/v2"));
}

/// What a command says, and its exit code.
fn ran(folder: &Path, line: &str) -> (String, Option<i32>) {
    let output = rollback(folder, line).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

#[test]
fn a_killed_run_is_unlocked_at_once_and_resumed() {
    let folder = site();
    let (mut child, _lines) = start(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let (said, code) = ran(folder.path(), "unlock web --yes");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("dead: that process is gone") && said.contains("rollback resume"), "{said}");
    let_go(folder.path());
    let (said, code) = ran(folder.path(), "resume --yes");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_holder_that_slept_ends_superseded_once_it_was_unlocked() {
    let folder = site();
    let file = folder.path().join("rollback.toml");
    let configuration = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("lease = \"2s\"\n{configuration}")).unwrap();
    let (child, lines) = start(folder.path());
    let (said, code) = ran(folder.path(), "unlock web --yes");
    assert_eq!(code, Some(3), "it is at work: {said}");
    signal(&child, "STOP");
    let (said, code) = ran(folder.path(), "unlock web --yes --by ben");
    signal(&child, "CONT");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("silent: not one beat in 2s"), "{said}");
    let_go(folder.path());
    lines.for_each(|line| drop(line.unwrap()));
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{report}");
    assert!(report.contains("ben took the lease away"), "{report}");
    let (said, code) = ran(folder.path(), "resume --yes");
    assert_eq!(code, Some(0), "{said}");
}
