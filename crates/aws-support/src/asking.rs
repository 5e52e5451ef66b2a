//! Calls that only look, where what cannot be read is worth knowing too: they end in a [`Reading`].
//!
//! Such calls never fail a look: what cannot be read is [`Reading::Unknown`] with AWS's words, which name the permission that is
//! missing. Therefore core does not repeat them, and a throttled one is repeated here, at the pace that is allowed.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use rollback_core::{ErrorKind, Reading, Result};

use crate::config::Session;
use crate::error::{Call, explain};
use crate::pacing::{Pacer, Quota, Scope};

/// For how long look-ups of several targets gather into one call.
pub const TOGETHER: Duration = Duration::from_millis(2);
/// How often a call is sent that is throttled each time.
const TRIES: u32 = 4;

/// Who asks, and how fast. Cheap to clone.
///
/// ```
/// # use rollback_aws_support::{Pacer, Quota, Session};
/// use rollback_aws_support::asking::{Asker, reading};
///
/// const READ: Quota = Quota::new("sts", "GetAccessKeyInfo", 10, 10.0);
///
/// # async fn example(session: Session) -> rollback_core::Reading<String> {
/// let asker = Asker::new(session, Pacer::shared());
/// let call = asker.session().reads("sts", "GetAccessKeyInfo", "see whose key it is");
/// let region = "eu-central-1";
/// let client = aws_sdk_sts::Client::new(&asker.session().sending_in(region));
/// let send = || client.get_access_key_info().access_key_id("AKIAIOSFODNN7EXAMPLE").send();
/// let answer = asker.ask(region, READ, &call, |_| false, send).await;
/// reading(answer.map(|answer| answer?.account))
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Asker {
    session: Session,
    pacer: Pacer,
}

impl Asker {
    /// Asks as this session, at this pace.
    #[must_use]
    pub fn new(session: Session, pacer: Pacer) -> Self {
        Self { session, pacer }
    }

    /// Who asks.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What keeps the pace.
    #[must_use]
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Sends a call when it is its turn, and again where it was throttled, at most four times. `None` for an error that says
    /// that the thing is not there. `send` makes the call once, with a client of this region.
    ///
    /// # Errors
    ///
    /// As [`explain`] says.
    pub async fn ask<T, E, R>(
        &self,
        region: &str,
        quota: Quota,
        call: &Call,
        absent: impl Fn(&E) -> bool,
        send: impl Fn() -> R,
    ) -> Result<Option<T>>
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let scope = Scope::new(self.session.scope().account(), region);
        let mut tries = 1;
        loop {
            let attempt = async {
                match send().await {
                    Ok(answer) => Ok(Some(answer)),
                    Err(SdkError::ServiceError(refused)) if absent(refused.err()) => Ok(None),
                    Err(error) => Err(explain(call, &error)),
                }
            };
            match self.pacer.paced(&scope, quota, attempt).await {
                Err(error) if error.kind() == ErrorKind::Throttled && tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }
}

/// What a call tells of one thing.
pub fn reading<V>(answer: Result<Option<V>>) -> Reading<V> {
    match answer {
        Ok(Some(found)) => Reading::Known(found),
        Ok(None) => Reading::Absent,
        Err(error) => Reading::Unknown(error.message().to_owned()),
    }
}

/// What a [`Batcher`](crate::Batcher) of readings answered: one without an answer is `Absent`, and an error is one of the
/// gathering itself.
pub fn gathered<V>(answer: Result<Option<Reading<V>>>) -> Reading<V> {
    match answer {
        Ok(found) => found.unwrap_or(Reading::Absent),
        Err(error) => Reading::Unknown(error.message().to_owned()),
    }
}

/// The same reading for everything that was asked for together.
#[must_use]
pub fn alike<K: Eq + Hash, V: Clone>(keys: Vec<K>, reading: &Reading<V>) -> HashMap<K, Reading<V>> {
    keys.into_iter().map(|key| (key, reading.clone())).collect()
}

/// A time of the SDK's.
#[must_use]
pub fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
