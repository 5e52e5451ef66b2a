//! The site as a browser gets it.

mod look;

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, redirect};
use rollback_core::time::{SystemClock, within};
use rollback_core::{Error, ErrorKind, Result};
use url::Url;

pub(crate) use self::look::{Files, Looked, look};

/// How long an answer may take, whole.
const LIMIT: Duration = Duration::from_secs(20);
/// How large a page may be that is compared.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Asks for pages. The answers are those of a browser that was never there before and takes no compressed ones.
#[derive(Debug, Clone)]
pub(crate) struct Web(Client);

/// What was answered.
#[derive(Debug)]
struct Answer {
    /// Where it came from, after redirects.
    url: Url,
    status: u16,
    kind: String,
    body: Vec<u8>,
}

impl Web {
    /// For addresses like this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Other`] where the system has no certificates.
    pub(crate) fn new(address: &Url) -> Result<Self> {
        // Refused when somebody else's provider is installed already: that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("rollback/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::limited(5));
        if is_this_machine(address) {
            builder = builder.no_proxy();
        }
        builder.build().map(Self).map_err(|error| {
            let found = format!("no HTTP client: {}", root(&error));
            Error::new(ErrorKind::Other, "look at the site", found)
                .next("install the CA certificates of your system (often the package ca-certificates)")
        })
    }

    /// Gets a page. The text says for people why not.
    async fn page(&self, url: &Url) -> Result<Answer, String> {
        let got = async {
            let (mut answer, mut response) = self.head_of(url).await?;
            while let Some(chunk) = response.chunk().await.map_err(|error| root(&error.without_url()))? {
                answer.body.extend_from_slice(&chunk);
                if answer.body.len() as u64 > LARGEST {
                    return Err(format!("more than {} MiB", LARGEST >> 20));
                }
            }
            Ok(answer)
        };
        within(&SystemClock, LIMIT, got).await.unwrap_or_else(late)
    }

    /// Gets an asset, and reads no more of it than what kind it is.
    async fn asset(&self, url: &Url) -> Result<Answer, String> {
        let got = async { self.head_of(url).await.map(|(answer, _)| answer) };
        within(&SystemClock, LIMIT, got).await.unwrap_or_else(late)
    }

    async fn head_of(&self, url: &Url) -> Result<(Answer, Response), String> {
        let response = self.0.get(url.clone()).send().await.map_err(|error| root(&error.without_url()))?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let answer = Answer {
            url: response.url().clone(),
            status: response.status().as_u16(),
            kind: kind.unwrap_or_default().to_owned(),
            body: Vec::new(),
        };
        Ok((answer, response))
    }
}

fn late<T>() -> Result<T, String> {
    Err(format!("no whole answer within {} s", LIMIT.as_secs()))
}

/// The last cause of an error: the others only say that something failed.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
