//! Going back to a release in the archive.

use rollback_core::target::{Finding, Inspection, Reading, Shown};
use rollback_core::{Result, Snapshot as _};
use serde_json::json;

use crate::diff::Change;
use crate::object::{Content, Listed};
use crate::site::{Compared, Site};
use crate::snapshot::SiteSnapshot;

/// What one `CopyObject` copies at most.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const LARGEST: u64 = 5 * 1024 * 1024 * 1024;
/// How many objects a plan shows one by one.
const SHOWN: usize = 20;

pub(crate) async fn inspect(
    site: &Site,
    from: Option<&SiteSnapshot>,
    to: &SiteSnapshot,
) -> Result<Inspection> {
    let mut inspection = Inspection::default();
    if from.is_none_or(|from| from.identity != to.identity) {
        let shown = |site: &SiteSnapshot| {
            Shown::Plain(format!("{}: {} objects, {} bytes", site.info().label(), site.objects, site.bytes))
        };
        inspection = inspection.differs("site", from.map(shown), Some(shown(to)));
    }
    let Some((release, compared)) = site.find_and_compare(to.identity, to.release()).await? else {
        return Ok(inspection.artifact(to.artifact(), Reading::Absent).facts(json!({ "release": false })));
    };
    inspection =
        inspection.artifact(to.artifact(), Reading::Known(None)).facts(json!({ "release": release }));
    for change in &compared.changes {
        if let Change::Missing(entry) | Change::Differs(entry, _) | Change::Unknown(entry, _) = change {
            inspection = copyable(inspection, entry);
        }
    }
    Ok(differences(site, inspection, &compared))
}

/// What S3 would refuse in the middle of it.
fn copyable(mut inspection: Inspection, entry: &Listed) -> Inspection {
    let key = entry.key.shown();
    if entry.class.is_archived() {
        let message = format!("{key} is in {}: it must be restored before it can be copied", entry.class);
        let next = "aws s3api restore-object, wait for hours, then plan again";
        inspection = inspection.finding(Finding::blocker("object-archived", message).next(next));
    }
    if entry.content.size > LARGEST {
        let message = format!("{key} has more than 5 GiB, which S3 does not copy in one request");
        let next = "copy it with `aws s3 cp`, then plan again";
        inspection = inspection.finding(Finding::blocker("object-too-large", message).next(next));
    }
    inspection
}

fn differences(site: &Site, mut inspection: Inspection, compared: &Compared) -> Inspection {
    let shown = |content: &Content| Shown::Plain(format!("{} bytes, {}", content.size, content.mark()));
    for change in compared.changes.iter().take(SHOWN) {
        inspection = match change {
            Change::Same => inspection,
            Change::Missing(entry) => {
                inspection.differs(entry.key.shown(), None, Some(shown(&entry.content)))
            }
            Change::Differs(entry, listed) | Change::Unknown(entry, listed) => inspection.differs(
                entry.key.shown(),
                Some(shown(&listed.content)),
                Some(shown(&entry.content)),
            ),
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
    let message = format!(
        "{} objects are copied ({} bytes), {gone} pages deleted, {} assets kept for open tabs, {} left as they are",
        counts.copies(),
        counts.bytes,
        counts.extra - gone,
        counts.same
    );
    inspection.finding(Finding::info("what-is-done", message))
}
