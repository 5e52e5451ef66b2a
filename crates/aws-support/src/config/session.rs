use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rollback_core::Result;
use rollback_core::time::SystemClock;

use super::RoleArn;
use crate::caller::Caller;
use crate::coalesce::Batcher;
use crate::error::Call;
use crate::pacing::Scope;

/// As which service session a role is taken on; CloudTrail shows it.
const SESSION_NAME: &str = "rollback";

const CONNECT: Duration = Duration::from_secs(3);
/// For how long those who ask for the caller gather.
const TOGETHER: Duration = Duration::from_millis(1);
/// One try, with finding credentials where there are none yet.
const ATTEMPT: Duration = Duration::from_secs(15);
const OPERATION: Duration = Duration::from_secs(30);

/// One identity in one region, with its connections: what the clients of a driver are made from.
///
/// Cheap to clone. Every clone shares credentials, connections and the answer to "who am I?".
///
/// ```
/// # async fn example(session: rollback_aws_support::Session) -> rollback_core::Result<()> {
/// // Sent once: only the engine decides to send again.
/// let changing = aws_sdk_sts::Client::new(session.sending());
/// // Up to three tries by the SDK.
/// let looking = aws_sdk_sts::Client::new(session.reading());
/// session.caller().await?.must_be_in("123456789012")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    sending: SdkConfig,
    reading: SdkConfig,
    profile: Option<String>,
    scope: Scope,
    caller: OnceLock<Caller>,
    // So that a thousand targets that may not ask fail together and not one after the other.
    asking: Batcher<(), Caller>,
    clients: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Session {
    /// A session over a configuration that the embedding program made: its credentials, its region, its HTTP client.
    ///
    /// What it lacks is filled in: HTTP client, clock and timer, timeouts, a cache of credentials. `sending` is without retries
    /// whatever it says; `reading` keeps its retries.
    #[must_use]
    pub fn from_sdk_config(config: SdkConfig) -> Self {
        // Nobody knows whose credentials these are: calls are paced by themselves.
        static GIVEN: AtomicU64 = AtomicU64::new(0);
        let number = GIVEN.fetch_add(1, Ordering::Relaxed);
        let account = format!("given {number}");
        Self::made(config, None, account)
    }

    pub(super) fn made(config: SdkConfig, profile: Option<String>, account: String) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let reading = filled(config);
        let sending = reading.clone().into_builder().retry_config(RetryConfig::disabled()).build();
        let scope = Scope::new(account, region);
        let asking = asking(reading.clone(), profile.clone());
        let (caller, clients) = (OnceLock::new(), Mutex::default());
        Self { inner: Arc::new(Inner { sending, reading, profile, scope, caller, asking, clients }) }
    }

    /// For calls that change something: the SDK sends each once. Use it for looks as well where core repeats them
    /// already, as it does around every target.
    #[must_use]
    pub fn sending(&self) -> &SdkConfig {
        &self.inner.sending
    }

    /// As [`sending`](Self::sending), for a region that need not be the session's: a registry is asked in its own.
    #[must_use]
    pub fn sending_in(&self, region: &str) -> Cow<'_, SdkConfig> {
        if region == self.region() {
            return Cow::Borrowed(self.sending());
        }
        let there = self.sending().clone().into_builder().region(Region::new(region.to_owned()));
        Cow::Owned(there.build())
    }

    /// For calls that only look: with the SDK's standard retries, at most three tries.
    ///
    /// Its retries pass by a [`Pacer`](crate::Pacer): they are counted by AWS and not by us.
    #[must_use]
    pub fn reading(&self) -> &SdkConfig {
        &self.inner.reading
    }

    /// What a driver makes once for a session and all its targets share: the SDK's clients, gathered look-ups, what was
    /// read and does not change. `make` must not ask the session for clients itself.
    ///
    /// ```
    /// # use rollback_aws_support::Session;
    /// struct Clients {
    ///     sts: aws_sdk_sts::Client,
    /// }
    /// # fn example(session: &Session) {
    /// let clients = session.clients(|session| Clients { sts: aws_sdk_sts::Client::new(session.sending()) });
    /// # let _ = &clients.sts;
    /// # }
    /// ```
    pub fn clients<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        let mut clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = clients.get(&TypeId::of::<T>()).cloned().and_then(|any| any.downcast().ok()) {
            return found;
        }
        let made = Arc::new(make(self));
        clients.insert(TypeId::of::<T>(), Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        made
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.inner.scope.region()
    }

    /// Whose limits the calls count against, for a [`Pacer`](crate::Pacer). Asks nobody, and never changes.
    ///
    /// The account is that of the role where one is taken on. Else it is the name of the profile: two profiles of one
    /// account are paced apart. A driver that knows the account makes its own [`Scope`].
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// Who the calls are made as. Asked at the first use, once for all clones; those who ask together get the same
    /// answer, and a failure is not kept.
    ///
    /// # Errors
    ///
    /// As [`explain`](crate::explain) says; without credentials [`Denied`](rollback_core::ErrorKind::Denied).
    pub async fn caller(&self) -> Result<&Caller> {
        if let Some(caller) = self.inner.caller.get() {
            return Ok(caller);
        }
        let found = self.inner.asking.get(()).await?.ok_or_else(Caller::nobody)?;
        Ok(self.inner.caller.get_or_init(|| found))
    }

    /// The same region and connections under a role that these credentials may take on.
    ///
    /// Nothing is asked yet: a role that may not be taken on fails at the first call.
    ///
    /// # Errors
    ///
    /// [`Invalid`](rollback_core::ErrorKind::Invalid) when `role_arn` is not the ARN of a role.
    pub async fn assume_role(&self, role_arn: &str, external_id: Option<&str>) -> Result<Self> {
        let account = RoleArn::parse(role_arn)?.account.to_owned();
        let base = &self.inner.reading;
        let mut role = AssumeRoleProvider::builder(role_arn).session_name(SESSION_NAME).configure(base);
        if let Some(id) = external_id {
            role = role.external_id(id);
        }
        let credentials = SharedCredentialsProvider::new(role.build().await);
        let config = base.clone().into_builder().credentials_provider(credentials).build();
        Ok(Self::made(config, self.inner.profile.clone(), account))
    }

    /// Describes a call that changes nothing, for [`explain`](crate::explain). See [`Call::reads`].
    #[must_use]
    pub fn reads(&self, service: &'static str, operation: &'static str, doing: impl Into<String>) -> Call {
        Call::reads(service, operation, doing).profile(self.inner.profile.clone())
    }

    /// Describes a call that changes something, for [`explain`](crate::explain). See [`Call::changes`].
    #[must_use]
    pub fn changes(&self, service: &'static str, operation: &'static str, doing: impl Into<String>) -> Call {
        Call::changes(service, operation, doing).profile(self.inner.profile.clone())
    }
}

