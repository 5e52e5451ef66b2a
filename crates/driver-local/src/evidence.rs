//! From what was read to what runs: pure, so that every case can be tested without a process.

use jiff::{SignedDuration, Timestamp};

use crate::client::process::{Place, Process};
use crate::snapshot::ReleaseName;

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

/// Judges where a process lies.
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
