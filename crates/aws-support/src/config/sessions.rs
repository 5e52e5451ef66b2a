use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_config::Region;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::OnceCell;

use super::AwsSettings;
use super::session::{Session, behavior, http_client, timeouts};

/// Sessions by their settings: a thousand targets with the same settings share one, with its credentials and its
/// connections.
///
/// Cheap to clone; clones are one and the same. Connections live in the runtime that opened them, so a program with
/// several tokio runtimes keeps one of these for each.
///
/// ```
/// use rollback_aws_support::{AwsSettings, Sessions};
///
/// # async fn example() -> rollback_core::Result<()> {
/// let sessions = Sessions::new();
/// let settings = AwsSettings::new().region("eu-central-1");
/// let web = sessions.open(&settings).await?;
/// let api = sessions.open(&settings).await?;
/// assert!(std::ptr::eq(web.sending(), api.sending()));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    http: SharedHttpClient,
    open: Mutex<HashMap<AwsSettings, Arc<OnceCell<Session>>>>,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { http: http_client(), open: Mutex::default() }) }
    }

    /// Those of this process, which drivers use unless they are given others.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: OnceLock<Sessions> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// The session for these settings. The first call reads the environment and the shared files; later ones get
    /// the same. No credentials are looked for before the first request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a setting of wrong form, and when no region is set anywhere. A failure is not kept.
    pub async fn open(&self, settings: &AwsSettings) -> Result<Session> {
        let cell = {
            let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(settings.clone()).or_default())
        };
        cell.get_or_try_init(|| self.load(settings)).await.cloned()
    }

    async fn load(&self, settings: &AwsSettings) -> Result<Session> {
        settings.check()?;
        let mut loader = aws_config::defaults(behavior())
            .http_client(self.inner.http.clone())
            .identity_cache(IdentityCache::lazy().build())
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts());
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            let known = "neither the settings nor AWS_REGION nor the profile name a region";
            return Err(
                Error::new(ErrorKind::Invalid, "set up AWS", known).next("set region, like eu-central-1")
            );
        }
        let base = Session::made(config, settings.profile.clone(), payer(settings));
        match &settings.role_arn {
            None => Ok(base),
            Some(role) => base.assume_role(role, settings.external_id.as_deref()).await,
        }
    }
}

/// Stands for the account until somebody asks for it. Another server has its own limits.
fn payer(settings: &AwsSettings) -> String {
    let profile = settings.profile.as_deref().unwrap_or("(environment)");
    match &settings.endpoint_url {
        None => format!("profile {profile}"),
        Some(url) => format!("profile {profile} at {url}"),
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Sessions").field("open", &open.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> AwsSettings {
        AwsSettings::new().region("eu-central-1").endpoint_url("http://127.0.0.1:1")
    }

    #[tokio::test]
    async fn equal_settings_share_one_session() {
        let sessions = Sessions::new();
        let (here, role) = (here(), here().role_arn("arn:aws:iam::123456789012:role/deploy"));
        let (a, b) = tokio::join!(sessions.open(&here), sessions.open(&here));
        let (a, b, c) = (a.unwrap(), b.unwrap(), sessions.open(&role).await.unwrap());
        assert!(std::ptr::eq(a.sending(), b.sending()));
        assert!(!std::ptr::eq(a.sending(), c.sending()));
        assert_eq!(c.scope(), &crate::Scope::new("123456789012", "eu-central-1"));
    }

    #[tokio::test]
    async fn only_reads_are_repeated_by_the_sdk_and_both_have_timeouts() {
        let session = Sessions::new().open(&here()).await.unwrap();
        assert_eq!(session.sending().retry_config().unwrap().max_attempts(), 1);
        assert_eq!(session.reading().retry_config().unwrap().max_attempts(), 3);
        for config in [session.sending(), session.reading()] {
            let timeouts = config.timeout_config().unwrap();
            assert!(timeouts.connect_timeout().is_some());
            assert!(timeouts.operation_attempt_timeout().is_some());
            assert!(timeouts.operation_timeout().is_some());
            assert!(config.http_client().is_some() && config.identity_cache().is_some());
        }
    }

    #[tokio::test]
    async fn a_given_configuration_is_filled_in_and_never_repeats_changes() {
        let given = aws_config::SdkConfig::builder()
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::standard().with_max_attempts(7))
            .build();
        let (a, b) = (Session::from_sdk_config(given.clone()), Session::from_sdk_config(given));
        assert_eq!(a.sending().retry_config().unwrap().max_attempts(), 1);
        assert_eq!(a.reading().retry_config().unwrap().max_attempts(), 7);
        assert!(a.sending().http_client().is_some() && a.sending().timeout_config().is_some());
        assert_eq!(a.region(), "us-east-1");
        assert_ne!(a.scope(), b.scope(), "nobody knows whether they are one account");
    }

    #[tokio::test]
    async fn a_setting_of_wrong_form_is_refused_before_anything_is_read() {
        let error = Sessions::new().open(&here().region("no region")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
