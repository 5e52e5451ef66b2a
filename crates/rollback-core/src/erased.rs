//! The erased form of a target, which core and its layers work with.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::action::{ActionContext, Landing};
use crate::anticipates::Anticipates;
use crate::contents::{Contents, KeepsContents};
use crate::document::{Document as _, Envelope};
use crate::error::Result;
use crate::name::Token;
use crate::remembers::{Occasion, Remembers};
use crate::snapshot::SnapshotRecord;
use crate::strategy::{Decision, Proposal, Strategy, View};
use crate::target::{
    Evidence, Goal, HistoryEntry, HistoryQuery, Inspection, Observation, Target, TargetInfo,
};
use crate::tidies::{Leftovers, Tidies, Tidying};

/// A target with its types erased: the same calls over [`SnapshotRecord`] and [`Envelope`].
///
/// Driver authors implement [`Target`] and call [`Bound::new`]; layers wrap this form.
#[async_trait]
pub trait DynTarget: fmt::Debug + Send + Sync + 'static {
    /// The name of the driver, as in `driver = "…"`.
    fn driver(&self) -> &str;
    /// See [`Target::info`].
    async fn info(&self) -> Result<TargetInfo>;
    /// See [`Target::observe`].
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>>;
    /// See [`Anticipates::anticipate`]; nothing where it does not.
    async fn anticipate(&self, query: &HistoryQuery);
    /// See [`Target::history`].
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>>;
    /// See [`Target::inspect`].
    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection>;
    /// Asks every strategy, in the driver's order.
    ///
    /// # Errors
    ///
    /// When a snapshot of the view is not one of this driver's.
    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>>;
    /// See [`Target::apply`].
    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing>;
    /// See [`Target::probe`].
    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing>;
    /// See [`Target::prove`].
    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence>;
    /// See [`KeepsContents::contents`]. `None` also of a target that keeps none.
    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>>;
    /// See [`Remembers::remember`]. `false` of a target that remembers nothing.
    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool>;
    /// See [`Tidies::leftovers`]. `None` of a target that leaves nothing behind.
    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>>;
    /// See [`Tidies::tidy`]. `None` of a target that leaves nothing behind.
    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>>;
    /// See [`Snapshot::recall`](crate::Snapshot::recall).
    ///
    /// # Errors
    ///
    /// When one of them is not a snapshot of this driver.
    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord>;
}

/// A strategy with its answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Considered {
    /// The name of the strategy.
    pub strategy: String,
    /// What it does in a few words.
    pub summary: String,
    /// What it answered.
    pub decision: Decision<Envelope>,
}

/// A driver's target together with its strategies.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use rollback_core::{Bound, DynTarget, Target, Strategy};
/// # fn demo<T: Target>(target: T, one: impl Strategy<T::Snapshot, T::Action>) -> Arc<dyn DynTarget> {
/// Bound::new("my-driver", target).strategy(one).erase()
/// # }
/// ```
pub struct Bound<T: Target> {
    driver: String,
    target: T,
    strategies: Vec<Box<dyn Strategy<T::Snapshot, T::Action>>>,
    contents: Option<ReadContents<T>>,
    anticipate: Option<Anticipate<T>>,
    remember: Option<Remember<T>>,
    tidies: Option<TidyUp<T>>,
}

/// Reads the contents of a state, of a target that keeps them.
type ReadContents<T> = for<'a> fn(&'a T, &'a SnapshotRecord) -> BoxFuture<'a, Result<Option<Contents>>>;

/// Has a target that can remember a state remember it.
type Anticipate<T> = for<'a> fn(&'a T, &'a HistoryQuery) -> BoxFuture<'a, ()>;

type Remember<T> = for<'a> fn(&'a T, &'a SnapshotRecord, Occasion) -> BoxFuture<'a, Result<()>>;

/// Has a target that leaves something behind say what, or take it away.
struct TidyUp<T> {
    leftovers: for<'a> fn(&'a T, Timestamp) -> BoxFuture<'a, Result<Leftovers>>,
    tidy: for<'a> fn(&'a T, &'a Tidying) -> BoxFuture<'a, Result<Leftovers>>,
}

impl<T: Target> Bound<T> {
    /// A target of `driver`, without strategies yet.
    pub fn new(driver: impl Into<String>, target: T) -> Self {
        Self {
            driver: driver.into(),
            target,
            strategies: Vec::new(),
            contents: None,
            anticipate: None,
            remember: None,
            tidies: None,
        }
    }

