//! Sending actions: intent, authorise, send, outcome; and finding out what became of an unclear one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all};

use super::component::{ComponentRun, Halt};
use super::queue::Queue;
use crate::action::{ActionContext, ActionKind, Landing, Receipt, Step};
use crate::contents::{Contents, recall};
use crate::digest::Digest;
use crate::document::Envelope;
use crate::error::{Effect, Error, ErrorKind, ErrorRecord};
use crate::journal::{JournalEvent, Progressed, Purpose, StepState, describe_landing};
use crate::lease::{Authorised, Unauthorised};
use crate::name::IdempotencyKey;
use crate::progress::Event;
use crate::strategy::Proposal;
use crate::target::Changes;
use crate::time::Lasting;

/// How often a step is sent before it counts as failed.
const ATTEMPTS: u32 = 4;
/// How often an unclear effect is looked at before it counts as not to be found out.
pub(super) const LOOKS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why a step failed, with the error if there was one.
pub(super) type Failure = (String, Option<ErrorRecord>);

/// How far a step came.
enum StepEnd {
    Applied,
    Failed(Failure),
}

/// What to do after one sending.
enum Sent {
    Applied,
    /// Certainly not applied; may be sent again.
    Again(Failure),
    /// Certainly not applied, and sending again cannot help.
    Failed(Failure),
    /// To be looked at.
    Unclear,
}

pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

impl ComponentRun {
    /// Sends every step of a proposal in its order, in batches of at most `parallel`. Why it failed, if it did.
    pub(super) async fn act(&self, proposal: &Proposal<Envelope>) -> Result<Option<Failure>, Halt> {
        let mut queue = self
            .state(|state| {
                let sent = state.leg().map(|leg| &leg.steps);
                Queue::new(&proposal.steps, |step| {
                    sent.and_then(|sent| sent.get(step)).is_some_and(StepState::is_applied)
                })
            })
            .await;
        loop {
            let batch = queue.take(proposal.parallel.max(1) as usize);
            if batch.is_empty() {
                return Ok(None);
            }
            let ends = join_all(batch.iter().map(|at| self.step(&proposal.steps[*at], proposal).boxed()));
            let mut failure = None;
            for (at, end) in batch.iter().zip(ends.await) {
                match end? {
                    StepEnd::Applied => queue.applied(*at),
                    StepEnd::Failed(why) => drop(failure.get_or_insert(why)),
                }
            }
            if failure.is_some() {
                return Ok(failure);
            }
        }
    }

    async fn step(&self, step: &Step<Envelope>, proposal: &Proposal<Envelope>) -> Result<StepEnd, Halt> {
        let mut failure = None;
        let mut pause = FIRST_PAUSE;
        // Counted anew by each process: being cut off is not the step's failure.
        let mut sent_here = 0;
        loop {
            let (attempts, open) = self
                .state(|state| {
                    let sent = state.leg().and_then(|leg| leg.steps.get(&step.id));
                    sent.map_or((0, None), |sent| (sent.attempts, sent.open))
                })
                .await;
            if let Some(intent) = open {
                match self.clear(step, proposal, intent, attempts).await? {
                    Sent::Applied => return Ok(StepEnd::Applied),
                    Sent::Again(why) => failure = Some(why),
                    Sent::Failed(why) => return Ok(StepEnd::Failed(why)),
                    Sent::Unclear => {}
                }
            }
            if sent_here >= ATTEMPTS {
                let why = failure.unwrap_or_else(|| (format!("{} did not land", step.title), None));
                return Ok(StepEnd::Failed(why));
            }
            self.check_halt()?;
            if sent_here > 0 {
                self.wait(format!("{}: trying again", step.title), pause).await;
                pause = longer(pause);
                self.check_halt()?;
            }
            sent_here += 1;
            match self.send(step, proposal, attempts.saturating_add(1)).await? {
                Sent::Applied => return Ok(StepEnd::Applied),
                Sent::Again(why) => failure = Some(why),
                Sent::Failed(why) => return Ok(StepEnd::Failed(why)),
                Sent::Unclear => {}
            }
        }
    }

    /// Settles an intent whose outcome is not journalled. A convergence is simply applied again, unless it says that
    /// it runs.
    async fn clear(
        &self,
        step: &Step<Envelope>,
        proposal: &Proposal<Envelope>,
        intent: u64,
        attempt: u32,
    ) -> Result<Sent, Halt> {
        let runs = self
            .state(|state| {
                let sent = state.leg().and_then(|leg| leg.steps.get(&step.id));
                matches!(sent.and_then(|sent| sent.landing.as_ref()), Some(Landing::Running { .. }))
            })
            .await;
        if step.kind == ActionKind::Convergence && !runs {
            return Ok(Sent::Unclear);
        }
        let cx = self.action_context(step, proposal, attempt).await?;
        let landing = self.find_out(&cx, &step.action, &step.title, step.timeout).await?;
        self.conclude(step, intent, landing, None).await
    }

