//! The story: a good release, a bad one, seen by a real probe, planned, rolled back, proven, reported.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rollback_cli::{App, Console, Exit};
use rollback_core::condition::{Check, Condition, Rule, Verdict};
use rollback_core::probe::{Probe, ProbeSpec};
use rollback_core::time::{Clock, Lasting, SystemClock};
use rollback_core::{Error, ErrorKind, Result};

use crate::service::supervise::{Restart, restart, stop};

/// The file that says that a folder is ours to make anew.
const MARKER: &str = ".rollback-quickstart";

/// How long the bad release may stay unseen.
const PATIENCE: Lasting = Lasting::from_secs(30);

/// Where the story takes place.
struct Stage {
    folder: PathBuf,
    program: PathBuf,
    port: u16,
}

/// Tells the whole story in `folder`, which is made anew.
///
/// # Errors
///
/// What kept it from its good end, and what to do about it.
pub(crate) async fn tell(folder: &Path) -> Result<()> {
    let stage = Stage::set(folder).await?;
    let told = stage.tell().await;
    // The service goes, the store stays.
    let stopped = stop(&stage.pid_file()).await;
    told?;
    stopped?;
    let config = stage.config();
    println!("\nThe store is still there. Look around:");
    println!("  open {}", stage.report().display());
    for command in ["runs", "history web", "status", "plan web --to previous --explain"] {
        println!("  cargo run -q -p rollback-cli -- --config {} {command}", config.display());
    }
    Ok(())
}

