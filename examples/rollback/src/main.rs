//! The `rollback` command.

fn main() -> std::process::ExitCode {
    rollback_cli::App::new().main()
}
