//! The service as a real process: started, asked, restarted and ended.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A folder of releases, and the service if it runs.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for (version, healthy) in [("v1", true), ("v2", false)] {
            let release = world.path(version);
            fs::create_dir(&release).unwrap();
            let about = json!({ "version": version, "healthy": healthy });
            fs::write(release.join("release.json"), about.to_string()).unwrap();
            fs::write(release.join("index.html"), format!("<p>{version}</p>")).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn point_to(&self, target: impl AsRef<Path>) {
        let _ = fs::remove_file(self.path("current"));
        symlink(target, self.path("current")).unwrap();
    }

    fn restarting_on(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollback-quickstart"));
        command.args(["restart", "--port", &port.to_string()]);
        command.arg("--current").arg(self.path("current")).arg("--pid-file").arg(self.path("pid"));
        command
    }

    fn serving_on(&self, port: u16, release: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollback-quickstart"));
        command.args(["serve", "--port", &port.to_string()]);
        command.arg("--release").arg(self.path(release)).arg("--pid-file").arg(self.path("pid"));
        command
    }

    fn restart_on(&self, port: u16) -> Output {
        self.restarting_on(port).output().unwrap()
    }

    fn restart(&self) -> Output {
        self.restart_on(0)
    }

    /// What stands beside the pid file, once that is there and names the same process.
    fn pid_file(&self) -> Option<Value> {
        let pid: u32 = fs::read_to_string(self.path("pid")).ok()?.trim().parse().unwrap();
        let info: Value = serde_json::from_str(&fs::read_to_string(self.path("pid.info")).ok()?).unwrap();
        assert_eq!(info["pid"], pid);
        Some(info)
    }

    async fn get(&self, path: &str) -> String {
        let file = self.pid_file().unwrap();
        let mut stream = TcpStream::connect(file["address"].as_str().unwrap()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        let pid = self.pid_file().unwrap()["pid"].to_string();
        assert!(Command::new("sh").args(["-c", "kill $0 $1", name, &pid]).status().unwrap().success());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(file) = self.pid_file() {
            // Ended already in some tests.
            let pid = file["pid"].to_string();
            let _ = Command::new("sh").args(["-c", "kill -KILL $0", &pid]).stderr(Stdio::null()).status();
        }
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_restart_serves_what_current_names() {
    let world = World::new();
    world.point_to("v1");
    let output = world.restart();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(world.get("/health").await.starts_with("HTTP/1.1 200 "));
    assert!(world.get("/").await.ends_with("v1\n\n<p>v1</p>"));
    let first = world.pid_file().unwrap();

    world.point_to("v2");
    assert!(world.get("/").await.contains("v1"), "a release is read at the start only");
    assert!(world.restart().status.success(), "that a release is unhealthy is not the restart's business");
    assert!(world.get("/health").await.starts_with("HTTP/1.1 503 "));
    assert_ne!(first["pid"], world.pid_file().unwrap()["pid"]);
    assert!(
        TcpStream::connect(first["address"].as_str().unwrap()).await.is_err(),
        "the old process still runs"
    );
}

#[tokio::test]
async fn a_broken_release_takes_nothing_down() {
    let world = World::new();
    world.point_to("v1");
    assert!(world.restart().status.success());
    fs::remove_file(world.path("v2/release.json")).unwrap();
    for broken in ["v2", "nowhere"] {
        world.point_to(broken);
        let output = world.restart();
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains("next:"), "{}", text(&output.stderr));
        assert!(world.get("/health").await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_killed_service_is_started_again() {
    let world = World::new();
    world.point_to("v1");
    assert!(world.restart().status.success());
    world.signal("-KILL");
    assert!(world.restart().status.success());
    assert!(world.get("/health").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_frozen_service_is_killed_and_replaced() {
    let world = World::new();
    world.point_to("v1");
    assert!(world.restart().status.success());
    let frozen = world.pid_file().unwrap()["pid"].clone();
    world.signal("-STOP");
    assert!(world.restart().status.success());
    assert_ne!(frozen, world.pid_file().unwrap()["pid"]);
    assert!(world.get("/health").await.starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_port_that_is_taken_is_an_error_and_leaves_no_pid_file() {
    let world = World::new();
    world.point_to("v1");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = world.restart_on(taken.local_addr().unwrap().port());
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("ended at once"), "{}", text(&output.stderr));
    assert_eq!(world.pid_file(), None);
}

#[test]
fn the_service_ends_when_asked_and_removes_its_pid_file() {
    let world = World::new();
    let mut service = world.serving_on(0, "v1").spawn().unwrap();
    while world.pid_file().is_none() {
        assert!(service.try_wait().unwrap().is_none(), "it ended at once");
        std::thread::yield_now();
    }
    world.signal("-TERM");
    assert!(service.wait().unwrap().success());
    assert_eq!(world.pid_file(), None);
}

#[tokio::test]
async fn several_restarts_at_once_leave_one_service() {
    let world = World::new();
    world.point_to("v1");
    let port = free_port();
    let restarts: Vec<_> =
        (0..6).map(|_| world.restarting_on(port).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let mut pids: Vec<String> = Vec::new();
    for restart in restarts {
        let output = restart.wait_with_output().unwrap();
        assert!(output.status.success());
        pids.push(text(&output.stdout).split(' ').nth(1).unwrap().to_owned());
    }
    let last = world.pid_file().unwrap()["pid"].to_string();
    assert!(pids.contains(&last));
    for pid in pids.iter().filter(|pid| **pid != last) {
        // Dead and not yet collected by its new parent counts as gone.
        let script = "kill -0 $0 2>/dev/null && ! grep -q '^State:.Z' /proc/$0/status";
        let alive = Command::new("sh").args(["-c", script, pid]).status().unwrap().success();
        assert!(!alive, "process {pid} still runs beside {last}");
    }
    assert!(world.get("/health").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_process_that_is_just_starting_is_replaced() {
    // What a restart leaves that was killed right after it started the service.
    for _ in 0..10 {
        let world = World::new();
        world.point_to("v1");
        let port = free_port();
        let mut left = world.serving_on(port, "v2").stderr(Stdio::null()).spawn().unwrap();
        let output = world.restart_on(port);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(world.get("/").await.contains("v1"));
        left.wait().unwrap();
    }
}
