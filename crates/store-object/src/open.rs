//! Clients for the three providers, with credentials from the variables that their own tools use.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod google;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::Url;
use rollback_core::{Error, ErrorKind, Result};

use crate::http::{Connector, Limits};
use crate::location::{Bucket, Provider};
use crate::store::BucketStore;

/// A store answers within half a lease, or the lease is no use.
const REQUEST: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);

type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How a [`BucketStore`] is opened, where the defaults are not right.
///
/// ```
/// # fn main() -> rollback_core::Result<()> {
/// use std::time::Duration;
/// use rollback_store_object::BucketOptions;
///
/// let options = BucketOptions::new().request_timeout(Duration::from_secs(10)).variables(|name| match name {
///     "AWS_REGION" => Some("eu-central-1".to_owned()),
///     _ => std::env::var(name).ok(),
/// });
/// # #[cfg(feature = "aws")]
/// let store = options.open("s3://acme-rollback/shop")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct BucketOptions {
    limits: Limits,
    variables: Variables,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            limits: Limits { connect: CONNECT, request: REQUEST },
            variables: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

impl fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketOptions").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl BucketOptions {
    /// The defaults: five seconds for a request, three of them for connecting, the variables of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a request may take until its answer is there; one second more for each 64 KiB that it sends.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.request = timeout;
        self
    }

    /// How long connecting may take.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect = timeout;
        self
    }

    /// Where settings and credentials are looked up, by the names of environment variables.
    pub fn variables(mut self, look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.variables = Arc::new(look_up);
        self
    }

    /// The store at a URL: `s3://bucket/folder`, `gs://bucket/folder`, `az://account/container/folder`.
    ///
    /// Nothing is sent yet: what is wrong with the bucket or the credentials is the answer of the first call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a URL or a setting that is wrong, [`ErrorKind::Denied`] when it is clear already that
    /// there are no credentials, [`ErrorKind::Unsupported`] for a provider that was not compiled in.
    pub fn open(&self, url: &str) -> Result<BucketStore> {
        self.open_bucket(url.parse()?)
    }

    /// The store in a bucket; see [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_bucket(&self, bucket: Bucket) -> Result<BucketStore> {
        let opening = Opening { bucket: &bucket, limits: self.limits, variables: &self.variables };
        let objects: Arc<dyn ObjectStore> = match bucket.provider() {
            #[cfg(feature = "aws")]
            Provider::S3 => Arc::new(aws::client(&opening)?),
            #[cfg(feature = "gcp")]
            Provider::Google => Arc::new(google::client(&opening)?),
            #[cfg(feature = "azure")]
            Provider::Azure => Arc::new(azure::client(&opening)?),
            #[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
            other => return Err(not_compiled_in(other)),
        };
        Ok(BucketStore::over(bucket, objects))
    }
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn not_compiled_in(provider: Provider) -> Error {
    let message = format!("stores of the scheme {} were not compiled in", provider.scheme());
    Error::new(ErrorKind::Unsupported, "open the store", message)
        .next("build with the cargo feature aws, gcp or azure of rollback-store-object")
}

impl BucketStore {
    /// The store at a URL, with the default [`BucketOptions`].
    ///
    /// # Errors
    ///
    /// As [`BucketOptions::open`].
    pub fn open(url: &str) -> Result<Self> {
        BucketOptions::new().open(url)
    }
}

/// What a client is made from.
struct Opening<'a> {
    bucket: &'a Bucket,
    limits: Limits,
    variables: &'a Variables,
}

impl Opening<'_> {
    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// The first of some variables that is set, with its name.
    fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, String)> {
        names.iter().find_map(|name| Some((*name, self.variable(name)?)))
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, format!("open the store {}", self.bucket), message)
    }

    /// A client that could not be made. Causes may quote what a variable holds, so they are not shown.
    fn unmade(&self, from: &[&str]) -> Error {
        let set: Vec<&str> = from.iter().copied().filter(|name| self.variable(name).is_some()).collect();
        let message = match set.as_slice() {
            [] => "its client cannot be set up; the CA certificates of this system may be missing".to_owned(),
            set => format!("its client cannot be set up from {}", set.join(", ")),
        };
        self.error(ErrorKind::Invalid, message)
            .next("check what these variables hold, and that the CA certificates of the system are there")
    }

    /// The server to talk to. Plain HTTP shows tokens to everybody on the way: only to this machine, or when that is
    /// asked for.
    fn endpoint(&self, name: &str, text: &str, allow: &str) -> Result<Endpoint> {
        let wrong = |why: &str| {
            self.error(ErrorKind::Invalid, format!("{name} {why}"))
                .next(format!("write {name} like https://host:port"))
        };
        let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("has a user, a password or a query"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(wrong("is neither https nor http")),
        };
        if plain && !is_loopback(host) && self.variable(allow).as_deref() != Some("true") {
            return Err(wrong(
                "is plain http to another machine, which shows tokens and values to everybody on the way",
            )
            .next(format!("use https, or set {allow}=true if the way is safe")));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Endpoint { url: text.trim_end_matches('/').to_owned(), authority, plain })
    }

    fn connector(&self, endpoint: &Endpoint) -> Connector {
        Connector { limits: self.limits, authority: endpoint.authority.clone() }
    }
}

/// Where requests for the bucket go.
struct Endpoint {
    url: String,
    authority: String,
    plain: bool,
}

impl Endpoint {
    fn options(&self) -> ClientOptions {
        ClientOptions::new().with_allow_http(self.plain)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Nothing is sent twice: a write that landed would meet itself. Core repeats what may be repeated.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}
