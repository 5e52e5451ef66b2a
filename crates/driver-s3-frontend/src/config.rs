//! What a person configures.

use rollback_aws_support::{AwsSettings, Session};
use rollback_core::registry::{read_known_settings, wrong_setting};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, CloudFront};
use crate::front::{Front, SiteUrl};
use crate::memory::Memory;
use crate::names::{Bucket, DistributionId, Layout, Prefix};
use crate::order::{Order, Pattern};
use crate::ours::Ours;
use crate::parts::Parts;
use crate::recent::Recent;
use crate::site::Site;
use crate::target::SiteTarget;

/// The configuration of one static site.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_driver_s3_frontend::SiteConfig;
/// let config = serde_json::json!({ "bucket": "shop-site", "live": "live/", "region": "eu-west-1" });
/// let config = SiteConfig::read(&ComponentName::new("web")?, &config)?;
/// assert_eq!(config.archive, "versions/{version}/");
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct SiteConfig {
    /// the bucket
    pub bucket: Bucket,
    /// what of the bucket is served: a prefix that ends with `/`; left out, the whole bucket beside archive and state
    #[serde(default = "Prefix::whole", skip_serializing_if = "is_whole")]
    pub live: Prefix,
    /// where each release has its copy; `versions/{version}/` unless told otherwise
    #[serde(default = "archive")]
    pub archive: String,
    /// where this driver keeps what it must remember; `.rollback/` unless told otherwise
    #[serde(default = "state")]
    pub state: Prefix,
    /// keys that are written last, beside pages, service workers and whatever may be cached for minutes only: `config*.json`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<Pattern>,
    /// how long nothing is written between two deploys: writes that are nearer to each other are one; 1m unless told otherwise
    #[serde(default = "minute")]
    #[schemars(with = "String")]
    pub quiet: Lasting,
    /// for how long assets of a release that was left are kept for open tabs; after that `rollback clean` removes them; 7d unless told otherwise
    #[serde(default = "week")]
    #[schemars(with = "String")]
    pub grace: Lasting,
    /// the account that must own the bucket
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<String>,
    /// the CloudFront distribution that serves the site: its caches are told to forget what was changed
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<DistributionId>,
    /// whether the distribution serves a release straight from the archive, by its origin path: then that is moved, and nothing is copied
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pointer: bool,
    /// where the site is for browsers, if not at the distribution's own domain: `https://shop.example.com/`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SiteUrl>,
    /// whether its pages are looked at as browsers get them, once it was put back; they are unless told otherwise
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub check_pages: bool,
    /// whether the bucket is named in the path and not in the host, as servers other than AWS's want it
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_style: bool,
    /// Where to and as whom.
    #[serde(flatten)]
    #[schemars(skip)]
    pub aws: AwsSettings,
}

fn archive() -> String {
    "versions/{version}/".to_owned()
}

#[expect(clippy::expect_used, reason = "the text is written here, and a test reads it")]
fn state() -> Prefix {
    Prefix::new(".rollback/").expect("a prefix")
}

fn minute() -> Lasting {
    Lasting::from_secs(60)
}

fn week() -> Lasting {
    Lasting::from_secs(7 * 86_400)
}

fn yes() -> bool {
    true
}

fn is_whole(prefix: &Prefix) -> bool {
    prefix.as_str().is_empty()
}

