//! Replaces `current` in one rename, and can tell afterwards whether it did.
//!
//! The new symlink is made under a temporary name next to `current`. Before the rename, a mark file notes the key
//! of the request with what tells this symlink from every other (inode, birth, text). A rename keeps all of
//! these: `current` is the marked symlink if and only if the request landed. An inode number that was given out
//! again has another birth; if not even that differs, the text still makes it point to the same release.

use std::fs::{self, File};
use std::io::{ErrorKind as Io, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rollback_core::{
    Digest, Effect, Error, ErrorKind, IdempotencyKey, Identity, Landing, Receipt, Result, Token,
};
use serde::{Deserialize, Serialize};

use super::{Client, Link, Look, Stamp};
use crate::error::io;
use crate::snapshot::ReleaseName;

/// A request to point `current` at a release.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) key: IdempotencyKey,
    pub(crate) expected: Option<Token>,
    pub(crate) to: ReleaseName,
    pub(crate) identity: Identity,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    key: IdempotencyKey,
    link: Stamp,
}

/// The paths next to `current` that a switch works with.
struct Paths {
    home: PathBuf,
    current: PathBuf,
    /// The new symlink until it is renamed.
    fresh: PathBuf,
    /// The mark until it is complete.
    draft: PathBuf,
    mark: PathBuf,
    /// What the temporary names of all requests begin with.
    prefix: String,
}

impl Paths {
    fn new(client: &Client, key: &IdempotencyKey) -> Result<Self> {
        let home = client.home()?;
        let name = client.current().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let prefix = format!(".{name}.rollback-");
        let short = Digest::of_bytes(key.as_str().as_bytes()).short();
        Ok(Self {
            current: home.join(client.current().file_name().unwrap_or_default()),
            fresh: home.join(format!("{prefix}{short}")),
            draft: home.join(format!("{prefix}{short}.draft")),
            mark: home.join(format!("{prefix}mark")),
            prefix,
            home,
        })
    }
}

/// Sends the request. Until the rename itself, every error leaves `current` as it was.
pub(crate) fn apply(client: &Client, wanted: &Switch) -> Result<Landing> {
    let (look, paths) = match first_look(client, wanted)? {
        ControlFlow::Break(landing) => return Ok(landing),
        ControlFlow::Continue(found) => found,
    };
    refuse_unusable(&look)?;
    check_release(client, wanted)?;
    clean(&paths);
    prepare(client, &paths, wanted)?;
    let landing = commit(client, &paths, wanted);
    if !matches!(landing, Ok(Landing::Applied(_))) {
        clean(&paths);
    }
    landing
}

/// Looks, and says what became of the request if that shows at once: it landed before, or is out of date.
fn first_look(client: &Client, wanted: &Switch) -> Result<ControlFlow<Landing, (Look, Paths)>> {
    let look = client.look()?;
    let paths = Paths::new(client, &wanted.key)?;
    if landed(&paths, &wanted.key, &look)? {
        return Ok(ControlFlow::Break(applied(look.token)));
    }
    Ok(match moved(wanted.expected.as_ref(), &look) {
        Some(superseded) => ControlFlow::Break(superseded),
        None => ControlFlow::Continue((look, paths)),
    })
}

/// The last look, and then at once the rename: what happened while the release was read counts.
fn commit(client: &Client, paths: &Paths, wanted: &Switch) -> Result<Landing> {
    client.release(&wanted.to)?;
    let look = client.look()?;
    if let Some(superseded) = moved(wanted.expected.as_ref(), &look) {
        return Ok(superseded);
    }
    refuse_unusable(&look)?;
    rename(paths)?;
    let after = client.look().map_err(|error| error.with_effect(Effect::Unknown))?;
    let landed = landed(paths, &wanted.key, &after).map_err(|error| error.with_effect(Effect::Unknown))?;
    Ok(if landed { applied(after.token) } else { superseded(&after) })
}

/// Finds out what became of the request. Changes nothing.
pub(crate) fn probe(client: &Client, wanted: &Switch) -> Result<Landing> {
    let (look, paths) = match first_look(client, wanted)? {
        ControlFlow::Break(landing) => return Ok(landing),
        ControlFlow::Continue(found) => found,
    };
    let marked = read_mark(&paths)?.is_some_and(|mark| mark.key == wanted.key);
    let waiting = paths.fresh.is_symlink();
    if wanted.expected.is_none() && marked && !waiting {
        // Nothing to compare with but the mark: it was put in place, and is not there any more.
        return Ok(superseded(&look));
    }
    Ok(Landing::NotApplied { why: format!("nothing was replaced: {}", describe(&look)) })
}

/// Whether `current` is the symlink that was made under this key.
fn landed(paths: &Paths, key: &IdempotencyKey, look: &Look) -> Result<bool> {
    let mark = read_mark(paths)?;
    Ok(mark.is_some_and(|mark| mark.key == *key && Some(&mark.link) == look.stamp.as_ref()))
}

fn applied(token: Token) -> Landing {
    Landing::Applied(Receipt::default().with_token(token))
}

