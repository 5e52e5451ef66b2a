//! The file-system and process calls: the only file, with those under `client/`, that touches the machine.
//!
//! Everything here blocks, except running commands; [`Client::blocking`] moves it off the runtime's threads.

pub(crate) mod command;
pub(crate) mod host;
pub(crate) mod process;
pub(crate) mod switch;
pub(crate) mod tree;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind as Io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Result, Token};

use self::process::ProcessState;
use self::tree::Tree;
use crate::error::{io, lost};
use crate::snapshot::ReleaseName;

/// How many releases are remembered as read. More are read again.
const REMEMBERED: usize = 64;

/// The machine, as far as one target is concerned. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    releases: PathBuf,
    current: PathBuf,
    pid_file: Option<PathBuf>,
    read: Mutex<HashMap<ReleaseName, Arc<Tree>>>,
}

/// What `current` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Absent,
    /// It points to this release, which is there.
    At(ReleaseName),
    /// It points to a release that is not there.
    Dangling(ReleaseName),
    /// It points somewhere that is no release; the text says where.
    Foreign(String),
    /// It is a file or folder; the text says which.
    Real(String),
}

/// One look at `current`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) link: Link,
    /// Another one after each replacement.
    pub(crate) token: Token,
    pub(crate) stamp: Option<Stamp>,
}

/// What tells one symlink from another that was made later. A rename does not change it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    inode: u64,
    made: Timestamp,
    text: String,
}

/// The releases folder as it was listed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Newest first.
    pub(crate) releases: Vec<(ReleaseName, Timestamp)>,
    /// Names that are no release names, and things that are no folders, as text that is safe to show.
    pub(crate) ignored: Vec<String>,
}

impl Client {
    /// All paths are absolute.
    pub(crate) fn new(releases: PathBuf, current: PathBuf, pid_file: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { releases, current, pid_file, read: Mutex::default() }))
    }

    /// Runs blocking work elsewhere. It is finished even if nobody waits for it any more.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let client = self.clone();
        tokio::task::spawn_blocking(move || work(&client)).await.map_err(|error| lost(operation, error))?
    }

    /// Runs a look in place where there is so little to read that it is done before another thread would be awake, else
    /// elsewhere.
    pub(crate) async fn looking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if is_small(&self.0.current) { work(self) } else { self.blocking(operation, work).await }
    }

    /// The path of `current`.
    pub(crate) fn current(&self) -> &Path {
        &self.0.current
    }

    /// The releases folder, with every symlink on the way resolved.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let path = &self.0.releases;
        let operation = "find the releases folder";
        let real = fs::canonicalize(path).map_err(|error| {
            io(operation, path, error)
                .next("check `releases` in the configuration, or mount or restore the folder")
        })?;
        if real.is_dir() {
            return Ok(real);
        }
        Err(Error::new(ErrorKind::Invalid, operation, format!("{path:?} is not a folder"))
            .next("set `releases` to the folder that holds one folder for each release"))
    }

    /// The folder that holds `current`, with every symlink on the way resolved.
    pub(crate) fn home(&self) -> Result<PathBuf> {
        let home = self.0.current.parent().unwrap_or(Path::new("/"));
        fs::canonicalize(home).map_err(|error| {
            io("find the folder of `current`", home, error).next("check `current` in the configuration")
        })
    }

    /// Looks at `current`. Needs the releases folder, to tell a release from anything else.
    pub(crate) fn look(&self) -> Result<Look> {
        let folder = self.folder()?;
        let path = self.home()?.join(self.0.current.file_name().unwrap_or_default());
        let data = match fs::symlink_metadata(&path) {
            Ok(data) => data,
            Err(error) if error.kind() == Io::NotFound => {
                return Ok(Look { link: Link::Absent, token: Token::new("absent"), stamp: None });
            }
            Err(error) => return Err(io("look at `current`", &path, error)),
        };
        if !data.is_symlink() {
            let kind = if data.is_dir() { "folder" } else { "file" };
            let token = Token::new(format!("{kind}-{}", data.ino()));
            let link = Link::Real(format!("{path:?} is a {kind}, not a symlink"));
            return Ok(Look { link, token, stamp: None });
        }
        let text = fs::read_link(&path).map_err(|error| io("read `current`", &path, error))?;
        let stamp = Stamp::of(&data, &text);
        // The change time moves with each rename, so that even the same symlink put back is seen.
        let content = (&stamp, data.ctime(), data.ctime_nsec());
        let token = Token::new(Digest::of(&content)?.hex());
        Ok(Look { link: resolve(&folder, &path, &text), token, stamp: Some(stamp) })
    }

    /// Every release, newest first.
    pub(crate) fn list(&self) -> Result<Listing> {
        let folder = self.folder()?;
        let failed = |error| io("list the releases", &folder, error);
        let mut listing = Listing::default();
        for item in fs::read_dir(&folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let file_name = item.file_name();
            let name = file_name.to_str().and_then(|text| ReleaseName::new(text).ok());
            match (name, item.metadata()) {
                // Removed since it was listed.
                (_, Err(error)) if error.kind() == Io::NotFound => {}
                (_, Err(error)) => return Err(io("list the releases", &item.path(), error)),
                (Some(name), Ok(data)) if data.is_dir() => {
                    listing.releases.push((name, tree::timestamp(data.mtime(), data.mtime_nsec())));
                }
                (_, Ok(_)) => listing.ignored.push(format!("{file_name:?}")),
            }
        }
        listing.releases.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        listing.ignored.sort();
        Ok(listing)
    }

    /// Reads a release. What was read before is used again if no time stamp in it changed, unless `fresh`.
    pub(crate) fn tree(&self, name: &ReleaseName, fresh: bool) -> Result<Arc<Tree>> {
        let root = self.release(name)?;
        let before = if fresh { None } else { self.remembered(name) };
        if let Some(tree) = before
            && tree::scan(&root)?.fingerprint == tree.fingerprint
        {
            return Ok(tree);
        }
        let tree = Arc::new(tree::read(&root)?);
        self.remember(name, &tree);
        Ok(tree)
    }

    pub(crate) fn remember(&self, name: &ReleaseName, tree: &Arc<Tree>) {
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= REMEMBERED {
            read.clear();
        }
        read.insert(name.clone(), Arc::clone(tree));
    }

    fn remembered(&self, name: &ReleaseName) -> Option<Arc<Tree>> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The folder of a release, which is there and is no symlink.
    pub(crate) fn release(&self, name: &ReleaseName) -> Result<PathBuf> {
        let root = self.folder()?.join(name.as_str());
        let operation = || format!("use release {:?}", name.as_str());
        match fs::symlink_metadata(&root) {
            Ok(data) if data.is_dir() => Ok(root),
            Ok(_) => Err(Error::new(ErrorKind::Invalid, operation(), format!("{root:?} is not a folder"))
                .next("each release is a real folder under the releases folder")),
            Err(error) => {
                let there: Vec<_> =
                    self.list()?.releases.into_iter().take(10).map(|(name, _)| name.into()).collect();
                let there: Vec<String> = there;
                let known = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                Err(io(operation(), &root, error).next(format!("the releases are: {known}")))
            }
        }
    }

    /// The process behind the pid file, if one is configured.
    pub(crate) fn process(&self) -> Result<Option<ProcessState>> {
        let folder = self.folder()?;
        Ok(self.0.pid_file.as_deref().map(|path| process::read(path, &folder)))
    }
}

