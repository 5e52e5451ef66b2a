//! From I/O errors to errors that say what to do next.

use std::io;
use std::path::Path;

use rollback_core::{Effect, Error, ErrorKind};

/// An I/O error at `path`, for people. Without effect; a caller that changed something says so itself.
pub(crate) fn io(operation: impl Into<String>, path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "does not exist"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "may not be used by this user"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, "is on a read-only file system"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, "is on a file system that is full")
        }
        _ => (ErrorKind::Other, "failed"),
    };
    // A full disk is not emptied by asking again.
    Error::new(kind, operation, format!("{path:?} {message}"))
        .with_source(error)
        .transient(false)
        .with_effect(Effect::None)
}

/// A blocking task that did not come back.
pub(crate) fn lost(operation: &'static str, error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Other, operation, "the work was cut off")
        .with_source(error)
        .with_effect(Effect::Unknown)
}
