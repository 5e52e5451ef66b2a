//! Taking a lease away from a holder that a person knows to be gone.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Head, Holder, Leasing, OpenIntent, head_key};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{RunId, TargetId};
use crate::store::{Condition, Record, StoreVersion, Written};
use crate::time::Lasting;

/// How often a beat may come between looking and writing before that counts as an answer.
const TRIES: u32 = 20;

/// Who holds a target, and how alive that looks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Holding {
    /// The target.
    pub target: TargetId,
    /// Who holds it.
    pub holder: Holder,
    /// The run that it is held for.
    pub run: RunId,
    /// Which acquisition it is.
    pub epoch: u64,
    /// Since when, on the holder's clock.
    pub since: Option<Timestamp>,
    /// When it last beat, on the holder's clock.
    pub beat_at: Option<Timestamp>,
    /// How long it is good without a beat.
    pub ttl: Lasting,
    /// Actions that were authorised and whose outcome may not be journalled.
    pub open: Vec<OpenIntent>,
    /// How alive the holder looks.
    pub sign: Sign,
    #[serde(skip)]
    owner: String,
    #[serde(skip)]
    version: StoreVersion,
}

/// How alive a holder looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sign {
    /// Its process is gone from this very machine: shown, not guessed.
    Dead,
    /// No beat was seen for one time to live: the next run takes over by itself.
    Silent,
    /// It was seen beating.
    Beating,
}

impl Holding {
    fn new(target: &TargetId, record: &Record<Head>, holder: Holder, sign: Sign) -> Self {
        let head = &record.value;
        Self {
            target: target.clone(),
            holder,
            run: head.run,
            epoch: head.epoch,
            since: head.since,
            beat_at: head.beat_at,
            ttl: head.ttl,
            open: head.open.clone(),
            sign,
            owner: head.owner.clone(),
            version: record.version.clone(),
        }
    }
}

impl Leasing {
    /// Who holds `target`, if somebody does: watched until it beats, for one time to live at most.
    pub(crate) async fn watch(&self, target: &TargetId) -> Result<Option<Holding>> {
        let key = head_key(target)?;
        let mut first: Option<(StoreVersion, Duration)> = None;
        loop {
            let Some(record) = self.records.get::<Head>(&key).await? else { return Ok(None) };
            let Some(holder) = record.value.holder.clone() else { return Ok(None) };
            let now = self.clock.monotonic();
            let sign = match &first {
                _ if self.liveness.is_dead(&holder) => Some(Sign::Dead),
                // Another holder in its place is a sign of life as well.
                Some((version, _)) if *version != record.version => Some(Sign::Beating),
                Some((_, since)) if now.saturating_sub(*since) >= record.value.patience() => {
                    Some(Sign::Silent)
                }
                Some(_) => None,
                None => {
                    first = Some((record.version.clone(), now));
                    None
                }
            };
            if let Some(sign) = sign {
                return Ok(Some(Holding::new(target, &record, holder, sign)));
            }
            self.clock.sleep(record.value.patience() / 10).await;
        }
    }

    /// Takes the lease away from the holder that was seen. Nothing is deleted: the epoch rises, so that this holder,
    /// should it wake, is authorised to nothing any more, and what it left open stays known. Whether it still held it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] for a holder that beats, unless it is forced; [`ErrorKind::Conflict`] when somebody else
    /// holds the target now.
    pub(crate) async fn fence(&self, seen: &Holding, by: &str, force: bool) -> Result<bool> {
        let alive = |what: &str| {
            let holder = &seen.holder;
            Error::new(ErrorKind::Refused, operation(seen), format!("{holder} {what}: it is at work"))
                .next("stop it where it runs (Ctrl-C), or take it away all the same: --force")
        };
        if seen.sign == Sign::Beating && !force {
            return Err(alive("was seen beating"));
        }
        let key = head_key(&seen.target)?;
        for _ in 0..TRIES {
            let Some(record) = self.records.get::<Head>(&key).await? else { return Ok(false) };
            match &record.value.holder {
                None => return Ok(false),
                Some(holder) if record.value.owner != seen.owner => return Err(other(seen, holder)),
                Some(_) if record.version != seen.version && !force => return Err(alive("beats again")),
                Some(_) => {}
            }
            let head = Head {
                holder: None,
                owner: self.mark(),
                epoch: record.value.epoch + 1,
                beat: 0,
                taken_by: Some(by.to_owned()),
                ..record.value
            };
            let written = self.records.put(&key, &head, &Condition::Version(record.version)).await?;
            if matches!(written, Written::Stored(_)) {
                return Ok(true);
            }
        }
        Err(alive("beats all the time"))
    }
}

fn operation(seen: &Holding) -> String {
    format!("take away the lease of {}", seen.target)
}

fn other(seen: &Holding, holder: &Holder) -> Error {
    Error::new(ErrorKind::Conflict, operation(seen), format!("{holder} holds it by now"))
        .next("look at it again: rollback unlock")
}
