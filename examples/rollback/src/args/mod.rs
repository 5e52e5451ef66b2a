//! The command line.

mod records;
mod watch;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollback_core::request::Moment;
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Digest, EnvironmentName, Error};

pub(crate) use self::records::{
    AllowedArgs, CleanArgs, QuarantineArgs, QuarantineCommand, QuarantineEditArgs, QuarantineListArgs,
    RecordArgs, UnlockArgs,
};
pub(crate) use self::watch::{
    AutoArgs, AutoCommand, AutoOffArgs, DrillArgs, GuardArgs, IncidentsArgs, ReportArgs, StatsArgs, WatchArgs,
};
use crate::console::Color;
use crate::destinations::{By, To};

const EXIT_CODES: &str = "\
Exit codes:
  0  restored, or already there        5  partial
  1  anything else                     6  stuck or held: a person must look
  2  usage or configuration            7  cancelled, or superseded by somebody else
  3  refused, nothing was done         8  restored, but a gate failed
  4  failed, with the origin back      9  `check`: something could not be rolled back right now
 10  `guard`: bad, rolled back         11  `guard`: bad, and nothing was done about it
130  left at once; `rollback resume` takes it up";

/// Reads a value, with the next step in the same line: clap prints it as it is.
fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| match error.next_step() {
        Some(next) => format!("{}; {next}", error.message()),
        None => error.message().to_owned(),
    })
}

/// A time that is still to come.
fn until(text: &str) -> Result<Moment, String> {
    let wrong =
        "is neither a time nor a duration; write it like 2026-11-21T03:00:00Z, or 2h for two hours from now";
    text.parse().map_err(|_| wrong.to_owned())
}

/// Rolls bad deploys back: planned, proven, and safe to be cut off at any moment.
#[derive(Debug, Parser)]
#[command(name = "rollback", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The configuration; else the nearest rollback.toml, from the current folder upwards
    #[arg(long, global = true, value_name = "FILE", env = "ROLLBACK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The environment; else the one that the configuration names, or its only one
    #[arg(long, short = 'e', global = true, value_name = "NAME", value_parser = value::<EnvironmentName>)]
    pub(crate) environment: Option<EnvironmentName>,
    /// Text for people, or one JSON document on standard output
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    /// Act without asking
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,
    /// The phrase that the environment asks for
    #[arg(long, global = true, value_name = "PHRASE")]
    pub(crate) confirm: Option<String>,
    /// When to colour; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Tell what happens inside, on standard error; -vv tells more
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No progress
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
}

/// The form of what goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented rollback.toml
    Init,
    /// Show how components are now
    Status(StatusArgs),
    /// Show what a component could be put back to
    History(HistoryArgs),
    /// Say whether components could be rolled back right now; changes nothing
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Make a plan; changes nothing
    Plan(PlanArgs),
    /// Run a plan that was saved and reviewed
    #[command(after_help = EXIT_CODES)]
    Apply(ApplyArgs),
    /// Plan, ask, and roll back
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Take up a run that was cut off
    #[command(after_help = EXIT_CODES)]
    Resume(ResumeArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Show everything about one run
    Show(ShowArgs),
    /// Watch components, and roll bad deploys back without a person
    Watch(WatchArgs),
    /// Watch components for some minutes after a deploy, in a pipeline
    #[command(after_help = EXIT_CODES)]
    Guard(GuardArgs),
    /// Roll back and forward again as an exercise, and say how long it takes
    #[command(after_help = EXIT_CODES)]
    Drill(DrillArgs),
    /// Show whether bad deploys are rolled back without a person; switch that off and on
    Auto(AutoArgs),
    /// List what went wrong and what was done about it, newest first
    Incidents(IncidentsArgs),
    /// Write what happened in a run, for people who were not there
    Report(ReportArgs),
    /// Show how long it takes to see that something is bad, and until it is well again
    Stats(StatsArgs),
    /// Record what runs now as deployed, or as good
    Record(RecordArgs),
    /// List, add and lift what must not run
    Quarantine(QuarantineArgs),
    /// Say whether a version may ship: refused with 3 while it is under quarantine
    Allowed(AllowedArgs),
    /// Take a lease away from a process that is gone
    Unlock(UnlockArgs),
    /// Bring the journal of break-glass runs into the store
    Merge,
    /// Remove old runs, journals and deployment records, and what rollbacks kept for a while
    Clean(CleanArgs),
    /// Write the JSON Schema of rollback.toml to standard output
    Schema,
    /// Write completions for a shell to standard output
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The components; all of the environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The component
    #[arg(value_parser = value::<ComponentName>)]
    pub(crate) component: ComponentName,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

/// What is asked for, for `plan` and `run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestArgs {
    /// The components; if none is named, those that --to names, else all of the environment
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Where to: previous, last-good, revision=…, version=…, as-of=… (a time, or 2h for two hours ago); for one
    /// component only as COMPONENT:DEST. Left out: the last good state
    #[arg(long, value_name = "DEST", value_parser = value::<To>)]
    pub(crate) to: Vec<To>,
    /// How: by this method and no other, as `rollback plan --explain` calls it; for one component only as COMPONENT:METHOD
    #[arg(long, value_name = "METHOD", value_parser = value::<By>)]
    pub(crate) method: Vec<By>,
    /// When the destination cannot be reached: stop there, or go back to where it was
    #[arg(long, value_name = "WAY", default_value = "hold")]
    pub(crate) on_failure: Failure,
    /// Why; written into the plan, the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Act first: look up beside the first action, not before it, whether the destination is all there
    #[arg(long)]
    pub(crate) urgent: bool,
    /// Watch what was proven for this long, whatever the environment says: 30s, 5m; 0s for not at all
    #[arg(long, value_name = "TIME", value_parser = value::<Lasting>)]
    pub(crate) soak: Option<Lasting>,
    /// Accept a destination that is newer than what runs
    #[arg(long)]
    pub(crate) allow_newer: bool,
    /// Accept a destination that is under quarantine
    #[arg(long)]
    pub(crate) allow_quarantined: bool,
    /// Do not put what is left under quarantine
    #[arg(long)]
    pub(crate) no_quarantine: bool,
}

