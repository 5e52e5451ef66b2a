//! The commands around a rollback: what could be rolled back, what must not ship, who holds what, what is removed; the
//! schema, the reference, and the words of every error.

#![cfg(feature = "local")]
#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests, with a module that several share")]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod drill;
mod housekeeping;
mod messages;
mod quarantine;
mod schema;
mod summary;
mod telling;
mod unlock;
mod watch;

use std::path::{Path, PathBuf};

pub(crate) const CONFIGURATION: &str = "store = \"kept:\"\n[components.web]\ndriver = \"toy\"\n";

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares a text with a file that holds it, or writes the file when that is asked for.
pub(crate) fn same_as(file: &Path, found: &str) {
    if std::env::var_os("ROLLBACK_UPDATE").is_some() {
        std::fs::write(file, found).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(file).unwrap_or_default();
    let differs = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    let line = differs.unwrap_or_else(|| wanted.lines().count().min(found.lines().count())) + 1;
    assert!(
        wanted == found,
        "{} is out of date from line {line} on:\n  there: {}\n  now:   {}\nlook at the change, and if it is meant: \
         ROLLBACK_UPDATE=1 cargo test -p rollback-cli --test commands",
        file.display(),
        wanted.lines().nth(line - 1).unwrap_or("(nothing)"),
        found.lines().nth(line - 1).unwrap_or("(nothing)"),
    );
}
