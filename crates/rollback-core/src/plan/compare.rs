//! Asks the strategies, and compares what they propose.

use super::check::check_steps;
use super::{Method, MethodVerdict};
use crate::document::Envelope;
use crate::erased::{Considered, DynTarget};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::{Artifact, SnapshotRecord};
use crate::strategy::{Decision, Proposal, View};
use crate::target::Observation;

/// Asks every strategy and checks what it proposes.
pub(crate) fn propose(target: &dyn DynTarget, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
    let considered = target.propose(view)?;
    for one in &considered {
        if let Decision::Propose(proposal) = &one.decision {
            check_steps(proposal, view.capabilities).map_err(|what| {
                Error::new(
                    ErrorKind::Invalid,
                    format!("use strategy {} of driver {}", one.strategy, target.driver()),
                    format!("its proposal is broken: {what}"),
                )
                .next("this is a fault of the driver: report it")
            })?;
        }
    }
    Ok(considered)
}

/// Chosen first, then the alternatives as core prefers them, then the rejected: all others, if one is `wanted`.
pub(super) fn compare(considered: Vec<Considered>, wanted: Option<&str>) -> Vec<Method> {
    let mut usable = Vec::new();
    let mut rejected = Vec::new();
    for one in considered {
        let why = match one.decision {
            Decision::Propose(proposal) if wanted.is_none_or(|wanted| wanted == one.strategy) => {
                usable.push((one.strategy, one.summary, proposal));
                continue;
            }
            Decision::Propose(_) => "it could be used, and another method was asked for".to_owned(),
            Decision::NotApplicable(why) => why,
        };
        let verdict = MethodVerdict::Rejected(why);
        rejected.push(Method { strategy: one.strategy, summary: one.summary, verdict });
    }
    // Stable: the driver's own order decides between equals.
    usable.sort_by(|a, b| a.2.preference(&b.2));
    let ranked = usable.into_iter().enumerate().map(|(rank, (strategy, summary, proposal))| Method {
        strategy,
        summary,
        verdict: if rank == 0 {
            MethodVerdict::Chosen(proposal)
        } else {
            MethodVerdict::Alternative(proposal)
        },
    });
    ranked.chain(rejected).collect()
}

/// Whether what belongs to the destination is another one now.
pub(super) fn coupled_changed(observed: &Observation<SnapshotRecord>, to: &SnapshotRecord) -> bool {
    let now = observed.settled.known().and_then(|record| record.info.coupled);
    now.zip(to.info.coupled).is_some_and(|(now, then)| now != then)
}

/// Rejects proposals that would change nothing, where only `coupled` state is to be put back, and those that need something which
/// is gone, where another one makes it again.
pub(super) fn usable(considered: Vec<Considered>, coupled: bool, missing: &[&Artifact]) -> Vec<Considered> {
    let lacks = |proposal: &Proposal<Envelope>| {
        missing.iter().find(|artifact| !proposal.brings.contains(artifact)).copied()
    };
    let fits =
        |one: &Considered| matches!(&one.decision, Decision::Propose(proposal) if lacks(proposal).is_none());
    let made_again = considered.iter().any(fits);
    let judge = |mut one: Considered| {
        let why = match &one.decision {
            Decision::Propose(proposal) if coupled && !proposal.coupled => {
                Some("it runs already, and this would not put back what belongs to it".to_owned())
            }
            Decision::Propose(proposal) if made_again => {
                lacks(proposal).map(|gone| format!("{} {} does not exist any more", gone.kind, gone.name))
            }
            _ => None,
        };
        if let Some(why) = why {
            one.decision = Decision::NotApplicable(why);
        }
        one
    };
    considered.into_iter().map(judge).collect()
}
