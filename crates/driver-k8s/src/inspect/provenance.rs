//! Whether the destination ever was more than the name of an image.

use rollback_core::Snapshot as _;
use rollback_core::target::Finding;

use crate::history::PREVIOUS_VERSION;
use crate::look::Look;
use crate::snapshot::{K8sSnapshot, Source};
use crate::text::{entry, line};

/// How many versions are named.
const MOST: usize = 10;

/// A version that no revision holds is made up of what runs now and a tag: nobody has seen it run.
pub(super) fn finding(look: &Look, to: &K8sSnapshot) -> Option<Finding> {
    if to.source != Source::Images {
        return None;
    }
    let kind = to.workload.kind.history_name();
    let version = to.info().version.map(|version| line(version.as_str())).unwrap_or_default();
    let noted = entry(&look.object, "/metadata/annotations", PREVIOUS_VERSION) == Some(version.as_str());
    let known = match noted {
        true => format!("the annotation {PREVIOUS_VERSION} names it, and that is all that is known of it"),
        false => "it may never have run here".to_owned(),
    };
    let message = format!(
        "no {kind} of {} holds version {version}: {known}. It would be what runs now with that image; the versions that are held are {}",
        to.workload,
        held(look, to)
    );
    let next = "check its name, or choose a version that is held: rollback history shows them";
    Some(Finding::warning("version-not-held", message).next(next))
}

/// The versions of the history, newest first, with what runs of them.
fn held(look: &Look, to: &K8sSnapshot) -> String {
    let mut told = Vec::<String>::new();
    for (index, entry) in look.entries.iter().enumerate() {
        let version = entry.template.version(to.container.as_deref(), &look.workload.name);
        let version =
            version.map_or_else(|| "one without a version".to_owned(), |version| line(version.as_str()));
        let runs = look.pods_of(index).iter().any(|pod| pod.ready);
        let shown = format!("{version} ({}{})", entry.number, if runs { ", runs now" } else { "" });
        told.push(shown);
    }
    let more = told.len().saturating_sub(MOST);
    told.truncate(MOST);
    match (told.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => told.join(", "),
        (false, more) => format!("{} and {more} more", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::target::{HistoryQuery, Severity};
    use serde_json::json;

    use super::*;
    use crate::look::tests::{Bed, at_rest};
    use crate::workload::Kind;

    fn said(bed: Bed, version: &str) -> Option<Finding> {
        let look = bed.look();
        let query = HistoryQuery::version(rollback_core::Version::new(version).unwrap());
        let found = crate::history::history(&look, &query, None).unwrap();
        finding(&look, &found[0].snapshot)
    }

    #[test]
    fn a_version_that_nobody_has_seen_is_told_with_those_that_there_are() {
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
            let found = said(at_rest(kind), "v11").expect("it is not held");
            assert_eq!((found.severity, found.code.as_str()), (Severity::Warning, "version-not-held"));
            for words in [
                "holds version v11: it may never have run here",
                "v2 (2, runs now), v1 (1)",
                kind.history_name(),
            ] {
                assert!(found.message.contains(words), "{kind}: {}", found.message);
            }
            assert_eq!(said(at_rest(kind), "v1"), None, "{kind}");
        }
        let noted =
            at_rest(Kind::Deployment).set("/metadata/annotations", json!({ "previous-version": "v0" }));
        let found = said(noted, "v0").expect("it is not held");
        assert!(found.message.contains("the annotation previous-version names it"), "{}", found.message);
    }
}
