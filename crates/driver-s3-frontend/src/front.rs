//! What is in front of the bucket, as it is configured.

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, checked_text};
use schemars::JsonSchema;
use url::Url;

use crate::client::CloudFront;
use crate::names::DistributionId;

checked_text! {
    /// Where the site is for browsers: `https://shop.example.com/`.
    #[derive(JsonSchema)]
    #[schemars(inline)]
    SiteUrl, |text| {
        // What is refused may hold a password: it is not repeated whole.
        let next = "write it like https://shop.example.com/, without user, password, query and fragment";
        let refused = |found: String| Error::new(ErrorKind::Invalid, "read the address of a site", found).next(next);
        let url: Url = text.parse().map_err(|error| refused(format!("it is no address: {error}")))?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        if !plain {
            return Err(refused("it holds more than a place".to_owned()));
        }
        let fits = matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && text.len() <= 1024;
        fits.then_some(()).ok_or_else(|| refused(format!("{} is not one", quoted(text))))
    }
}

impl SiteUrl {
    /// As an address that others can be relative to: it ends with `/`.
    pub(crate) fn address(&self) -> Option<Url> {
        let text = self.as_str();
        if text.ends_with('/') { text.parse().ok() } else { format!("{text}/").parse().ok() }
    }
}

/// What is in front of the bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Front {
    /// The distribution.
    pub(crate) cloudfront: Option<CloudFront>,
    /// Where the site is for browsers, if that is not where the distribution is.
    pub(crate) url: Option<SiteUrl>,
    /// Whether it is left out to look at the site as browsers get it.
    pub(crate) unlooked: bool,
    /// Whether the distribution serves a release straight from the archive.
    pub(crate) pointer: bool,
}

impl Front {
    /// The distribution that points to a release, if that is how the site is served.
    pub(crate) fn pointer(&self) -> Option<&CloudFront> {
        self.cloudfront.as_ref().filter(|_| self.pointer)
    }

    /// What strategies know of it.
    pub(crate) fn served(&self) -> Served {
        let distribution = self.cloudfront.as_ref().map(|cloudfront| cloudfront.id().clone());
        Served { distribution, from_archive: self.pointer }
    }
}

/// How a site is served, as far as its [strategies](crate::strategy) have to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The distribution whose caches must forget what was changed.
    pub distribution: Option<DistributionId>,
    /// Whether the distribution serves a release straight from the archive.
    pub from_archive: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, wanted) in [
            ("https://shop.example.com", "https://shop.example.com/"),
            ("http://127.0.0.1:8080/shop", "http://127.0.0.1:8080/shop/"),
            ("https://shop.example.com/de/", "https://shop.example.com/de/"),
        ] {
            assert_eq!(SiteUrl::new(text).unwrap().address().unwrap().as_str(), wanted);
        }
        for wrong in
            ["", "shop.example.com", "ftp://a/", "file:///etc/passwd", "https://a/?b", "https://a/#b"]
        {
            assert!(SiteUrl::new(wrong).is_err(), "{wrong}");
        }
        let error = SiteUrl::new("https://me:hunter2@shop.example.com/").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