    /// Has the contents of recorded states kept, where the installation has a key for that.
    #[must_use]
    pub fn keeping_contents(mut self) -> Self
    where
        T: KeepsContents,
    {
        self.contents = Some(|target, snapshot| {
            Box::pin(async move {
                let contents = target.contents(&snapshot.open()?).await?;
                contents.as_ref().map(Contents::new).transpose()
            })
        });
        self
    }

    /// Has what the history will ask for read beside the look that comes first.
    #[must_use]
    pub fn anticipating(mut self) -> Self
    where
        T: Anticipates,
    {
        self.anticipate = Some(|target, query| Box::pin(target.anticipate(query)));
        self
    }

    /// Has recorded states, and those that are left, written down.
    #[must_use]
    pub fn remembering(mut self) -> Self
    where
        T: Remembers,
    {
        self.remember = Some(|target, snapshot, occasion| {
            Box::pin(async move { target.remember(&snapshot.open()?, occasion).await })
        });
        self
    }

    /// Has what rollbacks leave behind taken away after a while.
    #[must_use]
    pub fn tidying(mut self) -> Self
    where
        T: Tidies,
    {
        self.tidies = Some(TidyUp {
            leftovers: |target, now| Box::pin(target.leftovers(now)),
            tidy: |target, tidying| Box::pin(target.tidy(tidying)),
        });
        self
    }

    /// Adds a strategy. The order decides between equally good proposals.
    #[must_use]
    pub fn strategy(mut self, strategy: impl Strategy<T::Snapshot, T::Action>) -> Self {
        self.strategies.push(Box::new(strategy));
        self
    }

    /// Erases the types.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        Arc::new(self)
    }
}

impl<T: Target> fmt::Debug for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strategies: Vec<_> = self.strategies.iter().map(|strategy| strategy.name()).collect();
        f.debug_struct("Bound")
            .field("driver", &self.driver)
            .field("strategies", &strategies)
            .finish_non_exhaustive()
    }
}

fn seal_proposal<A: crate::action::Action>(proposal: Proposal<A>) -> Result<Proposal<Envelope>> {
    proposal.try_map(|action| Envelope::seal(&action))
}

#[async_trait]
impl<T: Target> DynTarget for Bound<T> {
    fn driver(&self) -> &str {
        &self.driver
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.target.info().await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.target.observe(after).await?.try_map(|snapshot| SnapshotRecord::seal(&snapshot))
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        if let Some(anticipate) = self.anticipate {
            anticipate(&self.target, query).await;
        }
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        let entries = self.target.history(query).await?;
        entries
            .into_iter()
            .take(query.limit)
            .map(|entry| entry.try_map(|snapshot| SnapshotRecord::seal(&snapshot)))
            .collect()
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        let from = from.map(SnapshotRecord::open::<T::Snapshot>).transpose()?;
        self.target.inspect(from.as_ref(), &to.open()?).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        let view = view.try_map_ref(SnapshotRecord::open::<T::Snapshot>)?;
        self.strategies
            .iter()
            .map(|strategy| {
                Ok(Considered {
                    strategy: strategy.name().to_owned(),
                    summary: strategy.summary().to_owned(),
                    decision: match strategy.propose(&view) {
                        Decision::Propose(proposal) => Decision::Propose(seal_proposal(proposal)?),
                        Decision::NotApplicable(why) => Decision::NotApplicable(why),
                    },
                })
            })
            .collect()
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let action = T::Action::decode(&action.schema, action.body.clone())?;
        self.target.apply(cx, &action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let action = T::Action::decode(&action.schema, action.body.clone())?;
        self.target.probe(cx, &action).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.target.prove(&goal.try_map_ref(SnapshotRecord::open)?).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        match self.contents {
            Some(read) => read(&self.target, snapshot).await,
            None => Ok(None),
        }
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        match self.remember {
            Some(remember) => remember(&self.target, snapshot, occasion).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        match &self.tidies {
            Some(tidies) => (tidies.leftovers)(&self.target, now).await.map(Some),
            None => Ok(None),
        }
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        match &self.tidies {
            Some(tidies) => (tidies.tidy)(&self.target, tidying).await.map(Some),
            None => Ok(None),
        }
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        found.recalling::<T::Snapshot>(recorded)
    }
}
