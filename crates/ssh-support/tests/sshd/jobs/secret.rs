//! What is fed is nobody's business.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rollback_core::time::{Clock, SystemClock};
use rollback_ssh_support::{Command, Finished, Jobs, Secret, Shell};
use rollback_testkit::harness::{CaseResult, ensure, equal};

use super::key;
use crate::server::{Server, pause};

pub(super) async fn seen_nowhere() -> CaseResult {
    let canary = format!("canary-{}-{}", std::process::id(), SystemClock.monotonic().as_nanos());
    let server = Server::start().await?;
    // The user's own folder, which is the default.
    let jobs = Jobs::new(Arc::new(server.connection()));
    let reads =
        Command::script(r#"read -r secret; test "${#secret}" -gt 20 && sleep 1.5 && echo "read ${#secret}""#);
    let reads = reads.stdin(Secret::new(format!("{canary}\n")));
    let task = tokio::spawn({
        let (jobs, reads) = (jobs.clone(), reads.clone());
        async move { jobs.run(&key("secret"), &reads).await }
    });
    let host = server.connection();
    let plain = tokio::spawn(async move { host.run(&reads).await });
    for _ in 0..10 {
        pause(120).await;
        no_process_shows(&canary)?;
    }
    let done = task.await??;
    equal("the job", &done, &Finished::new(0, false, format!("read {}\n", canary.len())))?;
    equal("the command", &plain.await??.status, &0)?;
    ensure(
        server.path(".local/state/rollback/jobs/secret/log").exists(),
        "it was kept in the user's folder",
    )?;
    no_file_shows(&canary, &server.path("."))?;
    for place in fs::read_dir(std::env::temp_dir())?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("rollback-ssh."))
    {
        no_file_shows(&canary, &place.path())?;
    }
    Ok(())
}

/// In plain, and in the form in which it is sent.
fn forms(canary: &str) -> [String; 2] {
    use base64::Engine as _;
    let sent = base64::engine::general_purpose::STANDARD.encode(format!("{canary}\n"));
    [canary.to_owned(), sent.trim_end_matches('=').to_owned()]
}

fn shows(bytes: &[u8], canary: &str) -> bool {
    forms(canary).iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
}

fn no_process_shows(canary: &str) -> CaseResult {
    for process in fs::read_dir("/proc")?.flatten() {
        for file in ["cmdline", "environ"] {
            // Those that ended meanwhile, or are somebody else's, cannot be read.
            let bytes = fs::read(process.path().join(file)).unwrap_or_default();
            ensure(!shows(&bytes, canary), format!("{}/{file} shows the secret", process.path().display()))?;
        }
    }
    Ok(())
}

fn no_file_shows(canary: &str, folder: &Path) -> CaseResult {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        match entry.file_type()? {
            kind if kind.is_dir() => no_file_shows(canary, &path)?,
            kind if kind.is_file() => {
                ensure(!shows(&fs::read(&path)?, canary), format!("{} shows the secret", path.display()))?;
            }
            _ => {}
        }
    }
    Ok(())
}
