//! What going back would mean, and what speaks against it, for each way in which the destination can be had.

mod allowed;
mod archive;
mod front;
mod parts;
mod pointer;
mod shown;
mod versions;

use jiff::Timestamp;
use rollback_core::target::{Finding, Inspection, Reading, Severity, Shown};
use rollback_core::{Result, Snapshot as _};
use serde_json::json;

use crate::diff::Change;
use crate::facts::Whence;
use crate::object::{Listed, Restore};
use crate::site::{Compared, Site};
use crate::snapshot::SiteSnapshot;

/// How many objects a plan tells of that speak against a way.
const TOLD: usize = 20;

/// One way in which the destination may be had.
struct Way<T> {
    whence: Whence<T>,
    /// What differs, where it is there.
    compared: Option<Compared>,
    /// What is good to know of this way.
    findings: Vec<Finding>,
    /// What S3 would refuse in the middle of it. It stops a plan only where there is no other way.
    against: Vec<Finding>,
}

impl<T> Way<T> {
    fn closed(why: impl Into<String>) -> Self {
        let whence = Whence::Nowhere(why.into());
        Self { whence, compared: None, findings: Vec::new(), against: Vec::new() }
    }

    /// Open, unless something speaks against it.
    fn through(whence: T, compared: Compared) -> Self {
        let against = uncopyable(&compared);
        let whence = match against.first() {
            Some(first) => Whence::Nowhere(first.message.clone()),
            None => Whence::From(whence),
        };
        Self { whence, compared: Some(compared), findings: Vec::new(), against }
    }

    fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Closed after all, for this.
    fn close(&mut self, finding: Finding) {
        self.whence = Whence::Nowhere(finding.message.clone());
        self.against.push(finding);
    }

    fn is_open(&self) -> bool {
        matches!(self.whence, Whence::From(_))
    }

    /// Until when what it takes is there, if it is.
    fn presence(&self) -> Option<Option<Timestamp>> {
        self.compared.as_ref().map(|compared| compared.until)
    }
}

pub(crate) async fn inspect(
    site: &Site,
    from: Option<&SiteSnapshot>,
    to: &SiteSnapshot,
) -> Result<Inspection> {
    let inspection = match site.front.pointer() {
        Some(cloudfront) => pointer::inspect(site, cloudfront, from, to).await?,
        None => copied(site, from, to).await?,
    };
    front::inspect(site, inspection).await
}

/// The sites themselves, where they are two.
fn overview(from: Option<&SiteSnapshot>, to: &SiteSnapshot) -> Inspection {
    if from.is_some_and(|from| from.identity == to.identity) {
        return Inspection::default();
    }
    let shown = |site: &SiteSnapshot| {
        Shown::Plain(format!("{}: {} objects, {} bytes", site.info().label(), site.objects, site.bytes))
    };
    Inspection::default().differs("site", from.map(shown), Some(shown(to)))
}

/// Where what is served is a copy.
async fn copied(site: &Site, from: Option<&SiteSnapshot>, to: &SiteSnapshot) -> Result<Inspection> {
    let (archive, versions) = futures_util::try_join!(archive::look(site, to), versions::look(site, to))?;
    let mut inspection = overview(from, to);
    let presence = archive.presence().or(versions.presence()).map_or(Reading::Absent, Reading::Known);
    inspection = inspection.artifact(to.artifact(), presence);
    inspection = inspection.facts(json!({ "archive": archive.whence, "versions": versions.whence }));
    let open = archive.is_open() || versions.is_open();
    for finding in archive.findings.iter().chain(&versions.findings) {
        inspection = inspection.finding(finding.clone());
    }
    for finding in archive.against.iter().chain(&versions.against) {
        let mut finding = finding.clone();
        if open {
            finding.severity = Severity::Info;
        }
        inspection = inspection.finding(finding);
    }
    let used = if archive.is_open() || !versions.is_open() {
        archive.compared.or(versions.compared)
    } else {
        versions.compared
    };
    Ok(match used {
        Some(compared) => {
            let inspection = shown::differences(site, inspection, &compared);
            allowed::told(site, parts::told(site, inspection, &compared), &compared)
        }
        None => inspection,
    })
}

/// The objects that are to be copied.
fn copied_entries(compared: &Compared) -> impl Iterator<Item = &Listed> {
    compared.changes.iter().filter_map(|change| match change {
        Change::Missing(entry)
        | Change::Differs(entry, _)
        | Change::Unknown(entry, _)
        | Change::Headers(entry, ..) => Some(entry),
        // What is uncovered is not copied.
        Change::Same | Change::Extra(_) | Change::Hidden(..) => None,
    })
}

/// Those that cannot be.
fn uncopyable(compared: &Compared) -> Vec<Finding> {
    copied_entries(compared).filter_map(archived).take(TOLD).collect()
}

fn archived(entry: &Listed) -> Option<Finding> {
    let lasts = entry.class.restored_in()?;
    let (key, class) = (entry.key.shown(), &entry.class);
    let (message, next) = match entry.restore {
        Restore::Done => return None,
        Restore::Underway => {
            (format!("{key} is in {class}, and being restored: {lasts}"), "wait for that, then plan again")
        }
        Restore::None => (
            format!("{key} is in {class}: it must be restored before it can be copied, which takes {lasts}"),
            "aws s3api restore-object, wait, then plan again",
        ),
    };
    Some(Finding::blocker("object-archived", message).next(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Key;
    use crate::object::{Content, ETag, StorageClass};

    #[test]
    fn an_archived_object_is_copied_once_it_is_restored() {
        let content = Content::listed(7, ETag::new("9b2cf535f27731c974343645a3985328").unwrap());
        let listed =
            Listed::new(Key::new("film.mp4").unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap());
        assert_eq!(archived(&listed), None);
        let deep = listed.stored(StorageClass::new("DEEP_ARCHIVE").unwrap());
        assert!(archived(&deep).unwrap().message.contains("up to 48 hours"));
        assert!(
            archived(&deep.clone().restored(Restore::Underway)).unwrap().message.contains("being restored")
        );
        assert_eq!(archived(&deep.restored(Restore::Done)), None);
    }
}
