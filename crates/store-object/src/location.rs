//! Where a store is: a URL, hostile until it is parsed.

use std::fmt;
use std::str::FromStr;

use rollback_core::store::{Key, KeyPrefix};
use rollback_core::{Error, ErrorKind, Result};

/// The longest name of a folder in a bucket, in bytes. With the longest key it stays far below the 1,024 bytes that an
/// object's name may have.
const LONGEST_FOLDER: usize = 256;

/// Whose object storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// Amazon S3, or a server that speaks its protocol: `s3://bucket/folder`.
    S3,
    /// Google Cloud Storage: `gs://bucket/folder`.
    Google,
    /// Azure Blob Storage: `az://account/container/folder`.
    Azure,
}

impl Provider {
    /// The scheme in URLs.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A bucket (on Azure: a container in an account), and the folder in it that belongs to one store.
///
/// ```
/// use rollback_store_object::Bucket;
///
/// let bucket: Bucket = "s3://acme-rollback/shop/prod".parse()?;
/// assert_eq!(bucket.name(), "acme-rollback");
/// assert_eq!(bucket.to_string(), "s3://acme-rollback/shop/prod");
/// assert!("s3://user:password@acme-rollback".parse::<Bucket>().is_err());
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    provider: Provider,
    account: Option<String>,
    name: String,
    folder: String,
}

impl Bucket {
    /// Parses what follows `scheme:` in a URL: `//bucket/folder`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`], without quoting the text, which may hold credentials.
    pub fn parse(provider: Provider, location: &str) -> Result<Self> {
        let scheme = provider.scheme();
        let example = match provider {
            Provider::Azure => "az://account/container/folder".to_owned(),
            _ => format!("{scheme}://bucket/folder"),
        };
        let wrong = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("read a URL of the scheme {scheme}"), why)
                .next(format!("write it like {example}, and keep credentials in the environment"))
        };
        let rest = location.strip_prefix("//").ok_or_else(|| wrong("it names no bucket"))?;
        if rest.contains(['@', '?', '#']) {
            return Err(wrong("it has a user, a query or a fragment"));
        }
        let mut parts = rest.strip_suffix('/').unwrap_or(rest).split('/');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let account = (provider == Provider::Azure).then(&mut next);
        if account.as_ref().is_some_and(|account| !is_account(account)) {
            return Err(wrong("an account has 3 to 24 lower-case letters and digits"));
        }
        let name = next();
        check_name(provider, &name).map_err(wrong)?;
        let folder: Vec<&str> = parts.collect();
        let folder = folder.join("/");
        if folder.len() > LONGEST_FOLDER || !folder.is_empty() && Key::new(folder.as_str()).is_err() {
            return Err(wrong(
                "a folder has up to 256 letters, digits, '.', '_', '-', and no part of it begins with a dot",
            ));
        }
        Ok(Self { provider, account, name, folder })
    }

    /// Whose object storage it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The bucket, or the container.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account that an Azure container is in.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The folder without slashes around it; empty for the whole bucket.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The name of the object for `key`.
    pub(crate) fn object(&self, key: &Key) -> String {
        self.inside(key.as_str())
    }

    /// What the names of objects under `prefix` begin with.
    pub(crate) fn objects(&self, prefix: &KeyPrefix) -> String {
        self.inside(prefix.as_str())
    }

    /// The key of an object, if it is one.
    pub(crate) fn key(&self, object: &str) -> Option<Key> {
        let text = match self.folder.as_str() {
            "" => object,
            folder => object.strip_prefix(folder)?.strip_prefix('/')?,
        };
        Key::new(text).ok()
    }

    /// A name below the folder. Names that begin with a dot are no keys: those are the store's own.
    pub(crate) fn inside(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }
}

impl FromStr for Bucket {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let unknown = || {
            Error::new(ErrorKind::Invalid, "read the URL of a store", "it is not one of object storage")
                .next("write it like s3://bucket/folder, gs://bucket/folder or az://account/container/folder")
        };
        let (scheme, location) = url.split_once(':').ok_or_else(unknown)?;
        let providers = [Provider::S3, Provider::Google, Provider::Azure];
        let provider = providers.into_iter().find(|provider| provider.scheme() == scheme);
        Self::parse(provider.ok_or_else(unknown)?, location)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.provider.scheme())?;
        let parts = [self.account.as_deref(), Some(self.name.as_str()), Some(self.folder.as_str())];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join("/"))
    }
}

fn is_account(text: &str) -> bool {
    (3..=24).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn check_name(provider: Provider, name: &str) -> Result<(), &'static str> {
    let longest = if provider == Provider::Google && name.contains('.') { 222 } else { 63 };
    let clean = name.bytes().all(|byte| match byte {
        b'.' => provider != Provider::Azure,
        b'_' => provider == Provider::Google,
        b'-' => true,
        byte => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
    });
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let edges = edge(name.as_bytes().first()) && edge(name.as_bytes().last());
    if !clean || !edges || !(3..=longest).contains(&name.len()) || name.contains("..") {
        return Err(match provider {
            Provider::Azure => "a container has 3 to 63 lower-case letters, digits and '-'",
            _ => {
                "a bucket has 3 to 63 lower-case letters, digits, '.' and '-', with a letter or digit at both ends"
            }
        });
    }
    // They list keys in no order, and a store must list them in byte order.
    if provider == Provider::S3 && (name.ends_with("--x-s3") || name.ends_with("--xa-s3")) {
        return Err("a directory bucket (S3 Express) cannot be a store: it does not list in order");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_alike() {
        for url in
            ["s3://bucket", "s3://my.bucket-1/a/b.c/d_e", "gs://under_score/x", "az://account1/box-1/prod"]
        {
            let bucket: Bucket = url.parse().unwrap();
            assert_eq!(bucket.to_string(), url);
            assert_eq!(format!("{url}/").parse::<Bucket>().unwrap(), bucket, "a slash at the end");
        }
    }

    #[test]
    fn hostile_urls_are_refused_without_quoting_them() {
        let long = format!("s3://bucket/{}", "a".repeat(257));
        for url in [
            "",
            "s3",
            "s3:",
            "s3:bucket",
            "s3://",
            "s3:///folder",
            "s3://ab",
            "s3://UPPER",
            "s3://a..b",
            "s3://-bucket",
            "s3://bucket-",
            "s3://bucket//a",
            "s3://bucket/../a",
            "s3://bucket/.a",
            "s3://bucket/a b",
            "s3://bucket/a%2e",
            "s3://key:hunter2@bucket/a",
            "s3://bucket/a?token=hunter2",
            "s3://bucket/a#hunter2",
            "s3://bu\ncket",
            "s3://zone--use1-az4--x-s3",
            "gs://b",
            "az://container",
            "az://UPPER/container",
            "az://account/un_der",
            "ftp://bucket/a",
            &long,
        ] {
            let error = url.parse::<Bucket>().expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn keys_are_objects_in_the_folder() {
        for url in ["s3://bucket", "s3://bucket/a/b"] {
            let bucket: Bucket = url.parse().unwrap();
            let key = Key::new("runs/1").unwrap();
            let object = bucket.object(&key);
            assert!(object.ends_with("runs/1"));
            assert_eq!(bucket.key(&object), Some(key));
            assert_eq!(bucket.key(&bucket.inside(".rollback-store.json")), None);
        }
        let bucket: Bucket = "s3://bucket/a".parse().unwrap();
        assert_eq!(bucket.key("ab/1"), None);
    }
}
