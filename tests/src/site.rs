//! A deployed site in a folder of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Ran, Running, alive, signal};
use crate::tree::Tree;
use crate::watch::{Release, Watch, look};
use crate::{Result, until};

/// Where the binaries of this package are; see [`binaries!`](crate::binaries).
#[derive(Debug, Clone, Copy)]
pub struct Binaries {
    /// The command.
    pub rollback: &'static str,
    /// The command that can be held before it sends.
    pub held: &'static str,
    /// The service.
    pub service: &'static str,
}

/// The releases of a site, with what they serve.
const RELEASES: [(&str, &str); 3] = [("v0", "v0 good"), ("v1", "v1 good"), ("v2", "v2 bad")];

/// Releases v0, v1 and v2 with `current` at v2, a configuration, and a store that nobody has written yet.
#[derive(Debug)]
pub struct Site {
    folder: tempfile::TempDir,
    binaries: Binaries,
    /// What each command has in its environment, beside ours.
    variables: Vec<(&'static str, String)>,
}

impl Site {
    /// A static site.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn plain(binaries: Binaries) -> Result<Self> {
        let site = Self { folder: tempfile::tempdir()?, binaries, variables: Vec::new() };
        for (name, text) in RELEASES {
            fs::create_dir_all(site.path("releases").join(name))?;
            fs::write(site.path("releases").join(name).join("index.html"), text)?;
        }
        site.made_at_once()?;
        symlink("releases/v2", site.path("current"))?;
        site.configure("")?;
        Ok(site)
    }

    /// Which release is newer must not depend on how fast the machine made them.
    fn made_at_once(&self) -> Result<()> {
        let made = fs::metadata(self.path("releases"))?.modified()?;
        for (name, _) in RELEASES {
            let release = self.path("releases").join(name);
            for path in [release.join("index.html"), release] {
                fs::File::open(path)?.set_modified(made)?;
            }
        }
        Ok(())
    }

