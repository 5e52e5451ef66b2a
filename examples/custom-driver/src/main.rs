//! The `rollback` command, with one more driver.

use std::process::ExitCode;

use rollback_custom_driver::FlagDriver;

fn main() -> ExitCode {
    rollback_cli::App::new().driver(FlagDriver).main()
}