/// Superseded, if the target is not what the request expected any more.
pub(crate) fn moved(expected: Option<&Token>, look: &Look) -> Option<Landing> {
    let expected = expected?;
    (*expected != look.token).then(|| superseded(look))
}

fn superseded(look: &Look) -> Landing {
    Landing::Superseded { by: format!("another change: {}", describe(look)) }
}

pub(crate) fn describe(look: &Look) -> String {
    match &look.link {
        Link::Absent => "`current` is not there".to_owned(),
        Link::At(name) => format!("`current` points to release {name}"),
        Link::Dangling(name) => format!("`current` points to release {name}, which is not there"),
        Link::Foreign(what) | Link::Real(what) => what.clone(),
    }
}

/// A missing or dangling `current` can be replaced. Anything else that is not ours is left alone.
fn refuse_unusable(look: &Look) -> Result<()> {
    match &look.link {
        Link::Absent | Link::At(_) | Link::Dangling(_) => Ok(()),
        Link::Foreign(what) | Link::Real(what) => {
            Err(Error::new(ErrorKind::Refused, "replace `current`", what.clone()).next(advice(&look.link)))
        }
    }
}

/// What to do about a `current` that cannot be used.
pub(crate) fn advice(link: &Link) -> &'static str {
    match link {
        Link::Real(_) => "move it into the releases folder and put a symlink to it in its place",
        Link::Foreign(_) => "point it at a folder directly under the releases folder, or correct `releases`",
        Link::Absent | Link::Dangling(_) | Link::At(_) => "nothing: it is replaced by the switch",
    }
}

fn check_release(client: &Client, wanted: &Switch) -> Result<()> {
    let name = wanted.to.as_str();
    let tree = client.tree(&wanted.to, false)?;
    if Identity(tree.digest) != wanted.identity {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("switch to release {name:?}"),
            format!("it holds {} now, planned was {}", tree.digest.short(), wanted.identity.short()),
        )
        .next("somebody changed the release folder; plan again"));
    }
    match tree.outside.first() {
        None => Ok(()),
        Some(link) => Err(Error::new(
            ErrorKind::Refused,
            format!("switch to release {name:?}"),
            format!("its symlink {link} leads out of the release"),
        )
        .next("what it points to cannot be proven; put the content into the release")),
    }
}

/// Makes the new symlink and the mark, both on disk before anything is renamed.
fn prepare(client: &Client, paths: &Paths, wanted: &Switch) -> Result<()> {
    let operation = "prepare the new symlink";
    let text = link_text(&client.folder()?, &paths.home, &wanted.to);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| io(operation, &path, error).next("the folder that holds `current` must be writable")
    };
    symlink(&text, &paths.fresh).map_err(failed(&paths.fresh))?;
    let data = fs::symlink_metadata(&paths.fresh).map_err(failed(&paths.fresh))?;
    let mark = Mark { key: wanted.key.clone(), link: Stamp::of(&data, &text) };
    let bytes = serde_json::to_vec(&mark).map_err(|error| {
        Error::new(ErrorKind::Other, operation, "its mark cannot be written").with_source(error)
    })?;
    let write = || {
        let mut draft = File::create_new(&paths.draft)?;
        draft.write_all(&bytes)?;
        draft.sync_all()?;
        fs::rename(&paths.draft, &paths.mark)?;
        sync(&paths.home)
    };
    write().map_err(failed(&paths.mark))
}

/// Relative where the releases lie below, so that the whole tree can be moved.
fn link_text(folder: &Path, home: &Path, to: &ReleaseName) -> PathBuf {
    folder.strip_prefix(home).unwrap_or(folder).join(to.as_str())
}

fn rename(paths: &Paths) -> Result<()> {
    let result = fs::rename(&paths.fresh, &paths.current).and_then(|()| sync(&paths.home));
    // A network file system may fail and have renamed all the same: the engine probes.
    result.map_err(|error| io("replace `current`", &paths.current, error).with_effect(Effect::Unknown))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read_mark(paths: &Paths) -> Result<Option<Mark>> {
    match fs::read(&paths.mark) {
        // A mark is written whole. One that cannot be read is not ours, and proves nothing.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == Io::NotFound => Ok(None),
        Err(error) => Err(io("read the mark of the last switch", &paths.mark, error)),
    }
}

/// Removes what crashed requests left: symlinks and drafts under exactly our names, nothing else.
fn clean(paths: &Paths) {
    let Ok(items) = fs::read_dir(&paths.home) else { return };
    for item in items.flatten() {
        let name = item.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&paths.prefix)) else { continue };
        let (short, draft) = match rest.strip_suffix(".draft") {
            Some(short) => (short, true),
            None => (rest, false),
        };
        let ours = short.len() == 12 && short.bytes().all(|byte| byte.is_ascii_hexdigit());
        let expected =
            item.file_type().is_ok_and(|kind| if draft { kind.is_file() } else { kind.is_symlink() });
        if ours
            && expected
            && let Err(error) = fs::remove_file(item.path())
        {
            tracing::warn!(path = ?item.path(), %error, "a left-over of an earlier switch stays");
        }
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
