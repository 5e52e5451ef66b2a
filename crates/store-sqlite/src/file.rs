//! The file under the database: created for its owner only, and still the same one later.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use rollback_core::{Error, ErrorKind, Result};

use crate::error::Failing;

/// The size of SQLite's smallest page, in bytes.
const SMALLEST_PAGE: u64 = 512;

/// Which file a path led to, so that a replaced one is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(#[cfg(unix)] u64, #[cfg(unix)] u64);

impl FileId {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self()
    }
}

/// Which file is at the path now; `None` where there is none.
///
/// Only looks at it. Opening and closing a file here would drop the locks that SQLite holds on it for another
/// connection of this process: that is how POSIX locks are.
pub(crate) fn look(failing: Failing<'_>) -> Result<Option<FileId>> {
    match fs::metadata(failing.path) {
        // SQLite takes a file that is shorter than its smallest page for an empty one, and would overwrite it.
        Ok(found) if found.is_file() && (1..SMALLEST_PAGE).contains(&found.len()) => {
            Err(failing.not_sqlite())
        }
        Ok(found) if found.is_file() => Ok(Some(FileId::of(&found))),
        Ok(found) => Err(wrong_type(failing, found.is_dir())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failing.io("looking at", failing.path, error)),
    }
}

fn wrong_type(failing: Failing<'_>, folder: bool) -> Error {
    let found = if folder { "it is a folder" } else { "it is not a regular file" };
    let inside = failing.path.join("state.db");
    failing
        .error(ErrorKind::Invalid, found)
        .next(format!("name a file, like {}. Nothing was changed", inside.display()))
}

fn dangling(failing: Failing<'_>) -> Error {
    let error = failing.error(ErrorKind::Invalid, "it is a symbolic link to nothing");
    error.next(format!("name another file, or correct the link {}", failing.path.display()))
}

/// Creates the file, empty and for its owner only, with the folders above it. One that is there is left alone.
///
/// Durable when it returns: a write to a file whose name is lost with the power would be lost with it.
pub(crate) fn create(failing: Failing<'_>) -> Result<()> {
    let folder = failing.folder();
    create_folders(failing, &folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(failing.path) {
        Ok(_) => sync(&folder).map_err(|error| failing.io("saving", &folder, error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if failing.path.is_symlink() && !failing.path.exists() { Err(dangling(failing)) } else { Ok(()) }
        }
        Err(error) => Err(failing.io("creating", failing.path, error)),
    }
}

fn create_folders(failing: Failing<'_>, folder: &Path) -> Result<()> {
    let wrong = |error| failing.io("creating the folder", folder, error);
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(wrong)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        sync(parent).map_err(wrong)?;
    }
    Ok(())
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether a write-ahead log lies beside the database, left by a connection that is open or was killed.
pub(crate) fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).exists()
}
