//! What core itself has to say about a plan.

use jiff::Timestamp;

use super::candidate::Chosen;
use super::{ComponentPlan, Method, MethodVerdict};
use crate::environment::Environment;
use crate::registry::known;
use crate::request::Request;
use crate::snapshot::{Artifact, SnapshotInfo, SnapshotRecord};
use crate::target::{
    ArtifactState, DiffEntry, Finding, Inspection, Observation, PartState, Phase, Reading, Shown,
};

/// How many differences a plan shows, and how much of each.
const DIFF_ENTRIES: usize = 200;
const DIFF_TEXT: usize = 200;

/// What of a destination certainly does not exist any more.
pub(crate) fn missing<'a>(to: &'a SnapshotInfo, inspection: &Inspection) -> Vec<&'a Artifact> {
    let gone = |artifact: &&Artifact| {
        let absent =
            |state: &ArtifactState| state.artifact == **artifact && state.presence == Reading::Absent;
        inspection.artifacts.iter().any(absent)
    };
    to.artifacts.iter().filter(gone).collect()
}

/// Findings about what must still exist, unless it is `brought` by the way that is chosen.
pub(crate) fn artifact_findings(
    to: &SnapshotInfo,
    inspection: &Inspection,
    brought: &[Artifact],
) -> Vec<Finding> {
    let asked = |artifact: &Artifact| inspection.artifacts.iter().find(|state| state.artifact == *artifact);
    to.artifacts
        .iter()
        .filter(|artifact| !brought.contains(artifact))
        .filter_map(|artifact| {
            let what = format!("{} {}", artifact.kind, artifact.name);
            match asked(artifact).map(|state| &state.presence) {
                Some(Reading::Known(None)) => None,
                Some(Reading::Known(Some(until))) => Some(
                    Finding::warning("artifact-expires", format!("{what} will be removed at {until:.0}"))
                        .next("protect it, or restore before then"),
                ),
                Some(Reading::Absent) => Some(
                    Finding::blocker("artifact-missing", format!("{what} does not exist any more"))
                        .next("choose another destination: rollback history shows them"),
                ),
                Some(Reading::Unknown(why)) => Some(Finding::warning(
                    "artifact-unknown",
                    format!("whether {what} still exists could not be asked: {why}"),
                )),
                None => Some(Finding::warning(
                    "artifact-unknown",
                    format!("whether {what} still exists was not asked"),
                )),
            }
        })
        .collect()
}

/// When the first of these will be removed, as far as it is known.
pub(crate) fn restorable_until(artifacts: &[ArtifactState]) -> Option<Timestamp> {
    let until = |state: &ArtifactState| state.presence.known().copied().flatten();
    artifacts.iter().filter_map(until).min()
}

/// Findings about where the target is, where it should go, and whether it may.
pub(crate) fn look_findings(
    observed: &Observation<SnapshotRecord>,
    leaving: Option<&SnapshotInfo>,
    chosen: &Chosen,
    request: &Request,
    environment: &Environment,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(destination_findings(leaving, chosen, request));
    findings.extend(phase_findings(observed));
    if let Some(window) = environment.frozen(now) {
        let message = format!("{} is frozen until {:.0}: {}", environment.name, window.to, window.reason);
        findings.push(if request.automatic {
            Finding::blocker("frozen", message).next("a person can still roll back")
        } else {
            Finding::warning("frozen", message)
        });
    }
    findings
}

fn destination_findings(leaving: Option<&SnapshotInfo>, chosen: &Chosen, request: &Request) -> Vec<Finding> {
    let candidate = &chosen.candidate;
    let mut findings = Vec::new();
    if !chosen.ran {
        findings.push(
            Finding::warning(
                "never-seen-running",
                "whether this version ever ran is not known, only that it was made",
            )
            .next("record what runs after each deploy: rollback record"),
        );
    }
    if let Some(why) = &candidate.unrestorable {
        findings.push(
            Finding::blocker("unrestorable", format!("this version cannot be restored: {why}"))
                .next("choose another destination: rollback history shows them"),
        );
    }
    if let Some(why) = &candidate.quarantined {
        let message = format!("this version is under quarantine: {why}");
        findings.push(if request.allow_quarantined {
            Finding::warning("quarantined", message)
        } else {
            Finding::blocker("quarantined", message)
                .next("choose another, or allow it with --allow-quarantined")
        });
    }
    let made = |info: &SnapshotInfo| info.made_at;
    if let (Some(now), Some(then)) = (leaving.and_then(made), made(&candidate.snapshot.info))
        && then > now
    {
        let message = "this version is newer than the one that runs: that is a deployment, not a rollback";
        findings.push(if request.allow_newer {
            Finding::warning("newer", message)
        } else {
            Finding::blocker("newer", message).next("choose an older one, or allow it with --allow-newer")
        });
    }
    findings.extend(chosen.commits.finding());
    findings
}

