//! What going to a release would mean: differences, and what stands in the way.

use std::collections::BTreeMap;
use std::path::Path;

use rollback_core::lease::Holder;
use rollback_core::target::{Inspection, Shown};
use rollback_core::{Artifact, ErrorKind, Finding, Reading, Result};

use crate::client::switch::{advice, describe};
use crate::client::tree::{Entry, Tree, What};
use crate::client::{Client, Link, host};
use crate::snapshot::LocalRelease;

/// How many differences are listed.
const LISTED: usize = 200;

/// Reads both releases and the ground they stand on. Changes nothing.
pub(crate) fn inspect(client: &Client, from: Option<&LocalRelease>, to: &LocalRelease) -> Result<Inspection> {
    let mut inspection = ground(client, Inspection::default())?;
    let artifact = Artifact::new("release", to.name.as_str());
    let tree = match client.tree(&to.name, false) {
        Ok(tree) => tree,
        Err(error) => {
            let presence = match error.kind() {
                ErrorKind::NotFound => Reading::Absent,
                _ => Reading::Unknown(error.message().to_owned()),
            };
            let code = if presence == Reading::Absent { "release-missing" } else { "release-unreadable" };
            let finding = Finding::blocker(code, error.to_record().to_string());
            let next = error.next_step().unwrap_or("choose another release").to_owned();
            return Ok(inspection.artifact(artifact, presence).finding(finding.next(next)));
        }
    };
    inspection = inspection.artifact(artifact, Reading::Known(None));
    if tree.digest != to.digest {
        let (now, then) = (tree.digest.short(), to.digest.short());
        let what = format!("release {} holds {now} now, and held {then} when it was recorded", to.name);
        inspection = inspection.finding(
            Finding::blocker("release-changed", what)
                .next("somebody changed the folder; choose another release"),
        );
    }
    for link in &tree.outside {
        let what = format!("symlink {link} leads out of release {}", to.name);
        inspection =
            inspection
                .finding(Finding::blocker("symlink-outside", what).next(
                    "what it points to cannot be put back or proven; put the content into the release",
                ));
    }
    let origin = from.and_then(|from| client.tree(&from.name, false).ok());
    Ok(differences(inspection, origin.as_deref(), &tree))
}

/// `current`, the folder around it, and what lies in the releases folder and is no release.
fn ground(client: &Client, mut inspection: Inspection) -> Result<Inspection> {
    let look = client.look()?;
    let about = match &look.link {
        Link::At(_) => None,
        Link::Absent => Some(Finding::info("current-absent", describe(&look))),
        Link::Dangling(_) => Some(Finding::warning("current-dangling", describe(&look))),
        Link::Foreign(what) => Some(Finding::blocker("current-outside", what.clone())),
        Link::Real(what) => Some(Finding::blocker("current-not-a-symlink", what.clone())),
    };
    if let Some(finding) = about {
        inspection = inspection.finding(finding.next(advice(&look.link)));
    }
    let home = client.home()?;
    if host::may_write(&home) == Some(false) {
        let what = format!("{home:?} may not be written by {}", Holder::this_process().user);
        inspection = inspection.finding(
            Finding::warning("not-writable", what).next("run this as the user that owns the folder"),
        );
    }
    let ignored = client.list()?.ignored;
    if !ignored.is_empty() {
        let named: Vec<_> = ignored.iter().take(5).map(String::as_str).collect();
        let what =
            format!("{} things in the releases folder are no releases: {}", ignored.len(), named.join(", "));
        inspection = inspection.finding(Finding::info("not-a-release", what));
    }
    Ok(inspection)
}

/// File by file, with sizes and digests, never with content.
fn differences(mut inspection: Inspection, from: Option<&Tree>, to: &Tree) -> Inspection {
    let Some(from) = from else { return inspection };
    let before: BTreeMap<&Path, &What> = by_path(from);
    let after: BTreeMap<&Path, &What> = by_path(to);
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let changed = after.iter().filter(|(path, what)| before.get(*path) != Some(*what)).map(|(path, _)| path);
    let mut paths: Vec<_> = gone.chain(changed).copied().collect();
    paths.sort();
    for path in paths.iter().take(LISTED) {
        let shown = |side: &BTreeMap<&Path, &What>| side.get(*path).map(|what| show(what));
        inspection = inspection.differs(printable(path), shown(&before), shown(&after));
    }
    if paths.len() > LISTED {
        let what = format!("{} paths differ; the first {LISTED} are listed", paths.len());
        inspection = inspection.finding(Finding::info("diff-bounded", what));
    }
    inspection
}

fn by_path(tree: &Tree) -> BTreeMap<&Path, &What> {
    tree.entries.iter().map(|Entry { path, what }| (path.as_path(), what)).collect()
}

fn show(what: &What) -> Shown {
    Shown::Plain(match what {
        What::Folder => "folder".to_owned(),
        What::File { executable, size, digest } => {
            let kind = if *executable { "program" } else { "file" };
            format!("{kind}, {size} bytes, {}", digest.short())
        }
        What::Link { to } => format!("symlink to {}", printable(to)),
    })
}

/// File names come from anywhere: nothing in them may move a terminal's cursor.
fn printable(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
