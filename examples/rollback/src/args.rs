//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollback_core::{ComponentName, Digest, EnvironmentName};

use crate::console::Color;
use crate::destinations::To;

const EXIT_CODES: &str = "\
Exit codes:
  0  restored, or already there        5  partial
  1  anything else                     6  stuck or held: a person must look
  2  usage or configuration            7  cancelled, or superseded by somebody else
  3  refused, nothing was done         8  restored, but a gate failed
  4  failed, with the origin back    130  left at once; `rollback resume` takes it up";

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
    #[arg(long, short = 'e', global = true, value_name = "NAME")]
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
    /// Tell what happens inside, on standard error; more often, more of it
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
    /// Record what runs now as deployed, or as good
    Record(RecordArgs),
    /// Bring the journal of break-glass runs into the store
    Merge,
    /// Write completions for a shell to standard output
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The components; all of the environment if none is named
    #[arg(value_name = "COMPONENT")]
    pub(crate) components: Vec<ComponentName>,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The component
    pub(crate) component: ComponentName,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

/// What is asked for, for `plan` and `run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestArgs {
    /// The components; if none is named, those that --to names, else all of the environment
    #[arg(value_name = "COMPONENT")]
    pub(crate) components: Vec<ComponentName>,
    /// Where to: previous, last-good, revision=…, version=…, as-of=… (a time, or 2h for two hours ago); for one
    /// component only as COMPONENT:DEST. Left out: the last good state
    #[arg(long, value_name = "DEST")]
    pub(crate) to: Vec<To>,
    /// When the destination cannot be reached: stop there, or go back to where it was
    #[arg(long, value_name = "WAY", default_value = "hold")]
    pub(crate) on_failure: Failure,
    /// Why; written into the plan, the journal and the report
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
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
    #[arg(long)]
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
pub(crate) struct RecordArgs {
    /// The component
    pub(crate) component: ComponentName,
    /// Claim that it is good: `last-good` may go back to it
    #[arg(long)]
    pub(crate) good: bool,
    /// Lift the quarantine that it is under
    #[arg(long, requires = "good")]
    pub(crate) lift_quarantine: bool,
    /// Who says so; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

impl Command {
    /// The word that the command is called by.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Status(_) => "status",
            Self::History(_) => "history",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Run(_) => "run",
            Self::Resume(_) => "resume",
            Self::Runs(_) => "runs",
            Self::Show(_) => "show",
            Self::Record(_) => "record",
            Self::Merge => "merge",
            Self::Completions(_) => "completions",
        }
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