fn phase_findings(observed: &Observation<SnapshotRecord>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &observed.phase {
        Phase::Settled => {}
        Phase::Progressing(what) if observed.heading.is_none() => {
            findings.push(Finding::warning("not-at-rest", format!("the target is not at rest: {what}")));
        }
        Phase::Progressing(what) => {
            findings.push(Finding::warning("in-flight", format!("a change is on its way: {what}")));
        }
        Phase::Paused(what) => {
            findings.push(Finding::warning("paused", format!("the target is held: {what}")));
        }
        Phase::Failed(what) => {
            findings.push(Finding::info("failed", format!("the target says that it failed: {what}")));
        }
    }
    if let Reading::Unknown(why) = &observed.settled {
        findings.push(Finding::warning("origin-unknown", format!("what runs now could not be read: {why}")));
    }
    findings.extend(nothing_runs(observed));
    findings
}

/// Where nothing runs that could be compared. Of what is on its way that is told already.
fn nothing_runs(observed: &Observation<SnapshotRecord>) -> Option<Finding> {
    let parts = &observed.parts;
    if parts.is_empty() || !parts.iter().all(PartState::is_empty) {
        return None;
    }
    if parts.iter().all(|part| part.replicas.is_some_and(|replicas| replicas.ready == 0)) {
        let found = Finding::warning("nothing-runs", "no replica runs, so nothing can be proven");
        return Some(found.next("scale it up first, or expect the run to end as stuck"));
    }
    let message = "nothing is known to run, so nothing can be proven";
    let found = Finding::warning("nothing-runs", message);
    let is_at_rest = !matches!(observed.phase, Phase::Progressing(_));
    is_at_rest.then(|| found.next("see what is deployed: rollback status; then plan again"))
}

/// The first differences, with long values cut, and how many were left out.
pub(crate) fn bounded_diff(mut diff: Vec<DiffEntry>) -> (Vec<DiffEntry>, u64) {
    let omitted = diff.len().saturating_sub(DIFF_ENTRIES) as u64;
    diff.truncate(DIFF_ENTRIES);
    for entry in &mut diff {
        for shown in [&mut entry.from, &mut entry.to].into_iter().flatten() {
            if let Shown::Plain(text) = shown
                && text.chars().count() > DIFF_TEXT
            {
                *text = text.chars().take(DIFF_TEXT).chain("…".chars()).collect();
            }
        }
    }
    (diff, omitted)
}

/// Why no method is left, by whoever asked for one.
pub(super) fn no_method(component: &ComponentPlan, wanted: Option<&str>) -> Finding {
    let Some(wanted) = wanted else { return none_at_all(component) };
    let methods = &component.methods;
    let names = methods.iter().map(|method| method.strategy.as_str());
    let found = methods.iter().find(|method| method.strategy == wanted);
    match found.map(|method| &method.verdict) {
        Some(MethodVerdict::Rejected(why)) => {
            Finding::blocker("no-method", format!("{wanted} cannot be used: {why}"))
                .next("leave --method out: rollback plan --explain compares the others")
        }
        _ => Finding::blocker("no-method", format!("there is no method {wanted:?} for this target"))
            .next(known("methods", wanted, names)),
    }
}

/// What is there already may only need time: whoever runs again after something was cut off has to be told that.
fn none_at_all(component: &ComponentPlan) -> Finding {
    let to = &component.to.info;
    let is_there = component.leaving.as_ref().is_some_and(|info| info.identity == to.identity);
    let label = to.label();
    match &component.phase {
        Phase::Progressing(why) if is_there => {
            let told = format!("{label} is what it goes to already, and it is not there yet: {why}");
            Finding::blocker("no-method", told).next(
                "wait for that (rollback status) and run this again to have it proven, or choose another version",
            )
        }
        Phase::Failed(why) if is_there => {
            Finding::blocker("no-method", format!("{label} is what it runs already, and that fails: {why}"))
                .next("choose another version: rollback history")
        }
        _ => {
            let mut why: Vec<&str> = component.methods.iter().filter_map(Method::rejected).collect();
            why.dedup();
            let why = if why.is_empty() { "there is none".to_owned() } else { why.join("; ") };
            Finding::blocker("no-method", format!("no strategy can put this target back: {why}"))
                .next("rollback plan --explain compares them; or choose another version: rollback history")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PartId, Token};

    fn next(part: PartState, phase: Phase) -> Option<String> {
        let observed = Observation::settled(Reading::Absent, Token::new("1")).part(part).in_phase(phase);
        nothing_runs(&observed)?.next
    }

    #[test]
    fn only_what_has_replicas_is_to_be_scaled_up() {
        let part = || PartState::verified(PartId::new("live").unwrap(), None);
        let scaled = next(part().with_replicas(2, 0), Phase::Settled);
        assert!(scaled.is_some_and(|next| next.contains("scale it up")));
        let at_rest = next(part(), Phase::Settled);
        assert!(at_rest.is_some_and(|next| !next.contains("scale")));
        assert_eq!(next(part(), Phase::Progressing("the pointer moves".to_owned())), None);
    }
}
