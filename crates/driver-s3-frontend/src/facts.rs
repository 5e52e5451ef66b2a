//! What an inspection found out for the strategies: whence a state can be had.

use rollback_core::View;
use serde::{Deserialize, Serialize};

use crate::names::Release;
use crate::snapshot::{SiteSnapshot, Source};

/// Whether a state can be had in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whence<T> {
    /// From there.
    From(T),
    /// Nobody looked: it is looked for when it is needed.
    Somewhere,
    /// Not in this way, and why.
    Nowhere(String),
}

/// What is known of each way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) archive: Whence<Release>,
    pub(crate) versions: Whence<Source>,
}

impl Facts {
    /// What was found out about the goal. A repair is planned without an inspection: then all that is known is where it was thought to be.
    pub(crate) fn of(view: &View<SiteSnapshot>) -> Self {
        let found = serde_json::from_value(view.inspection.facts.clone());
        found.unwrap_or_else(|_| Self::thought(&view.goal))
    }

    fn thought(goal: &SiteSnapshot) -> Self {
        fn thought<T>(here: Option<T>, anywhere: bool, what: &str) -> Whence<T> {
            match here {
                Some(here) => Whence::From(here),
                None if anywhere => Whence::Nowhere(format!("it is not known to be in {what}")),
                None => Whence::Somewhere,
            }
        }
        let anywhere = !goal.sources.is_empty();
        let manifest = goal.manifest().map(Source::Manifest);
        let versions = goal.time().map(Source::Versions).or(manifest);
        Self {
            archive: thought(goal.release().cloned(), anywhere, "the archive"),
            versions: thought(versions, anywhere, "the versions"),
        }
    }
}
