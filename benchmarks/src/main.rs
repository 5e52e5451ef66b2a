//! Benchmarks. They print tables, and with `--write` put them into `docs/performance.md`.

mod byhand;
mod compose;
mod counting;
mod durable;
mod ecs;
mod instant;
mod k8s;
mod machine;
mod measure;
mod memory;
mod million;
mod overhead;
mod planning;
mod report;
mod s3;
mod scenario;
mod site;
mod size;
mod startup;
mod tools;
mod watching;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::report::Section;

/// Anything that can go wrong.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures this machine and this build.
#[derive(Debug, Parser)]
#[command(name = "rollback-benchmarks")]
struct Arguments {
    /// Put the tables into docs/performance.md.
    #[arg(long)]
    write: bool,
    /// Only see that everything runs: small sizes, few rounds. Never written.
    #[arg(long, conflicts_with = "write")]
    smoke: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many rounds.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Where databases are made: the disk that is measured.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Install the tools that are compared with, below the target folder.
    #[arg(long)]
    install_tools: bool,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What this program does in processes of its own.
#[derive(Debug, clap::Subcommand)]
enum Child {
    /// Plan this many components once.
    #[command(name = planning::CHILD, hide = true)]
    PlanOnce {
        /// How many.
        components: u32,
    },
}

/// The parts of the benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Overhead,
    Durable,
    Planning,
    Startup,
    ByHand,
    Ecs,
    K8s,
    K8sFleet,
    Compose,
    ComposeFleet,
    S3,
    S3Million,
    Watching,
    Size,
}

/// How much is measured.
#[derive(Debug)]
struct Scale {
    smoke: bool,
    rounds: usize,
    folder: PathBuf,
}

impl Scale {
    /// The number of rounds of things that take long.
    fn few(&self) -> usize {
        self.rounds.div_ceil(6)
    }

    /// Where files are made.
    fn folder(&self) -> &Path {
        &self.folder
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Child::PlanOnce { components }) = arguments.child {
        return planning::once(components);
    }
    if arguments.install_tools {
        tools::install()?;
    }
    let folder = arguments.folder.clone().map_or_else(machine::target_folder, Ok)?;
    let rounds = if arguments.smoke { 2 } else { arguments.rounds.max(3) };
    let scale = Scale { smoke: arguments.smoke, rounds, folder };
    show(&machine::facts()?, arguments)?;
    for part in Part::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(part) {
            show(&part.measure(&scale)?, arguments)?;
        }
    }
    Ok(())
}

impl Part {
    fn measure(self, scale: &Scale) -> Result<Section> {
        match self {
            Self::Overhead => overhead::measure(scale),
            Self::Durable => durable::measure(scale),
            Self::Planning => planning::measure(scale),
            Self::Startup => startup::measure(scale),
            Self::ByHand => byhand::measure(scale),
            Self::Ecs => ecs::measure(scale),
            Self::K8s => k8s::measure(scale),
            Self::K8sFleet => k8s::fleet::measure(scale),
            Self::Compose => compose::measure(scale),
            Self::ComposeFleet => compose::fleet::measure(scale),
            Self::S3 => s3::measure(scale),
            Self::S3Million => million::measure(scale),
            Self::Watching => watching::measure(scale),
            Self::Size => size::measure(),
        }
    }
}

fn show(section: &Section, arguments: &Arguments) -> Result<()> {
    println!("## {}\n\n{}", section.name, section.render());
    if arguments.write { section.write(&machine::document()) } else { Ok(()) }
}
