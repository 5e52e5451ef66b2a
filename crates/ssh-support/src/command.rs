//! What is run on a host, and what came back.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::error::quoted;
use rollback_core::{Effect, Error, ErrorKind, Result};

use crate::names::RemotePath;

/// How long a command may take unless it is told otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How long what was asked to end at its time limit has for it, before it is killed.
pub(crate) const KILL_AFTER: Duration = Duration::from_secs(5);
/// The longest line that is sent. Linux takes 128 KiB in one argument, and quoting comes on top.
const LONGEST_LINE: usize = 96 * 1024;

/// Bytes that nobody may read: `Debug` shows how many they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Keeps these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// A command for a host. It is its own builder.
///
/// Arguments reach the program as they are, whatever is in them: the line that a host's shell reads is quoted here. They can be seen by
/// everybody on that host while the program runs: secrets go to [`stdin`](Self::stdin).
///
/// ```
/// use rollback_ssh_support::Command;
/// let list = Command::new("docker").args(["ps", "-q"]);
/// // Parameters are never spliced into a script: they are "$1", "$2", …
/// let newest = Command::script(r#"ls -t -- "$1" | head -n 1"#).arg("/srv/it's here; rm -rf /");
/// # let _ = (list, newest);
/// ```
#[derive(Clone)]
pub struct Command {
    what: What,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<RemotePath>,
    stdin: Option<Secret>,
    limit: Duration,
}

#[derive(Debug, Clone)]
enum What {
    Program(String),
    Script(&'static str),
}

impl Command {
    fn of(what: What) -> Self {
        Self { what, args: Vec::new(), env: Vec::new(), dir: None, stdin: None, limit: DEFAULT_LIMIT }
    }

    /// A program, by name or path.
    pub fn new(program: impl Into<String>) -> Self {
        Self::of(What::Program(program.into()))
    }

    /// A fixed script for `sh`; arguments are its positional parameters. It is a text of the code, so that nothing can be spliced into it.
    #[must_use]
    pub fn script(script: &'static str) -> Self {
        Self::of(What::Script(script))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment. Not for secrets: the value can be seen on the host.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it in this folder; else in the user's home.
    #[must_use]
    pub fn current_dir(mut self, dir: RemotePath) -> Self {
        self.dir = Some(dir);
        self
    }

    /// Feeds these bytes to its standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(mut self, bytes: Secret) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// After how long it is ended on the host: asked first, killed five seconds later. Whole seconds, rounded up; a minute unless told otherwise.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The bytes for its standard input.
    #[must_use]
    pub fn input(&self) -> Option<&Secret> {
        self.stdin.as_ref()
    }

    /// Its time limit.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.limit
    }

    /// The folder that it runs in.
    #[must_use]
    pub fn folder(&self) -> Option<&RemotePath> {
        self.dir.as_ref()
    }

    /// Program and arguments as the host's kernel gets them, without the time limit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for what no program can get: a NUL, a name that no variable has, an empty program.
    pub fn argv(&self) -> Result<Vec<String>> {
        let wrong =
            |message: String| Error::new(ErrorKind::Invalid, format!("run {}", self.title()), message);
        let mut argv = Vec::with_capacity(self.args.len() + 4);
        if !self.env.is_empty() {
            argv.push("env".to_owned());
        }
        for (name, value) in &self.env {
            let first = |c: char| c.is_ascii_alphabetic() || c == '_';
            if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
                return Err(wrong(format!("{} is no variable's name", quoted(name))));
            }
            argv.push(format!("{name}={value}"));
        }
        match &self.what {
            // `env` would take it for one more variable, and `timeout` for an option.
            What::Program(program)
                if program.is_empty() || program.starts_with('-') || program.contains('=') =>
            {
                return Err(wrong(format!("{} is no program's name", quoted(program))));
            }
            What::Program(program) => argv.push(program.clone()),
            What::Script(script) => argv.extend(["sh", "-c", script, "sh"].map(str::to_owned)),
        }
        argv.extend(self.args.iter().cloned());
        match argv.iter().any(|word| word.contains('\0')) {
            true => Err(wrong("an argument holds a NUL character".to_owned())),
            false => Ok(argv),
        }
    }

    /// The line for a host's shell: everything quoted, ended on the host by its time limit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] as [`argv`](Self::argv), and for what is longer than 96 KiB.
    pub fn line(&self) -> Result<String> {
        let mut line = String::new();
        if let Some(dir) = &self.dir {
            line.push_str(&format!("cd {} && ", quote(dir.as_str())));
        }
        line.push_str(&format!("timeout -k {} {}", KILL_AFTER.as_secs(), whole_seconds(self.limit)));
        for word in self.argv()? {
            line.push(' ');
            line.push_str(&quote(&word));
        }
        // Else the shell would become the program itself; so it reports a program that a signal ended as 128 and the signal, and no exit
        // status at all means one thing only: that the connection was lost.
        line.push_str("; exit $?");
        if line.len() > LONGEST_LINE {
            let message = format!("{} bytes are too long for one command line", line.len());
            return Err(Error::new(ErrorKind::Invalid, format!("run {}", self.title()), message)
                .next("hand large data over on standard input"));
        }
        Ok(line)
    }

