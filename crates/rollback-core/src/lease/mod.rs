//! Heads with leases and fencing: at most one run works on a target.
//!
//! Each target has one head: `{owner, epoch, beat, run, open intents}`. Whoever writes it by compare-and-set holds the
//! target. An action is authorised by writing its intent into the head; only then is it sent. A run that
//! finds the head moved does nothing more.

mod fence;
mod holder;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use self::fence::{Holding, Sign};
pub use self::holder::{Holder, Liveness, SystemLiveness};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::ledger::target_segment;
use crate::name::{ComponentName, Entropy, RunId, TargetId};
use crate::store::{Condition, Key, Record, Records, StoreVersion, Written};
use crate::time::{Clock, Lasting};

/// How long a lease is good without a beat, unless told otherwise.
pub const DEFAULT_TTL: Lasting = Lasting::from_secs(15);
/// The shortest time to live of a lease: below, every busy moment of a store would look like death.
pub const SHORTEST_TTL: Lasting = Lasting::from_secs(1);
/// The longest time to live of a lease: so long may a person wait at worst for what a dead process left.
pub const LONGEST_TTL: Lasting = Lasting::from_secs(600);

/// How often an authorisation that took too long is tried again.
const SLOW_AUTHORISATIONS: u32 = 3;

/// The record that operators of one target meet in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Head {
    /// Who holds it; nobody = free.
    pub holder: Option<Holder>,
    /// A mark of the holding engine, new for each acquisition.
    pub owner: String,
    /// Rises with each acquisition.
    pub epoch: u64,
    /// Rises with each sign of life.
    pub beat: u64,
    /// How long it is good without a beat.
    pub ttl: Lasting,
    /// The run that holds it, or held it last.
    pub run: RunId,
    /// Actions that were authorised and whose outcome may not be journalled.
    pub open: Vec<OpenIntent>,
    /// When it was taken, on the holder's wall clock: for people, never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it last beat, on the holder's wall clock: for people, never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_at: Option<Timestamp>,
    /// Who took it away from its last holder, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
}

impl Head {
    /// How long it is watched for a beat, whatever a damaged record says.
    fn patience(&self) -> Duration {
        self.ttl.min(LONGEST_TTL).as_duration()
    }
}

/// An action that was authorised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIntent {
    /// The run that sends it.
    pub run: RunId,
    /// The component of that run.
    pub component: ComponentName,
    /// The number of the intent in that component's journal.
    pub event: u64,
}

/// What leases are made with.
#[derive(Debug, Clone)]
pub(crate) struct Leasing {
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) holder: Holder,
    pub(crate) liveness: Arc<dyn Liveness>,
    pub(crate) ttl: Lasting,
}

/// A held lease. Beats by itself until it is released or dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    beating: CancellationToken,
    /// What the head said before: whose run it was, and what that had left open.
    pub(crate) found: Option<Head>,
}

#[derive(Debug)]
struct Shared {
    leasing: Leasing,
    key: Key,
    held: Mutex<Held>,
    lost: CancellationToken,
    /// Who has it instead, once it was lost.
    lost_to: OnceLock<String>,
}

#[derive(Debug)]
struct Held {
    head: Head,
    version: StoreVersion,
}

/// A head that somebody else holds, and since when it has not changed.
#[derive(Debug)]
struct Watched {
    version: StoreVersion,
    since: Duration,
    holder: Holder,
    run: RunId,
}

/// Why an action was not authorised.
#[derive(Debug)]
pub(crate) enum Unauthorised {
    /// Somebody else holds the target now.
    Lost(String),
    /// The store did not let us ask, or answered too slowly to be sure.
    Failed(Error),
}

/// Proof that an action was authorised just now.
#[derive(Debug)]
pub(crate) struct Authorised {
    until: Duration,
}

impl Authorised {
    /// Whether it may still be sent at `now`: less than half the lease has passed.
    pub(crate) fn is_fresh(&self, now: Duration) -> bool {
        now <= self.until
    }
}

pub(crate) fn head_key(target: &TargetId) -> Result<Key> {
    Key::new(format!("heads/{}", target_segment(target)))
}

