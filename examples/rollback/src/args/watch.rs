//! Of the commands for automatic rollback.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rollback_core::ComponentName;
use rollback_core::request::Moment;
use rollback_core::time::Lasting;

use super::{until, value};
use crate::destinations::To;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The components; all of the environment that have triggers if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
}

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// The components; all of the environment that have triggers if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// For how long; what was well all the time is called good
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = value::<Lasting>)]
    pub(crate) lasting: Lasting,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// The components; if none is named, those that --to names, else all of the environment
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Where to, as for `rollback run`. Left out: the last good state
    #[arg(long, value_name = "DEST", value_parser = value::<To>)]
    pub(crate) to: Vec<To>,
    /// Watch what was proven for this long, each way
    #[arg(long, value_name = "TIME", value_parser = value::<Lasting>)]
    pub(crate) soak: Option<Lasting>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "drill")]
    pub(crate) reason: String,
    /// Who; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AutoArgs {
    /// What to do; show if left out
    #[command(subcommand)]
    pub(crate) what: Option<AutoCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutoCommand {
    /// Show what each environment allows, and what is switched off
    Show,
    /// Switch it off, for components or the whole environment
    Off(AutoOffArgs),
    /// Switch it on again
    On(AutoOnArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AutoOffArgs {
    /// The components; the whole environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Until then: a time, or 2h for two hours from now; until it is switched on if left out
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(crate) until: Option<Moment>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who says so; else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AutoOnArgs {
    /// The components; the whole environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentsArgs {
    /// The components; all if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run, or the beginning of its id; else the newest
    pub(crate) run: Option<String>,
    /// One HTML file that needs nothing else; else Markdown on standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write over FILE if it exists
    #[arg(long, requires = "html")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Over what began within this time
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = value::<Lasting>)]
    pub(crate) since: Lasting,
}
