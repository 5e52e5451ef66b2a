//! Image references: where an image is, and which one.

use std::fmt;
use std::str::FromStr;

use rollback_core::{Digest, Error, Result, Version};
use serde::{Deserialize, Serialize};

use crate::as_text;
use crate::text::invalid;

/// The longest reference that ECS takes.
const LONGEST: usize = 1024;
const WHAT: &str = "an image reference";

/// A reference to a container image, like `nginx`, `nginx:1.27` or
/// `123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:abc123d`.
///
/// What is displayed is what was read: the same text, and it parses to the same reference.
///
/// ```
/// use rollback_aws_support::{ImageRef, Registry};
/// let image: ImageRef = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:abc123d".parse()?;
/// assert_eq!(image.repository(), "shop/web");
/// assert_eq!(image.tag(), Some("abc123d"));
/// let Some(Registry::Ecr(ecr)) = image.registry() else { panic!() };
/// assert_eq!((ecr.account(), ecr.region(), ecr.partition()), ("123456789012", "eu-west-1", "aws"));
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    registry: Option<Registry>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// The registry, if one is named. Without one, the container runtime means Docker Hub.
    #[must_use]
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// The path inside the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is written. Tags can be moved.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is written.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag as a version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::new(self.tag()?).ok()
    }

    /// The same place, with exactly this image: the tag no longer decides and is dropped.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same place, with another tag.
    ///
    /// # Errors
    ///
    /// [`Invalid`](rollback_core::ErrorKind::Invalid) for a text that is no tag.
    pub fn tagged(&self, tag: &str) -> Result<Self> {
        let tag = parse_tag(tag, tag)?;
        Ok(Self { tag: Some(tag), digest: None, ..self.clone() })
    }

    /// Whether both name the same repository of the same registry.
    #[must_use]
    pub fn same_place(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why| invalid(WHAT, quotable(text), why);
        if text.is_empty() || text.len() > LONGEST {
            return Err(wrong("is empty or too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => (rest, Some(parse_digest(digest)?)),
            Some(_) => return Err(wrong("has a digest that is not sha256")),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it belongs to the registry's port.
        let path_start = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[path_start..].split_once(':') {
            Some((last, tag)) => (&rest[..path_start + last.len()], Some(parse_tag(tag, text)?)),
            None => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if names_a_host(host) => (Some(host.parse()?), path),
            _ => (None, name),
        };
        if !repository.split('/').all(is_path_component) {
            return Err(wrong("has a repository that no registry takes"));
        }
        Ok(Self { registry, repository: repository.to_owned(), tag, digest })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}
as_text!(ImageRef);

/// Without what stands before an `@`: people write `user:password@host`.
fn quotable(text: &str) -> &str {
    match text.rsplit_once('@') {
        Some((_, rest)) if !rest.starts_with("sha256:") => rest,
        _ => text,
    }
}

/// Digests are compared as text by registries, so only their own spelling is taken.
fn parse_digest(text: &str) -> Result<Digest> {
    let digest: Digest = text.parse()?;
    if digest.to_string() == text {
        Ok(digest)
    } else {
        Err(invalid("an image digest", text, "is not written in lower case"))
    }
}

fn parse_tag(tag: &str, whole: &str) -> Result<String> {
    let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let clean = tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if begins && clean && tag.len() <= 128 {
        Ok(tag.to_owned())
    } else {
        Err(invalid(WHAT, quotable(whole), "has a tag that no registry takes"))
    }
}

/// The first component is a registry if it could be a host name and could not be a folder.
fn names_a_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Lower-case letters and digits, separated by `.`, `_`, `__` or dashes.
fn is_path_component(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    text.bytes().all(known)
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && !["..", "._", "_.", "___", ".-", "-.", "_-", "-_"].iter().any(|pair| text.contains(pair))
}

/// A registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// A private registry of ECR.
    Ecr(EcrRegistry),
    /// Any other, by host and port.
    Host(String),
}

impl FromStr for Registry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(ecr) = EcrRegistry::recognise(text) {
            return Ok(Self::Ecr(ecr));
        }
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let label = |part: &str| {
            !part.is_empty()
                && part.len() <= 63
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let good_port = |port: &str| {
            !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        };
        if host.len() <= 253 && host.split('.').all(label) && port.is_none_or(good_port) {
            Ok(Self::Host(text.to_owned()))
        } else {
            Err(invalid("a registry", text, "is no host name"))
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecr(ecr) => ecr.fmt(f),
            Self::Host(host) => f.write_str(host),
        }
    }
}
as_text!(Registry);

/// A private ECR registry. Which account, region and partition decides whom to ask whether an image is still there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EcrRegistry {
    account: String,
    region: String,
    host: String,
}