impl Leasing {
    /// Takes the lease of `target` for `run`, at once if it is free or its holder is shown dead, after one time to live
    /// without a beat otherwise.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] naming the holder once it shows a sign of life.
    pub(crate) async fn acquire(&self, target: &TargetId, run: RunId) -> Result<Lease> {
        let key = head_key(target)?;
        let mut watched: Option<Watched> = None;
        loop {
            let found = self.records.get::<Head>(&key).await?;
            let ripe = match &found {
                None => true,
                Some(record) => self.is_ripe(record, &mut watched, target)?,
            };
            if ripe {
                if let Some(lease) = self.take(&key, found, run).await? {
                    return Ok(lease);
                }
                // Somebody was quicker: look at what is there now.
                continue;
            }
            self.clock.sleep(self.ttl.as_duration() / 10).await;
        }
    }

    /// How often the lease of `target` has been taken; `None` while somebody holds it.
    pub(crate) async fn epoch(&self, target: &TargetId) -> Result<Option<u64>> {
        let Some(record) = self.records.get::<Head>(&head_key(target)?).await? else { return Ok(Some(0)) };
        Ok(record.value.holder.is_none().then_some(record.value.epoch))
    }

    /// Whether a head may be taken over now.
    fn is_ripe(
        &self,
        record: &Record<Head>,
        watched: &mut Option<Watched>,
        target: &TargetId,
    ) -> Result<bool> {
        let head = &record.value;
        let refused = |holder: &Holder, run: RunId, tense: &str| {
            Error::new(
                ErrorKind::Conflict,
                format!("take the lease of {target}"),
                format!("{holder} {tense} it for run {run}"),
            )
            .next(format!("see what it does: rollback show {run}"))
        };
        let Some(holder) = &head.holder else {
            // Given back while we waited for it: that run has just changed what ours was planned for.
            return match watched {
                Some(watched) => Err(refused(&watched.holder, watched.run, "held")),
                None => Ok(true),
            };
        };
        if self.liveness.is_dead(holder) {
            tracing::warn!(%target, %holder, "the holder of the lease is dead; taking over");
            return Ok(true);
        }
        let now = self.clock.monotonic();
        match watched {
            // Only our own monotonic clock counts; nobody's wall clock is compared.
            Some(watched) if watched.version == record.version => {
                Ok(now.saturating_sub(watched.since) >= head.patience())
            }
            Some(_) => Err(refused(holder, head.run, "holds")),
            None => {
                let (version, holder, run) = (record.version.clone(), holder.clone(), head.run);
                *watched = Some(Watched { version, since: now, holder, run });
                Ok(false)
            }
        }
    }

    /// A mark that no other acquisition has.
    fn mark(&self) -> String {
        crate::digest::Digest::of_bytes(&self.entropy.bytes()).short()
    }

    async fn take(&self, key: &Key, found: Option<Record<Head>>, run: RunId) -> Result<Option<Lease>> {
        let (owner, now) = (self.mark(), self.clock.now());
        let epoch =
            found.as_ref().map_or(0, |record| record.value.epoch).checked_add(1).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("read {key}"), "its epoch cannot rise any more")
                    .next("it was not written by this tool; keep a copy before removing it")
            })?;
        let head = Head {
            holder: Some(self.holder.clone()),
            owner,
            epoch,
            beat: 0,
            ttl: self.ttl,
            run,
            // Kept until this run has found out what became of them.
            open: found.as_ref().map(|record| record.value.open.clone()).unwrap_or_default(),
            since: Some(now),
            beat_at: Some(now),
            taken_by: None,
        };
        let condition =
            found.as_ref().map_or(Condition::Absent, |record| Condition::Version(record.version.clone()));
        let version = match self.records.put(key, &head, &condition).await? {
            Written::Stored(version) => version,
            Written::Conflict => return Ok(None),
        };
        let shared = Arc::new(Shared {
            leasing: self.clone(),
            key: key.clone(),
            held: Mutex::new(Held { head, version }),
            lost: CancellationToken::new(),
            lost_to: OnceLock::new(),
        });
        let beating = CancellationToken::new();
        tokio::spawn(Arc::clone(&shared).beat_until(beating.clone()));
        Ok(Some(Lease { shared, beating, found: found.map(|record| record.value) }))
    }
}

