//! Several processes on one file: races, kills, missing permissions and failing disks, each with real processes.
//!
//! This program is also the worker: it is started again with a job in its environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use rollback_core::store::{Condition, Key, KeyPrefix, Put, Store, Versioned};
use rollback_core::{Effect, Error, ErrorKind};
use rollback_store_sqlite::SqliteStore;
use rollback_testkit::harness::{Need, Suite};
use tempfile::TempDir;

const JOB: &str = "ROLLBACK_TEST_JOB";
const FILE: &str = "ROLLBACK_TEST_FILE";

fn main() -> ExitCode {
    if let Ok(job) = std::env::var(JOB) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&job, Path::new(&std::env::var_os(FILE).unwrap())));
        return ExitCode::SUCCESS;
    }
    let unix = || Need::when(cfg!(unix), "Unix permissions and limits");
    Suite::new("processes")
        .case("of_32_creators_of_one_key_one_wins", true, creators)
        .case("eight_counters_lose_nothing", true, counters)
        .case("a_killed_writer_loses_nothing_it_was_told_is_stored", true, killed)
        .case("a_process_killed_while_holding_the_lock_does_not_keep_it", true, killed_holder)
        .case("a_read_only_file_is_refused", unix(), read_only_file)
        .case("a_read_only_folder_is_refused", unix(), read_only_folder)
        .case("a_folder_that_may_not_be_entered_is_refused", unix(), closed_folder)
        .case("a_disk_that_fails_at_commit_leaves_the_effect_unknown", unix(), failing_disk)
        .run()
}

fn key(text: impl Into<String>) -> Key {
    Key::new(text).unwrap()
}

// ---- the worker

/// Does one job: says "ready", waits for a line, works, and says what came of it, line by line.
async fn work(job: &str, file: &Path) {
    let store = SqliteStore::open(file).unwrap();
    say("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    match job {
        "create" => {
            let id = std::process::id().to_string();
            let put = store.put(&key("heads/web"), id.as_bytes(), &Condition::Absent).await.unwrap();
            say(if put == Put::Conflict { "lost" } else { "won" });
        }
        "count" => {
            for _ in 0..COUNTS {
                count(&store).await;
            }
            say("done");
        }
        "write" => {
            for number in 0.. {
                let value = vec![b'v'; 10 + number * 37 % 9_000];
                store.put(&key(format!("journal/{number:06}")), &value, &Condition::Absent).await.unwrap();
                say(&number.to_string());
            }
        }
        "hold" => {
            let connection = rusqlite::Connection::open(file).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE; UPDATE entries SET version = 0").unwrap();
            say("held");
            std::io::stdin().read_line(&mut go).unwrap();
        }
        "read" => tell(store.get(&key("runs/1")).await.map(|found| found.is_some().to_string())),
        "put" => tell(put_large(&store, "runs/2").await),
        other => panic!("no job is called {other}"),
    }
}

const COUNTS: u32 = 25;

async fn count(store: &SqliteStore) {
    let key = key("counter");
    loop {
        let (number, condition) = match store.get(&key).await.unwrap() {
            None => (0, Condition::Absent),
            Some(found) => (number(&found), Condition::Version(found.version)),
        };
        if let Put::Stored(_) =
            store.put(&key, (number + 1).to_string().as_bytes(), &condition).await.unwrap()
        {
            return;
        }
    }
}

fn number(found: &Versioned) -> u32 {
    std::str::from_utf8(&found.value).unwrap().parse().unwrap()
}

