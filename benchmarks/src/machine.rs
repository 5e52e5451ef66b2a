//! Where and when it was measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use rollback_core::time::{Clock as _, SystemClock};

use crate::Result;
use crate::report::{Section, Table};

/// The document that the tables are written into.
pub(crate) fn document() -> PathBuf {
    workspace().join("docs/performance.md")
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder that this program was built into.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("the program has no folder")?.to_owned())
}

/// Whether this is the build that is shipped.
pub(crate) const fn is_release() -> bool {
    !cfg!(debug_assertions)
}

/// The machine, the compiler, the day.
pub(crate) fn facts() -> Result<Section> {
    let mut table = Table::new(["measured on", ""]);
    table.row(["processors", &std::thread::available_parallelism()?.to_string()]);
    let rustc = Command::new("rustc").arg("--version").output()?;
    table.row(["compiler", String::from_utf8_lossy(&rustc.stdout).trim()]);
    table.row(["profile", if is_release() { "release" } else { "dev: these numbers mean nothing" }]);
    table.row(["day", &SystemClock.now().strftime("%Y-%m-%d").to_string()]);
    Ok(Section { name: "machine", tables: vec![table] })
}