impl Shared {
    async fn beat_until(self: Arc<Self>, stop: CancellationToken) {
        let pause = self.leasing.ttl.as_duration() / 3;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.leasing.clock.sleep(pause) => {}
            }
            match self.write(|_| {}).await {
                Ok(()) => {}
                Err(Unauthorised::Lost(_)) => return,
                // The lease may run out while the store is away. The next authorisation will tell.
                Err(Unauthorised::Failed(error)) => {
                    tracing::warn!(%error, "no beat: the store does not answer");
                }
            }
        }
    }

    /// Changes the head by compare-and-set, with one beat more.
    async fn write(&self, change: impl Fn(&mut Head) + Send) -> Result<(), Unauthorised> {
        let mut held = self.held.lock().await;
        if self.lost.is_cancelled() {
            let by = self.lost_to.get().map_or("somebody else took over before", String::as_str);
            return Err(Unauthorised::Lost(by.to_owned()));
        }
        let mut next = held.head.clone();
        change(&mut next);
        next.beat += 1;
        next.beat_at = Some(self.leasing.clock.now());
        loop {
            let condition = Condition::Version(held.version.clone());
            let doubt = match self.leasing.records.put(&self.key, &next, &condition).await {
                Ok(Written::Stored(version)) => {
                    *held = Held { head: next, version };
                    return Ok(());
                }
                Ok(Written::Conflict) => None,
                Err(error) if error.effect() == Effect::None => return Err(Unauthorised::Failed(error)),
                Err(error) => Some(error),
            };
            // An earlier write of ours whose answer was lost may be what is in the way.
            let found = self.leasing.records.get::<Head>(&self.key).await.map_err(Unauthorised::Failed)?;
            match found {
                Some(record) if record.value.owner == next.owner && record.version != held.version => {
                    held.version = record.version;
                }
                Some(record) if record.value.owner == next.owner => {
                    return Err(Unauthorised::Failed(doubt.unwrap_or_else(contradictory)));
                }
                found => {
                    let by = taker(found.as_ref().map(|record| &record.value));
                    let by = self.lost_to.get_or_init(|| by).clone();
                    self.lost.cancel();
                    return Err(Unauthorised::Lost(by));
                }
            }
        }
    }
}

fn contradictory() -> Error {
    Error::new(ErrorKind::Corrupt, "write the head", "the store reports a conflict where there is none")
        .next("check the store; it does not keep its contract")
}

fn taker(head: Option<&Head>) -> String {
    match head {
        Some(Head { holder: Some(holder), run, .. }) => format!("{holder} took over with run {run}"),
        Some(Head { taken_by: Some(by), .. }) => format!("{by} took the lease away"),
        Some(Head { run, .. }) => format!("run {run} took over"),
        None => "the head was removed from the store".to_owned(),
    }
}

impl Lease {
    /// Authorises the actions in `open` (all that may be on their way): writes them into the head.
    ///
    /// # Errors
    ///
    /// [`Unauthorised::Lost`] when somebody else holds the target; [`Unauthorised::Failed`] when the store fails or each
    /// try took longer than half the lease, so that somebody else may have taken over since.
    pub(crate) async fn authorise(&self, open: Vec<OpenIntent>) -> Result<Authorised, Unauthorised> {
        let half = self.shared.leasing.ttl.as_duration() / 2;
        let clock = &self.shared.leasing.clock;
        for _ in 0..SLOW_AUTHORISATIONS {
            let asked = clock.monotonic();
            self.shared.write(|head| head.open.clone_from(&open)).await?;
            let authorised = Authorised { until: asked + half };
            if authorised.is_fresh(clock.monotonic()) {
                return Ok(authorised);
            }
        }
        Err(Unauthorised::Failed(
            Error::new(
                ErrorKind::Unavailable,
                "authorise the action",
                "the store answers slower than half the lease",
            )
            .next("check the store, or set a longer lease"),
        ))
    }

    /// Whether the target is still held, found out by a beat.
    ///
    /// # Errors
    ///
    /// As [`authorise`](Self::authorise).
    pub(crate) async fn confirm(&self) -> Result<(), Unauthorised> {
        self.shared.write(|_| {}).await
    }

    /// Cancelled when somebody else was seen to hold the target.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.shared.lost
    }

    /// Which acquisition this is.
    pub(crate) async fn epoch(&self) -> u64 {
        self.shared.held.lock().await.head.epoch
    }

    /// Gives the lease back. `open` stays in the head if something may still be on its way.
    pub(crate) async fn release(self, open: Vec<OpenIntent>) {
        self.beating.cancel();
        let freed = self.shared.write(|head| {
            head.holder = None;
            head.open.clone_from(&open);
        });
        if let Err(Unauthorised::Failed(error)) = freed.await {
            tracing::warn!(%error, "the lease could not be given back; it expires by itself");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beating.cancel();
    }
}

/// Who holds a target now, as far as the head tells.
pub(crate) async fn held_by(records: &Records, target: &TargetId) -> Result<Option<Head>> {
    Ok(records.get::<Head>(&head_key(target)?).await?.map(|record| record.value))
}
