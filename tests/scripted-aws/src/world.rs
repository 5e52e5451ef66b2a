//! All that the double knows.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use crate::calls::Call;
use crate::faults::Faults;
use crate::images::Images;
use crate::limits::Limits;
use crate::protocol::{Reply, Request};
use crate::{code_deploy, ecr, ecs, elb, others};

/// The logical clock starts here: 2026-01-05T09:00:00Z.
const START: i64 = 1_767_603_600;
/// Everything is looked at in steps of this length while something moves.
const STEP: Duration = Duration::from_secs(1);

/// A request that waits to be released, and where its answer is waited for.
pub(crate) struct Held {
    pub(crate) request: Request,
    pub(crate) waiting: oneshot::Sender<Reply>,
}

/// A clock that the logical time follows.
pub(crate) struct Followed {
    pub(crate) clock: Box<dyn Fn() -> Duration + Send + Sync>,
    pub(crate) seen: Duration,
}

/// All that the double knows, behind [`Cloud`](crate::Cloud)'s lock. Each service has a state of its own.
#[non_exhaustive]
pub struct World {
    /// The account: `123456789012`.
    pub account: String,
    /// The region: `eu-west-1`.
    pub region: String,
    /// Which digests the images have.
    pub images: Images,
    pub(crate) now: Timestamp,
    stepped_at: Timestamp,
    pub(crate) advance_per_call: Duration,
    /// What tells the time that has passed, and how much of it was taken over.
    pub(crate) followed: Option<Followed>,
    pub(crate) calls: Vec<Call>,
    pub(crate) faults: Faults,
    pub(crate) held: Vec<Held>,
    pub(crate) limits: Option<Limits>,
    pub(crate) ecs: ecs::State,
    pub(crate) code_deploy: code_deploy::State,
    pub(crate) elb: elb::State,
    pub(crate) ecr: ecr::State,
    pub(crate) others: others::State,
    ids: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(account: &str, region: &str) -> Self {
        let start = Timestamp::from_second(START).unwrap_or_default();
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            images: Images::default(),
            now: start,
            stepped_at: start,
            advance_per_call: Duration::ZERO,
            followed: None,
            calls: Vec::new(),
            faults: Faults::default(),
            held: Vec::new(),
            limits: None,
            ecs: ecs::State::default(),
            code_deploy: code_deploy::State::default(),
            elb: elb::State::default(),
            ecr: ecr::State::default(),
            others: others::State::default(),
            ids: 0,
        }
    }

    /// When the logical clock started.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        Timestamp::from_second(START).unwrap_or_default()
    }

    /// The logical time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// 64 hexadecimal digits, others each time, the same in every run.
    pub fn hex(&mut self) -> String {
        self.ids += 1;
        format!("{:x}", Sha256::digest(self.ids.to_be_bytes()))
    }

    /// An id like a UUID.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex();
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }

    /// A number with 19 digits, as ECS numbers its deployments.
    pub fn number(&mut self) -> String {
        let hex = self.hex();
        let number = u64::from_str_radix(&hex[..15], 16).unwrap_or_default();
        format!("{:019}", 1_000_000_000_000_000_000 + number)
    }

    /// Lets time pass: each service moves second by second, and where nothing moves, time jumps.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        // Many short steps, such as those between calls, are not worth a look at everything each.
        while end >= self.stepped_at + STEP {
            self.now = if self.moves() { self.stepped_at + STEP } else { end };
            self.stepped_at = self.now;
            ecs::step(self);
            code_deploy::step(self);
        }
        self.now = end;
    }

    /// Lets the time pass that a call brings with it.
    pub(crate) fn catch_up(&mut self) {
        let mut pass = self.advance_per_call;
        if let Some(followed) = &mut self.followed {
            let told = (followed.clock)();
            pass += told.saturating_sub(followed.seen);
            followed.seen = followed.seen.max(told);
        }
        self.advance(pass);
    }

    /// Whether anything would change by itself as time passes.
    #[must_use]
    pub fn moves(&self) -> bool {
        ecs::moves(self) || code_deploy::moves(self)
    }
}
