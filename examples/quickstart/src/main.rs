//! A real bad release of a real local service: seen, planned, rolled back, proven, reported.
//!
//! Without arguments it tells the whole story. `serve` and `restart` are what a service and its manager would be
//! elsewhere: the story starts them as separate processes.

mod demo;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;

use rollback_core::{Error, ErrorKind, Result};
use service::Serve;
use service::supervise::Restart;

/// Where the story takes place unless told otherwise: cargo's own folder, which is ignored and can be removed.
const FOLDER: &str = "target/quickstart";

const USAGE: &str = "rollback-quickstart [--folder DIR]
rollback-quickstart serve --release DIR --port P --pid-file F
rollback-quickstart restart --current LINK --port P --pid-file F";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(&arguments)),
        Err(error) => Err(Error::new(ErrorKind::Other, "start", "no runtime").with_source(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read the command line", message).next(USAGE)
}

async fn dispatch(arguments: &[String]) -> Result<()> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).ok_or_else(|| usage(format!("{name} is missing")))
    };
    let port = || option("--port")?.parse().map_err(|_| usage("--port is not a port"));
    let pid_file = || option("--pid-file").map(PathBuf::from);
    match arguments.first().map(String::as_str) {
        None => demo::tell(FOLDER.as_ref()).await,
        Some("--folder") => demo::tell(option("--folder")?.as_ref()).await,
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some("serve") => {
            let release = option("--release")?.into();
            service::serve(&Serve { release, port: port()?, pid_file: pid_file()? }).await
        }
        Some("restart") => {
            let program = std::env::current_exe()
                .map_err(|error| Error::new(ErrorKind::Other, "find this program", error.to_string()))?;
            let current = option("--current")?.into();
            let options = Restart { program, current, port: port()?, pid_file: pid_file()? };
            let running = service::supervise::restart(&options).await?;
            println!("process {} listens on {}", running.pid, running.address);
            Ok(())
        }
        Some(other) => Err(usage(format!("{other:?} is not known"))),
    }
}
