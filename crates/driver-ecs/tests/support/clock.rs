//! A clock that runs fast.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::time::{Clock, SystemClock};
use rollback_scripted_aws::Cloud;

/// How much faster than ours the time of these tests passes. Calls go over real sockets, so that time cannot just be moved on where a
/// sleep begins: the time limit of a call would be over before its answer came.
const FASTER: u32 = 30;

/// A clock that runs fast, and that the scripted double follows.
#[derive(Debug, Clone)]
pub(crate) struct Fast {
    cloud: Cloud,
    start: Duration,
}

impl Fast {
    /// Makes the double's time pass with it.
    pub(crate) fn of(cloud: &Cloud) -> Self {
        let fast = Self { cloud: cloud.clone(), start: SystemClock.monotonic() };
        let followed = fast.start;
        cloud.follow(move || passed(followed));
        fast
    }
}

fn passed(start: Duration) -> Duration {
    SystemClock.monotonic().saturating_sub(start) * FASTER
}

#[async_trait]
impl Clock for Fast {
    // What the cloud says, which a test may also have moved on.
    fn now(&self) -> Timestamp {
        self.cloud.now()
    }

    fn monotonic(&self) -> Duration {
        passed(self.start)
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration / FASTER).await;
    }
}
