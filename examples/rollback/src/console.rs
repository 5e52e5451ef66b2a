//! The streams, the surroundings, and how output is wanted.

use std::fmt;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::render::Style;

type Output = Arc<Mutex<Box<dyn Write + Send>>>;
type Input = Arc<Mutex<Box<dyn BufRead + Send>>>;
type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where a command reads and writes. The process's own streams for [`App::main`](crate::App::main); anything else
/// for a program that embeds the commands, or for a test.
#[derive(Clone)]
pub struct Console {
    out: Output,
    err: Output,
    input: Input,
    variables: Variables,
    folder: PathBuf,
    terminals: Terminals,
    width: Option<u16>,
}

/// Which streams are terminals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input: a person can answer.
    pub input: bool,
    /// Standard output: tables may be coloured.
    pub output: bool,
    /// Standard error: progress may move.
    pub errors: bool,
}

impl Console {
    /// The process's streams, variables and current folder.
    #[must_use]
    pub fn system() -> Self {
        let terminals = Terminals {
            input: std::io::stdin().is_terminal(),
            output: std::io::stdout().is_terminal(),
            errors: std::io::stderr().is_terminal(),
        };
        Self {
            out: Arc::new(Mutex::new(Box::new(std::io::stdout()))),
            err: Arc::new(Mutex::new(Box::new(std::io::stderr()))),
            input: Arc::new(Mutex::new(Box::new(std::io::BufReader::new(std::io::stdin())))),
            variables: Arc::new(|name| std::env::var(name).ok()),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            terminals,
            width: comfy_table::Table::new().width(),
        }
    }

    /// No terminal, no variables, nothing to read; writes to `out` and `err`.
    pub fn plain(
        folder: impl Into<PathBuf>,
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
    ) -> Self {
        Self {
            out: Arc::new(Mutex::new(Box::new(out))),
            err: Arc::new(Mutex::new(Box::new(err))),
            input: Arc::new(Mutex::new(Box::new(std::io::empty()))),
            variables: Arc::new(|_| None),
            folder: folder.into(),
            terminals: Terminals::default(),
            width: None,
        }
    }

    /// Sets what answers are read from, and which streams count as terminals.
    #[must_use]
    pub fn with_input(mut self, input: impl BufRead + Send + 'static, terminals: Terminals) -> Self {
        self.input = Arc::new(Mutex::new(Box::new(input)));
        self.terminals = terminals;
        self
    }

    /// Sets where the variables of `${NAME}` come from.
    #[must_use]
    pub fn with_variables(
        mut self,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.variables = Arc::new(variables);
        self
    }

    /// The folder that counts as the current one.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name)
    }

    pub(crate) fn terminals(&self) -> Terminals {
        self.terminals
    }

    /// The style of what goes to standard output.
    pub(crate) fn style(&self, color: Color) -> Style {
        Style { color: self.wants(color, self.terminals.output), width: self.width }
    }

    /// The style of what goes to standard error.
    pub(crate) fn error_style(&self, color: Color) -> Style {
        Style { color: self.wants(color, self.terminals.errors), width: self.width }
    }

    fn wants(&self, color: Color, terminal: bool) -> bool {
        let refused = self.variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !refused,
        }
    }

    /// Writes to standard output. A reader that went away must not stop a rollback.
    pub(crate) fn print(&self, text: &str) {
        // Whoever closes the pipe early has read enough; `finish` looks at what it prints last.
        let _ = write(&self.out, text);
    }

    /// Writes to standard output. Why not all of it was written, unless its reader had enough.
    pub(crate) fn print_all(&self, text: &str) -> std::io::Result<()> {
        match write(&self.out, text) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Writes to standard error.
    pub(crate) fn print_error(&self, text: &str) {
        // There is nowhere left to say that it failed.
        let _ = write(&self.err, text);
    }

    /// One line of input without its end; `None` at the end of input.
    pub(crate) fn read_line(&self) -> Option<String> {
        let mut line = String::new();
        let read = lock(&self.input).read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    /// On terminals, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(to: &Output, text: &str) -> std::io::Result<()> {
    let mut to = lock(to);
    to.write_all(text.as_bytes()).and_then(|()| to.flush())
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("folder", &self.folder)
            .field("terminals", &self.terminals)
            .finish_non_exhaustive()
    }
}