    /// A site whose restart command runs this shell script, in the site's folder.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn restarted_by(binaries: Binaries, script: &str) -> Result<Self> {
        let site = Self::plain(binaries)?;
        site.configure(&format!("restart = [\"/bin/sh\", \"-c\", {}]\n", Value::from(script)))?;
        Ok(site)
    }

    /// A site with a service that runs, started from v2.
    ///
    /// # Errors
    ///
    /// What the file system says, or if the service does not start.
    pub fn served(binaries: Binaries) -> Result<Self> {
        let site = Self::plain(binaries)?;
        let mut command = Command::new(binaries.service);
        command.arg("restart").arg(site.root());
        Running::start(command)?.end()?.expect(0);
        site.configure(&format!(
            "restart = [{:?}, \"restart\", {:?}]\npid_file = {:?}\n",
            binaries.service,
            site.root(),
            site.path("pid"),
        ))?;
        Ok(site)
    }

    /// Writes the configuration: one component `web` with more settings, and whatever tables follow them.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn configure(&self, more: &str) -> Result<()> {
        self.write_configuration(&format!(
            "[components.web]\ndriver = \"local\"\nreleases = {:?}\ncurrent = {:?}\n{more}",
            self.path("releases"),
            self.path("current"),
        ))
    }

    /// Writes the whole configuration.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_configuration(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.path("rollback.toml"), text)?)
    }

    /// A static site whose `web` comes after another component, `db`, with the same releases in the folder `db`.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn pair(binaries: Binaries) -> Result<Self> {
        let site = Self::plain(binaries)?;
        for (name, text) in RELEASES {
            fs::create_dir_all(site.path("db/releases").join(name))?;
            fs::write(site.path("db/releases").join(name).join("index.html"), text)?;
        }
        symlink("releases/v2", site.path("db/current"))?;
        let db = site.path("db/releases");
        site.configure(&format!(
            "after = [\"db\"]\n[components.db]\ndriver = \"local\"\nreleases = {db:?}\n"
        ))?;
        Ok(site)
    }

    /// Sets how long a silent holder is waited for.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn lease(self, lease: &str) -> Result<Self> {
        let text = fs::read_to_string(self.path("rollback.toml"))?;
        self.write_configuration(&format!("lease = \"{lease}\"\n{text}"))?;
        Ok(self)
    }

    /// Keeps its store at `store`, reached with these variables.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn stored_in(mut self, store: &str, variables: Vec<(&'static str, String)>) -> Result<Self> {
        self.variables = variables;
        let text = fs::read_to_string(self.path("rollback.toml"))?;
        self.write_configuration(&format!("store = \"{store}\"\n{text}"))?;
        Ok(self)
    }

    /// Sets what each command has in its environment, beside ours.
    #[must_use]
    pub fn with_environment(mut self, variables: Vec<(&'static str, String)>) -> Self {
        self.variables = variables;
        self
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The command, in the site's folder.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_of(self.binaries.rollback, words)
    }

    /// The command that is held before its `number`-th request; see [`Site::held`].
    #[must_use]
    pub fn held_command(&self, number: u32, words: &[&str]) -> Command {
        let mut command = self.command_of(self.binaries.held, words);
        command.env("HELD_APPLY", number.to_string());
        command.env("HELD_MARKER", self.path("held")).env("HELD_RELEASE", self.path("release"));
        command
    }

    fn command_of(&self, binary: &str, words: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(words).current_dir(self.root());
        command.env_remove("ROLLBACK_CONFIG").env_remove("NO_COLOR");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command to its end. Words are separated by spaces.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn run(&self, line: &str) -> Result<Ran> {
        self.start(line)?.end()
    }

    /// Runs the command, which must end with `code`, say each of `texts` and what to do next, and change nothing.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    ///
    /// # Panics
    ///
    /// When it does anything else.
    #[track_caller]
    pub fn refuses(&self, line: &str, code: i32, texts: &[&str]) -> Result<Ran> {
        self.refuses_command(self.command(&line.split_whitespace().collect::<Vec<_>>()), code, texts)
    }

    /// As [`refuses`](Self::refuses), for any command.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    ///
    /// # Panics
    ///
    /// When it does anything else.
    #[track_caller]
    pub fn refuses_command(&self, command: Command, code: i32, texts: &[&str]) -> Result<Ran> {
        let told = format!("{command:?}");
        let before = Tree::read(self.root())?;
        let ran = Running::start(command)?.end()?;
        let after = Tree::read(self.root())?;
        assert_eq!(ran.code, Some(code), "{told}: {ran}");
        let said = format!("{}\n{}", ran.out, ran.err);
        for text in texts {
            assert!(said.contains(text), "{told}: {text:?} is not said: {ran}");
        }
        let advised = said.contains("next") || said.contains("try '--help'");
        assert!(advised, "{told}: it does not say what to do: {ran}");
        assert!(!said.contains("panicked"), "{told}: {ran}");
        assert_eq!(before, after, "{told}: something changed: {ran}");
        Ok(ran)
    }

    /// Starts the command. Words are separated by spaces.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&self, line: &str) -> Result<Running> {
        Running::start(self.command(&line.split_whitespace().collect::<Vec<_>>()))
    }

    /// Starts the command and waits until it holds its `number`-th request, authorised and not sent.
    ///
    /// # Errors
    ///
    /// When it ends before that.
    pub fn held(&self, number: u32, line: &str) -> Result<Running> {
        let words: Vec<_> = line.split_whitespace().collect();
        self.held_by(self.held_command(number, &words))
    }

    /// Starts the command and waits until it holds the answer of its `number`-th request: sent, and not noted.
    ///
    /// # Errors
    ///
    /// When it ends before that.
    pub fn held_answer(&self, number: u32, line: &str) -> Result<Running> {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut command = self.held_command(number, &words);
        command.env("HELD_ANSWER", "1");
        self.held_by(command)
    }

    fn held_by(&self, command: Command) -> Result<Running> {
        let mut running = Running::start(command)?;
        until("the request to be held", || {
            let held = self.path("held").exists();
            (held || running.has_ended()).then_some(held)
        })?
        .then_some(running)
        .ok_or_else(|| "it ended and nothing was held".into())
    }

    /// Lets the held request go.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn let_go(&self) -> Result<()> {
        Ok(fs::write(self.path("release"), "")?)
    }

    /// What `current` says.
    #[must_use]
    pub fn current(&self) -> Release {
        look(&self.path("current"), &self.path("releases"))
    }

    /// Fails unless `current` is this release.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn assert_current(&self, name: &str) {
        assert_eq!(self.current(), Release::At(name.to_owned()));
    }

    /// What the `current` of `db` says, on a site that has it.
    #[must_use]
    pub fn current_of_db(&self) -> Release {
        look(&self.path("db/current"), &self.path("db/releases"))
    }

    /// What the service answers, or that there is none.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn served_page(&self) -> Result<String> {
        let port: u16 = fs::read_to_string(self.path("port"))?.parse()?;
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit_once("\r\n\r\n").ok_or("no HTTP answer")?.1.to_owned())
    }

    /// How often something was restarted, as the restart command noted in the file `restarts`.
    #[must_use]
    pub fn restarts(&self) -> usize {
        fs::read_to_string(self.path("restarts")).unwrap_or_default().lines().count()
    }

    /// All runs, newest first.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn runs(&self) -> Result<Vec<Value>> {
        let ran = self.run("runs --output json")?;
        let runs = ran.json()["runs"].as_array().cloned();
        runs.ok_or_else(|| format!("no runs: {ran}").into())
    }

    /// The lines of the journal of `web` in a run.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn journal(&self, run: &str) -> Result<Vec<(String, String)>> {
        let shown = self.run(&format!("show {run} --output json"))?;
        let document = shown.json();
        let found = find(&document, "journal").and_then(|journal| journal["web"].as_array());
        let lines = found.ok_or_else(|| format!("no journal: {shown}"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(lines.iter().map(|line| (text(&line[0]), text(&line[1]))).collect())
    }

    /// Watches `current` until the watch is asked.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::start(self.path("current"), self.path("releases"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A restart that was left behind must not start anything any more.
        let _ = fs::write(self.path("closed"), "");
        if let Ok(lock) = fs::File::create(self.path("restart.lock")) {
            let _ = lock.lock();
        }
        let pid = fs::read_to_string(self.path("pid")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid| alive(*pid)) {
            let _ = signal(pid, "TERM");
        }
    }
}

/// The value of a key, wherever in the document it is.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|inner| find(inner, key))),
        _ => None,
    }
}