/// Whether a folder holds at most this many files, folders and bytes. What cannot be read is small: saying so takes no time.
fn is_small(folder: &Path) -> bool {
    const ENTRIES: u32 = 64;
    const BYTES: u64 = 256 * 1024;
    let (mut entries, mut bytes, mut left) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Not what a symlink leads to.
            let Ok(data) = entry.metadata() else { continue };
            entries += 1;
            bytes += data.len();
            if entries > ENTRIES || bytes > BYTES {
                return false;
            }
            if data.is_dir() {
                left.push(entry.path());
            }
        }
    }
    true
}

impl Stamp {
    fn of(data: &fs::Metadata, text: &Path) -> Self {
        let text = text.as_os_str().as_bytes().escape_ascii().to_string();
        Self { inode: data.ino(), made: tree::timestamp(data.mtime(), data.mtime_nsec()), text }
    }

    /// When the symlink was made: just before it was put in place.
    pub(crate) fn made(&self) -> Timestamp {
        self.made
    }
}

/// Which release a symlink names. Only `<releases>/<name>` counts, with `<name>` a real folder: a chain of
/// symlinks could be moved without `current` itself changing.
fn resolve(folder: &Path, link: &Path, text: &Path) -> Link {
    let foreign = |why: &str| Link::Foreign(format!("{link:?} points to {text:?}, {why}"));
    let target = link.parent().unwrap_or(Path::new("/")).join(text);
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return foreign("which is no release");
    };
    if !fs::canonicalize(parent).is_ok_and(|parent| parent == folder) {
        return foreign(&format!("outside of {folder:?}"));
    }
    let Some(name) = name.to_str().and_then(|name| ReleaseName::new(name).ok()) else {
        return foreign("which is not a release name");
    };
    match fs::symlink_metadata(folder.join(name.as_str())) {
        Ok(data) if data.is_dir() => Link::At(name),
        Ok(_) => foreign("which is not a folder itself"),
        Err(error) if error.kind() == Io::NotFound => Link::Dangling(name),
        Err(_) => foreign("which cannot be read"),
    }
}

#[cfg(test)]
#[path = "client/client_tests.rs"]
mod tests;
