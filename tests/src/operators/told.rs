//! What machines tell, line by line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rollback_core::{ErrorKind, ErrorRecord, Report, State};
use serde::{Deserialize, Serialize};

use super::log::append_line;

/// One line that a machine wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Told {
    /// It begins to apply a plan.
    Applies {
        /// The work.
        op: String,
    },
    /// It took over a lease that was not given back.
    TookOver {
        /// Whether from a process of its own that was killed.
        own: bool,
    },
    /// A piece of work ended.
    Ended {
        /// The work.
        op: String,
        /// `apply`, or `resume`.
        work: String,
        /// Whether it was asked to stop.
        cancelled: bool,
        /// What came of it.
        report: Option<Box<Report>>,
        /// Why nothing came of it.
        error: Option<ErrorRecord>,
    },
}

impl Told {
    pub(super) fn append(&self, world: &Path, machine: &str) -> io::Result<()> {
        append_line(&file(world, machine), self)
    }

    /// All that a machine told.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn by(world: &Path, machine: &str) -> io::Result<Vec<Self>> {
        let text = match fs::read_to_string(file(world, machine)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }
}

fn file(world: &Path, machine: &str) -> PathBuf {
    world.join(format!("{machine}.told"))
}

/// What was told, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How often a plan began to be applied.
    pub applies: u64,
    /// How often a run was taken up again, as far as it came to an end.
    pub resumes: u64,
    /// How often somebody asked to stop, as far as it came to an end.
    pub cancels: u64,
    /// Leases that were taken over from a killed process of the same machine.
    pub taken_from_own: u64,
    /// Leases of the other machine that were taken over after they had run out.
    pub taken_from_other: u64,
    /// How often somebody else's lease was respected.
    pub refused_for_lease: u64,
    /// Pieces of work that ended with an error instead of a report, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The states of reports.
    pub states: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts what was told.
    #[must_use]
    pub fn of(told: &[Told]) -> Self {
        let mut tally = Self::default();
        for line in told {
            tally.add(line);
        }
        tally
    }

    fn add(&mut self, line: &Told) {
        match line {
            Told::Applies { .. } => self.applies += 1,
            Told::TookOver { own: true } => self.taken_from_own += 1,
            Told::TookOver { own: false } => self.taken_from_other += 1,
            Told::Ended { work, cancelled, report, error, .. } => {
                self.resumes += u64::from(work == "resume");
                self.cancels += u64::from(*cancelled);
                if let Some(report) = report {
                    *self.states.entry(report.state.to_string()).or_default() += 1;
                    self.refused_for_lease += u64::from(refused_for_lease(report));
                }
                if let Some(error) = error {
                    *self.errors.entry(format!("{work}: {:?}", error.kind)).or_default() += 1;
                    self.refused_for_lease += u64::from(is_lease(error));
                }
            }
        }
    }
}

fn is_lease(error: &ErrorRecord) -> bool {
    error.kind == ErrorKind::Conflict && error.operation.starts_with("take the lease")
}

fn refused_for_lease(report: &Report) -> bool {
    report.components.values().any(|one| one.state == State::Refused && one.errors.iter().any(is_lease))
}