impl Stage {
    async fn set(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder).map_err(|error| failed("find the folder", folder, error))?;
        let program = std::env::current_exe().map_err(|error| failed("find this program", &folder, error))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = listener.and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| failed("find a free port", &folder, error))?.port();
        let stage = Self { folder, program, port };
        stage.clear().await?;
        stage.write_release("r1", true, "<h1>the good release</h1>")?;
        stage.write_release("r2", false, "<h1>the bad release</h1>")?;
        stage.write_release("r3", false, "<h1>another bad release</h1>")?;
        stage.write(&stage.config(), &stage.configuration())?;
        Ok(stage)
    }

    /// Removes what an earlier story left, and nothing else.
    async fn clear(&self) -> Result<()> {
        if self.folder.exists() {
            if !self.folder.join(MARKER).exists() {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "begin the quickstart",
                    format!("{} exists and is not of an earlier quickstart", self.folder.display()),
                )
                .next("name another folder: --folder DIR"));
            }
            stop(&self.pid_file()).await?;
            fs::remove_dir_all(&self.folder).map_err(|error| failed("clear", &self.folder, error))?;
        }
        fs::create_dir_all(&self.folder).map_err(|error| failed("create", &self.folder, error))?;
        self.write(&self.folder.join(MARKER), "")
    }

    async fn tell(&self) -> Result<()> {
        headline("1. Release r1 is deployed, runs, and is recorded as good");
        self.deploy("r1").await?;
        self.rollback(&["record", "web", "--good", "--by", "you"]).await?;

        headline("2. Release r2 is deployed. It is bad: its health check fails");
        self.deploy("r2").await?;
        self.rollback(&["status"]).await?;

        headline("3. A real HTTP probe sees it");
        self.see_it_fail().await?;

        headline("4. The dry run is the plan, and the plan is what runs");
        let plan = self.folder.join("plan.json");
        let reason = "health checks fail since r2";
        let plan_file = plan.display().to_string();
        self.rollback(&["plan", "web", "--reason", reason, "--explain", "-o", &plan_file]).await?;
        self.rollback(&["apply", &plan_file, "--yes"]).await?;

        headline("5. The next bad release is rolled back with nobody touching anything");
        self.deploy("r3").await?;
        self.rollback(&["record", "web", "--pending", "--by", "pipeline"]).await?;
        self.ends(&["guard", "web", "--for", "30s"], Exit::RolledBack).await?;

        headline("6. The store remembers");
        self.rollback(&["incidents"]).await?;
        self.rollback(&["stats"]).await?;
        self.rollback(&["runs"]).await?;
        self.rollback(&["status"]).await?;
        self.rollback(&["report", "--html", &self.report().display().to_string()]).await
    }

    /// What a deploy script would do: point `current` at the release, restart.
    async fn deploy(&self, release: &str) -> Result<()> {
        let current = self.folder.join("current");
        let fresh = self.folder.join("current.new");
        println!("$ ln -sfn releases/{release} current && restart");
        symlink(Path::new("releases").join(release), &fresh)
            .and_then(|()| fs::rename(&fresh, &current))
            .map_err(|error| failed("point current at", &current, error))?;
        let options =
            Restart { program: self.program.clone(), current, port: self.port, pid_file: self.pid_file() };
        let running = restart(&options).await?;
        println!("process {} serves {release} on http://{}", running.pid, running.address);
        Ok(())
    }

    /// Samples the health page until it was bad for a while, as the watcher of automatic rollback would.
    async fn see_it_fail(&self) -> Result<()> {
        let probe = self.probe()?;
        let rule = Rule {
            all: vec![Check::NotOk],
            lasting: Lasting::from_secs(1),
            times: 1,
            within: Some(PATIENCE),
            every: Lasting::new(std::time::Duration::from_millis(250)),
        };
        println!("rule: {rule}");
        let mut condition = Condition::new(rule);
        loop {
            let sample = probe.sample().await;
            let verdict = condition.feed(SystemClock.monotonic(), &sample);
            println!("  {}", sample.detail);
            match verdict {
                Verdict::Held => return Ok(()),
                Verdict::Pending(_) => SystemClock.sleep(condition.rule().every.as_duration()).await,
                Verdict::Failed(why) => {
                    return Err(Error::new(ErrorKind::Other, "see the bad release", why)
                        .next("this is a fault of the quickstart: report it"));
                }
            }
        }
    }

    fn probe(&self) -> Result<std::sync::Arc<dyn Probe>> {
        let mut config = serde_json::Map::new();
        config.insert("url".to_owned(), self.health().into());
        rollback_probes::registry().build(&ProbeSpec { kind: "http".to_owned(), config })
    }

    /// Runs the command as an operator would, and expects it to succeed.
    async fn rollback(&self, arguments: &[&str]) -> Result<()> {
        self.ends(arguments, Exit::Done).await
    }

    /// Runs the command as an operator would, and expects it to end so.
    async fn ends(&self, arguments: &[&str], wanted: Exit) -> Result<()> {
        let shown: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        println!("\n$ rollback {}", shown.join(" "));
        let config = self.config().display().to_string();
        let line = ["rollback", "--config", &config].into_iter().chain(arguments.iter().copied());
        match App::new().run(line, &Console::system()).await {
            exit if exit == wanted => Ok(()),
            exit => Err(Error::new(ErrorKind::Other, "go on", format!("the command ended with {exit:?}"))
                .next("what it printed says why")),
        }
    }

    fn write_release(&self, name: &str, healthy: bool, page: &str) -> Result<()> {
        let folder = self.folder.join("releases").join(name);
        fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, error))?;
        let about = serde_json::json!({ "version": name, "healthy": healthy });
        self.write(&folder.join("release.json"), &about.to_string())?;
        self.write(&folder.join("index.html"), page)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        fs::write(path, text).map_err(|error| failed("write", path, error))
    }

    fn configuration(&self) -> String {
        let text = |path: &Path| toml_text(&path.display().to_string());
        let restart: Vec<String> = [
            text(&self.program),
            toml_text("restart"),
            toml_text("--current"),
            text(&self.folder.join("current")),
            toml_text("--port"),
            toml_text(&self.port.to_string()),
            toml_text("--pid-file"),
            text(&self.pid_file()),
        ]
        .into();
        format!(
            "# Written by the quickstart.\n\
             store = \"sqlite:.rollback/state.db\"\n\n\
             [environments.demo]\n\
             require_reason = true\n\
             automatic = \"act\"\n\n\
             [components.web]\n\
             driver = \"local\"\n\
             releases = {}\n\
             restart = [{}]\n\
             pid_file = {}\n\n\
             [[gates]]\n\
             name = \"health\"\n\
             component = \"web\"\n\
             probe = {{ kind = \"http\", url = {} }}\n\
             rule = {{ lasting = \"1s\", within = \"30s\", every = \"250ms\" }}\n\n\
             [[triggers]]\n\
             name = \"health\"\n\
             component = \"web\"\n\
             probe = {{ kind = \"http\", url = {} }}\n\
             rule = {{ lasting = \"1s\", every = \"250ms\" }}\n",
            text(&self.folder.join("releases")),
            restart.join(", "),
            text(&self.pid_file()),
            toml_text(&self.health()),
            toml_text(&self.health()),
        )
    }

    fn report(&self) -> PathBuf {
        self.folder.join("incident.html")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("rollback.toml")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("web.pid")
    }

    fn health(&self) -> String {
        format!("http://127.0.0.1:{}/health", self.port)
    }
}

fn headline(text: &str) {
    println!("\n== {text} ==\n");
}

/// An argument as a shell would want it.
fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() }
}

/// A text as a TOML string. JSON strings are TOML strings, and `$` is doubled because configurations expand it.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Other, format!("{what} {}", path.display()), error.to_string())
        .next("name a folder that can be written: --folder DIR")
        .with_source(error)
}
