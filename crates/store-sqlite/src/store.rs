//! The store itself: a lazily opened connection, used by one blocking call at a time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned, check_value,
};
use rollback_core::{Effect, Error, ErrorKind, Result};
use rusqlite::ErrorCode;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Mutex;

use crate::entries;
use crate::session::{Access, Session};

/// How long another process may hold the database locked before a call gives up, if not set otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How a [`SqliteStore`] is opened, where the defaults are not right.
///
/// ```
/// # fn main() -> rollback_core::Result<()> {
/// use std::time::Duration;
/// use rollback_store_sqlite::SqliteOptions;
///
/// let store = SqliteOptions::new()
///     .busy_timeout(Duration::from_secs(30))
///     .max_bytes(64 << 20)
///     .open("/var/lib/rollback/state.db")?;
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct SqliteOptions {
    pub(crate) busy_timeout: Duration,
    pub(crate) max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: BUSY_TIMEOUT, max_bytes: None }
    }
}

impl SqliteOptions {
    /// The defaults: two seconds of patience with other processes, no limit of size.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call waits for other processes before it answers that the database is locked. Rounded down
    /// to milliseconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How large the database may grow, in bytes, rounded down to whole pages. A write beyond it is answered
    /// like a full disk. Only this handle keeps to it.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// A store in the file at `path`; a relative one is taken from the current folder now, once.
    ///
    /// Touches nothing yet: the first call opens the file, and the first write creates it. What is wrong with
    /// the file is the answer of that call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the path cannot name a file.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<SqliteStore> {
        let given = path.as_ref();
        let operation = || format!("open the store {}", given.display());
        if given.as_os_str().as_encoded_bytes().contains(&0) {
            let error = Error::new(ErrorKind::Invalid, operation(), "the path contains a NUL byte");
            return Err(error.next("name a file, like state.db"));
        }
        let path = std::path::absolute(given).ok().filter(|path| path.file_name().is_some());
        let path = path.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, operation(), "the path does not name a file")
                .next("name a file, like state.db")
        })?;
        let shared = Shared { path, options: self.clone(), session: Arc::default() };
        Ok(SqliteStore { shared: Arc::new(shared) })
    }
}

/// A [`Store`] in one SQLite file. Clones share their connection; see the [crate](crate) for what it promises.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    options: SqliteOptions,
    // Tokio's mutex: waiting callers cost no thread, they go first come first served, and the guard can move
    // into the blocking call, which therefore keeps the connection even when its caller stops waiting.
    session: Arc<Mutex<Option<Session>>>,
}

impl Shared {
    /// One call, with this much patience for other processes.
    fn call<T>(
        &self,
        session: &mut Option<Session>,
        access: Access,
        patience: Duration,
        operation: &str,
        work: impl Fn(Option<&mut Session>, &str) -> Result<T>,
    ) -> Result<T> {
        if session.is_none() {
            let options = SqliteOptions { busy_timeout: patience, ..self.options.clone() };
            *session = Session::open(&self.path, &options, access, operation)?;
        }
        let result = match session {
            Some(open) => open
                .still_there(operation)
                .and_then(|()| open.wait_at_most(patience, operation))
                .and_then(|()| work(Some(open), operation)),
            None => work(None, operation),
        };
        // After a doubtful failure nothing is assumed about the connection; the next call makes a new one.
        if result.as_ref().is_err_and(|error| error.effect() == Effect::Unknown) {
            *session = None;
        }
        result
    }
}

/// Whether another process was in the way; then nothing was done.
fn is_locked(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    let code = cause.and_then(rusqlite::Error::sqlite_error_code);
    error.effect() == Effect::None
        && matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// A store in the file at `path`, with the default [`SqliteOptions`].
    ///
    /// Touches nothing yet: the first call opens the file, and the first write creates it, readable for its
    /// owner only, with the folders above it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the path cannot name a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        SqliteOptions::new().open(path)
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Runs `work` with the connection. A read of a file that does not exist gets no connection: reading creates nothing.
    ///
    /// Waking a thread and being woken by it takes longer than most calls. So what need not wait for other processes is
    /// done right here: a read always, a write, which waits for the disk, where the runtime has other threads for
    /// everything else. The rest is done, or done again, on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        access: Access,
        operation: String,
        work: impl Fn(Option<&mut Session>, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let mut guard = Arc::clone(&shared.session).lock_owned().await;
        // Not by `block_in_place`: that panics where tasks are kept on one thread.
        if access == Access::Read || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            let result = shared.call(&mut guard, access, Duration::ZERO, &operation, &work);
            if !result.as_ref().is_err_and(is_locked) {
                return result;
            }
        }
        let told = operation.clone();
        let running = tokio::task::spawn_blocking(move || {
            shared.call(&mut guard, access, shared.options.busy_timeout, &told, &work)
        });
        running.await.unwrap_or_else(|gone| {
            let message = "its thread ended without an answer";
            Err(Error::new(ErrorKind::Other, operation, message)
                .with_effect(Effect::Unknown)
                .with_source(gone))
        })
    }

    fn operation(&self, verb: &str, what: impl fmt::Display, preposition: &str) -> String {
        format!("{verb} {what} {preposition} the store {}", self.shared.path.display())
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn info(&self) -> StoreInfo {
        StoreInfo::new(format!("sqlite:{}", self.shared.path.display()), false)
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        let operation = self.operation("read", key, "from");
        let key = key.clone();
        self.blocking(Access::Read, operation, move |session, operation| match session {
            Some(session) => entries::get(session, operation, &key),
            None => Ok(None),
        })
        .await
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        let operation = self.operation("write", key, "to");
        check_value(&operation, value)?;
        let (key, value, condition) = (key.clone(), value.to_vec(), condition.clone());
        self.blocking(Access::Write, operation, move |session, operation| match session {
            Some(session) => entries::put(session, operation, &key, &value, &condition),
            None => Err(no_session(operation)),
        })
        .await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let operation = self.operation("list", prefix, "in");
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.blocking(Access::Read, operation, move |session, operation| match session {
            Some(session) => entries::list(session, operation, &prefix, after.as_ref(), limit),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        let operation = self.operation("delete", key, "from");
        let (key, version) = (key.clone(), version.clone());
        self.blocking(Access::Delete, operation, move |session, operation| match session {
            Some(session) => entries::delete(session, operation, &key, &version),
            None => Ok(Delete::Gone),
        })
        .await
    }
}

fn no_session(operation: &str) -> Error {
    Error::new(ErrorKind::Other, operation, "the database was not opened for writing")
}
