//! From what was read to what runs.

use jiff::{SignedDuration, Timestamp};
use rollback_core::target::Certainty;
use rollback_core::{Identity, PartId, PartState, Reading, Result};

use crate::client::process::{Place, Process, ProcessState};
use crate::client::{Client, Link, Look, Stamp, switch};
use crate::snapshot::{LocalRelease, ReleaseName};
use crate::target::snapshot;

/// The kernel tells start times to the second; less than this apart is not "before".
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// Which release a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Runs {
    /// The release that `current` names: the process lies in it.
    Current,
    /// Nothing of the process lies in a release, and nothing speaks against `current`.
    PresumedCurrent,
    /// Another release.
    Other(ReleaseName),
    /// Something that is no release any more, or was started before the switch; the text says what.
    Stale(String),
    /// It may not be read; the text says what.
    Hidden(String),
}

/// Judges where a process lies. Pure, so that every case can be tested without one.
///
/// `switched` is when `current` was last replaced. It counts only where `needs_restart`: a server that reads
/// files through `current` serves the new ones without being restarted.
pub(crate) fn runs(
    process: &Process,
    current: &ReleaseName,
    switched: Timestamp,
    needs_restart: bool,
) -> Runs {
    let pid = process.pid;
    let mut inside = false;
    for place in &process.places {
        match place {
            Place::Removed(path) => {
                return Runs::Stale(format!("process {pid} uses {path}, which was removed"));
            }
            Place::Release(name) if name != current => return Runs::Other(name.clone()),
            Place::Release(_) => inside = true,
            Place::Elsewhere | Place::Hidden => {}
        }
    }
    if inside {
        return Runs::Current;
    }
    if process.places.iter().all(|place| *place == Place::Hidden) {
        return Runs::Hidden(format!("where process {pid} was started (it belongs to another user)"));
    }
    match process.started {
        Some(started) if needs_restart && switched.duration_since(started) > SLACK => {
            Runs::Stale(format!("process {pid} was started before `current` was replaced"))
        }
        _ => Runs::PresumedCurrent,
    }
}

/// What one look at everything came to.
pub(crate) struct Seen {
    pub(crate) look: Look,
    pub(crate) settled: Reading<LocalRelease>,
    pub(crate) part: PartState,
    /// What has still to happen for it to rest.
    pub(crate) waiting: Option<String>,
    pub(crate) compared: Vec<String>,
    pub(crate) unread: Vec<String>,
}

impl Seen {
    /// Reads it all; releases in full if `fresh`.
    pub(crate) fn read(client: &Client, fresh: bool, needs_restart: bool) -> Result<Self> {
        let look = client.look()?;
        let (settled, unread) = match &look.link {
            Link::Absent => (Reading::Absent, None),
            Link::At(name) => match client.tree(name, fresh) {
                Ok(tree) => (Reading::Known(snapshot(name.clone(), &tree)), None),
                Err(error) => (Reading::Unknown(error.to_string()), Some(format!("release {name}: {error}"))),
            },
            Link::Dangling(_) | Link::Foreign(_) | Link::Real(_) => {
                let what = switch::describe(&look);
                (Reading::Unknown(what.clone()), Some(what))
            }
        };
        let part =
            PartState::verified(PartId::new("host")?, settled.known().map(|live| Identity(live.digest)));
        let mut seen = Self {
            look,
            settled,
            part,
            waiting: None,
            compared: Vec::new(),
            unread: unread.into_iter().collect(),
        };
        if let Some(live) = seen.settled.known() {
            seen.compared
                .push(format!("{} files, {} bytes in release {}", live.files, live.bytes, live.name));
        }
        match client.process()? {
            // The files are right; what the process made of them is not known.
            None if needs_restart => seen.part.certainty = Certainty::Claimed,
            None => {}
            Some(ProcessState::Missing(why)) => {
                seen.part = seen.part.with_replicas(1, 0);
                seen.compared.push(why.clone());
                seen.waiting = Some(format!("no process runs: {why}"));
            }
            Some(ProcessState::Unreadable(why)) => {
                seen.part.identity = None;
                seen.unread.push(why);
            }
            Some(ProcessState::Alive(process)) => {
                seen.part = seen.part.with_replicas(1, 1).with_incarnation(process.incarnation.clone());
                let switched = seen.look.stamp.as_ref().map_or(Timestamp::MIN, Stamp::made);
                if let Link::At(current) = seen.look.link.clone() {
                    let verdict = runs(&process, &current, switched, needs_restart);
                    seen.judge(client, verdict, process.pid, fresh);
                }
            }
        }
        Ok(seen)
    }

    /// What the process runs overrules what `current` names.
    fn judge(&mut self, client: &Client, verdict: Runs, pid: u32, fresh: bool) {
        match verdict {
            Runs::Current => self.compared.push(format!("process {pid} was started in that release")),
            // It may hold anything in memory; that it was restarted is judged by its incarnation.
            Runs::PresumedCurrent => {
                self.part.certainty = Certainty::Claimed;
                self.compared.push(format!("process {pid} runs, and lies outside of the releases"));
            }
            Runs::Other(name) => {
                let tree = client.tree(&name, fresh);
                self.part.identity = tree.ok().map(|tree| Identity(tree.digest));
                self.compared.push(format!("process {pid} was started in release {name}"));
            }
            Runs::Stale(why) => {
                self.part.identity = None;
                self.compared.push(why);
            }
            Runs::Hidden(what) => {
                self.part.identity = None;
                self.unread.push(what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ReleaseName {
        ReleaseName::new(text).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn judge(places: &[Place], started: i64, needs_restart: bool) -> Runs {
        let process =
            Process { pid: 7, incarnation: None, started: Some(at(started)), places: places.to_vec() };
        runs(&process, &name("v1"), at(1_000), needs_restart)
    }

    #[test]
    fn where_a_process_lies_says_what_it_runs() {
        use Place::{Elsewhere, Hidden, Release};
        let (v1, v2) = (Release(name("v1")), Release(name("v2")));
        let removed = Place::Removed("x".into());
        assert_eq!(judge(&[v1.clone(), v1.clone()], 2_000, true), Runs::Current);
        assert_eq!(judge(&[v1.clone(), Elsewhere], 2_000, true), Runs::Current);
        assert_eq!(judge(&[Elsewhere, v2.clone()], 2_000, true), Runs::Other(name("v2")));
        // Either of them in another release is enough.
        assert_eq!(judge(&[v1.clone(), v2], 2_000, true), Runs::Other(name("v2")));
        assert!(matches!(judge(&[v1, removed], 2_000, true), Runs::Stale(_)));
        assert!(matches!(judge(&[Hidden, Hidden], 2_000, true), Runs::Hidden(_)));
    }

    #[test]
    fn outside_of_the_releases_only_the_start_can_speak_against_a_process() {
        use Place::{Elsewhere, Release};
        assert_eq!(judge(&[Elsewhere, Elsewhere], 1_001, true), Runs::PresumedCurrent);
        assert_eq!(
            judge(&[Elsewhere, Elsewhere], 999, true),
            Runs::PresumedCurrent,
            "within the clock's slack"
        );
        assert!(matches!(judge(&[Elsewhere, Elsewhere], 900, true), Runs::Stale(_)));
        assert_eq!(judge(&[Elsewhere, Elsewhere], 900, false), Runs::PresumedCurrent, "a static site");
        // v1, v2, v1 again: the process that was never restarted is right.
        assert_eq!(judge(&[Release(name("v1")), Elsewhere], 900, true), Runs::Current);
    }
}
