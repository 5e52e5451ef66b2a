//! Which delete markers rollbacks removed: with them goes what the bucket itself remembers of a deletion, and the way back to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::Result;
use rollback_core::time::Lasting;
use serde::{Deserialize, Serialize};

use crate::client::Marker;
use crate::json;
use crate::names::Key;
use crate::site::Site;

const SCHEMA: &str = "s3-removed-markers/1";
/// How many absences are remembered, newest first: a few hundred kilobytes.
const MOST: usize = 5_000;

/// A time in which a key was deleted, as far as its versions do not show it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Absence {
    /// When the marker was made.
    from: Timestamp,
    /// When it was removed; left out, when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Absence {
    /// Whether what was written at `since` was hidden at that time.
    pub(crate) fn hides(&self, since: Timestamp, at: Timestamp) -> bool {
        since <= self.from && self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// When it began and ended.
    pub(crate) fn times(&self) -> impl Iterator<Item = Timestamp> + use<> {
        [Some(self.from), self.until].into_iter().flatten()
    }
}

/// All of them, by key. Written before the first marker goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removed {
    schema: String,
    keys: BTreeMap<Key, Vec<Absence>>,
}

impl Removed {
    pub(crate) fn of(&self, key: &Key) -> &[Absence] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    /// With markers that are about to be removed.
    fn with<'a>(mut self, markers: impl IntoIterator<Item = (&'a Key, &'a [Marker])>) -> Self {
        SCHEMA.clone_into(&mut self.schema);
        for (key, markers) in markers {
            let known = self.keys.entry(key.clone()).or_default();
            for Marker { modified, .. } in markers {
                // Cut off and run again: it is still going to be removed, and not yet.
                known.retain(|absence| absence.from != *modified);
                known.push(Absence { from: *modified, until: None });
            }
        }
        self.bounded()
    }

    fn bounded(mut self) -> Self {
        let mut all: Vec<Timestamp> = self.keys.values().flatten().map(|absence| absence.from).collect();
        if all.len() > MOST {
            all.sort_unstable_by(|one, other| other.cmp(one));
            let oldest = all[MOST - 1];
            self.keys.values_mut().for_each(|known| known.retain(|absence| absence.from >= oldest));
            self.keys.retain(|_, known| !known.is_empty());
        }
        self
    }

    /// Absences that ended when this was written, by the second: markers go after that.
    fn written_at(mut self, at: Option<Timestamp>) -> Self {
        let over = at.map(|at| Lasting::from_secs(1).after(at));
        for absence in self.keys.values_mut().flatten() {
            absence.until = absence.until.or(over);
        }
        self
    }
}

impl Site {
    fn removed_key(&self) -> String {
        self.note_at(".removed.json")
    }

    /// What earlier rollbacks removed. What cannot be read is none of it: then states with these deletions are not found, and no
    /// other state is taken for them.
    pub(crate) async fn removed(&self) -> Result<Removed> {
        let key = self.removed_key();
        if self.is_known_to_lack(&key) {
            return Ok(Removed::default());
        }
        let Some((body, _, modified)) = self.client.get_with_time(&key).await? else {
            return Ok(Removed::default());
        };
        let read = serde_json::from_slice::<Removed>(&body).ok().filter(|removed| removed.schema == SCHEMA);
        if read.is_none() {
            tracing::warn!(key, "no list of markers of ours, and not looked at");
        }
        Ok(read.unwrap_or_default().written_at(modified))
    }

    /// Remembers which markers are about to be removed.
    pub(crate) async fn remember<'a>(
        &self,
        markers: impl IntoIterator<Item = (&'a Key, &'a [Marker])> + Send,
    ) -> Result<()> {
        let removed = self.removed().await?.with(markers);
        let body = json::written("write which markers go", &removed)?;
        self.write_ours(&self.removed_key(), body, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::VersionId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn marker(second: i64) -> Marker {
        Marker { version: VersionId::new("m").unwrap(), modified: at(second) }
    }

    #[test]
    fn what_was_deleted_then_is_still_known_to_have_been() {
        let key = Key::new("about.html").unwrap();
        let removed = Removed::default().with([(&key, [marker(20)].as_slice())]).written_at(Some(at(40)));
        let absence = removed.of(&key)[0];
        let hidden = |second| absence.hides(at(10), at(second));
        assert!(!hidden(19) && hidden(20) && hidden(40) && !hidden(41));
        // Also where it was deleted in that very second.
        let at_once = Removed::default().with([(&key, [marker(40)].as_slice())]).written_at(Some(at(40)));
        assert!(at_once.of(&key)[0].hides(at(10), at(40)));
        assert!(!absence.hides(at(25), at(30)), "what was written after it was not hidden");
        // Removed again later: the first time stays as it was.
        let again = removed.with([(&key, [marker(50)].as_slice())]).written_at(Some(at(60)));
        assert_eq!(again.of(&key), [absence, Absence { from: at(50), until: Some(at(61)) }]);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let key = |number: usize| Key::new(format!("{number}.html")).unwrap();
        let (keys, markers): (Vec<_>, Vec<_>) = (0..MOST + 10).map(|n| (key(n), [marker(n as i64)])).unzip();
        let all = keys.iter().zip(markers.iter().map(<[Marker; 1]>::as_slice));
        let removed = Removed::default().with(all);
        assert_eq!(removed.keys.len(), MOST);
        assert!(removed.of(&key(9)).is_empty() && !removed.of(&key(10)).is_empty());
    }
}
