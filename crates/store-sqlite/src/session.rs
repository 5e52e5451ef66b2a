//! One connection: opened with every check, set up, and its transactions.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rollback_core::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, Params, Transaction, TransactionBehavior};

use crate::error::{Failing, Phase};
use crate::file::{self, FileId};
use crate::store::SqliteOptions;

/// "rlbk": marks the file as ours in the header that `file(1)` and other programs read.
const APPLICATION_ID: i32 = 0x726c_626b;
/// The layout that this version reads and writes. Raise it with every change of [`SCHEMA`].
const SCHEMA_VERSION: i32 = 1;

// The table has a rowid, unlike small ones: keys are then listed from their index alone, without touching values of up
// to a mebibyte.
const SCHEMA: &str = "
    CREATE TABLE entries (
        key TEXT PRIMARY KEY NOT NULL COLLATE BINARY,
        version INTEGER NOT NULL,
        value BLOB NOT NULL
    ) STRICT;
";

/// Rounds of setting up a new file while other processes do the same. Each waits for one of them.
const SETUP_ROUNDS: u32 = 100;

/// One opening at a time in this process: [`file::create`] closes a file, which must not be open elsewhere.
static OPENING: Mutex<()> = Mutex::new(());

/// What a call does. Only a write creates the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Delete,
    Write,
}

/// A connection that passed every check.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    path: PathBuf,
    file: FileId,
}

/// What the header and the catalogue of a database say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
}

impl Session {
    /// Opens the database, creating it for a write; `None` for a read of what does not exist.
    pub(crate) fn open(
        path: &Path,
        options: &SqliteOptions,
        access: Access,
        operation: &str,
    ) -> Result<Option<Self>> {
        let failing = Failing { operation, path };
        let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        if file::look(failing)?.is_none() {
            if access != Access::Write {
                return Ok(None);
            }
            file::create(failing)?;
        }
        let Some(file) = file::look(failing)? else { return Err(moved(failing)) };
        let connection = connect(failing, options)?;
        let found = identify(failing, &connection)?;
        if found == Found::Nothing && access != Access::Write {
            return Ok(None);
        }
        tune(&connection, options).map_err(|cause| failing.sqlite(cause))?;
        if found == Found::Nothing {
            set_up(failing, &connection)?;
        }
        tracing::debug!(path = %path.display(), "opened the store");
        Ok(Some(Self { connection, path: path.to_owned(), file }))
    }

    /// Fails when the path leads to another file than the one that is open: what is written to a file without
    /// a name is lost when it is closed.
    pub(crate) fn still_there(&self, operation: &str) -> Result<()> {
        let failing = Failing { operation, path: &self.path };
        if file::look(failing)? == Some(self.file) { Ok(()) } else { Err(moved(failing)) }
    }

    /// Sets how long the next call waits for other processes.
    pub(crate) fn wait_at_most(&self, patience: Duration, operation: &str) -> Result<()> {
        let failing = Failing { operation, path: &self.path };
        self.connection.busy_timeout(patience).map_err(|cause| failing.sqlite(cause))
    }

    /// Runs `work` in a transaction that holds the only right to write. Committed if it says so.
    pub(crate) fn write<T>(
        &mut self,
        operation: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<(Finish, T)>,
    ) -> Result<T> {
        let failing = Failing { operation, path: &self.path };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|cause| failing.sqlite(cause))?;
        // Dropping it rolls back.
        let (finish, value) = work(&transaction).map_err(|cause| failing.sqlite(cause))?;
        if finish == Finish::Commit {
            transaction.commit().map_err(|cause| failing.at(Phase::Commit, cause))?;
        }
        Ok(value)
    }

    /// Runs a statement that changes at most one entry, and gives back that entry's version if it did.
    pub(crate) fn change(
        &self,
        operation: &str,
        statement: &str,
        values: impl Params,
    ) -> Result<Option<i64>> {
        let failing = Failing { operation, path: &self.path };
        let before = |cause| failing.sqlite(cause);
        let mut statement = self.connection.prepare_cached(statement).map_err(before)?;
        let mut rows = statement.query(values).map_err(before)?;
        let version = match rows.next().map_err(before)? {
            Some(row) => row.get(0).map_err(before)?,
            None => return Ok(None),
        };
        // The change is made and not yet kept: going on to the end of the statement commits it.
        rows.next().map_err(|cause| failing.at(Phase::Commit, cause))?;
        Ok(Some(version))
    }

    /// Runs `work`, which only reads.
    pub(crate) fn read<T>(
        &self,
        operation: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let failing = Failing { operation, path: &self.path };
        work(&self.connection).map_err(|cause| failing.sqlite(cause))
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Make it durable.
    Commit,
    /// Nothing was to be written.
    RollBack,
}

fn moved(failing: Failing<'_>) -> Error {
    failing
        .error(ErrorKind::Unavailable, "the file was removed or replaced while it was in use")
        .transient(false)
        .next(format!(
            "stop everything that uses {}, put the right file back, and start again. Nothing was changed",
            failing.path.display()
        ))
}

