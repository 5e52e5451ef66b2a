//! Reads a release: every path, its kind, and a digest over all of it.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

use crate::error::io;

/// How many symlinks that lead outside are named.
const NAMED: usize = 5;

/// A release as it was read.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) entries: Vec<Entry>,
    pub(crate) digest: Digest,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
    pub(crate) outside: Vec<String>,
    pub(crate) fingerprint: Digest,
}

/// One thing in a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) what: What,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Folder,
    File { executable: bool, size: u64, digest: Digest },
    Link { to: PathBuf },
}

/// The metadata of a release: cheap to read, and different after every change that leaves time stamps behind.
pub(crate) struct Scan {
    found: Vec<(PathBuf, Metadata)>,
    pub(crate) fingerprint: Digest,
    modified: Timestamp,
}

/// Looks at every path without opening files.
pub(crate) fn scan(root: &Path) -> Result<Scan> {
    let operation = || format!("read release {root:?}");
    let top = fs::symlink_metadata(root).map_err(|error| io(operation(), root, error))?;
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for item in fs::read_dir(&path).map_err(|error| io(operation(), &path, error))? {
            let item = item.map_err(|error| io(operation(), &path, error))?;
            let metadata = match item.metadata() {
                Ok(metadata) => metadata,
                Err(error) => return Err(io(operation(), &item.path(), error)),
            };
            let relative = folder.join(item.file_name());
            if metadata.is_dir() {
                folders.push(relative.clone());
            }
            found.push((relative, metadata));
        }
    }
    found.sort_by(|a, b| a.0.as_os_str().cmp(b.0.as_os_str()));
    let fingerprint = fingerprint(&found);
    Ok(Scan { found, fingerprint, modified: timestamp(top.mtime(), top.mtime_nsec()) })
}

/// Seconds and nanoseconds as a file system gives them.
pub(crate) fn timestamp(seconds: i64, nanos: i64) -> Timestamp {
    i32::try_from(nanos)
        .ok()
        .and_then(|nanos| Timestamp::new(seconds, nanos).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn fingerprint(found: &[(PathBuf, Metadata)]) -> Digest {
    let mut hash = Sha256::new();
    for (path, data) in found {
        field(&mut hash, path.as_os_str().as_bytes());
        // The change time cannot be set back by a program, so a file with a forged modification time is seen.
        for number in [data.dev(), data.ino(), data.size(), u64::from(data.mode())] {
            hash.update(number.to_be_bytes());
        }
        for number in [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()] {
            hash.update(number.to_be_bytes());
        }
    }
    Digest::from_raw(hash.finalize().into())
}

/// Reads every byte. `root` is canonical.
pub(crate) fn read(root: &Path) -> Result<Tree> {
    read_scanned(root, scan(root)?)
}

fn read_scanned(root: &Path, before: Scan) -> Result<Tree> {
    let mut tree = Tree {
        entries: Vec::with_capacity(before.found.len()),
        digest: before.fingerprint,
        files: 0,
        bytes: 0,
        modified: before.modified,
        outside: Vec::new(),
        fingerprint: before.fingerprint,
    };
    for (path, metadata) in before.found {
        let what = what(root, &path, &metadata, &mut tree)?;
        tree.entries.push(Entry { path, what });
    }
    if tree.files == 0 {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("use release {root:?}"),
            "there is no file in it",
        )
        .next("remove it, or finish the upload"));
    }
    if scan(root)?.fingerprint != tree.fingerprint {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("read release {root:?}"),
            "it was changed while it was being read",
        )
        .next("wait until the upload is done")
        .transient(true));
    }
    tree.digest = identity(&tree.entries);
    Ok(tree)
}

fn what(root: &Path, path: &Path, metadata: &Metadata, tree: &mut Tree) -> Result<What> {
    let full = root.join(path);
    let operation = || format!("read release {root:?}");
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Ok(What::Folder);
    }
    if kind.is_symlink() {
        let to = fs::read_link(&full).map_err(|error| io(operation(), &full, error))?;
        if leads_out(root, path, &to) && tree.outside.len() < NAMED {
            tree.outside.push(format!("{path:?} -> {to:?}"));
        }
        return Ok(What::Link { to });
    }
    if !kind.is_file() {
        return Err(Error::new(
            ErrorKind::Invalid,
            operation(),
            format!("{path:?} is neither a file nor a folder nor a symlink"),
        )
        .next("remove it: pipes, sockets and devices cannot be put back"));
    }
    let (size, digest) = hash_file(&full).map_err(|error| io(operation(), &full, error))?;
    tree.files += 1;
    tree.bytes += size;
    Ok(What::File { executable: metadata.mode() & 0o111 != 0, size, digest })
}

fn hash_file(path: &Path) -> std::io::Result<(u64, Digest)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((size, Digest::from_raw(hash.finalize().into())));
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Whether a symlink leaves the release, by its text or, where it leads somewhere, by following it.
fn leads_out(root: &Path, link: &Path, to: &Path) -> bool {
    let mut depth = link.components().count() - 1;
    let inner = match to.strip_prefix(root) {
        Ok(inner) => {
            depth = 0;
            inner
        }
        Err(_) => to,
    };
    for component in inner.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    // Through another symlink, `..` may lead further up than the text shows.
    fs::canonicalize(root.join(link)).is_ok_and(|real| !real.starts_with(root))
}

/// The content digest. Every field is written with its length, so that no two trees are written alike.
fn identity(entries: &[Entry]) -> Digest {
    let mut hash = Sha256::new();
    field(&mut hash, b"local-release/1");
    for Entry { path, what } in entries {
        field(&mut hash, path.as_os_str().as_bytes());
        match what {
            What::Folder => field(&mut hash, b"folder"),
            What::File { executable, digest, .. } => {
                field(&mut hash, if *executable { b"program" } else { b"file" });
                field(&mut hash, digest.hex().as_bytes());
            }
            What::Link { to } => {
                field(&mut hash, b"link");
                field(&mut hash, to.as_os_str().as_bytes());
            }
        }
    }
    Digest::from_raw(hash.finalize().into())
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
