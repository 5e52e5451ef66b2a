//! Reads what the kernel tells of the process behind a pid file. Linux: it reads `/proc`.

use std::fs;
use std::io::{ErrorKind as Io, Read as _};
use std::path::Path;

use jiff::Timestamp;
use rollback_core::Incarnation;

use crate::snapshot::ReleaseName;

/// Kernel ticks per second as `/proc` shows them: the same on every Linux.
const TICKS: u64 = 100;

/// The process behind the pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// It does not run; the text says how that is known.
    Missing(String),
    /// Whether it runs cannot be read; the text says why.
    Unreadable(String),
    /// It runs.
    Alive(Process),
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Process id, start in ticks since boot, boot id: never the same twice.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) started: Option<Timestamp>,
    /// Where its working directory and its program lie.
    pub(crate) places: Vec<Place>,
}

/// Where something of a process lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this release.
    Release(ReleaseName),
    /// In a release, but the file or folder was removed since.
    Removed(String),
    /// Somewhere else.
    Elsewhere,
    /// It may not be read.
    Hidden,
}

/// Reads the pid file, then `/proc`. `folder` is the canonical releases folder.
pub(crate) fn read(pid_file: &Path, folder: &Path) -> ProcessState {
    let mut text = String::new();
    match fs::File::open(pid_file).and_then(|file| file.take(64).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == Io::NotFound => {
            return ProcessState::Missing(format!("there is no pid file {pid_file:?}"));
        }
        Err(error) => return ProcessState::Unreadable(format!("pid file {pid_file:?}: {error}")),
    }
    match text.trim().parse::<u32>() {
        Ok(pid) if pid > 0 => of(pid, folder),
        _ => ProcessState::Unreadable(format!("pid file {pid_file:?}: it does not hold a process id")),
    }
}

fn of(pid: u32, folder: &Path) -> ProcessState {
    let root = Path::new("/proc").join(pid.to_string());
    let stat = match fs::read_to_string(root.join("stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == Io::NotFound && Path::new("/proc/self/stat").exists() => {
            return ProcessState::Missing(format!("process {pid} does not run"));
        }
        Err(error) => return ProcessState::Unreadable(format!("process {pid}: {error}")),
    };
    let Some((state, ticks)) = parse_stat(&stat) else {
        return ProcessState::Unreadable(format!("process {pid}: its state has an unknown form"));
    };
    if matches!(state, 'Z' | 'X' | 'x') {
        return ProcessState::Missing(format!("process {pid} has ended and was not waited for"));
    }
    let places = ["cwd", "exe"].map(|what| place(&root.join(what), folder)).to_vec();
    ProcessState::Alive(Process {
        pid,
        incarnation: incarnation(pid, ticks),
        started: started(ticks),
        places,
    })
}

/// State and start time. The name of the program comes before them and may hold anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn incarnation(pid: u32, ticks: u64) -> Option<Incarnation> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Incarnation::new(format!("pid {pid} start {ticks} boot {}", boot.trim())).ok()
}

fn started(ticks: u64) -> Option<Timestamp> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_second(i64::try_from(boot + ticks / TICKS).ok()?).ok()
}

fn place(link: &Path, folder: &Path) -> Place {
    let Ok(path) = fs::read_link(link) else { return Place::Hidden };
    let Ok(inner) = path.strip_prefix(folder) else { return Place::Elsewhere };
    // The kernel marks what is not there any more.
    if path.as_os_str().to_string_lossy().ends_with(" (deleted)") {
        return Place::Removed(format!("{path:?}"));
    }
    let first = inner.components().next().and_then(|first| first.as_os_str().to_str());
    match first.map(ReleaseName::new) {
        Some(Ok(name)) => Place::Release(name),
        Some(Err(_)) => Place::Removed(format!("{path:?}")),
        None => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_cannot_confuse_the_reader() {
        let tail = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000";
        for name in ["sleep", "a b", ") Z 1 (", "x) S 9"] {
            assert_eq!(parse_stat(&format!("42 ({name}) {tail}")), Some(('S', 987_654)), "{name}");
        }
        assert_eq!(parse_stat("42 (cut"), None);
        assert_eq!(parse_stat("42 (cut) S 1"), None);
    }

    #[test]
    fn a_place_is_a_release_only_while_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let seen = |text: &str| {
            let link = folder.path().join("link");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(text, &link).unwrap();
            place(&link, Path::new("/srv/releases"))
        };
        let v1 = ReleaseName::new("v1").unwrap();
        assert_eq!(seen("/srv/releases/v1"), Place::Release(v1.clone()));
        assert_eq!(seen("/srv/releases/v1/bin/server"), Place::Release(v1));
        assert!(matches!(seen("/srv/releases/v1 (deleted)"), Place::Removed(_)));
        assert!(matches!(seen("/srv/releases/v1/bin/server (deleted)"), Place::Removed(_)));
        assert!(matches!(seen("/srv/releases/.tmp/server"), Place::Removed(_)));
        for elsewhere in ["/srv/releases", "/srv/releases-of-others/v1", "/usr/bin/python3 (deleted)"] {
            assert_eq!(seen(elsewhere), Place::Elsewhere, "{elsewhere}");
        }
        assert_eq!(place(Path::new("/no/such/link"), Path::new("/srv/releases")), Place::Hidden);
    }

    #[test]
    fn hostile_pid_files_are_unreadable_and_a_missing_one_means_nothing_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert!(matches!(read(&path, folder.path()), ProcessState::Missing(_)));
        for text in ["", "-1", "0", "1 2", "../1", "99999999999999", &"1".repeat(1000)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(&path, folder.path()), ProcessState::Unreadable(_)), "{text:?}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&path, folder.path()), ProcessState::Unreadable(_)));
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        let ProcessState::Alive(me) = read(&path, folder.path()) else { panic!("this test runs") };
        assert_eq!(me.places, [Place::Elsewhere, Place::Elsewhere]);
        assert!(me.incarnation.is_some() && me.started.is_some());
        // Larger than the kernel's largest process id.
        fs::write(&path, "4194999").unwrap();
        assert!(matches!(read(&path, folder.path()), ProcessState::Missing(_)));
    }
}
