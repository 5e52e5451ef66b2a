//! Actions: what a strategy proposes, what the engine sends, and what became of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::contents::{Contents, Kept};
use crate::document::Document;
use crate::name::{ComponentName, IdempotencyKey, PartId, RunId, StepId, Token};
use crate::time::Lasting;

/// What a driver can do to its target, as the driver's own type. Names concrete objects, never "whatever is in
/// flight".
pub trait Action: Document {}

/// How an action may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// One request that changes the world. It lands at most once: after an unclear answer the engine probes.
    SingleEffect,
    /// Bulk work made of idempotent parts, repeatable from any point. The engine applies it again.
    Convergence,
}

/// One action of a proposal, with what the engine must know to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Step<A> {
    /// Its name inside the proposal.
    pub id: StepId,
    /// What it does, for people: `point current at releases/v1`. No secrets.
    pub title: String,
    /// How it may be repeated.
    pub kind: ActionKind,
    /// The driver's action.
    pub action: A,
    /// Steps of the same proposal that must have been applied before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
    /// The part it works on, like one host. Steps on different parts run in bounded batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartId>,
    /// Whether the way back exists once it was applied.
    pub reversible: bool,
    /// How long one attempt may take before its effect counts as unknown.
    pub timeout: Lasting,
    /// Kept contents that it is sent with: see [`ActionContext::contents`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Kept>,
}

impl<A> Step<A> {
    /// A reversible single effect with a time limit of one minute.
    ///
    /// # Panics
    ///
    /// Never for ids written in code that follow [`StepId`]'s rules; ids from outside are parsed first.
    pub fn single(id: StepId, title: impl Into<String>, action: A) -> Self {
        Self {
            id,
            title: title.into(),
            kind: ActionKind::SingleEffect,
            action,
            after: Vec::new(),
            part: None,
            reversible: true,
            timeout: Lasting::from_secs(60),
            contents: None,
        }
    }

    /// A reversible convergence with a time limit of ten minutes an attempt.
    pub fn convergence(id: StepId, title: impl Into<String>, action: A) -> Self {
        Self {
            kind: ActionKind::Convergence,
            timeout: Lasting::from_secs(600),
            ..Self::single(id, title, action)
        }
    }

    /// Runs after these steps.
    #[must_use]
    pub fn after(mut self, steps: impl IntoIterator<Item = StepId>) -> Self {
        self.after.extend(steps);
        self
    }

    /// Works on one part only.
    #[must_use]
    pub fn on_part(mut self, part: PartId) -> Self {
        self.part = Some(part);
        self
    }

    /// Cannot be taken back.
    #[must_use]
    pub fn irreversible(mut self) -> Self {
        self.reversible = false;
        self
    }

    /// Limits one attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: Lasting) -> Self {
        self.timeout = timeout;
        self
    }

    /// Is sent with kept contents, as [`View::kept`](crate::View::kept) names them.
    #[must_use]
    pub fn with_contents(mut self, kept: Kept) -> Self {
        self.contents = Some(kept);
        self
    }

    /// The same step with another form of its action.
    pub(crate) fn try_map<B, E>(self, map: impl FnOnce(A) -> Result<B, E>) -> Result<Step<B>, E> {
        Ok(Step {
            id: self.id,
            title: self.title,
            kind: self.kind,
            action: map(self.action)?,
            after: self.after,
            part: self.part,
            reversible: self.reversible,
            timeout: self.timeout,
            contents: self.contents,
        })
    }
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Landing {
    /// It landed.
    Applied(Receipt),
    /// It did not land, and no request that could still land is on its way.
    NotApplied {
        /// Why, for people.
        why: String,
    },
    /// It was taken and is still being worked on.
    Running {
        /// What is going on, for people.
        what: String,
    },
    /// It landed, was worked on to its end, and failed: a task that ended with an error. Sending it again would be another
    /// effect.
    Failed {
        /// Why, for people.
        why: String,
    },
    /// The target was moved somewhere else since: the request is out of date.
    Superseded {
        /// By whom or to what, as far as it is known.
        by: String,
    },
    /// Nobody can tell.
    Unknown {
        /// Why not, for people.
        why: String,
    },
}

impl Landing {
    /// Applied with an empty output.
    #[must_use]
    pub fn applied() -> Self {
        Self::Applied(Receipt::default())
    }
}

/// What an applied action left behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Receipt {
    /// For later actions of the same proposal: an id, an ARN. No secrets; small.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// The target's concurrency token after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Whether it is only presumed: the state fits, and the backend keeps no mark to be sure by.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub presumed: bool,
}

