//! From SQLite's answers to errors that say what happened to the effect and what to do next.

use std::path::{Path, PathBuf};

use rollback_core::{Effect, Error, ErrorKind};
use rusqlite::ErrorCode;

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before anything could become durable.
    Before,
    /// At COMMIT: what was written may be found durable after all.
    Commit,
}

/// Says where and during what something failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing<'a> {
    pub(crate) operation: &'a str,
    pub(crate) path: &'a Path,
}

impl Failing<'_> {
    /// Nothing is changed before COMMIT: whoever commits says so.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message).with_effect(Effect::None)
    }

    /// An answer of SQLite before COMMIT.
    pub(crate) fn sqlite(&self, cause: rusqlite::Error) -> Error {
        self.at(Phase::Before, cause)
    }

    /// An answer of SQLite in `phase`.
    pub(crate) fn at(&self, phase: Phase, cause: rusqlite::Error) -> Error {
        let code = cause.sqlite_error_code();
        let error = self.described(code);
        let error = match (phase, code) {
            (Phase::Before, _) => error,
            // These two are given up before the record that ends a commit is complete in the log.
            (Phase::Commit, Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull)) => error,
            (Phase::Commit, _) => error.with_effect(Effect::Unknown),
        };
        error.with_source(cause)
    }

    fn described(&self, code: Option<ErrorCode>) -> Error {
        match code {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => self.locked(),
            Some(ErrorCode::DiskFull) => self.full(),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => self.denied(),
            Some(ErrorCode::NotADatabase) => self.not_sqlite(),
            Some(ErrorCode::DatabaseCorrupt) => self.corrupt("the database is damaged"),
            Some(ErrorCode::SystemIoFailure) => self
                .error(ErrorKind::Unavailable, "the file system failed to read or write the database")
                .transient(false)
                .next(format!("check the disk under {} and the system log", self.folder().display())),
            Some(ErrorCode::OutOfMemory) => self
                .error(ErrorKind::Unavailable, "there is not enough memory")
                .next("free memory and repeat"),
            // A table or column that is missing or of another type: the file says it is ours, and is not.
            _ => self.corrupt("the database is not laid out as its schema version says"),
        }
    }

    fn locked(&self) -> Error {
        self.error(ErrorKind::Unavailable, "another process keeps the database locked").next(format!(
            "wait for that process and repeat; `fuser -v {}` names it. Nothing was changed",
            self.path.display()
        ))
    }

    fn full(&self) -> Error {
        self.error(ErrorKind::Unavailable, "the disk is full, or the database is at its size limit")
            .transient(false)
            .next(format!(
                "free space under {} or raise the limit, and repeat. Nothing was changed",
                self.folder().display()
            ))
    }

    /// Not readable, not writable or not reachable.
    pub(crate) fn denied(&self) -> Error {
        self.error(ErrorKind::Denied, "this user may not open the database, or not write to it").next(format!(
            "give this user read and write permission on {} and on its folder, where SQLite keeps its log; or \
             name another file. Nothing was changed",
            self.path.display()
        ))
    }

    pub(crate) fn not_sqlite(&self) -> Error {
        self.error(ErrorKind::Invalid, "the file is not a SQLite database").next(format!(
            "name another file, or move {} away first. Nothing was changed",
            self.path.display()
        ))
    }

    pub(crate) fn corrupt(&self, message: &str) -> Error {
        let path = self.path.display();
        self.error(ErrorKind::Corrupt, message).next(format!(
            "stop what uses it and copy {path} with {path}-wal and {path}-shm, if they are there; then restore a \
             backup, or try `sqlite3 {path} .recover`"
        ))
    }

    /// A failure to create or look at the file or its folder.
    pub(crate) fn io(&self, what: &str, at: &Path, cause: std::io::Error) -> Error {
        use std::io::ErrorKind as Io;
        let at = at.display();
        let error = match cause.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => self
                .error(ErrorKind::Denied, format!("{what} {at} is not permitted"))
                .next("name a file in a folder that this user may write to"),
            Io::StorageFull | Io::QuotaExceeded => self.full(),
            Io::NotADirectory | Io::AlreadyExists => self
                .error(ErrorKind::Invalid, format!("{what} {at} fails: a part of its path is not a folder"))
                .next("name a file whose folders are folders, or can be created"),
            _ => self
                .error(ErrorKind::Unavailable, format!("{what} {at} fails"))
                .transient(false)
                .next("check the path and its file system"),
        };
        error.with_source(cause)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.path.parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(phase: Phase, code: i32) -> Error {
        let failing = Failing { operation: "write runs/1", path: Path::new("/var/lib/state.db") };
        failing.at(phase, rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn only_a_failing_commit_leaves_doubt() {
        let (none, unknown) = (Effect::None, Effect::Unknown);
        for (code, at_commit) in [
            (ffi::SQLITE_IOERR_WRITE, unknown),
            (ffi::SQLITE_IOERR_FSYNC, unknown),
            (ffi::SQLITE_IOERR_SHMSIZE, unknown),
            (ffi::SQLITE_CORRUPT, unknown),
            (ffi::SQLITE_NOMEM, unknown),
            (ffi::SQLITE_BUSY, none),
            (ffi::SQLITE_FULL, none),
        ] {
            assert_eq!(error(Phase::Before, code).effect(), none, "{code} before");
            assert_eq!(error(Phase::Commit, code).effect(), at_commit, "{code} at commit");
        }
    }

    #[test]
    fn waiting_helps_against_locks_only() {
        for (code, kind, transient) in [
            (ffi::SQLITE_BUSY, ErrorKind::Unavailable, true),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Unavailable, true),
            (ffi::SQLITE_PROTOCOL, ErrorKind::Unavailable, true),
            (ffi::SQLITE_FULL, ErrorKind::Unavailable, false),
            (ffi::SQLITE_IOERR_READ, ErrorKind::Unavailable, false),
            (ffi::SQLITE_READONLY_DIRECTORY, ErrorKind::Denied, false),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Denied, false),
            (ffi::SQLITE_NOTADB, ErrorKind::Invalid, false),
            (ffi::SQLITE_CORRUPT_INDEX, ErrorKind::Corrupt, false),
            (ffi::SQLITE_ERROR, ErrorKind::Corrupt, false),
        ] {
            let error = error(Phase::Before, code);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{code}: {error}");
            assert!(error.next_step().is_some(), "{code}: {error}");
        }
    }
}