    /// One sending.
    async fn send(
        &self,
        step: &Step<Envelope>,
        proposal: &Proposal<Envelope>,
        attempt: u32,
    ) -> Result<Sent, Halt> {
        let cx = self.action_context(step, proposal, attempt).await?;
        let cx = match self.contents(step).await {
            Ok(contents) => cx.with_contents(contents),
            Err(error) => {
                let failure = (format!("{}: {error}", step.title), Some(error.to_record()));
                return Ok(if error.is_transient() { Sent::Again(failure) } else { Sent::Failed(failure) });
            }
        };
        let intent = self
            .note(JournalEvent::Intent {
                step: step.id.clone(),
                attempt,
                key: cx.key.clone(),
                expected: cx.expected.clone(),
            })
            .await?;
        let authorised = self.authorise().await?;
        if authorised.is_some_and(|authorised| !authorised.is_fresh(self.context.clock.monotonic())) {
            let landing =
                Landing::NotApplied { why: "not sent: too long since it was authorised".to_owned() };
            return self.conclude(step, intent, landing, None).await;
        }
        self.context.emit(Event::StepStarted {
            component: self.name.clone(),
            step: step.id.clone(),
            title: step.title.clone(),
            attempt,
        });
        let (landing, error) = match self.target.apply(&cx, &step.action).await {
            Ok(landing) => (landing, None),
            Err(error) => (landing_of(&error, cx.expected.is_some()), Some(error)),
        };
        self.conclude(step, intent, landing, error).await
    }

    /// The contents that a step is sent with. Whoever looks for what became of it goes without.
    async fn contents(&self, step: &Step<Envelope>) -> Result<Option<Contents>, Error> {
        let Some(kept) = &step.contents else { return Ok(None) };
        let keys = self.context.contents.as_ref();
        let found = recall(&self.context.records, keys, &self.plan.target.id, kept).await;
        found.map(Some)
    }

    async fn authorise(&self) -> Result<Option<Authorised>, Halt> {
        let Some(lease) = &self.lease else { return Ok(None) };
        match lease.authorise(self.open_intents().await).await {
            Ok(authorised) => Ok(Some(authorised)),
            Err(Unauthorised::Lost(by)) => Err(Halt::Lost(by)),
            Err(Unauthorised::Failed(error)) => Err(Halt::Store(error)),
        }
    }

