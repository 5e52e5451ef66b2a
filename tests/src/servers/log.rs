//! What servers write, one file for each.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::install::target_folder;

/// How many are kept of one test.
const KEPT: usize = 20;
/// How much of a file is shown, and how much of it is looked at.
const SHOWN_LINES: usize = 40;
const SHOWN_BYTES: usize = 16 * 1024;

/// A new file for what `server` writes in `test`: of that number in this process, mostly its port.
pub(crate) fn create(test: &str, server: &str, number: u16) -> io::Result<(PathBuf, File)> {
    let folder = target_folder().join("test-logs").join(test);
    fs::create_dir_all(&folder)?;
    remove_oldest(&folder);
    let path = folder.join(format!("{server}-{}-{number}.log", std::process::id()));
    let file = File::create(&path)?;
    Ok((path, file))
}

/// Others may be doing the same: what is gone already is none of our business.
fn remove_oldest(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    logs.sort();
    for (_, path) in logs.iter().rev().skip(KEPT) {
        let _ = fs::remove_file(path);
    }
}

/// The end of what was written, and where all of it is.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(SHOWN_BYTES)..]);
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    if lines.is_empty() {
        return format!("it wrote nothing to {}", path.display());
    }
    format!("the end of {}:\n{}", path.display(), lines.join("\n"))
}

/// Whether it says that somebody else has its port.
pub(super) fn says_in_use(path: &Path) -> bool {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).to_lowercase();
    ["in use", "eaddrinuse", "errno 98", "errno 48"].iter().any(|words| text.contains(words))
}
