//! Where we are, and what we may do here.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rollback_core::lease::Holder;

/// An id that two operators on the same host share.
pub(crate) fn id() -> String {
    first_line("/etc/machine-id").unwrap_or_else(|| Holder::this_process().host)
}

/// Whether the permission bits let this process make files in a folder. `None`: it cannot be told. Access lists
/// and capabilities are not looked at.
pub(crate) fn may_write(folder: &Path) -> Option<bool> {
    let me = Caller::read()?;
    let data = fs::metadata(folder).ok()?;
    let needed = |shift: u32| data.mode() >> shift & 0o3 == 0o3;
    Some(match () {
        () if me.user == 0 => true,
        () if data.uid() == me.user => needed(6),
        () if me.groups.contains(&data.gid()) => needed(3),
        () => needed(0),
    })
}

struct Caller {
    user: u32,
    groups: Vec<u32>,
}

impl Caller {
    fn read() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, file system: the effective one acts.
        let effective = |name: &str| field(name)?.split_whitespace().nth(1)?.parse::<u32>().ok();
        let mut groups: Vec<u32> = vec![effective("Gid:")?];
        groups.extend(
            field("Groups:")
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|text| text.parse::<u32>().ok()),
        );
        Some(Self { user: effective("Uid:")?, groups })
    }
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
