//! Calls kept under the limits of an account, for all targets of a process together.

mod bucket;
pub mod ecs;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{ErrorKind, Result};

use self::bucket::Bucket;

/// Whose limits calls count against: AWS limits each account in each region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    account: String,
    region: String,
}

impl Scope {
    /// The account, or what stands for it where nobody knows it, and the region.
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into() }
    }

    /// The account, or what stands for it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// A limit that AWS documents: a bucket of tokens that a group of APIs shares.
///
/// Service and name tell buckets apart, so two quotas of one name are one bucket, with the numbers that were seen first.
///
/// ```
/// use rollback_aws_support::Quota;
/// const STATUS: Quota = Quota::new("acme", "status", 10, 0.5);
/// assert_eq!(STATUS.burst(), 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    service: &'static str,
    name: &'static str,
    burst: u32,
    per_second: f64,
}

impl Quota {
    /// Reading parameters of SSM: documented as 40 calls a second.
    pub const PARAMETERS: Self = Self::new("ssm", "parameter read", 40, 40.0);
    /// Reading secrets of Secrets Manager and what is said of them: a guess, which throttle answers correct.
    pub const SECRETS: Self = Self::new("secretsmanager", "secret read", 100, 100.0);

    /// `burst` calls at once, `per_second` from then on. `service` and `name` tell the bucket from others.
    ///
    /// # Panics
    ///
    /// When either is not positive: nothing would ever pass. In a constant the compiler says so.
    #[must_use]
    pub const fn new(service: &'static str, name: &'static str, burst: u32, per_second: f64) -> Self {
        assert!(burst > 0 && per_second > 0.0 && per_second.is_finite(), "a quota lets something pass");
        Self { service, name, burst, per_second }
    }

    /// The group of APIs, as the documentation of AWS calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many calls may come at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How many calls a second may follow.
    #[must_use]
    pub const fn per_second(&self) -> f64 {
        self.per_second
    }
}

type Buckets = HashMap<(Scope, &'static str, &'static str), Arc<Bucket>>;

/// Lets calls pass at the rate that an account allows, in the order in which they came.
///
/// Others call in the same account too, so the documented rate may be too much: a throttle answer halves ours (once
/// for all the calls that were under way), and it grows back by a twentieth of the documented rate each second.
///
/// Cheap to clone; clones are one and the same. A waiter that is dropped takes nothing and holds up nobody.
///
/// ```
/// use std::sync::Arc;
/// use rollback_aws_support::pacing::{Pacer, Scope, ecs};
/// use rollback_core::time::SystemClock;
///
/// # async fn example() -> rollback_core::Result<()> {
/// let pacer = Pacer::new(Arc::new(SystemClock));
/// let scope = Scope::new("123456789012", "eu-central-1");
/// let answer = pacer.paced(&scope, ecs::quota("DescribeServices"), async { Ok("the services") }).await?;
/// # assert_eq!(answer, "the services");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct Pacer {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    buckets: Mutex<Buckets>,
}

impl Pacer {
    /// All buckets full.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::new(Inner { clock, buckets: Mutex::default() }) }
    }

    /// The one of this process, on the machine's clock, which drivers use unless they are given another.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: std::sync::OnceLock<Pacer> = std::sync::OnceLock::new();
        SHARED.get_or_init(|| Self::new(Arc::new(SystemClock))).clone()
    }

    /// The clock that turns are waited for by, for whatever else is to keep time with the calls.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.clock)
    }

    /// Makes a call when it is its turn, and slows down when it was throttled. The call is not begun before that.
    ///
    /// It does not repeat a throttled call: core does, where that is right.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn paced<T>(
        &self,
        scope: &Scope,
        quota: Quota,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let turn = self.turn(scope, quota).await;
        let result = call.await;
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Throttled) {
            turn.throttled();
        }
        result
    }

    /// Waits until it is one's turn, for callers that cannot use [`paced`](Self::paced).
    pub async fn turn(&self, scope: &Scope, quota: Quota) -> Turn {
        let bucket = self.bucket(scope, quota);
        let since = bucket.turn(&*self.inner.clock).await;
        Turn { bucket, since, clock: Arc::clone(&self.inner.clock) }
    }

    /// Calls a second at this moment: the documented rate, or less after throttling.
    #[must_use]
    pub fn rate(&self, scope: &Scope, quota: Quota) -> f64 {
        self.bucket(scope, quota).rate(self.inner.clock.monotonic())
    }

    fn bucket(&self, scope: &Scope, quota: Quota) -> Arc<Bucket> {
        let now = self.inner.clock.monotonic();
        let mut buckets = self.inner.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (scope.clone(), quota.service, quota.name);
        Arc::clone(buckets.entry(key).or_insert_with(|| Arc::new(Bucket::full(quota, now))))
    }
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buckets = self.inner.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Pacer").field("buckets", &buckets.len()).finish_non_exhaustive()
    }
}

/// Leave to make one call now.
#[must_use = "it stands for one call"]
pub struct Turn {
    bucket: Arc<Bucket>,
    since: Duration,
    clock: Arc<dyn Clock>,
}

impl Turn {
    /// Says that AWS asked to slow down.
    pub fn throttled(self) {
        self.bucket.throttled(self.since, self.clock.monotonic());
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("since", &self.since).finish_non_exhaustive()
    }
}
