//! What was done to a target: the target itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One line of a target's log. The operating system puts appended lines into one order for all processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Line {
    /// A request arrived and is being worked on.
    Begin {
        /// The work of a machine that it is part of: one plan with its run, or one resuming.
        op: String,
        /// The process.
        pid: u32,
        /// The run.
        run: String,
        /// Its idempotency key.
        key: String,
        /// Which acquisition the head in the store told of at this moment; 0 for no head.
        epoch: u64,
        /// The run that the head named.
        head_run: String,
        /// The process that the head named; 0 for nobody.
        head_pid: u32,
        /// Processes that had begun something here, not ended it, and are dead.
        dead: Vec<u32>,
    },
    /// It is done.
    Done {
        /// As in `Begin`.
        op: String,
        /// The run.
        run: String,
        /// Its idempotency key.
        key: String,
        /// What runs from now on, if that changed.
        runs: Option<u32>,
        /// Which acquisition the head told of when it was done.
        epoch: u64,
    },
    /// Somebody read what runs, as evidence.
    Proved {
        /// As in `Begin`.
        op: String,
        /// What runs.
        release: u32,
        /// How many lines had been read.
        seen: usize,
    },
}

impl Line {
    /// The run that it is of, where that was written down.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        match self {
            Self::Begin { run, .. } | Self::Done { run, .. } => Some(run),
            Self::Proved { .. } => None,
        }
    }
}

/// The log of one target.
#[derive(Debug, Clone)]
pub struct TargetLog {
    path: PathBuf,
}

/// What a log says of its target.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    pub(super) release: u32,
    /// How much was done: the concurrency token.
    pub(super) done: usize,
    pub(super) lines: usize,
    /// What was begun and not ended: process and key.
    pub(super) open: Vec<(u32, String)>,
    /// The keys of what was done.
    pub(super) keys: Vec<String>,
}

impl TargetLog {
    /// The log of the component `name` in the folder `world`.
    #[must_use]
    pub fn new(world: &Path, name: &str) -> Self {
        Self { path: world.join(format!("{name}.log")) }
    }

    /// All lines. One that is being written does not count yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no log.
    pub fn lines(&self) -> io::Result<Vec<Line>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }

    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        append_line(&self.path, line)
    }

    pub(super) fn now(&self) -> io::Result<Now> {
        Ok(Now::after(&self.lines()?))
    }
}

/// Appends a line of JSON in one write.
pub(super) fn append_line(path: &Path, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

impl Now {
    pub(super) fn after(lines: &[Line]) -> Self {
        let mut now = Self { lines: lines.len(), ..Self::default() };
        for line in lines {
            match line {
                Line::Begin { pid, key, .. } => now.open.push((*pid, key.clone())),
                Line::Done { key, runs, .. } => {
                    now.open.retain(|(_, open)| open != key);
                    now.keys.push(key.clone());
                    now.done += 1;
                    now.release = runs.unwrap_or(now.release);
                }
                Line::Proved { .. } => {}
            }
        }
        now
    }
}
