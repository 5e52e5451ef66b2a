//! Runs the service by hand: `serve` and `restart`.

mod service;

use std::path::PathBuf;
use std::process::ExitCode;

use rollback_core::{Error, ErrorKind, Result};
use service::Serve;
use service::supervise::Restart;

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
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(arguments: &[String]) -> Result<()> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "read the command line", format!("{name} is missing")).next(
                "serve --release DIR --port P --pid-file F, or restart --current LINK --port P --pid-file F",
            )
        })
    };
    let port = || {
        option("--port")?
            .parse()
            .map_err(|_| Error::new(ErrorKind::Invalid, "read the command line", "--port is not a port"))
    };
    let pid_file = || option("--pid-file").map(PathBuf::from);
    if arguments.first().is_some_and(|command| command == "serve") {
        let release = option("--release")?.into();
        return service::serve(&Serve { release, port: port()?, pid_file: pid_file()? }).await;
    }
    let program = std::env::current_exe()
        .map_err(|error| Error::new(ErrorKind::Other, "find this program", "no path").with_source(error))?;
    let current = option("--current")?.into();
    let options = Restart { program, current, port: port()?, pid_file: pid_file()? };
    let running = service::supervise::restart(&options).await?;
    println!("process {} listens on {}", running.pid, running.address);
    Ok(())
}