impl fmt::Debug for Session {
    // Never the configurations: they hold providers of credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("scope", &self.inner.scope)
            .field("profile", &self.inner.profile)
            .field("caller", &self.inner.caller.get())
            .finish_non_exhaustive()
    }
}

fn asking(config: SdkConfig, profile: Option<String>) -> Batcher<(), Caller> {
    Batcher::single(Arc::new(SystemClock), TOGETHER, move || {
        let (config, profile) = (config.clone(), profile.clone());
        async move { Caller::ask(&config, profile).await }
    })
}

/// The newest behaviour that we know; a newer SDK does not change it under us.
pub(super) fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

/// The HTTP client of this crate: rustls with ring, the certificates of the system.
pub(super) fn http_client() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn filled(config: SdkConfig) -> SdkConfig {
    let mut wanted = config.timeout_config().cloned().unwrap_or_else(|| TimeoutConfig::builder().build());
    wanted.take_defaults_from(&timeouts());
    let (http, sleep, time) = (config.http_client(), config.sleep_impl(), config.time_source());
    let (cache, retries) = (config.identity_cache(), config.retry_config().cloned());
    let behavior = config.behavior_version().unwrap_or_else(behavior);
    config
        .into_builder()
        .behavior_version(behavior)
        .timeout_config(wanted)
        .http_client(http.unwrap_or_else(http_client))
        .sleep_impl(sleep.unwrap_or_else(|| SharedAsyncSleep::new(TokioSleep::new())))
        // The provider of roles panics without one.
        .time_source(time.unwrap_or_else(|| SharedTimeSource::new(SystemTimeSource::new())))
        // Without one each client would look for credentials by itself.
        .identity_cache(cache.unwrap_or_else(|| IdentityCache::lazy().build()))
        .retry_config(retries.unwrap_or_else(RetryConfig::standard))
        .build()
}
