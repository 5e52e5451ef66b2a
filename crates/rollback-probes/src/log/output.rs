//! What a program prints.

use std::process::Stdio;
use std::time::Duration;

use regex::bytes::Regex;
use rollback_core::time::{Clock, within};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::count::{Count, Counter};
use super::{MAX_READ, too_slow};
use crate::command::kill;
use crate::settings::root_cause;

/// Counts in all that a program prints until it ends well; or says why nobody knows.
pub(super) async fn count(
    argv: &[String],
    pattern: &Regex,
    clock: &dyn Clock,
    limit: Duration,
) -> Result<Count, String> {
    let mut child = Command::new(&argv[0])
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it says there may be anything, lines of the log among it.
        .stderr(Stdio::null())
        // A group of its own: what it starts can be killed with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be started: {}", root_cause(&error)))?;
    let counted = match within(clock, limit, finish(&mut child, pattern)).await {
        Some(counted) => counted,
        None => Err(too_slow(limit)),
    };
    if counted.is_err() {
        kill(&mut child).await;
    }
    counted
}

async fn finish(child: &mut Child, pattern: &Regex) -> Result<Count, String> {
    let count = read(child, pattern).await?;
    let status =
        child.wait().await.map_err(|error| format!("cannot be waited for: {}", root_cause(&error)))?;
    match status.success() {
        true => Ok(count),
        false => Err(format!(
            "it ended with {status}, so what it printed may not be all: run it by hand to see why"
        )),
    }
}

async fn read(child: &mut Child, pattern: &Regex) -> Result<Count, String> {
    let Some(mut pipe) = child.stdout.take() else { return Err("it has no standard output".to_owned()) };
    let mut counter = Counter::new(pattern);
    let (mut buffer, mut length) = (vec![0; 64 * 1024], 0);
    loop {
        let count = pipe.read(&mut buffer).await.map_err(|error| root_cause(&error))?;
        if count == 0 {
            counter.finish();
            return Ok(counter.count());
        }
        length += count as u64;
        if length > MAX_READ {
            return Err("it prints more than 64 MiB: have it print less, as with --since".to_owned());
        }
        counter.take(&buffer[..count]);
    }
}
