//! A folder with releases, for the tests of this crate, inside and out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

pub(crate) struct Site {
    _keep: TempDir,
    pub(crate) home: PathBuf,
}

impl Site {
    /// Releases of these names, each with a page that says which it is; `current` at v2.
    pub(crate) fn with(releases: &[&str]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let home = keep.path().canonicalize().unwrap();
        for name in releases {
            let release = home.join("releases").join(name);
            fs::create_dir_all(&release).unwrap();
            fs::write(release.join("index.html"), name).unwrap();
        }
        symlink("releases/v2", home.join("current")).unwrap();
        Self { _keep: keep, home }
    }
}
