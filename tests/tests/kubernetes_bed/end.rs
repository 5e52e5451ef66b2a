//! What a control plane leaves behind: nothing.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, ensure};
use rollback_tests::kubernetes::ControlPlane;
use rollback_tests::servers::{Server, need};

pub(super) const OWN: &str = "ROLLBACK_TEST_OWN_CONTROL_PLANE";

/// A test that starts a control plane, says what is to be gone, and waits to be killed.
pub(super) fn own() -> ExitCode {
    match ControlPlane::start("kubernetes_bed") {
        Ok(plane) => {
            eprintln!("{}", plane.folder().display());
            eprintln!("{}", plane.servers().map(|server| server.pid().to_string()).join(" "));
            rollback_tests::pause(std::time::Duration::from_secs(120));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(super) async fn dropped() -> CaseResult {
    need(ControlPlane::shared())?;
    let plane = ControlPlane::start("kubernetes_bed")?;
    let (folder, pids) = (plane.folder().to_owned(), plane.servers().map(Server::pid));
    ensure(
        folder.is_dir() && pids.iter().all(|pid| rollback_tests::alive(*pid)),
        "there is nothing that could remain",
    )?;
    drop(plane);
    until_gone(&folder, &pids)
}

pub(super) async fn killed() -> CaseResult {
    need(ControlPlane::shared())?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.env(OWN, "1");
    let mut owner = rollback_tests::Running::start(command)?;
    let (Some(folder), Some(pids)) = (owner.line(), owner.line()) else {
        return ensure(false, "it did not start");
    };
    let folder = std::path::PathBuf::from(folder);
    let pids: Vec<u32> = pids.split(' ').filter_map(|pid| pid.parse().ok()).collect();
    ensure(
        pids.len() == 3 && pids.iter().all(|pid| rollback_tests::alive(*pid)),
        "there is nothing that could remain",
    )?;
    owner.kill()?;
    until_gone(&folder, &pids)
}

fn until_gone(folder: &std::path::Path, pids: &[u32]) -> CaseResult {
    let remains = || -> Vec<u32> { pids.iter().copied().filter(|pid| rollback_tests::alive(*pid)).collect() };
    let waited = rollback_tests::until("the end of everything", || {
        (remains().is_empty() && !folder.exists()).then_some(())
    });
    Ok(waited.map_err(|error| {
        format!("{error}: {:?}, {} is there: {}", remains(), folder.display(), folder.exists())
    })?)
}
