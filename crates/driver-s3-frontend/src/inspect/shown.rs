//! The differences that a plan shows, and what they come to.

use rollback_core::target::{Finding, Inspection, Shown};

use crate::diff::Change;
use crate::object::Content;
use crate::site::{Compared, Site};

/// How many objects a plan shows one by one.
const SHOWN: usize = 20;

pub(super) fn differences(site: &Site, mut inspection: Inspection, compared: &Compared) -> Inspection {
    let shown = |content: &Content| Shown::Plain(format!("{} bytes, {}", content.size, content.mark()));
    for change in compared.changes.iter().take(SHOWN) {
        inspection = match change {
            Change::Same => inspection,
            Change::Missing(entry) | Change::Hidden(entry, _) => {
                inspection.differs(entry.key.shown(), None, Some(shown(&entry.content)))
            }
            Change::Differs(entry, listed) | Change::Unknown(entry, listed) => inspection.differs(
                entry.key.shown(),
                Some(shown(&listed.content)),
                Some(shown(&entry.content)),
            ),
            Change::Headers(entry, _, differing) => {
                let what = format!("{}: {}", entry.key.shown(), differing.join(", "));
                let [now, then] = ["as it is", "as it was"].map(|text| Shown::Plain(text.to_owned()));
                inspection.differs(what, Some(now), Some(then))
            }
            Change::Extra(listed) if site.order.is_entry_point(&listed.key) => {
                inspection.differs(listed.key.shown(), Some(shown(&listed.content)), None)
            }
            Change::Extra(_) => inspection,
        };
    }
    let counts = compared.counts;
    let pages =
        |change: &&Change| matches!(change, Change::Extra(listed) if site.order.is_entry_point(&listed.key));
    let gone = compared.changes.iter().filter(pages).count() as u64;
    let uncovered = match counts.hidden {
        0 => String::new(),
        hidden => format!("{hidden} deletions taken back, "),
    };
    let unasked = compared.twins.unasked;
    if unasked > 0 {
        let message = format!(
            "{unasked} objects were written again with the same content, and nobody looked whether with other headers"
        );
        let next = "after the rollback, look at those that matter: aws s3api head-object";
        inspection = inspection.finding(Finding::info("headers-unread", message).next(next));
    }
    let message = format!(
        "{} objects are copied ({} bytes), {uncovered}{gone} pages deleted, {} assets kept for open tabs, {} left as they are",
        counts.copies(),
        counts.bytes,
        counts.extra - gone,
        counts.same
    );
    inspection.finding(Finding::info("what-is-done", message))
}
