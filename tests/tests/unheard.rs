//! Output that nobody takes: a full disk, a closed pipe, no streams at all.

use std::process::Command;

use rollback_tests::{Binaries, Ran, Result, Running, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

/// The command with redirections of a shell, in the site's folder.
fn redirected(site: &Site, line: &str, how: &str) -> Result<Ran> {
    let mut command = Command::new("/bin/sh");
    let script = format!("exec \"$@\" {how}");
    command.args(["-c", &script, "sh", BINARIES.rollback]).args(line.split_whitespace());
    command.current_dir(site.root());
    Running::start(command)?.end()
}

#[test]
fn a_run_goes_to_its_end_though_nobody_hears_of_it() -> Result<()> {
    for how in [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let site = Site::plain(BINARIES)?;
        let ran = redirected(&site, "run web --to revision=v1 --yes", how)?;
        assert_eq!(ran.code, Some(0), "{how}: the exit code tells of the run: {ran}");
        site.assert_current("v1");
        assert_eq!(site.runs()?[0]["state"], "restored", "{how}");
    }
    Ok(())
}

#[test]
fn a_document_that_could_not_be_written_is_no_success() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for line in ["plan web --to revision=v1 --output json", "status --output json", "runs --output json"] {
        let ran = redirected(&site, line, ">/dev/full")?;
        assert_ne!(ran.code, Some(0), "a pipeline would go on with half a document: {line}: {ran}");
    }
    Ok(())
}