fn connect(failing: Failing<'_>, options: &SqliteOptions) -> Result<Connection> {
    // No creating, since SQLite would do it readable for everybody; no URIs, since a path is only a path. Each
    // connection is used by one thread at a time, which is what its own locking is for.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let wrong = |cause| failing.sqlite(cause);
    let connection = Connection::open_with_flags(failing.path, flags).map_err(wrong)?;
    // Where writing is not permitted SQLite opens for reading, and even so leaves a log beside the file that has
    // the same missing permission: nobody could write any more, also when the permission is given back.
    if connection.is_readonly(MAIN_DB).map_err(wrong)? {
        return Err(failing.denied());
    }
    connection.busy_timeout(options.busy_timeout).map_err(wrong)?;
    // The file may have been made by anybody: nothing in its catalogue is run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(wrong)?;
    Ok(connection)
}

/// What is in the file, without changing anything.
fn identify(failing: Failing<'_>, connection: &Connection) -> Result<Found> {
    let wrong = |cause| failing.sqlite(cause);
    // A log that somebody else left behind is read, but not merged: that would be a change.
    let leave_log = file::has_log(failing.path);
    let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep, leave_log).map_err(wrong)?;
    let found = marks(connection).map_err(wrong)?;
    match found {
        Marks { application: 0, version: 0, tables: 0 } => {}
        Marks { application: APPLICATION_ID, version: SCHEMA_VERSION, .. } => {}
        Marks { application: APPLICATION_ID, version, .. } if version > SCHEMA_VERSION => {
            return Err(newer(failing, version));
        }
        Marks { application: APPLICATION_ID, .. } => {
            return Err(failing.corrupt("the database has no valid schema version"));
        }
        Marks { .. } => return Err(foreign(failing)),
    }
    connection.set_db_config(keep, false).map_err(wrong)?;
    Ok(if found.application == 0 { Found::Nothing } else { Found::Ours })
}

struct Marks {
    application: i32,
    version: i32,
    tables: i64,
}

/// Read in one statement: two could see the file before and after another process set it up.
fn marks(connection: &Connection) -> rusqlite::Result<Marks> {
    let sql = "SELECT (SELECT application_id FROM pragma_application_id), \
               (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)";
    connection.query_row(sql, (), |row| {
        Ok(Marks { application: row.get(0)?, version: row.get(1)?, tables: row.get(2)? })
    })
}

fn newer(failing: Failing<'_>, version: i32) -> Error {
    let message = format!(
        "the database has schema version {version}; this program knows versions up to {SCHEMA_VERSION}"
    );
    failing.error(ErrorKind::Unsupported, message).next(format!(
        "use a version of the program that knows schema version {version}, as the one that wrote it did. \
         Nothing was changed"
    ))
}

fn foreign(failing: Failing<'_>) -> Error {
    failing.error(ErrorKind::Invalid, "the file is the database of another application").next(format!(
        "name another file, and keep {} for its application. Nothing was changed",
        failing.path.display()
    ))
}

/// Turns an empty file into a store. Other processes may be doing the same.
fn set_up(failing: Failing<'_>, connection: &Connection) -> Result<()> {
    let wrong = |cause| failing.sqlite(cause);
    let mut rounds = 0;
    // SQLite does not wait for others when it changes the journal mode. We do: a write transaction waits.
    while let Err(cause) = connection.pragma_update(None, "journal_mode", "wal") {
        rounds += 1;
        if cause.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || rounds == SETUP_ROUNDS {
            return Err(wrong(cause));
        }
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(wrong)?;
    }
    let transaction =
        Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(wrong)?;
    if identify(failing, &transaction)? == Found::Ours {
        return Ok(());
    }
    transaction.execute_batch(SCHEMA).map_err(wrong)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(wrong)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(wrong)?;
    // Whether an empty store became durable matters to nobody: no value was written.
    transaction.commit().map_err(wrong)
}

fn tune(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    // Each commit is on the disk before it is answered: for that "full" is enough with a write-ahead log, and
    // "extra" also covers file systems where SQLite has to do without one. Where a plain sync stops at the
    // disk's cache (macOS), fullfsync goes through it.
    connection.pragma_update(None, "synchronous", "extra")?;
    connection.pragma_update(None, "fullfsync", true)?;
    if let Some(bytes) = options.max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        let pages = pages.clamp(1, i64::from(u32::MAX - 1));
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_as_durable_as_sqlite_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let (path, options) = (folder.path().join("state.db"), SqliteOptions::new());
        // Just made, and opened again: some of this is kept in the file, some has to be asked for each time.
        for _ in 0..2 {
            let session = Session::open(&path, &options, Access::Write, "test").unwrap().unwrap();
            let ask = |pragma: &str| -> rusqlite::types::Value {
                session.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
            };
            const EXTRA: i64 = 3;
            assert_eq!(ask("synchronous"), EXTRA.into());
            assert_eq!(ask("fullfsync"), 1.into());
            assert_eq!(ask("journal_mode"), "wal".to_owned().into());
            assert_eq!(ask("application_id"), i64::from(APPLICATION_ID).into());
            assert_eq!(ask("user_version"), i64::from(SCHEMA_VERSION).into());
        }
    }

    #[test]
    fn keys_are_listed_without_reading_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let session = Session::open(&path, &SqliteOptions::new(), Access::Write, "test").unwrap().unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", crate::entries::LIST);
        let plan: String =
            session.connection.query_row(&sql, ("a/", "a0", 10), |row| row.get("detail")).unwrap();
        assert!(plan.contains("SEARCH entries USING COVERING INDEX"), "{plan}");
    }
}
