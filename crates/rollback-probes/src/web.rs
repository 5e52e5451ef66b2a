//! What the kinds that speak HTTP share: the client, and URLs, headers and tokens that show no secrets.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};
use rollback_core::Result;
use tokio::net::lookup_host;

use crate::settings::{invalid, root_cause};

/// What clients differ in: whether certificates are looked at, whether it is this machine, whether redirects are followed.
type Manner = (bool, bool, bool);

/// A client that opens a connection for each request. Probes share it: each of its own would hold every certificate of the system once
/// more, and there may be thousands.
pub(crate) fn client(kind: &str, url: &Url, follow_redirects: bool) -> Result<Client> {
    static MADE: Mutex<BTreeMap<Manner, Client>> = Mutex::new(BTreeMap::new());
    let plain = url.scheme() == "http" && !follow_redirects;
    let manner = (plain, is_loopback(url), follow_redirects);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = made.get(&manner) {
        return Ok(client.clone());
    }
    let client = new_client(kind, manner)?;
    made.insert(manner, client.clone());
    Ok(client)
}

fn new_client(kind: &str, (plain, loopback, follow_redirects): Manner) -> Result<Client> {
    // Refused when somebody else's provider is installed already: that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = if follow_redirects { redirect::Policy::limited(5) } else { redirect::Policy::none() };
    let mut builder = Client::builder()
        .user_agent(concat!("rollback-probe/", env!("CARGO_PKG_VERSION")))
        .redirect(policy)
        .dns_resolver(Arc::new(Lookup))
        .pool_max_idle_per_host(0);
    if loopback {
        builder = builder.no_proxy();
    }
    if plain {
        // No certificates will be looked at, and small machines have none, which would be an error.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        invalid(kind, format!("no HTTP client: {}", root_cause(&error)))
            .next("install the CA certificates of your system (often the package ca-certificates)")
    })
}

/// Looks names up, and marks what goes wrong at that: nobody was asked then.
#[derive(Debug)]
struct Lookup;

#[derive(Debug)]
struct LookupFailed(io::Error);

impl fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for LookupFailed {}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port of the request takes the place of this one.
            let found = lookup_host((name.as_str(), 0)).await.map_err(LookupFailed)?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Whether nobody was asked, because the name could not be looked up.
pub(crate) fn is_of_lookup(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<LookupFailed>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A URL without user and password.
pub(crate) fn url(kind: &str, example: &str, text: &str) -> Result<Url> {
    // The text itself is not repeated in errors: it may hold what is refused here.
    let url: Url = text.parse().map_err(|error| {
        invalid(kind, format!("the url cannot be read: {error}")).next(format!("write it like {example}"))
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid(kind, format!("the url is of the scheme {:?}", url.scheme()))
            .next("write a url that begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(kind, "the url holds a user or a password, and plans would show it").next(
            "take it out of the url; for a token, put it into an environment variable and name that in `bearer_env`",
        ));
    }
    Ok(url)
}

/// Headers that hold no secrets.
pub(crate) fn headers(kind: &str, given: &BTreeMap<String, String>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        if holds_secrets(name) {
            return Err(invalid(kind, format!("the header {name:?} holds secrets, and plans would show it"))
                .next("put the token into an environment variable and name that in `bearer_env`"));
        }
        let header = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::try_from(value.as_str()).ok());
        let Some((key, value)) = header else {
            return Err(invalid(kind, format!("{name:?} is not a header that can be sent"))
                .next("write it like headers = { Accept = \"application/json\" }"));
        };
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Refuses a token that would go over the network in the clear, and one that is not there.
pub(crate) fn check_bearer(kind: &str, url: &Url, bearer_env: Option<&str>) -> Result<()> {
    let Some(name) = bearer_env else { return Ok(()) };
    if url.scheme() == "http" && !is_loopback(url) {
        return Err(invalid(kind, "over http:// the token could be read on the way")
            .next("use https://, or leave `bearer_env` out"));
    }
    secret(name).map(drop).map_err(|why| {
        invalid(kind, why).next("set the variable before you start, and write only its name in `bearer_env`")
    })
}

/// The header for the token in an environment variable. The error names the variable, never what is in it.
pub(crate) fn bearer(name: &str) -> Result<HeaderValue, String> {
    let token = secret(name)?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| format!("the environment variable {name} holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an environment variable holds. The error names the variable only if that is a name: a token that was
/// pasted in its place must not be repeated.
fn secret(name: &str) -> std::result::Result<String, String> {
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
pub(crate) fn public_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Refused before; an error here means that there is nothing to take out.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// Whether the URL names the machine itself.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