    /// What it is, for people: the program's name.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.what {
            What::Program(program) => quoted(program),
            What::Script(_) => "a script".to_owned(),
        }
    }

    /// What it is, for those who look closer: of a script its first line, which says what it does.
    pub(crate) fn purpose(&self) -> String {
        match &self.what {
            What::Program(_) => self.title(),
            What::Script(script) => {
                let line = script.lines().next().unwrap_or_default();
                let sentence = line.trim_start_matches(['#', ' ']).split('.').next().unwrap_or_default();
                sentence.to_lowercase()
            }
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("what", &self.what)
            .field("args", &self.args)
            .field("env", &self.env)
            .field("dir", &self.dir)
            .field("stdin", &self.stdin)
            .field("limit", &self.limit)
            .finish()
    }
}

pub(crate) fn whole_seconds(limit: Duration) -> u64 {
    // Nought would mean no limit to `timeout`.
    (limit.as_secs() + u64::from(limit.subsec_nanos() > 0)).max(1)
}

/// One word for a POSIX shell, which reads nothing in single quotes but their end.
///
/// ```
/// use rollback_ssh_support::quote;
/// assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
/// ```
#[must_use]
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What a command left behind.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Output {
    /// Its exit code; 128 and the number of the signal that ended it.
    pub status: i32,
    /// The beginning of its standard output: up to 1 MiB.
    pub stdout: Vec<u8>,
    /// The end of its standard error: up to 64 KiB.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than that to its standard output.
    pub truncated: bool,
}

impl Output {
    /// An output with this exit code, for tests of drivers.
    #[must_use]
    pub fn new(status: i32, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> Self {
        Self { status, stdout: stdout.into(), stderr: stderr.into(), truncated: false }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text, without what is no UTF-8 and without the last line's end.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let end = self.stdout.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        String::from_utf8_lossy(&self.stdout[..end])
    }

    /// The output of a command that had to succeed and to be read as a whole. `operation` completes "cannot …".
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] with the exit code and the last lines of its standard error, for any exit code but 0 and for an output that
    /// was cut off. The effect is unknown: what fails may have done half of its work.
    pub fn checked(self, operation: &str) -> Result<Self> {
        let message = match (self.status, self.truncated) {
            (0, false) => return Ok(self),
            (0, true) => "it wrote more than 1 MiB".to_owned(),
            (status, _) => match last_lines(&self.stderr) {
                said if said.is_empty() => format!("it exited with {status} and said nothing"),
                said => format!("it exited with {status}: {said}"),
            },
        };
        Err(Error::new(ErrorKind::Other, operation, message).with_effect(Effect::Unknown))
    }
}

impl fmt::Debug for Output {
    // Outputs may hold what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Output(status {}, {} bytes, {} bytes of errors)",
            self.status,
            self.stdout.len(),
            self.stderr.len()
        )
    }
}

/// The last lines of a foreign text as an error may show them: few, bounded, with what would act on a terminal left out.
pub(crate) fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(5)..].join(" | ");
    let skip = shown.chars().count().saturating_sub(600);
    shown.chars().skip(skip).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_quoted_limited_and_ends_with_the_exit_code() {
        let command = Command::new("docker").args(["ps", "it's"]).limit(Duration::from_millis(1500));
        let line =
            command.clone().current_dir(RemotePath::new("/srv/my shop").unwrap()).env("A", "b c").line();
        assert_eq!(
            line.unwrap(),
            r"cd '/srv/my shop' && timeout -k 5 2 'env' 'A=b c' 'docker' 'ps' 'it'\''s'; exit $?"
        );
        assert_eq!(
            command.limit(Duration::ZERO).line().unwrap(),
            r"timeout -k 5 1 'docker' 'ps' 'it'\''s'; exit $?"
        );
    }

    #[test]
    fn what_no_program_can_get_is_refused() {
        for command in [
            Command::new(""),
            Command::new("-k"),
            Command::new("A=b"),
            Command::new("a\0b"),
            Command::new("a").arg("\0"),
            Command::new("a").env("A-B", "c"),
            Command::new("a").env("", "c"),
            Command::new("a").env("A", "\0"),
            Command::new("a").arg("x".repeat(LONGEST_LINE)),
        ] {
            assert_eq!(command.line().unwrap_err().kind(), ErrorKind::Invalid, "{}", command.title());
        }
    }

    #[test]
    fn nobody_sees_what_is_fed_or_read() {
        let command = Command::new("cat").stdin(Secret::new("hunter2"));
        let output = Output::new(0, "hunter2", "hunter2");
        assert!(!format!("{command:?} {output:?}").contains("hunter2"));
    }

    #[test]
    fn a_failure_shows_its_last_words() {
        let failed = Output::new(3, "", "one\n\u{1b}[31mtwo\n\n").checked("list containers").unwrap_err();
        assert_eq!(failed.message(), "it exited with 3: one | [31mtwo");
        assert_eq!(failed.effect(), Effect::Unknown);
        assert_eq!(Output::new(0, "a\nb\r\n\n", "").checked("x").unwrap().text(), "a\nb");
        let cut = Output { truncated: true, ..Output::default() };
        assert!(cut.checked("x").is_err());
    }
}