/// The host names of ECR, by what comes after the region.
const ECR_HOSTS: [(&str, &str); 5] = [
    ("amazonaws.com", "aws"),
    ("amazonaws.com.cn", "aws-cn"),
    ("amazonaws.eu", "aws-eusc"),
    ("on.aws", "aws"),
    ("on.amazonwebservices.com.cn", "aws-cn"),
];

impl EcrRegistry {
    fn recognise(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        let rest = ["dkr.ecr.", "dkr-ecr.", "dkr.ecr-fips.", "dkr-ecr-fips."]
            .iter()
            .find_map(|service| rest.strip_prefix(service))?;
        let (region, suffix) = rest.split_once('.')?;
        let known = ECR_HOSTS.iter().any(|(known, _)| *known == suffix);
        let account_fits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let region_fits = crate::arn::is_region(region);
        (known && account_fits && region_fits).then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
            host: host.to_owned(),
        })
    }

    /// The twelve digits of the account that owns it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region it is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// `aws`, `aws-cn`, `aws-us-gov` or `aws-eusc`.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("us-gov-") {
            return "aws-us-gov";
        }
        let suffix = self.host.split_once(&self.region).map_or("", |(_, rest)| rest.trim_start_matches('.'));
        ECR_HOSTS.iter().find(|(known, _)| *known == suffix).map_or("aws", |(_, partition)| partition)
    }
}

impl fmt::Display for EcrRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn references_are_taken_apart() {
        for (text, host, repository, tag, digest) in [
            ("nginx", None, "nginx", None, false),
            ("library/nginx:1.27", None, "library/nginx", Some("1.27"), false),
            ("localhost/web", Some("localhost"), "web", None, false),
            ("localhost:5000/web:x", Some("localhost:5000"), "web", Some("x"), false),
            ("public.ecr.aws/a/b:v1", Some("public.ecr.aws"), "a/b", Some("v1"), false),
            ("web:v1@sha256:H", None, "web", Some("v1"), true),
            ("ghcr.io/o/my__app@sha256:H", Some("ghcr.io"), "o/my__app", None, true),
        ] {
            let text = text.replace('H', HEX);
            let image: ImageRef = text.parse().unwrap();
            assert_eq!(image.registry().map(ToString::to_string).as_deref(), host, "{text}");
            assert_eq!((image.repository(), image.tag()), (repository, tag), "{text}");
            assert_eq!(image.digest().is_some(), digest, "{text}");
            assert_eq!(image.to_string(), text);
        }
    }

    #[test]
    fn ecr_is_recognised_in_every_partition_and_nowhere_else() {
        for (host, region, partition) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "aws"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "aws-us-gov"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "aws"),
        ] {
            let image: ImageRef = format!("{host}/web:1").parse().unwrap();
            let Some(Registry::Ecr(ecr)) = image.registry() else { panic!("{host}") };
            assert_eq!((ecr.account(), ecr.region(), ecr.partition()), ("123456789012", region, partition));
        }
        for host in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.EU.amazonaws.com",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        ] {
            let image: ImageRef = format!("{host}/web:1").parse().unwrap();
            assert!(matches!(image.registry(), Some(Registry::Host(_))), "{host}");
        }
    }

    #[test]
    fn hostile_references_are_refused() {
        let long = "a".repeat(LONGEST + 1);
        for text in [
            "",
            " web",
            "web ",
            "Web",
            "web:",
            "web:ta g",
            "web:-x",
            "web@sha256:12",
            "web@md5:00",
            "../web",
            "a//b",
            "/web",
            "web/",
            "user:pw@host/web",
            "host.example:port/web",
            "host.example:99999/web",
            "web\n",
            "wéb",
            "web:\u{202e}gnp",
            "a/../b",
            "web;rm",
            "https://host.example/web",
            "-h.example/web",
            &long,
        ] {
            let error = text.parse::<ImageRef>().expect_err(text).to_string();
            assert!(error.len() < 500 && !error.contains("user:pw"), "{error}");
        }
        assert!(format!("web@sha256:{}", HEX.to_uppercase()).parse::<ImageRef>().is_err());
    }

    #[test]
    fn pinning_and_tagging_stay_in_the_same_place() {
        let image: ImageRef = "ghcr.io/o/web:v1".parse().unwrap();
        let digest = Digest::of_bytes(b"x");
        assert_eq!(image.pinned(digest).to_string(), format!("ghcr.io/o/web@{digest}"));
        assert_eq!(image.pinned(digest).tagged("v2").unwrap().to_string(), "ghcr.io/o/web:v2");
        assert!(image.same_place(&image.pinned(digest)) && image.tagged("v 2").is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_displayed_as_it_was_read(text in "[a-z0-9.:/@_-]{1,60}") {
            if let Ok(image) = text.parse::<ImageRef>() {
                prop_assert_eq!(image.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            if let Ok(image) = text.parse::<ImageRef>() {
                prop_assert_eq!(image.to_string().parse::<ImageRef>().unwrap(), image);
            }
        }
    }
}
