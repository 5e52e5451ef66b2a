//! The settings of the `http` probe, and what they must not hold.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;
use reqwest::header::HeaderMap;
use rollback_core::Result;
use rollback_core::time::Lasting;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::KIND;
use crate::settings::{invalid, read};
use crate::web;

const NAMES: [&str; 7] =
    ["url", "expect_status", "contains", "timeout", "follow_redirects", "headers", "bearer_env"];
const EXAMPLE: &str =
    "{ kind = \"http\", url = \"http://127.0.0.1:8080/health\", expect_status = 200, timeout = \"5s\" }";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// What is asked for; without user and password
    url: String,
    /// The status that is well, or a list of them; else 200 to 299
    #[serde(default)]
    #[schemars(with = "Option<OneOrMany>")]
    pub(super) expect_status: Statuses,
    /// A text that must be in the first 64 KiB of the body
    #[serde(default)]
    pub(super) contains: Option<String>,
    /// How long it may take in all
    #[serde(default = "five_seconds")]
    #[schemars(with = "String")]
    pub(super) timeout: Lasting,
    /// Whether redirects are followed
    #[serde(default)]
    pub(super) follow_redirects: bool,
    /// Headers to send; none that hold secrets
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The name of a variable that holds a token
    #[serde(default)]
    pub(super) bearer_env: Option<String>,
}

fn five_seconds() -> Lasting {
    Lasting::from_secs(5)
}

impl Settings {
    pub(super) fn read(config: &Map<String, Value>) -> Result<Self> {
        let settings: Self = read(KIND, &NAMES, EXAMPLE, config)?;
        settings.expect_status.check()?;
        if settings.contains.as_deref() == Some("") {
            return Err(invalid(KIND, "every body contains the empty text")
                .next("write the text that must be there in `contains`, or leave it out"));
        }
        Ok(settings)
    }

    pub(super) fn url(&self) -> Result<Url> {
        web::url(KIND, EXAMPLE, &self.url)
    }

    pub(super) fn headers(&self) -> Result<HeaderMap> {
        web::headers(KIND, &self.headers)
    }
}

/// The statuses that are well.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Option<OneOrMany>")]
pub(super) enum Statuses {
    /// 200 to 299.
    #[default]
    Success,
    These(Vec<u16>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expect_status is a status like 200, or a list like [200, 204]")]
enum OneOrMany {
    One(u16),
    Many(Vec<u16>),
}

impl From<Option<OneOrMany>> for Statuses {
    fn from(given: Option<OneOrMany>) -> Self {
        match given {
            None => Self::Success,
            Some(OneOrMany::One(status)) => Self::These(vec![status]),
            Some(OneOrMany::Many(statuses)) => Self::These(statuses),
        }
    }
}

impl Statuses {
    pub(super) fn allow(&self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::These(statuses) => statuses.contains(&status),
        }
    }

    fn check(&self) -> Result<()> {
        let Self::These(statuses) = self else { return Ok(()) };
        let wrong = statuses.iter().find(|status| !(200..600).contains(*status));
        let problem = match wrong {
            Some(status) => format!("{status} is never the status of an answer"),
            None if statuses.is_empty() => "no status would be well".to_owned(),
            None => return Ok(()),
        };
        Err(invalid(KIND, problem).next("write expect_status = 200 or [200, 204], each from 200 to 599"))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("200 to 299"),
            Self::These(statuses) => {
                let texts: Vec<_> = statuses.iter().map(u16::to_string).collect();
                f.write_str(&texts.join(" or "))
            }
        }
    }
}
