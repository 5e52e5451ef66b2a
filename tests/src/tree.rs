//! Everything in a folder, to see that nothing changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Result;

/// Every path in a folder with what is there. Folders of the name `.rollback`, where state is kept, do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    /// Reads a folder, without following symlinks.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn read(root: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        read(root, &mut found)?;
        Ok(Self(found))
    }
}

fn read(folder: &Path, found: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.file_name().is_some_and(|name| name == ".rollback") {
            continue;
        }
        let data = fs::symlink_metadata(&path)?;
        let what = match () {
            () if data.is_symlink() => format!("link {:?} inode {}", fs::read_link(&path)?, data.ino()),
            () if data.is_dir() => {
                read(&path, found)?;
                format!("folder {:o}", data.mode())
            }
            () if data.is_file() => format!("file {:o} {:?}", data.mode(), fs::read(&path)?),
            () => format!("other {:o}", data.mode()),
        };
        found.insert(path, what);
    }
    Ok(())
}
