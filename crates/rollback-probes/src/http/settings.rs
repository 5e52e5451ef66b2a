//! The settings of the `http` probe, and what they must not hold.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rollback_core::time::Lasting;
use rollback_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::KIND;
use crate::settings::{invalid, read};

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
        // The text itself is not repeated in errors: it may hold what is refused here.
        let url: Url = self.url.parse().map_err(|error| {
            invalid(KIND, format!("the url cannot be read: {error}")).next(format!("write it like {EXAMPLE}"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid(KIND, format!("the url is of the scheme {:?}", url.scheme()))
                .next("write a url that begins with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(KIND, "the url holds a user or a password, and plans would show it").next(
                "take it out of the url; for a token, put it into an environment variable and name that in `bearer_env`",
            ));
        }
        Ok(url)
    }

    pub(super) fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if holds_secrets(name) {
                return Err(invalid(
                    KIND,
                    format!("the header {name:?} holds secrets, and plans would show it"),
                )
                .next("put the token into an environment variable and name that in `bearer_env`"));
            }
            let header =
                HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
            let Some((key, value)) = header else {
                return Err(invalid(KIND, format!("{name:?} is not a header that can be sent"))
                    .next("write it like headers = { Accept = \"application/json\" }"));
            };
            headers.insert(key, value);
        }
        Ok(headers)
    }

    pub(super) fn check_bearer(&self, url: &Url) -> Result<()> {
        let Some(name) = &self.bearer_env else { return Ok(()) };
        if url.scheme() == "http" && !is_loopback(url) {
            return Err(invalid(KIND, "over http:// the token could be read on the way")
                .next("use https://, or leave `bearer_env` out"));
        }
        secret(name).map(drop).map_err(|why| token_missing(&why))
    }
}

fn token_missing(why: &str) -> Error {
    invalid(KIND, why).next("set the variable before you start, and write only its name in `bearer_env`")
}

/// What an environment variable holds. The error names the variable only if that is a name: a token that was
/// pasted in its place must not be repeated.
pub(super) fn secret(name: &str) -> std::result::Result<String, String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("`bearer_env` is not the name of an environment variable (A to Z, 0 to 9 and _)".into());
    }
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("the environment variable {name} is not set")),
    }
}

fn holds_secrets(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["auth", "cookie", "token", "secret", "key", "password", "credential", "signature"]
        .iter()
        .any(|word| header.contains(word))
}

/// The URL without user, password, query and fragment.
pub(super) fn public_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Refused before; an error here means that there is nothing to take out.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// Whether the URL names the machine itself.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_is_loopback() {
        for (url, loopback) in [
            ("http://localhost:1/", true),
            ("http://api.localhost/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]:80/", true),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn the_query_is_never_shown() {
        let url = "https://example.com/health?key=hunter2#top".parse().unwrap();
        assert_eq!(public_url(&url), "https://example.com/health");
    }
}
