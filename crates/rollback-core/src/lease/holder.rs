use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Who holds a lease: a process on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The user, as far as it is known.
    pub user: String,
    /// The host's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Which kernel, since which start: the boot id and the process namespace. Two containers on one machine share
    /// the first and not the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// When the process started, in the kernel's ticks: tells it from a later one with the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
}

impl Holder {
    /// This process. It is looked up once.
    #[must_use]
    pub fn this_process() -> Self {
        static ME: OnceLock<Holder> = OnceLock::new();
        let look = |pid| Self { user: user(), host: host(), pid, kernel: kernel(), started: started(pid) };
        let pid = std::process::id();
        let me = ME.get_or_init(|| look(pid));
        // A process that was forked off is another one.
        if me.pid == pid { me.clone() } else { look(pid) }
    }

    /// A holder made up by a test or simulation.
    pub fn named(user: impl Into<String>, host: impl Into<String>, pid: u32) -> Self {
        Self { user: user.into(), host: host.into(), pid, kernel: None, started: None }
    }

    /// `user@host`, the default actor.
    #[must_use]
    pub fn person(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} (process {})", self.user, self.host, self.pid)
    }
}

/// Tells whether a holder is certainly dead.
pub trait Liveness: fmt::Debug + Send + Sync + 'static {
    /// `true` only with proof: the same kernel, and no such process any more.
    fn is_dead(&self, holder: &Holder) -> bool;
}

/// Looks into `/proc` of this machine. Elsewhere nothing is ever certain, and takers wait for the lease to expire.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLiveness;

impl Liveness for SystemLiveness {
    fn is_dead(&self, holder: &Holder) -> bool {
        let same_kernel = holder.kernel.is_some() && holder.kernel == kernel();
        same_kernel && holder.started.is_some() && started(holder.pid) != holder.started
    }
}

/// Who this process acts as: by the system, else by what the surroundings say.
fn user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"];
    account()
        .or_else(|| {
            named.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        })
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The name of the account that owns this process, or its number where it has no name.
#[cfg(unix)]
fn account() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let id = std::fs::metadata("/proc/self").ok()?.uid();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    Some(named.unwrap_or_else(|| format!("user {id}")))
}

#[cfg(not(unix))]
fn account() -> Option<String> {
    None
}

fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    read("/proc/sys/kernel/hostname")
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

fn kernel() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Field 22 of `/proc/PID/stat` (proc(5)), counted after the name, which may hold spaces and brackets. `None` for
/// a process that is gone, and for one that ended and was not collected.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_process_that_is_gone_is_dead() {
        let me = Holder::this_process();
        assert!(me.started.is_some() && me.kernel.is_some());
        assert!(!SystemLiveness.is_dead(&me));
        assert!(SystemLiveness.is_dead(&Holder { started: Some(1), ..me.clone() }), "the number was reused");
        assert!(!SystemLiveness.is_dead(&Holder { started: Some(1), kernel: Some("other".into()), ..me }));

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let holder = Holder { pid: child.id(), started: Some(1), ..Holder::this_process() };
        child.wait().unwrap();
        assert!(SystemLiveness.is_dead(&holder));
    }
}
