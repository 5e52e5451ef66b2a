//! What processes take of memory.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::Result;

/// How often the memory of a process is looked at: it only grows, so no more is missed than what came in that time before its end.
const GLANCE: Duration = Duration::from_millis(2);

/// The most memory that this process has had, as the kernel counts it.
pub(crate) fn peak_kib() -> Result<u64> {
    peak_in(Path::new("/proc/self")).ok_or_else(|| "no VmHWM".into())
}

fn peak_in(process: &Path) -> Option<u64> {
    kib(&std::fs::read_to_string(process.join("status")).ok()?, "VmHWM:")
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The most memory that a process had until it ended, and whether it ended well. Now and then something else is done.
pub(crate) fn watched(mut child: Child, mut meanwhile: impl FnMut()) -> Result<(u64, bool)> {
    let process = Path::new("/proc").join(child.id().to_string());
    let mut peak = 0;
    for glance in 0_u64.. {
        peak = peak_in(&process).unwrap_or(peak);
        if let Some(ended) = child.try_wait()? {
            return Ok((peak, ended.success()));
        }
        if glance.is_multiple_of(100) {
            meanwhile();
        }
        rollback_tests::pause(GLANCE);
    }
    Err("it does not end".into())
}

/// What the processes have together whose command line has this in it: shared pages are counted once.
pub(crate) fn together_kib(text: &str) -> u64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let ours = processes.flatten().map(|process| process.path()).filter(|process| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    });
    ours.filter_map(|process| kib(&std::fs::read_to_string(process.join("smaps_rollup")).ok()?, "Pss:")).sum()
}
