//! Logins to registries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
use aws_sdk_ecr::types::AuthorizationData;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use rollback_core::Result;
use rollback_core::time::Clock;

use crate::asking::{Asker, TOGETHER, time};
use crate::coalesce::{Batcher, Batchers};
use crate::error::{Call, odd_answer};
use crate::image::EcrRegistry;
use crate::pacing::Quota;
use crate::secret::{Secret, unlogged};

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html>
const LOGIN: Quota = Quota::new("ecr", "GetAuthorizationToken", 200, 200.0);
/// The only user that there is.
const USER: &str = "AWS";
/// So long before it expires a login is not handed out any more: what is pulled with it takes its time.
const SHORTLY: Duration = Duration::from_secs(15 * 60);
/// AWS documents that a login is good for so long. Nothing is remembered for longer, whatever the clocks say.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// The login to a registry of ECR, for `docker login --username AWS --password-stdin REGISTRY`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    registry: EcrRegistry,
    password: Secret,
    expires_at: Timestamp,
}

impl Login {
    /// `AWS`.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password, for standard input.
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// The registry; displayed, it is the address to log in to.
    #[must_use]
    pub fn registry(&self) -> &EcrRegistry {
        &self.registry
    }

    /// When it stops being good, by AWS's clock; that of the machine may be another.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// What AWS gives for a region: it opens every registry there that the caller may pull from.
#[derive(Clone)]
struct Token {
    password: Secret,
    expires_at: Timestamp,
    /// When it was asked for, by the clock that never goes back.
    asked_at: Duration,
}

impl Token {
    fn is_good(&self, clock: &dyn Clock) -> bool {
        let left = self.expires_at.duration_since(clock.now());
        let margin = SignedDuration::try_from(SHORTLY).unwrap_or(SignedDuration::MAX);
        let age = clock.monotonic().saturating_sub(self.asked_at);
        left > margin && age < LONGEST - SHORTLY
    }

    fn read(data: &AuthorizationData, asked_at: Duration) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(data.authorization_token.as_deref()?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let password = text.strip_prefix(USER)?.strip_prefix(':')?;
        // Whoever reads it from standard input takes one line.
        let is_one = !password.is_empty() && password.bytes().all(|byte| byte.is_ascii_graphic());
        let expires_at = time(data.expires_at.as_ref())?;
        is_one.then(|| Self { password: Secret::new(password), expires_at, asked_at })
    }
}

/// Logins by region, remembered.
pub(super) struct Logins {
    asker: Asker,
    clock: Arc<dyn Clock>,
    asked: Batchers<String, (), Token>,
    remembered: Mutex<HashMap<String, Token>>,
}

impl Logins {
    pub(super) fn new(asker: &Asker, clock: Arc<dyn Clock>) -> Self {
        let (asking, ticking) = (asker.clone(), Arc::clone(&clock));
        let asked = Batchers::new(move |region: &String| {
            let (asker, region, clock) = (asking.clone(), region.clone(), Arc::clone(&ticking));
            Batcher::single(Arc::clone(&ticking), TOGETHER, move || {
                let (asker, region, clock) = (asker.clone(), region.clone(), Arc::clone(&clock));
                async move { token(&asker, &region, &*clock).await }
            })
        });
        Self { asker: asker.clone(), clock, asked, remembered: Mutex::default() }
    }

    pub(super) async fn of(&self, registry: &EcrRegistry) -> Result<Login> {
        let token = self.token(registry.region()).await?;
        Ok(Login { registry: registry.clone(), password: token.password, expires_at: token.expires_at })
    }

    async fn token(&self, region: &str) -> Result<Token> {
        let known = self.remembered().get(region).filter(|token| token.is_good(&*self.clock)).cloned();
        if let Some(token) = known {
            return Ok(token);
        }
        let token = self.asked.of(&region.to_owned()).get(()).await?;
        let token = token.ok_or_else(|| odd_answer(&call(&self.asker, region)))?;
        self.remembered().insert(region.to_owned(), token.clone());
        Ok(token)
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn call(asker: &Asker, region: &str) -> Call {
    asker.session().reads("ecr", "GetAuthorizationToken", format!("log in to the registries of {region}"))
}

async fn token(asker: &Asker, region: &str, clock: &dyn Clock) -> Result<Token> {
    let client = Client::new(&asker.session().sending_in(region));
    let call = call(asker, region);
    let asked_at = clock.monotonic();
    let send = || unlogged(client.get_authorization_token().send());
    let answer = asker.ask(region, LOGIN, &call, |_: &GetAuthorizationTokenError| false, send).await?;
    let data = answer.and_then(|answer| answer.authorization_data).unwrap_or_default();
    data.first().and_then(|data| Token::read(data, asked_at)).ok_or_else(|| odd_answer(&call))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    fn data(text: &str) -> AuthorizationData {
        let token = BASE64_STANDARD.encode(text);
        AuthorizationData::builder().authorization_token(token).expires_at(DateTime::from_secs(1)).build()
    }

    #[test]
    fn what_is_no_login_is_not_handed_out() {
        let read = |data: &AuthorizationData| Token::read(data, Duration::ZERO);
        let good = read(&data("AWS:hun:ter2==")).unwrap();
        assert_eq!((good.password.expose(), good.expires_at.as_second()), ("hun:ter2==", 1));
        for text in
            ["", "AWS", "AWS:", "ada:hunter2", ":hunter2", "AWS:hunter2\n", "AWS:hun ter2", "AWS:hünter2"]
        {
            assert!(read(&data(text)).is_none(), "{text:?}");
        }
        let without = AuthorizationData::builder;
        assert!(read(&without().expires_at(DateTime::from_secs(1)).build()).is_none());
        assert!(
            read(&without().authorization_token(BASE64_STANDARD.encode("AWS:hunter2")).build()).is_none()
        );
        let plain = without().authorization_token("AWS:hunter2").expires_at(DateTime::from_secs(1));
        assert!(read(&plain.build()).is_none());
    }
}