/// What to do when the destination cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Failure {
    /// Stop and leave it
    Hold,
    /// Go back to the origin
    Back,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Save the plan for `rollback apply`
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write over FILE if it exists
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    /// Show every method with its steps, and every difference
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BreakGlass {
    /// The shared store is down: run without its lease, journal beside the configuration, say why
    #[arg(long, value_name = "REASON")]
    pub(crate) break_glass: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The plan, as `rollback plan -o FILE` wrote it
    pub(crate) file: PathBuf,
    /// Only the plan with this digest, as it was reviewed
    #[arg(long, value_parser = value::<Digest>)]
    pub(crate) digest: Option<Digest>,
    #[command(flatten)]
    pub(crate) glass: BreakGlass,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) glass: BreakGlass,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run, or the beginning of its id; else the only unfinished one
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) glass: BreakGlass,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The run, or the beginning of its id
    pub(crate) run: String,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The components; all of the environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Every component of every environment
    #[arg(long, conflicts_with = "components")]
    pub(crate) all: bool,
    /// Where to, as for `rollback run`. Left out: the last good state; while that runs, the one before it
    #[arg(long, value_name = "DEST", value_parser = value::<To>)]
    pub(crate) to: Vec<To>,
    /// An artifact of the destination that disappears within this time is a warning
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = value::<Lasting>)]
    pub(crate) warn_within: Lasting,
    /// Warnings count like blockers: exit with 9
    #[arg(long)]
    pub(crate) strict: bool,
}

impl Command {
    /// Whether what it came to is worth a summary of a pipeline's step.
    pub(crate) fn is_summarised(&self) -> bool {
        matches!(
            self,
            Self::Check(_)
                | Self::Plan(_)
                | Self::Apply(_)
                | Self::Run(_)
                | Self::Resume(_)
                | Self::Guard(_)
                | Self::Drill(_)
        )
    }

    /// The word that the command is called by.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Status(_) => "status",
            Self::History(_) => "history",
            Self::Check(_) => "check",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Run(_) => "run",
            Self::Resume(_) => "resume",
            Self::Runs(_) => "runs",
            Self::Show(_) => "show",
            Self::Watch(_) => "watch",
            Self::Guard(_) => "guard",
            Self::Drill(_) => "drill",
            Self::Auto(_) => "auto",
            Self::Incidents(_) => "incidents",
            Self::Report(_) => "report",
            Self::Stats(_) => "stats",
            Self::Record(_) => "record",
            Self::Quarantine(_) => "quarantine",
            Self::Allowed(_) => "allowed",
            Self::Unlock(_) => "unlock",
            Self::Merge => "merge",
            Self::Clean(_) => "clean",
            Self::Schema => "schema",
            Self::Completions(_) => "completions",
        }
    }

    /// Whether it changes targets, and holds leases meanwhile.
    pub(crate) fn acts(&self) -> bool {
        matches!(
            self,
            Self::Apply(_)
                | Self::Run(_)
                | Self::Resume(_)
                | Self::Watch(_)
                | Self::Guard(_)
                | Self::Drill(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
