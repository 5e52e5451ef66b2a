//! Where to and as whom: settings that a driver embeds, and the SDK configuration made from them.

mod session;
mod sessions;

use std::fmt;

use rollback_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

pub use self::session::Session;
pub use self::sessions::Sessions;

/// Where to and as whom an AWS driver calls. What is left out comes from the environment and the shared files, as
/// with the `aws` command.
///
/// A driver embeds it with `#[serde(flatten)]`, and puts [`properties`](Self::properties) into its schema.
///
/// ```
/// use rollback_aws_support::AwsSettings;
///
/// #[derive(serde::Deserialize)]
/// struct ServiceConfig {
///     service: String,
///     #[serde(flatten)]
///     aws: AwsSettings,
/// }
/// let config: ServiceConfig = serde_json::from_value(serde_json::json!({
///     "service": "web",
///     "region": "eu-central-1",
///     "profile": "prod",
/// }))?;
/// config.aws.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AwsSettings {
    /// The region, like `eu-central-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The profile in the shared configuration files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A role to take on with what the environment or the profile gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Another server in place of AWS's, for tests. `http` on this machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
}

const READ: &str = "read the AWS settings";

impl AwsSettings {
    /// Everything from the environment and the shared files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the profile.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Sets the role to take on.
    #[must_use]
    pub fn role_arn(mut self, role: impl Into<String>) -> Self {
        self.role_arn = Some(role.into());
        self
    }

    /// Sets the external id that the role asks for.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Sets another server in place of AWS's.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// The `properties` of a JSON Schema for these settings.
    #[must_use]
    pub fn properties() -> serde_json::Map<String, Value> {
        let text = |description: &str| json!({ "type": ["string", "null"], "description": description });
        [
            ("region", "the AWS region; else AWS_REGION or the profile's"),
            ("profile", "a profile of the shared AWS configuration files; else AWS_PROFILE"),
            ("role_arn", "a role to take on"),
            ("external_id", "the external id that the role asks for"),
            ("endpoint_url", "another server in place of AWS's, for tests; http on this machine only"),
        ]
        .into_iter()
        .map(|(name, description)| (name.to_owned(), text(description)))
        .collect()
    }

    /// Looks at the form of each setting. Asks nobody.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the name of the setting and how to write it.
    pub fn check(&self) -> Result<()> {
        let plain = |text: &str, more: &str| {
            (1..=128).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let is_region =
            |region: &str| plain(region, "-") && !region.contains(|c: char| c.is_ascii_uppercase());
        if self.region.as_deref().is_some_and(|region| !is_region(region)) {
            return Err(wrong("region", "it is not the name of a region", "write it like eu-central-1"));
        }
        if self.profile.as_deref().is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
            return Err(wrong(
                "profile",
                "it is empty or not a line of text",
                "aws configure list-profiles shows their names",
            ));
        }
        if let Some(role) = &self.role_arn {
            RoleArn::parse(role)?;
        }
        if self.external_id.as_deref().is_some_and(|id| !(2..=1224).contains(&id.len()) || !id.is_ascii()) {
            return Err(wrong(
                "external_id",
                "it is not 2 to 1224 ASCII characters long",
                "copy it from the trust policy of the role",
            ));
        }
        if self.external_id.is_some() && self.role_arn.is_none() {
            return Err(wrong("external_id", "it stands there without a role_arn", "set role_arn as well"));
        }
        self.endpoint_url.as_deref().map_or(Ok(()), check_endpoint)
    }
}

impl fmt::Debug for AwsSettings {
    // An external id is kept by some as a secret, and a URL may hold a password until it was checked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint_url.as_deref().map(|url| if url.contains('@') { "…" } else { url });
        f.debug_struct("AwsSettings")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("role_arn", &self.role_arn)
            .field("external_id", &self.external_id.as_ref().map(|_| "…"))
            .field("endpoint_url", &endpoint)
            .finish()
    }
}

fn wrong(setting: &str, message: &str, next: &str) -> Error {
    Error::new(ErrorKind::Invalid, READ, format!("{setting}: {message}")).next(next)
}

/// A role's ARN, as far as we need to know it.
pub(crate) struct RoleArn<'a> {
    pub(crate) account: &'a str,
}

impl<'a> RoleArn<'a> {
    pub(crate) fn parse(arn: &'a str) -> Result<Self> {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (prefix, partition, service, region, account, resource) =
            (next(), next(), next(), next(), next(), next());
        let right = prefix == "arn"
            && partition.starts_with("aws")
            && service == "iam"
            && region.is_empty()
            && is_account(account)
            && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
            && arn.len() <= 2048
            && arn.chars().all(|c| c.is_ascii_graphic());
        if right {
            Ok(Self { account })
        } else {
            Err(wrong(
                "role_arn",
                "it is not the ARN of a role",
                "write it like arn:aws:iam::123456789012:role/deploy",
            ))
        }
    }
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_endpoint(text: &str) -> Result<()> {
    // The text is never quoted: a URL may hold a password.
    let url = Url::parse(text).map_err(|_| {
        wrong("endpoint_url", "it is not a URL", "write it like https://host or http://127.0.0.1:4566")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "endpoint_url",
            "it holds a user or a password",
            "leave them out: requests are signed",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "endpoint_url",
            "it has a query or a fragment",
            "write scheme, host and port alone",
        ));
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        "http" => Err(wrong("endpoint_url", "plain http is for this machine only", "use https")),
        _ => Err(wrong("endpoint_url", "it is neither http nor https", "use https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in
            ["http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:1", "https://vpce.example.com"]
        {
            AwsSettings::new().endpoint_url(url).check().unwrap();
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://169.254.169.254",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "https://me:hunter2@example.com",
            "https://example.com/?hunter2",
            "ftp://127.0.0.1",
            "hunter2",
            "",
        ] {
            let error = AwsSettings::new().endpoint_url(url).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(!format!("{error:?}{error}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn roles_are_roles() {
        let good = "arn:aws-us-gov:iam::123456789012:role/path/deploy";
        AwsSettings::new().role_arn(good).external_id("abc").check().unwrap();
        assert_eq!(RoleArn::parse(good).unwrap().account, "123456789012");
        for role in [
            "deploy",
            "arn:aws:iam::123456789012:user/deploy",
            "arn:aws:iam::1234:role/deploy",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:sts::123456789012:role/deploy",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(AwsSettings::new().role_arn(role).check().is_err(), "{role}");
        }
        assert!(AwsSettings::new().external_id("abc").check().is_err(), "without a role");
        assert!(AwsSettings::new().region("eu central").check().is_err());
        assert!(AwsSettings::new().profile("a\nb").check().is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings =
            AwsSettings::new().external_id("hunter2").endpoint_url("https://a:hunter2@example.com");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn every_setting_is_in_the_schema() {
        let all =
            AwsSettings::new().region("r").profile("p").role_arn("a").external_id("e").endpoint_url("u");
        let Value::Object(written) = serde_json::to_value(&all).unwrap() else { panic!("an object") };
        let known = AwsSettings::properties();
        assert_eq!(written.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
    }
}