async fn put_large(store: &SqliteStore, text: &str) -> rollback_core::Result<String> {
    let put = store.put(&key(text), &[7; 500_000], &Condition::Absent).await?;
    Ok(if put == Put::Conflict { "conflict" } else { "stored" }.to_owned())
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

fn tell(result: rollback_core::Result<String>) {
    match result {
        Ok(text) => say(&text),
        Err(error) => say(&told(error.kind(), error.is_transient(), error.effect())),
    }
}

/// An error as one line.
fn told(kind: ErrorKind, transient: bool, effect: Effect) -> String {
    format!("{kind:?} transient={transient} effect={effect:?}")
}

// ---- its parent

/// A worker that is killed at the latest when its case ends.
struct Worker {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    fn start(job: &str, file: &Path) -> Self {
        Self::from(Command::new(std::env::current_exe().unwrap()), job, file)
    }

    fn from(mut command: Command, job: &str, file: &Path) -> Self {
        command.env(JOB, job).env(FILE, file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self { child, stdin, lines };
        assert_eq!(worker.line().as_deref(), Some("ready"), "the worker did not start");
        worker
    }

    fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
    }

    /// The next line, or `None` when the worker is gone.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        // A line without its end was cut off by a kill: it was not said.
        (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }

    fn answer(mut self) -> String {
        self.go();
        let line = self.line().expect("the worker ended without an answer");
        assert!(self.child.wait().unwrap().success(), "the worker failed after {line:?}");
        line
    }

    /// Kills it as `kill -9` does.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    (folder, file)
}

fn check_integrity(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let answer: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
}

async fn creators() {
    // The file does not exist either: the race is also about setting it up.
    let (_folder, file) = place();
    let mut workers: Vec<Worker> = (0..32).map(|_| Worker::start("create", &file)).collect();
    workers.iter_mut().for_each(Worker::go);
    let answers: Vec<(u32, String)> =
        workers.iter_mut().map(|worker| (worker.child.id(), worker.line().unwrap())).collect();
    let winners: Vec<u32> = answers.iter().filter(|(_, answer)| answer == "won").map(|(id, _)| *id).collect();
    let losers = answers.iter().filter(|(_, answer)| answer == "lost").count();
    assert_eq!((winners.len(), losers), (1, 31));
    let found = SqliteStore::open(&file).unwrap().get(&key("heads/web")).await.unwrap().unwrap();
    assert_eq!(number(&found), winners[0]);
}

async fn counters() {
    let (_folder, file) = place();
    let mut workers: Vec<Worker> = (0..8).map(|_| Worker::start("count", &file)).collect();
    workers.iter_mut().for_each(Worker::go);
    for worker in &mut workers {
        assert_eq!(worker.line().as_deref(), Some("done"));
    }
    let found = SqliteStore::open(&file).unwrap().get(&key("counter")).await.unwrap().unwrap();
    assert_eq!(number(&found), 8 * COUNTS);
}

async fn killed() {
    for round in 0..12 {
        let (_folder, file) = place();
        let mut worker = Worker::start("write", &file);
        worker.go();
        for _ in 0..round * 7 {
            worker.line().unwrap();
        }
        worker.kill();
        // What it had said before the kill took effect counts as well.
        let mut told = round * 7;
        while worker.line().is_some() {
            told += 1;
        }
        let store = SqliteStore::open(&file).unwrap();
        let keys = store.list(&KeyPrefix::new("journal").unwrap(), None, usize::MAX).await.unwrap();
        // One more may have landed, whose answer was cut off.
        assert!((told..=told + 1).contains(&keys.len()), "{told} told, {} there", keys.len());
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(key.as_str(), format!("journal/{number:06}"));
            let value = store.get(key).await.unwrap().unwrap().value;
            assert_eq!(value, vec![b'v'; 10 + number * 37 % 9_000]);
        }
        store.put(&key("journal/after"), b"x", &Condition::Absent).await.unwrap();
        drop(store);
        check_integrity(&file);
    }
}

async fn killed_holder() {
    let (_folder, file) = place();
    let store = SqliteStore::open(&file).unwrap();
    let Put::Stored(before) = store.put(&key("a"), b"1", &Condition::Any).await.unwrap() else { panic!() };
    let mut worker = Worker::start("hold", &file);
    worker.go();
    assert_eq!(worker.line().as_deref(), Some("held"));
    worker.kill();
    let Put::Stored(after) = store.put(&key("a"), b"2", &Condition::Any).await.unwrap() else { panic!() };
    assert_ne!(before, after, "the version was given twice");
}