impl Receipt {
    /// Adds an output.
    #[must_use]
    pub fn with_output(mut self, output: Value) -> Self {
        self.output = output;
        self
    }

    /// Adds the token after the action.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Marks it as presumed.
    #[must_use]
    pub fn presumed(mut self) -> Self {
        self.presumed = true;
        self
    }
}

/// Told while a convergence works: parts done, parts in all, a note for people.
pub type ProgressFn = dyn Fn(u64, u64, &str) + Send + Sync;

/// What an action is sent with.
#[derive(Clone)]
#[non_exhaustive]
pub struct ActionContext {
    /// The run it belongs to.
    pub run: RunId,
    /// The component it belongs to.
    pub component: ComponentName,
    /// The step it is.
    pub step: StepId,
    /// The same for each sending of this step, also after a crash. Hand it to the API where it takes one, or leave
    /// it as a mark where the backend keeps one.
    pub key: IdempotencyKey,
    /// Which sending this is, from 1.
    pub attempt: u32,
    /// The token that the target must still have. Hand it to the backend where that refuses stale writers;
    /// compare it right before sending elsewhere.
    pub expected: Option<Token>,
    /// How long before this sending was prepared the engine itself saw the target with that token. `None`: it did not. A driver
    /// whose backend cannot refuse stale writers, and for which comparing once more costs a request, may rely on a look that
    /// is a moment old.
    pub seen: Option<Lasting>,
    /// What earlier steps put out.
    pub outputs: BTreeMap<StepId, Value>,
    /// How long one sending may take. The engine keeps this limit; a driver may hand it to its client.
    pub timeout: Lasting,
    /// What was kept of the destination, where the step asked for it and is being sent; a probe goes without. It may hold secrets: it goes into requests, and nowhere else.
    pub contents: Option<Contents>,
    /// Asked to stop: a convergence stops between its parts, a single effect finishes.
    pub cancel: CancellationToken,
    progress: Option<Arc<ProgressFn>>,
}

impl ActionContext {
    /// A context for the first attempt, without token and outputs.
    #[must_use]
    pub fn new(run: RunId, component: ComponentName, step: StepId, key: IdempotencyKey) -> Self {
        Self {
            run,
            component,
            step,
            key,
            attempt: 1,
            expected: None,
            seen: None,
            outputs: BTreeMap::new(),
            timeout: Lasting::from_secs(60),
            contents: None,
            cancel: CancellationToken::new(),
            progress: None,
        }
    }

    /// Sets the token that the target must still have.
    #[must_use]
    pub fn expecting(mut self, token: Option<Token>) -> Self {
        self.expected = token;
        self
    }

    /// Sets how long ago the engine saw the target with the expected token.
    #[must_use]
    pub fn seen(mut self, ago: Option<Lasting>) -> Self {
        self.seen = ago;
        self
    }

    /// Sets which sending this is.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets what earlier steps put out.
    #[must_use]
    pub fn with_outputs(mut self, outputs: BTreeMap<StepId, Value>) -> Self {
        self.outputs = outputs;
        self
    }

    /// Sets how long one sending may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Lasting) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the kept contents.
    #[must_use]
    pub fn with_contents(mut self, contents: Option<Contents>) -> Self {
        self.contents = contents;
        self
    }

    /// Sets the cancellation.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets who is told of progress.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<ProgressFn>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// A receipt of something that leaves the target's token as it was: the expected one goes on to be expected. Without an expected
    /// token it has none.
    ///
    /// ```
    /// # use rollback_core::{ActionContext, ComponentName, IdempotencyKey, RunId, StepId, Token};
    /// # let run: RunId = "019a0000-0000-7000-8000-000000000000".parse()?;
    /// # let (component, step, key) = (ComponentName::new("web")?, StepId::new("notify")?, IdempotencyKey::new("1")?);
    /// let cx = ActionContext::new(run, component, step, key);
    /// assert_eq!(cx.unmoved().token, None);
    /// let cx = cx.expecting(Some(Token::new("7")));
    /// assert_eq!(cx.unmoved().token, Some(Token::new("7")));
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn unmoved(&self) -> Receipt {
        Receipt { token: self.expected.clone(), ..Receipt::default() }
    }

    /// Tells how far a convergence is.
    pub fn progress(&self, done: u64, total: u64, note: &str) {
        if let Some(progress) = &self.progress {
            progress(done, total, note);
        }
    }
}

impl fmt::Debug for ActionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionContext")
            .field("run", &self.run)
            .field("component", &self.component)
            .field("step", &self.step)
            .field("key", &self.key)
            .field("attempt", &self.attempt)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
