//! Stores that are locked, full, too new, broken or read-only.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rollback_tests::{Binaries, Result, Running, Site};
use rusqlite::Connection;

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run web --to revision=v1 --yes";
const STORE: &str = ".rollback/state.db";

/// A site whose store holds a run that ended: it went to v0.
fn used() -> Result<Site> {
    let site = Site::plain(BINARIES)?;
    site.run("run web --to revision=v0 --yes")?.expect(0);
    Ok(site)
}

#[test]
fn a_store_that_another_process_keeps_locked() -> Result<()> {
    let site = used()?;
    let other = Connection::open(site.path(STORE))?;
    other.execute_batch("BEGIN EXCLUSIVE")?;
    site.refuses(RUN, 1, &["locked", "wait for that process"])?;
    other.execute_batch("ROLLBACK")?;
    drop(other);
    site.run(RUN)?.expect(0);
    assert_eq!(site.runs()?.len(), 2, "nothing was lost");
    Ok(())
}

#[test]
fn a_store_of_a_newer_schema() -> Result<()> {
    let site = used()?;
    Connection::open(site.path(STORE))?.execute_batch("PRAGMA user_version = 7")?;
    for line in [RUN, "runs", "resume", "plan --to revision=v1"] {
        site.refuses(line, 3, &["schema version 7"])?;
    }
    Connection::open(site.path(STORE))?.execute_batch("PRAGMA user_version = 1")?;
    assert_eq!(site.runs()?.len(), 1, "nothing was lost");
    Ok(())
}

#[test]
fn a_store_that_is_no_database() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::create_dir(site.path(".rollback"))?;
    for text in ["notes", &"my diary ".repeat(1_000)] {
        fs::write(site.path(STORE), text)?;
        site.refuses(RUN, 2, &["not a SQLite database"])?;
        assert_eq!(fs::read_to_string(site.path(STORE))?, text, "it is somebody's file");
    }
    Ok(())
}

#[test]
fn a_store_that_is_damaged() -> Result<()> {
    let site = used()?;
    let mut bytes = fs::read(site.path(STORE))?;
    let end = bytes.len().min(8_192);
    bytes[200..end].fill(0x5a);
    fs::write(site.path(STORE), &bytes)?;
    let ran = site.run(RUN)?;
    assert!(matches!(ran.code, Some(1..=3)), "{ran}");
    site.refuses(RUN, ran.code.unwrap_or(0), &["restore a"])?;
    site.assert_current("v0");
    Ok(())
}

/// Nobody is kept from writing when this runs as root: then the file itself must be in the way.
#[test]
fn a_store_that_cannot_be_written() -> Result<()> {
    let site = used()?;
    let folder = site.path(".rollback");
    fs::set_permissions(site.path(STORE), fs::Permissions::from_mode(0o400))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500))?;
    if fs::write(folder.join("probe"), "").is_ok() {
        // Permissions do not bind this user. A folder where the file should be binds everybody.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        fs::remove_dir_all(&folder)?;
        fs::create_dir_all(site.path(STORE))?;
        site.refuses(RUN, 2, &["it is a folder"])?;
    } else {
        site.refuses(RUN, 1, &["permission"])?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    }
    site.assert_current("v0");
    Ok(())
}

/// The command with files of at most so many blocks of 512 bytes. A write beyond it fails; the signal is ignored.
fn limited(site: &Site, blocks: u32, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    command.args(["-c", &script, "sh", BINARIES.rollback]).args(line.split_whitespace());
    command.current_dir(site.root());
    command
}

#[test]
fn a_store_that_is_full_from_the_beginning() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.refuses_command(limited(&site, 2, RUN), 1, &["disk"])?;
    site.assert_current("v2");
    site.run(RUN)?.expect(0);
    site.assert_current("v1");
    Ok(())
}

/// The store fills up in the middle of a run, a little later each time.
#[test]
fn a_store_that_fills_up() -> Result<()> {
    let (mut failed, mut went) = (0, 0);
    let mut blocks = 8;
    while went < 2 && blocks < 4_000 {
        let site = Site::restarted_by(BINARIES, "echo restarted >> restarts")?;
        let watch = site.watch();
        let ran = Running::start(limited(&site, blocks, RUN))?.end()?;
        let told = format!("{blocks} blocks: {ran}");
        if ran.code == Some(0) {
            went += 1;
            site.assert_current("v1");
        } else {
            failed += 1;
            assert!(matches!(ran.code, Some(1..=7)), "{told}");
            assert!(!ran.err.contains("panicked"), "{told}");
            let said = format!("{}{}", ran.out, ran.err);
            assert!(said.contains("next") || said.contains("resume"), "it does not say what to do: {told}");
            if ran.code == Some(3) {
                // Refused, so nothing was done.
                site.assert_current("v2");
                assert_eq!(site.restarts(), 0, "{told}");
            }
            // With room again, a run that had begun to act is brought to its end; else a new one does it.
            let unfinished = ran.code != Some(3) && site.runs()?.iter().any(|run| run["state"].is_null());
            let again = site.run(if unfinished { "resume" } else { RUN })?;
            assert_eq!(again.code, Some(0), "{told}\nthen: {again}");
            site.assert_current("v1");
            assert!(
                (1..=2).contains(&site.restarts()),
                "{} restarts: {told}\nthen: {again}",
                site.restarts()
            );
        }
        assert!(watch.seen()?.len() <= 2, "{told}");
        blocks += 24;
    }
    println!("{failed} filled up, the last at less than {blocks} blocks");
    assert!(failed >= 5, "only {failed} filled up");
    assert!(went >= 2);
    Ok(())
}
