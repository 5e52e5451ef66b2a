//! Of the commands that keep records in order.

use clap::{Args, Subcommand};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Version};

use super::value;

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The component
    #[arg(value_parser = value::<ComponentName>)]
    pub(crate) component: ComponentName,
    /// Claim that it is good: `last-good` may go back to it
    #[arg(long)]
    pub(crate) good: bool,
    /// It was deployed just now: watch it, and call it good once it has shown that it is
    #[arg(long, conflicts_with = "good")]
    pub(crate) pending: bool,
    /// What people call it, where the backend does not know
    #[arg(long, value_name = "VERSION", value_parser = value::<Version>)]
    pub(crate) version: Option<Version>,
    /// The commit that it was built from
    #[arg(long, value_name = "COMMIT", value_parser = value::<Version>)]
    pub(crate) commit: Option<Version>,
    /// Lift the quarantine that it is under
    #[arg(long, requires = "good")]
    pub(crate) lift_quarantine: bool,
    /// Who says so; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    /// What to do; `list` if left out
    #[command(subcommand)]
    pub(crate) what: Option<QuarantineCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Show what is under quarantine, since when, by whose word, and why
    List(QuarantineListArgs),
    /// Put a version that is known to be bad under quarantine
    Add(QuarantineEditArgs),
    /// Lift a quarantine; who did it and why is kept
    Lift(QuarantineEditArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct QuarantineListArgs {
    /// The components; all of the environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Show what was lifted as well
    #[arg(long)]
    pub(crate) lifted: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineEditArgs {
    /// The component
    #[arg(value_parser = value::<ComponentName>)]
    pub(crate) component: ComponentName,
    /// A revision, a version, or the beginning of an identity
    pub(crate) version: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who says so; else the identity that the backend knows, else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AllowedArgs {
    /// A revision, a version, or the beginning of an identity
    pub(crate) version: String,
    /// The components that it is for; all of the environment if none is named
    #[arg(value_name = "COMPONENT", value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
}

#[derive(Debug, Args)]
pub(crate) struct UnlockArgs {
    /// The components
    #[arg(value_name = "COMPONENT", required = true, value_parser = value::<ComponentName>)]
    pub(crate) components: Vec<ComponentName>,
    /// Also from a process that is seen at work
    #[arg(long)]
    pub(crate) force: bool,
    /// Who takes it away; else user and host
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// What is older than this; else the `retention` of the configuration
    #[arg(long, value_name = "TIME", value_parser = value::<Lasting>)]
    pub(crate) older_than: Option<Lasting>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}
