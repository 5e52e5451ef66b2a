//! A look at `current`, once and all the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Result, pause};

/// What `current` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// It points to this release, which is there.
    At(String),
    /// It is missing, dangling or something else.
    Broken(String),
}

/// Somebody who reads the site all the time.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Release>>,
}

impl Watch {
    pub(crate) fn start(current: PathBuf, releases: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                let last = stopped.load(Ordering::Relaxed);
                let now = look(&current, &releases);
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
                if last {
                    return seen;
                }
                pause(Duration::from_micros(300));
            }
        });
        Self { stop, thread }
    }

    /// Everything that was seen, in order, without repetitions.
    ///
    /// # Errors
    ///
    /// When the reader failed.
    pub fn seen(self) -> Result<Vec<Release>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the reader panicked")?)
    }
}

pub(crate) fn look(current: &Path, releases: &Path) -> Release {
    // Reading through the link is what a web server does: it must work at every moment.
    let page = match fs::read_to_string(current.join("index.html")) {
        Ok(page) => page,
        Err(error) => return Release::Broken(error.to_string()),
    };
    let name = page.split_whitespace().next().unwrap_or_default().to_owned();
    if releases.join(&name).is_dir() { Release::At(name) } else { Release::Broken(page) }
}
