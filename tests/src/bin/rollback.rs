//! The `rollback` command as it is, for tests that need a process of their own.

fn main() -> std::process::ExitCode {
    rollback_cli::App::new().main()
}
