//! What a workload can be put back to, newest first.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::target::{HistoryEntry, HistoryQuery, Phase, Standing};
use rollback_core::{Identity, Result, Revision, Snapshot as _};

use crate::image::{Image, is_tag};
use crate::look::{Look, Rest};
use crate::snapshot::{K8sSnapshot, Source};
use crate::text::entry;

/// Where the pipeline of the runbook notes what ran before.
pub(crate) const PREVIOUS_VERSION: &str = "previous-version";

/// The states that can be restored, each once, where it ran last.
///
/// What differs only by a restart is one state, so that "previous" never leads from a bad version to the same one before it was
/// restarted. Whether an entry without pods ever became available is not kept by Kubernetes: it is said to be unknown.
pub(crate) fn history(
    look: &Look,
    query: &HistoryQuery,
    container: Option<&str>,
) -> Result<Vec<HistoryEntry<K8sSnapshot>>> {
    let course = look.course();
    let failed = matches!(course.phase, Phase::Failed(_));
    let rests_on = match course.rest {
        Rest::Desired => Some(look.desired_identity()),
        Rest::Earlier(index) => Some(look.entries[index].identity),
        Rest::Nothing | Rest::Untold(_) => None,
    };
    let desired = look.desired_index();
    // What it is set to comes first, whatever its number: its controller may not have counted it yet.
    let order = desired.into_iter().chain((0..look.entries.len()).filter(|index| Some(*index) != desired));
    let mut states = Vec::new();
    if desired.is_none() {
        states.push((look.desired_state()?, 0));
    }
    for index in order {
        states.push((look.state(index)?, look.entries[index].available));
    }
    let (mut seen, mut found) = (BTreeSet::<Identity>::new(), Vec::new());
    for (mut state, available) in states {
        state.container = container.map(str::to_owned);
        let identity = state.template.identity();
        let standing = if rests_on == Some(identity) {
            Standing::Current
        } else if identity == look.desired_identity() && failed {
            Standing::Failed
        } else if available > 0 && identity != look.desired_identity() {
            Standing::Ran
        } else {
            Standing::Unknown
        };
        if seen.insert(identity) {
            found.push(HistoryEntry::new(state, standing));
        }
    }
    add_by_image(look, query, container, &mut found)?;
    found.retain(|entry| query.wants(&entry.snapshot.info()));
    found.truncate(query.limit);
    Ok(found)
}

/// A version that no entry holds any more can still be had by its image: the one that is asked for, or the one that the workload
/// says ran before.
fn add_by_image(
    look: &Look,
    query: &HistoryQuery,
    container: Option<&str>,
    found: &mut Vec<HistoryEntry<K8sSnapshot>>,
) -> Result<()> {
    let noted = entry(&look.object, "/metadata/annotations", PREVIOUS_VERSION);
    let asked = query.version.as_ref().map(rollback_core::Version::as_str);
    let named = query.revision.as_ref().and_then(|revision| revision.as_str().strip_prefix("image-"));
    for tag in [asked, named, noted].into_iter().flatten().filter(|tag| is_tag(tag)) {
        if let Some(state) = by_image(look, tag, container)?
            && found.iter().all(|entry| entry.snapshot.template != state.template)
        {
            found.push(HistoryEntry::new(state, Standing::Unknown));
        }
    }
    Ok(())
}

/// What the workload is set to, with another tag for its main container.
fn by_image(look: &Look, tag: &str, container: Option<&str>) -> Result<Option<K8sSnapshot>> {
    let Some((name, image)) = look.desired.main_container(container, &look.workload.name) else {
        return Ok(None);
    };
    let images = BTreeMap::from([(name.to_owned(), Image::parse(image).tagged(tag))]);
    let template = look.desired.with_images(&images);
    let revision = Revision::new(format!("image-{tag}"))?;
    let mut state = K8sSnapshot::new(look.workload.clone(), revision, Source::Images, template);
    state.container = container.map(str::to_owned);
    Ok(Some(state))
}
