//! Child processes with a bounded life.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rollback_core::time::{Clock as _, SystemClock};
use serde_json::Value;

use crate::{LIMIT, Result, until};

/// A process that ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as the one JSON document that it must be.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON document: {error}: {self}"))
    }

    /// Fails unless it ended with `code`.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails unless standard error says `text`.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not said: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A document is long, and what it says of the end comes last but for the plan.
        let state = serde_json::from_str::<Value>(&self.out).map(|document| {
            format!(
                "state {} report {:#} error {:#}",
                document["state"], document["report"], document["error"]
            )
        });
        let out = state.as_ref().unwrap_or(&self.out);
        write!(f, "code {:?}\n--- out\n{out}\n--- err\n{}", self.code, self.err)
    }
}

/// A process that runs. Killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<String>>,
}

impl Running {
    /// Starts a command without a terminal.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, lines) = channel();
        let err = Arc::new(Mutex::new(String::new()));
        let (out_pipe, err_pipe) = (child.stdout.take(), child.stderr.take());
        let kept = Arc::clone(&err);
        let told = std::thread::spawn(move || {
            for line in err_pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
                let Ok(line) = line else { break };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
                // Nobody may be listening.
                let _ = sender.send(line);
            }
            String::new()
        });
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut pipe) = out_pipe {
                let _ = pipe.read_to_string(&mut text);
            }
            text
        });
        Ok(Self { child, lines, err, readers: vec![read, told] })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line on standard error; `None` when there are no more.
    pub fn line(&self) -> Option<String> {
        self.lines.recv_timeout(LIMIT).ok()
    }

    /// Waits until standard error says `text`.
    ///
    /// # Errors
    ///
    /// When it ends without having said it.
    pub fn until_said(&self, text: &str) -> Result<()> {
        while let Some(line) = self.line() {
            if line.contains(text) {
                return Ok(());
            }
        }
        Err(format!("{text:?} was not said:\n{}", self.told()).into())
    }

    fn told(&self) -> String {
        self.err.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it without warning, as `kill -9` does, and collects it. Whether it was still running.
    ///
    /// # Errors
    ///
    /// If the system does not let us.
    pub fn kill(&mut self) -> Result<bool> {
        let running = self.child.try_wait()?.is_none();
        self.child.kill()?;
        self.child.wait()?;
        Ok(running)
    }

    /// Sends it a signal by name.
    ///
    /// # Errors
    ///
    /// If it cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid(), name)
    }

    /// Freezes it, and waits until it is frozen. `false` when it had ended before.
    ///
    /// # Errors
    ///
    /// If the system does not let us.
    pub fn freeze(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        self.signal("STOP")?;
        until("the process to freeze", || match state(self.pid()) {
            Some('T') => Some(true),
            Some('Z') | None => Some(false),
            Some(_) => None,
        })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end in time; it is killed then.
    pub fn end(mut self) -> Result<Ran> {
        let began = SystemClock.monotonic();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if SystemClock.monotonic().saturating_sub(began) > LIMIT {
                self.kill()?;
                return Err(format!("it did not end:\n{}", self.told()).into());
            }
            crate::pause(std::time::Duration::from_millis(1));
        };
        let mut out = String::new();
        for reader in self.readers.drain(..) {
            out += &reader.join().map_err(|_| "a reader panicked")?;
        }
        Ok(Ran { code: status.code(), out, err: self.told() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal by name to a process of ours.
///
/// # Errors
///
/// If it cannot be sent.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).output()?;
    if sent.status.success() {
        return Ok(());
    }
    Err(format!("kill -s {name} {pid}: {}", String::from_utf8_lossy(&sent.stderr)).into())
}

/// Whether a process runs: a zombie does not.
#[must_use]
pub fn alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