    /// Journals an outcome and says what follows from it.
    async fn conclude(
        &self,
        step: &Step<Envelope>,
        intent: u64,
        landing: Landing,
        error: Option<Error>,
    ) -> Result<Sent, Halt> {
        self.context.emit(Event::StepEnded {
            component: self.name.clone(),
            step: step.id.clone(),
            outcome: describe_landing(&landing),
        });
        let record = error.as_ref().map(Error::to_record);
        self.note(JournalEvent::Outcome { intent, landing: landing.clone(), error: record.clone() }).await?;
        // A convergence that stopped between its parts because it was asked to.
        if self.cancel.is_cancelled()
            && error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Cancelled)
        {
            return Err(Halt::Cancelled);
        }
        Ok(match landing {
            Landing::Applied(_) => Sent::Applied,
            Landing::Running { .. } | Landing::Unknown { .. } => Sent::Unclear,
            Landing::Superseded { by } => return Err(Halt::Superseded(by)),
            Landing::Failed { why } => Sent::Failed((format!("{}: {why}", step.title), record)),
            Landing::NotApplied { why } => {
                let permanent =
                    error.is_some_and(|error| !error.is_transient() && error.kind() != ErrorKind::Stale);
                let failure = (format!("{}: {why}", step.title), record);
                if permanent { Sent::Failed(failure) } else { Sent::Again(failure) }
            }
        })
    }

    async fn action_context(
        &self,
        step: &Step<Envelope>,
        proposal: &Proposal<Envelope>,
        attempt: u32,
    ) -> Result<ActionContext, Halt> {
        let (leg, outputs, token, unclear) = self
            .state(|state| {
                let outputs = state.leg().map(|leg| leg.outputs.clone()).unwrap_or_default();
                let sent = state.leg().and_then(|leg| leg.steps.get(&step.id));
                // Once the destination is proven, whoever moves the target on is welcome to.
                let tidies = state.leg().is_some_and(|leg| leg.leg.purpose == Purpose::Tidy);
                let token = state.token.clone().filter(|_| !tidies);
                (state.legs.len(), outputs, token, sent.is_some_and(StepState::is_unclear))
            })
            .await;
        let mark = format!("{}/{leg}/{}", self.name, step.id);
        let key = format!("{}-{}", self.run, Digest::of_bytes(mark.as_bytes()).short());
        let key = IdempotencyKey::new(key).map_err(Halt::Store)?;
        // Steps of one batch on different parts move the token under each other, and so did those parts of a
        // convergence that were done before it was cut off.
        let moved = proposal.parallel > 1 && step.part.is_some();
        let half_done = step.kind == ActionKind::Convergence && unclear;
        let expected = token.filter(|_| !moved && !half_done);
        let (progress, component, id) = (self.context.progress.clone(), self.name.clone(), step.id.clone());
        let tell = move |done: u64, total: u64, note: &str| {
            progress.emit(Event::StepProgress {
                component: component.clone(),
                step: id.clone(),
                done,
                total,
                note: note.to_owned(),
            });
        };
        Ok(ActionContext::new(self.run, self.name.clone(), step.id.clone(), key)
            .seen(self.seen_ago(expected.as_ref()).map(Lasting::new))
            .expecting(expected)
            .with_attempt(attempt)
            .with_outputs(outputs)
            .with_timeout(step.timeout)
            .with_cancel(self.cancel.clone())
            .with_progress(Arc::new(tell)))
    }

    /// Looks until it is clear what became of a single effect; [`Landing::Unknown`] never comes back.
    pub(super) async fn find_out(
        &self,
        cx: &ActionContext,
        action: &Envelope,
        title: &str,
        limit: Lasting,
    ) -> Result<Landing, Halt> {
        let clock = &self.context.clock;
        let lag = self.plan.target.capabilities.visibility_lag.map_or(Duration::ZERO, Lasting::as_duration);
        let started = clock.monotonic();
        // Since when nothing is known to be on its way: a request that was still worked on may take its time after that.
        let mut quiet = started;
        let mut looks = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            self.check_lost()?;
            let now = clock.monotonic();
            let (waited, silent) = (now.saturating_sub(started), now.saturating_sub(quiet));
            let why = match self.target.probe(cx, action).await {
                // A request that was sent may take that long to land: only then is its absence believed, or that what
                // is there now, which may be somebody else's, stays.
                Ok(landing) if silent < lag && self.may_still_land(&landing) => describe_landing(&landing),
                Ok(
                    landing @ (Landing::Applied(_)
                    | Landing::Failed { .. }
                    | Landing::Superseded { .. }
                    | Landing::NotApplied { .. }),
                ) => return Ok(landing),
                Ok(Landing::Running { what }) if waited < limit.as_duration() * 2 + lag => {
                    looks = 0;
                    quiet = now;
                    what
                }
                Ok(Landing::Running { what }) => {
                    return Err(Halt::Stuck(format!("{title}: still running: {what}")));
                }
                Ok(Landing::Unknown { why }) => why,
                Err(error) => error.to_string(),
            };
            looks += 1;
            if looks >= LOOKS && silent >= lag {
                return Err(Halt::Stuck(format!("{title}: what became of it cannot be found out: {why}")));
            }
            self.wait(format!("{title}: {why}"), pause).await;
            pause = longer(pause);
        }
    }

    /// Whether a request may land that a probe says this of.
    fn may_still_land(&self, landing: &Landing) -> bool {
        match landing {
            Landing::NotApplied { .. } => true,
            Landing::Applied(receipt) => receipt.presumed,
            Landing::Superseded { .. } => !self.plan.target.capabilities.refuses_stale_writers,
            Landing::Failed { .. } | Landing::Running { .. } | Landing::Unknown { .. } => false,
        }
    }

    pub(super) async fn wait(&self, what: String, pause: Duration) {
        self.wait_for(&Changes::default(), what, pause).await;
    }

    /// Settles by looking what the last holder of the target had left open, before anything of our own is sent.
    pub(super) async fn settle_foreign(&self) -> Result<Option<String>, Halt> {
        let found = self.lease.as_ref().and_then(|lease| lease.found.as_ref());
        let open = found.map(|head| head.open.clone()).unwrap_or_default();
        for open in open {
            if open.run == self.run {
                continue;
            }
            let left = super::records::left_open(&self.context, &open).await.map_err(Halt::Store)?;
            let Some((step, cx)) = left else { continue };
            let title = format!("{} (left open by run {})", step.title, open.run);
            match self.find_out(&cx, &step.action, &title, step.timeout).await {
                Ok(landing) => {
                    let event = JournalEvent::ForeignSettled { run: open.run, number: open.event, landing };
                    self.note(event).await?;
                }
                Err(Halt::Stuck(why)) => return Ok(Some(why)),
                Err(halt) => return Err(halt),
            }
        }
        Ok(None)
    }

    /// Whether something of ours may still land.
    pub(super) async fn has_open(&self) -> bool {
        self.state(|state: &Progressed| !state.open().is_empty()).await
    }
}

/// What an error of `apply` says about the effect.
///
/// Out of date means superseded only if the engine said what it expected: without that, parts of our own earlier sending
/// that landed late are as likely.
fn landing_of(error: &Error, expected: bool) -> Landing {
    let why = error.to_record().message;
    match error.effect() {
        Effect::Applied => Landing::Applied(Receipt::default().presumed()),
        Effect::Unknown => Landing::Unknown { why },
        Effect::None if error.kind() == ErrorKind::Stale && expected => Landing::Superseded { by: why },
        Effect::None => Landing::NotApplied { why },
    }
}