/// A place with the value `runs/1`, and a copy of this program, which a user without privileges may reach.
async fn open_place() -> (TempDir, PathBuf, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let (folder, program) = (outer.path().join("data"), outer.path().join("worker"));
    fs::create_dir(&folder).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let file = folder.join("state.db");
    let store = SqliteStore::open(&file).unwrap();
    store.put(&key("runs/1"), b"kept", &Condition::Absent).await.unwrap();
    drop(store);
    chmod(outer.path(), 0o755);
    chmod(&program, 0o755);
    (outer, file, program)
}

fn chmod(path: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    #[cfg(not(unix))]
    let _ = (path, mode);
}

/// The answer of a worker to whom permissions apply, which they do not for root.
fn unprivileged(program: &Path, job: &str, file: &Path) -> String {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only changed on Unix"))]
    let mut command = Command::new(program);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        const NOBODY: u32 = 65_534;
        if fs::metadata(file.parent().unwrap()).unwrap().uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
    }
    Worker::from(command, job, file).answer()
}

fn denied() -> String {
    let error = Error::new(ErrorKind::Denied, "", "");
    told(error.kind(), error.is_transient(), error.effect())
}

async fn read_only_file() {
    let (_outer, file, program) = open_place().await;
    chmod(file.parent().unwrap(), 0o777);
    chmod(&file, 0o444);
    let before = fs::read(&file).unwrap();
    assert_eq!(unprivileged(&program, "put", &file), denied());
    assert_eq!(unprivileged(&program, "read", &file), denied());
    assert_eq!(fs::read(&file).unwrap(), before);
    chmod(&file, 0o000);
    assert_eq!(unprivileged(&program, "put", &file), denied());
    assert_eq!(unprivileged(&program, "read", &file), denied());
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "something was left in the folder");
    chmod(&file, 0o666);
    assert_eq!(unprivileged(&program, "read", &file), "true");
    assert_eq!(unprivileged(&program, "put", &file), "stored");
}

async fn read_only_folder() {
    let (_outer, file, program) = open_place().await;
    let folder = file.parent().unwrap();
    chmod(&file, 0o666);
    chmod(folder, 0o555);
    let before = fs::read(&file).unwrap();
    assert_eq!(unprivileged(&program, "put", &file), denied());
    assert_eq!(unprivileged(&program, "put", &folder.join("new.db")), denied());
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "something was left in the folder");
}

async fn closed_folder() {
    let (_outer, file, program) = open_place().await;
    chmod(file.parent().unwrap(), 0o000);
    assert_eq!(unprivileged(&program, "read", &file), denied());
    assert_eq!(unprivileged(&program, "put", &file), denied());
    chmod(file.parent().unwrap(), 0o755);
}

async fn failing_disk() {
    let (_folder, file) = place();
    let store = SqliteStore::open(&file).unwrap();
    store.put(&key("runs/1"), b"kept", &Condition::Absent).await.unwrap();
    // No file may grow beyond 200 kB: writing the log fails in the middle of a commit, as on a failing disk.
    let script = r#"trap "" XFSZ; ulimit -f 400; exec "$0""#;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    let answer = Worker::from(command, "put", &file).answer();
    assert_eq!(answer, told(ErrorKind::Unavailable, false, Effect::Unknown));
    // Unknown means: look. What was there is there, and writing goes on.
    assert_eq!(store.get(&key("runs/1")).await.unwrap().unwrap().value, b"kept");
    if store.get(&key("runs/2")).await.unwrap().is_none() {
        assert_eq!(put_large(&store, "runs/2").await.unwrap(), "stored");
    }
    assert_eq!(store.get(&key("runs/2")).await.unwrap().unwrap().value, [7; 500_000]);
    drop(store);
    check_integrity(&file);
}
