//! Whose port it is: another process may have taken it in the meantime, and answer instead.

use std::fs;
use std::path::Path;

/// Whether a process of the group `group` listens on `port`. `None` where the system does not tell.
pub(super) fn listens(group: u32, port: u16) -> Option<bool> {
    let inodes = listening_inodes(port)?;
    let names: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let ours = processes.filter(|entry| group_of(&entry.path()) == Some(group));
    Some(ours.into_iter().any(|entry| has_open(&entry.path(), &names)))
}

/// The inodes of sockets that listen on `port`, on any address.
fn listening_inodes(port: u16) -> Option<Vec<String>> {
    let mut found = None;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(table) else { continue };
        let found = found.get_or_insert_with(Vec::new);
        found.extend(text.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let number = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            (number == port && *state == "0A").then(|| (*inode).to_owned())
        }));
    }
    found
}

fn group_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // State, parent, group: after the name, which may contain anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn has_open(process: &Path, names: &[String]) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| {
        let link = link.to_string_lossy();
        names.iter().any(|name| *name == link)
    })
}
