//! Where `tests/install-servers` puts things.

use std::fs;
use std::path::{Path, PathBuf};

use super::StartError;

/// A program of the Python environment that is called `server`, once it is completely installed.
pub(super) fn program(server: &str, name: &str) -> Result<PathBuf, StartError> {
    let folder = target_folder().join("test-servers").join(server);
    let program = folder.join("bin").join(name);
    // Written last: half an installation has none.
    if folder.join("installed").is_file() && program.is_file() {
        return Ok(program);
    }
    Err(StartError::Missing(format!("{server} is not installed; run: tests/install-servers {server}")))
}

/// What is built and written, and ignored by git.
pub(crate) fn target_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("target");
    fs::canonicalize(&folder).unwrap_or(folder)
}