impl SiteConfig {
    /// A whole bucket.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            live: Prefix::whole(),
            archive: archive(),
            state: state(),
            entry_points: Vec::new(),
            quiet: minute(),
            grace: week(),
            bucket_owner: None,
            distribution: None,
            pointer: false,
            url: None,
            check_pages: true,
            path_style: false,
            aws: AwsSettings::new(),
        }
    }

    /// Reads and checks settings. Nothing is asked of AWS.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](rollback_core::ErrorKind::Invalid) with the setting that does not fit and what to write instead.
    pub fn read(component: &ComponentName, config: &Value) -> Result<Self> {
        let read: Self = read_known_settings(component, config, &Self::schema())?;
        read.check()?;
        Ok(read)
    }

    /// Looks at the form of each setting. Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn check(&self) -> Result<()> {
        let layout = Layout::new(&self.archive)?;
        for (setting, other) in [("archive", layout.root()), ("state", &self.state)] {
            if other.holds(&self.live) {
                let why = format!(
                    "holds what is served ({})",
                    if is_whole(&self.live) { "the whole bucket" } else { self.live.as_str() }
                );
                return Err(wrong_setting(
                    setting,
                    other.as_str(),
                    &why,
                    "choose a prefix of its own, beside the live one or inside it",
                ));
            }
        }
        if self.state.holds(layout.root()) || layout.root().holds(&self.state) {
            let next = "choose a prefix of its own";
            return Err(wrong_setting("state", self.state.as_str(), "is that of the archive", next));
        }
        let is_account = |text: &String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(owner) = self.bucket_owner.as_ref().filter(|owner| !is_account(owner)) {
            return Err(wrong_setting("bucket_owner", owner, "is no account", "write its twelve digits"));
        }
        if self.pointer && self.distribution.is_none() {
            let next = "set it as well, or leave out `pointer`";
            return Err(wrong_setting("pointer", "true", "needs `distribution`", next));
        }
        if self.pointer && !is_whole(&self.live) {
            let why = "is not served where a release is served from the archive itself";
            return Err(wrong_setting("live", self.live.as_str(), why, "leave out `live`, or `pointer`"));
        }
        self.aws.check()
    }

    /// A target for this site, over a session that the embedding program made.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn build(&self, session: &Session) -> Result<SiteTarget> {
        self.check()?;
        let client = Client::new(session, self.bucket.clone(), self.bucket_owner.clone(), self.path_style);
        let (layout, order) = (Layout::new(&self.archive)?, Order::with(&self.entry_points));
        let (live, state) = (self.live.clone(), self.state.clone());
        let front = Front {
            cloudfront: self.distribution.clone().map(|id| CloudFront::new(session, id)),
            url: self.url.clone(),
            unlooked: !self.check_pages,
            pointer: self.pointer,
        };
        Ok(SiteTarget::new(Site {
            client,
            live,
            layout,
            state,
            order,
            quiet: self.quiet,
            grace: self.grace,
            front,
            parts: Parts::default(),
            memory: Memory::default(),
            recent: Recent::default(),
            ours: Ours::default(),
        }))
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("title".to_owned(), Value::from(crate::NAME));
            schema.remove("description");
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.extend(AwsSettings::properties());
            }
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<SiteConfig> {
        SiteConfig::read(&ComponentName::new("web").unwrap(), config)
    }

    fn full() -> Value {
        json!({
            "bucket": "shop-site", "live": "live/", "archive": "releases/{version}/site/", "state": "state/",
            "entry_points": ["config*.json"], "quiet": "5m", "grace": "3d", "bucket_owner": "123456789012", "path_style": true,
            "distribution": "E2QWRUHAPOMQZL", "url": "https://shop.example.com/", "check_pages": false, "region": "eu-west-1", "profile": "ops",
            "role_arn": "arn:aws:iam::123456789012:role/rollback", "external_id": "ours", "endpoint_url": "http://127.0.0.1:4566",
        })
    }

    #[test]
    fn every_setting_is_read_and_known_to_the_schema() {
        let config = read(&full()).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), full());
        let schema = SiteConfig::schema();
        let known: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        // `pointer` does not go with `live`.
        let pointer = json!({
            "bucket": "shop-site", "archive": "versions/{version}/", "state": ".rollback/", "quiet": "1m",
            "grace": "7d", "distribution": "E1", "pointer": true,
        });
        assert_eq!(serde_json::to_value(read(&pointer).unwrap()).unwrap(), pointer);
        assert_eq!(known.len(), full().as_object().unwrap().len() + 1);
        assert!(full().as_object().unwrap().keys().all(|key| known.contains(&key)));
        assert_eq!(schema["required"], json!(["bucket"]));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        assert!(
            read(&json!({ "bucket": "shop-site" })).is_ok(),
            "archive and state are inside the bucket that is served"
        );
        for (key, value) in [
            ("bucket", json!("s3://shop-site")),
            ("live", json!("live")),
            ("live", json!("releases/v1/site/")),
            ("live", json!("state/live/")),
            ("archive", json!("releases/")),
            ("archive", json!("{version}/")),
            ("state", json!("")),
            ("state", json!("releases/state/")),
            ("entry_points", json!([""])),
            ("quiet", json!("a while")),
            ("grace", json!("some days")),
            ("bucket_owner", json!("me")),
            ("distribution", json!("../E1")),
            ("distribution", json!("https://d111111abcdef8.cloudfront.net")),
            ("url", json!("shop.example.com")),
            ("url", json!("https://me:hunter2@shop.example.com/")),
            ("pointer", json!(true)),
            ("region", json!("Europe")),
            ("buckt", json!("x")),
        ] {
            let mut config = full();
            config[key] = value.clone();
            let error = read(&config).expect_err(key);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key} {value}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let alone = read(&json!({ "bucket": "shop-site", "pointer": true })).unwrap_err();
        assert!(alone.to_string().contains("distribution"), "{alone}");
    }
}
