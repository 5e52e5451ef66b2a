#![doc = include_str!("../README.md")]

mod agree;
mod args;
mod blocks;
mod commands;
pub mod config;
mod console;
mod defaults;
mod destinations;
mod drive;
mod exit;
mod outcome;
mod reference;
mod render;
mod session;
mod signals;
mod stores;
mod telling;
mod watching;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use rollback_core::probe::{ProbeFactory, ProbeRegistry};
use rollback_core::{Driver, DriverRegistry};
use rollback_notify::{SinkFactory, SinkRegistry};

pub use self::console::{Console, Terminals};
pub use self::exit::Exit;
#[doc(hidden)]
pub use self::reference::reference;
pub use self::stores::StoreOpener;

use self::args::{Arguments, Command, Global, Output};
use self::commands::Dispatched;
use self::stores::Stores;

/// The `rollback` command with its drivers, probes and stores.
///
/// [`main`](Self::main) runs it on the process's own streams, [`run`](Self::run) on any others.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) drivers: DriverRegistry,
    pub(crate) probes: ProbeRegistry,
    pub(crate) stores: Stores,
    pub(crate) sinks: SinkRegistry,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// The command with the drivers and stores of the cargo features that are on, and the probes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            drivers: defaults::drivers(),
            probes: defaults::probes(),
            stores: Stores::built_in(),
            sinks: defaults::sinks(),
        }
    }

    /// Adds a driver. One of the same name is replaced.
    #[must_use]
    pub fn driver(mut self, driver: impl Driver) -> Self {
        self.drivers = self.drivers.with(driver);
        self
    }

    /// Adds a kind of probe for gates. One of the same kind is replaced.
    #[must_use]
    pub fn probe(mut self, factory: impl ProbeFactory) -> Self {
        self.probes = self.probes.with(factory);
        self
    }

    /// Adds a scheme for `store = "…"`. One of the same scheme is replaced.
    #[must_use]
    pub fn store(mut self, opener: impl StoreOpener) -> Self {
        self.stores = self.stores.with(opener);
        self
    }

    /// Adds a kind of sink for notices. One of the same kind is replaced.
    #[must_use]
    pub fn sink(mut self, factory: impl SinkFactory) -> Self {
        self.sinks = self.sinks.with(factory);
        self
    }

    /// Runs the process's own command line on the process's own streams.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let console = Console::system();
        let arguments = match self.begin(std::env::args_os(), &console) {
            Ok(arguments) => arguments,
            Err(exit) => return exit.into(),
        };
        let runtime = match runtime(&arguments.command) {
            Ok(runtime) => runtime,
            Err(error) => {
                console.print_error(&format!("error: cannot start: {error}\n"));
                return Exit::Failed.into();
            }
        };
        let exit = runtime.block_on(self.go_on(&arguments, &console));
        // After a second Ctrl-C nothing is waited for: the journal knows how far the run was.
        runtime.shutdown_background();
        exit.into()
    }

    /// Runs a command line. The first argument is the name of the program.
    ///
    /// Call it inside a tokio runtime with time and I/O.
    pub async fn run<I, A>(&self, arguments: I, console: &Console) -> Exit
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString> + Clone,
    {
        match self.begin(arguments, console) {
            Ok(arguments) => self.go_on(&arguments, console).await,
            Err(exit) => exit,
        }
    }

    /// Reads the command line, and runs what needs neither configuration nor runtime: help and completions must answer
    /// at once.
    fn begin<I, A>(&self, arguments: I, console: &Console) -> Result<Arguments, Exit>
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString> + Clone,
    {
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| usage(&error, console))?;
        tell_insides(&arguments.global, console);
        let Arguments { global, command } = &arguments;
        match commands::without_configuration(self, command, console, global) {
            Some(result) => Err(finish(console, global, command, &Dispatched::new(result, None))),
            None => Ok(arguments),
        }
    }

    async fn go_on(&self, arguments: &Arguments, console: &Console) -> Exit {
        let Arguments { global, command } = arguments;
        let dispatched = commands::dispatch(self, console, global, command).await;
        finish(console, global, command, &dispatched)
    }
}

/// Commands that only look do so on this thread: starting more, and waking them, is most of what a short command would
/// do. A lease must go on beating whatever a driver does, so commands that hold one have threads for it.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if command.acts() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}

/// Help and version go to standard output and are no failure; everything else is wrong usage.
fn usage(error: &clap::Error, console: &Console) -> Exit {
    let color = |terminal| terminal && console.variable("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = |terminal| {
        let rendered = error.render();
        if color(terminal) { rendered.ansi().to_string() } else { rendered.to_string() }
    };
    if error.use_stderr() {
        console.print_error(&text(console.terminals().errors));
        return Exit::Usage;
    }
    console.print(&text(console.terminals().output));
    Exit::Done
}

/// Prints what a command came to.
fn finish(console: &Console, global: &Global, command: &Command, dispatched: &Dispatched) -> Exit {
    let Dispatched { outcome, hidden } = dispatched;
    let name = command.name();
    let printed = match global.output {
        Output::Json => console.print_all(&outcome.to_json(name, hidden)),
        Output::Text => console.print_all(&outcome.text),
    };
    if let Some(error) = &outcome.error {
        console.print_error(&render::error::render(error, console.error_style(global.color), hidden));
    }
    if command.is_summarised() {
        summarise(console, name, dispatched);
    }
    match printed {
        Ok(()) => outcome.exit,
        Err(error) => {
            console.print_error(&format!("error: cannot write the output: {error}\n"));
            // What became of a run is worth more than that nobody could read it.
            if command.acts() || outcome.exit != Exit::Done { outcome.exit } else { Exit::Failed }
        }
    }
}

/// Adds to the summary of the pipeline's step, where there is one. That it cannot be written changes nothing.
fn summarise(console: &Console, command: &str, Dispatched { outcome, hidden }: &Dispatched) {
    let Some(file) = console.variable("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else { return };
    let failure = outcome.error.as_ref().map(|error| render::markdown::failure(command, error, hidden));
    let text = outcome.summary.clone() + &failure.unwrap_or_default();
    if let Err(error) = render::markdown::append(&console.folder().join(file), &text) {
        console.print_error(&format!("warning: the summary of this step cannot be written: {error}\n"));
    }
}

/// Writes tracing events to standard error, as much as was asked for.
fn tell_insides(global: &Global, console: &Console) {
    let level = match global.verbose {
        0 => return,
        1 => tracing::Level::INFO,
        // The finest level is not compiled into releases.
        _ => tracing::Level::DEBUG,
    };
    let color = console.error_style(global.color).color;
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(color).with_writer(std::io::stderr);
    // A program that embeds the commands may have its own already.
    let _ = builder.try_init();
}
