//! The browser's process, and the DevTools protocol with it: JSON documents, each followed by a zero byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Result;

/// How long the browser may take for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The browser takes commands at its third descriptor and answers at its fourth, and ends when nobody holds the other ends: a test that is
/// killed leaves none behind.
const WITH_PIPES: &str = r#"exec 3<&0 4>&1 </dev/null >&2; exec "$@""#;

/// One browser, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Pipe {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
    /// Its home, for as long as it runs.
    _home: TempDir,
}

/// Who waits for what. Nobody waits any more once these are gone.
#[derive(Debug, Default)]
struct Heard {
    calls: u64,
    answers: BTreeMap<u64, Sender<Value>>,
    sessions: BTreeMap<String, Sender<Value>>,
    ended: bool,
}

impl Pipe {
    /// Starts it with a home of its own. What it says is kept in `log`.
    pub(super) fn start(program: &Path, arguments: &[&str], log: File) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WITH_PIPES, "sh"]).arg(program).args(arguments);
        command.arg(format!("--user-data-dir={}", home.path().display()));
        command.env("HOME", home.path()).env_remove("DISPLAY").env_remove("DBUS_SESSION_BUS_ADDRESS");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        // A group of its own: its children end with it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("no pipe")?);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let kept = Arc::clone(&heard);
        let reader = std::thread::Builder::new().name("browser".to_owned()).spawn(move || {
            for document in BufReader::new(output).split(0) {
                let Ok(document) = document else { break };
                lock(&kept).hear(serde_json::from_slice(&document).unwrap_or_default());
            }
            lock(&kept).end();
        })?;
        let (child, input) = (Mutex::new(child), Mutex::new(input));
        Ok(Self { child, input, heard, reader: Some(reader), _home: home })
    }

    /// What comes from this session from now on.
    pub(super) fn listen(&self, session: &str) -> Receiver<Value> {
        let (sender, receiver) = channel();
        lock(&self.heard).sessions.insert(session.to_owned(), sender);
        receiver
    }

    /// Asks for something, of one tab or of the browser itself, and waits for the answer.
    pub(super) fn call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Result<Value> {
        let (sender, receiver) = channel();
        let id = lock(&self.heard).expect(sender)?;
        let mut asked = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            asked["sessionId"] = json!(session);
        }
        let mut text = serde_json::to_vec(&asked)?;
        text.push(0);
        lock(&self.input).as_mut().ok_or("the browser was ended")?.write_all(&text)?;
        let answer = receiver
            .recv_timeout(PATIENCE)
            .map_err(|error| format!("the browser does not answer to {method}: {error}"))?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(format!("the browser refuses {method}: {error}").into()),
        }
    }
}

impl Heard {
    fn expect(&mut self, sender: Sender<Value>) -> Result<u64> {
        if self.ended {
            return Err("the browser has ended".into());
        }
        self.calls += 1;
        self.answers.insert(self.calls, sender);
        Ok(self.calls)
    }

    fn hear(&mut self, document: Value) {
        let listener = match document["id"].as_u64() {
            Some(id) => self.answers.remove(&id),
            None => document["sessionId"].as_str().and_then(|session| self.sessions.get(session).cloned()),
        };
        if let Some(listener) = listener {
            // Whoever waited in vain is gone.
            let _ = listener.send(document);
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.answers.clear();
        self.sessions.clear();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        drop(lock(&self.input).take());
        let mut child = lock(&self.child);
        // While it is not collected, its number is nobody else's.
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
