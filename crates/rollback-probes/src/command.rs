//! `command`: does a program of your own say that all is well?

mod capture;

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Lasting, SystemClock, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::process::{Child, Command};

use self::capture::Capture;
use crate::settings::{Stopwatch, invalid, limit, one_line, read, root_cause, schema};

const KIND: &str = "command";
const NAMES: [&str; 2] = ["argv", "timeout"];
const EXAMPLE: &str =
    "{ kind = \"command\", argv = [\"/usr/local/bin/smoke-test\", \"--fast\"], timeout = \"30s\" }";

/// How long output is waited for once the program has ended: what it left running may hold the pipe for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// Makes probes that run a program.
///
/// | setting | meaning |
/// |---|---|
/// | `argv` | the program and its arguments, as a list; no shell reads them |
/// | `timeout` | how long it may take, 30 s unless told otherwise; then it is killed |
///
/// The program inherits environment and working directory, and has no standard input. Ok is exit code 0. Numbers:
/// `exit_code` (left out when a signal ended it) and `duration_ms`; and if the first line that it prints is a JSON
/// object, every number in it by its name: a program that prints `{"error_rate": 0.4, "p95_ms": 180}` can be held
/// to `error_rate < 1`.
///
/// The detail ends with the last line that was printed (up to 2 KiB; standard error first if it failed), so the program
/// must not print secrets. On a timeout the program and its process group are killed; when the sample itself is
/// dropped, only the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandProbes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The program and its arguments; no shell reads them
    #[schemars(length(min = 1))]
    argv: Vec<String>,
    /// How long it may take, then it is killed
    #[serde(default = "half_a_minute")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn half_a_minute() -> Lasting {
    Lasting::from_secs(30)
}

impl ProbeFactory for CommandProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let Settings { argv, timeout } = read(KIND, &NAMES, EXAMPLE, config)?;
        if argv.first().is_none_or(String::is_empty) {
            return Err(invalid(KIND, "argv names no program").next(format!("write it like {EXAMPLE}")));
        }
        if argv.iter().any(|argument| argument.contains('\0')) {
            return Err(invalid(KIND, "an argument holds a NUL character").next("take it out"));
        }
        Ok(Arc::new(CommandProbe { argv, limit: limit(KIND, timeout)? }))
    }
}

#[derive(Debug)]
struct CommandProbe {
    argv: Vec<String>,
    limit: Duration,
}

#[async_trait]
impl Probe for CommandProbe {
    async fn sample(&self) -> Sample {
        let watch = Stopwatch::start();
        let program = &self.argv[0];
        let mut child = match self.start() {
            Ok(child) => child,
            // What was to tell does not run: that says nothing of what it was to look at.
            Err(error) => {
                return Sample::unknown(format!("cannot start {program:?}: {}", root_cause(&error)));
            }
        };
        let (mut out, mut err) = (Capture::default(), Capture::default());
        match within(&SystemClock, self.limit, finish(&mut child, &mut out, &mut err)).await {
            Some(Ok(status)) => judge(status, watch.millis(), &out, &err),
            Some(Err(error)) => {
                Sample::unknown(format!("{program:?} cannot be waited for: {}", root_cause(&error)))
            }
            None => {
                kill(&mut child).await;
                let ended = format!("{program:?} did not end within {}", Lasting::new(self.limit));
                Sample::bad(with_line(ended, &[&err, &out]))
            }
        }
    }
}

impl CommandProbe {
    fn start(&self) -> io::Result<Child> {
        Command::new(&self.argv[0])
            .args(&self.argv[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: what it starts can be killed with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Waits for the end and reads both outputs meanwhile, so that a program which prints much is not held up.
async fn finish(child: &mut Child, out: &mut Capture, err: &mut Capture) -> io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(out.read(stdout), err.read(stderr)) };
    tokio::pin!(reading);
    tokio::select! {
        _ = &mut reading => child.wait().await,
        status = child.wait() => {
            within(&SystemClock, DRAIN, reading).await;
            status
        }
    }
}

/// Kills the program's process group and waits until it is gone. Nothing here may fail: it is a best effort.
pub(crate) async fn kill(child: &mut Child) {
    // The program was not waited for yet, so its id, and with it the group's, cannot belong to others.
    if let Some(id) = child.id() {
        // The shell's own `kill`: small machines have no other.
        let group = Command::new("sh")
            .args(["-c", "kill -s KILL -- \"$1\"", "sh", &format!("-{id}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        within(&SystemClock, Duration::from_secs(1), group).await;
    }
    // A program that hangs in the kernel goes when the kernel lets it: the sample does not wait for that.
    within(&SystemClock, Duration::from_secs(1), child.kill()).await;
}

fn judge(status: ExitStatus, millis: f64, out: &Capture, err: &Capture) -> Sample {
    let ended = match status.code() {
        Some(code) => format!("exit code {code} in {millis:.0} ms"),
        None => format!("ended by {status} in {millis:.0} ms"),
    };
    let mut sample = if status.success() {
        Sample::ok(with_line(ended, &[out, err]))
    } else {
        Sample::bad(with_line(ended, &[err, out]))
    };
    sample.metrics.extend(out.numbers());
    // After the program's own numbers: these two are measured here.
    sample.metrics.remove("exit_code");
    if let Some(code) = status.code() {
        sample.metrics.insert("exit_code".into(), f64::from(code));
    }
    sample.with("duration_ms", millis)
}

/// Adds the last line of the first output that has one.
fn with_line(ended: String, outputs: &[&Capture]) -> String {
    match outputs.iter().map(|output| one_line(&output.last_line())).find(|line| !line.is_empty()) {
        Some(line) => format!("{ended}: {line}"),
        None => ended,
    }
}
