//! Ways in which a driver can be broken. The conformance kit must catch each of them.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::document::Document as _;
use rollback_core::erased::Considered;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::{
    ActionContext, Contents, DynTarget, Envelope, Evidence, Goal, Landing, Leftovers, Observation, Occasion,
    Result, SnapshotRecord, TargetInfo, Tidying, Token, View,
};

use super::forms::{ToyAction, ToySnapshot};

/// Declares the flaws with what is wrong, once for the documentation and for tables.
macro_rules! flaws {
    ($($name:ident: $about:literal,)+) => {
        /// One way in which the toy driver can be broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Flaw {
            $(#[doc = $about] $name,)+
        }

        impl Flaw {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What is wrong, in one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)+
                }
            }
        }
    };
}

flaws! {
    OneIdentity: "Every release has the same identity.",
    VolatileIdentity: "The identity includes a name that changes with each deploy.",
    UnstoredIdentity: "Something that counts for the identity is not stored with the snapshot.",
    NoisyToken: "The token changes with each look.",
    RestlessToken: "The token changes when a part restarts by itself.",
    FrozenToken: "The token never changes.",
    ShiftingId: "Two handles onto the same thing have different ids.",
    IdAsTyped: "The id is the address as somebody wrote it.",
    ShuffledParts: "Parts come in another order with each look.",
    FrozenIncarnation: "The incarnation of a part never changes.",
    SettlesEarly: "What is on its way counts as settled.",
    HidesLag: "It never says that looks show the past.",
    OldestFirst: "History is oldest first.",
    IgnoresQuery: "History takes no notice of what was asked for.",
    CurrentIsPast: "History says of what runs that it ran once.",
    CountsFailures: "History says of a release that never started that it ran.",
    MakesUpHistory: "It claims no history and returns one.",
    MeddlingInspect: "`inspect` changes something.",
    SkipsArtifacts: "`inspect` says nothing of what the destination is made of.",
    SeesNoGaps: "`inspect` does not see that an artifact is gone.",
    DeniedIsAbsent: "`inspect` calls gone what it may not read.",
    KeepsAnyContents: "It keeps the contents of whatever is there, under the name of what is asked for.",
    RemembersAnything: "It writes down whatever is there, under the name of what it is asked to remember.",
    TellsSecrets: "`inspect` shows secrets as they are.",
    TellsSecretsInErrors: "Errors quote the request with its secret.",
    AcceptsAnything: "Envelopes are not checked.",
    ImpureStrategy: "The strategy proposes something else each time.",
    NamelessStrategy: "The strategy says nothing about itself.",
    CircularSteps: "A step waits for itself.",
    SendsTwice: "`apply` sends again under the same key.",
    RetriesByItself: "`apply` sends again by itself when no answer came.",
    Clobbers: "It claims to refuse stale writers, and overwrites what others did.",
    ClaimsSuccess: "`apply` says \"applied\" and sends nothing.",
    HidesUnknown: "A lost answer is reported as \"nothing happened\".",
    ProbesPostcondition: "`probe` looks at whether the postcondition happens to hold.",
    ForgetfulProbe: "`probe` says \"not applied\" of what landed.",
    StopsAfterOne: "A convergence stops after its first part and says \"applied\".",
    NeverStops: "A convergence does not stop when asked to.",
    TogglesBack: "A convergence that is done already goes on to the release before.",
    ProvesOnePart: "`prove` looks at the first part only.",
    CountsNothing: "`prove` takes zero replicas for well.",
    ShowsNoEvidence: "`prove` does not say what was compared.",
    IgnoresGrace: "Tidying up takes away what is not old enough.",
    TidiesHalf: "Tidying up leaves some of what it listed where it is.",
    TripsOverGone: "Tidying up fails where there is nothing left to take away.",
    TidiesNextDoor: "Tidying up takes something of a neighbour away as well.",
    ForgetsTheRest: "Tidying up strikes everything from its list before it takes the first thing away.",
    ProvesFromMemory: "`prove` tells what the last look showed.",
}

/// A layer that makes every envelope fit before the driver sees it: altered ones and those of other schemas pass.
#[derive(Debug)]
pub(super) struct Lax {
    inner: Arc<dyn DynTarget>,
}

impl Lax {
    pub(super) fn new(inner: Arc<dyn DynTarget>) -> Self {
        Self { inner }
    }
}

fn lax_snapshot(record: &SnapshotRecord) -> Result<SnapshotRecord> {
    let body = record.document.body.clone();
    let snapshot = <ToySnapshot as rollback_core::Document>::decode("toy-release/1", body)
        .unwrap_or_else(|_| ToySnapshot::of(1));
    SnapshotRecord::seal(&snapshot)
}

fn lax_action(action: &Envelope) -> Envelope {
    Envelope { schema: ToyAction::SCHEMA.to_owned(), body: action.body.clone() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Lax {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.inner.info().await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.inner.observe(after).await
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        self.inner.anticipate(query).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.inner.history(query).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        let from = from.map(lax_snapshot).transpose()?;
        self.inner.inspect(from.as_ref(), &lax_snapshot(to)?).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        let mut view = view.clone();
        view.goal = lax_snapshot(&view.goal)?;
        self.inner.propose(&view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.apply(cx, &lax_action(action)).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.probe(cx, &lax_action(action)).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        let mut goal = goal.clone();
        goal.snapshot = lax_snapshot(&goal.snapshot)?;
        self.inner.prove(&goal).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.inner.contents(&lax_snapshot(snapshot)?).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        self.inner.remember(&lax_snapshot(snapshot)?, occasion).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.inner.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        self.inner.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(&lax_snapshot(found)?, &lax_snapshot(recorded)?)
    }
}
