//! Where a distribution gets objects from.

use std::collections::BTreeSet;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;
use rollback_core::{Error, ErrorKind, Result};

use crate::names::{Bucket, Prefix};

/// One origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) id: String,
    pub(crate) domain: String,
    /// What is put before each path: nothing, or a text that begins with `/` and does not end with it.
    pub(crate) path: String,
}

impl Origin {
    /// Whether it is this bucket, by one of the names that S3 gives it.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistS3AndCustomOrigins.html>
    pub(crate) fn is(&self, bucket: &Bucket) -> bool {
        let domain = self.domain.to_ascii_lowercase();
        let rest = domain.strip_prefix(bucket.as_str()).and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| {
            let host = rest.strip_suffix(".cn").unwrap_or(rest).strip_suffix(".amazonaws.com");
            let first = host.map(|host| host.split('.').next().unwrap_or_default());
            first.is_some_and(|first| first == "s3" || first.starts_with("s3-"))
        })
    }

    /// What of the bucket it serves; `None` where its path is none that we would write.
    pub(crate) fn prefix(&self) -> Option<Prefix> {
        let path = self.path.trim_start_matches('/');
        let text = if path.is_empty() { String::new() } else { format!("{}/", path.trim_end_matches('/')) };
        Prefix::new(text).ok()
    }
}

/// A configuration of a distribution, as CloudFront sent it, with another path for these origins.
///
/// The text itself is changed and nothing else of it: sending back what the SDK made of it would lose every setting that the SDK does not
/// know yet.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] when it has not each of these origins once, with a path.
pub(crate) fn with_origin_path(config: &str, origins: &BTreeSet<&str>, path: &str) -> Result<String> {
    let wrong = |found: String| {
        Error::new(ErrorKind::Corrupt, "change the configuration of the distribution", found)
            .next("is the endpoint CloudFront? see what endpoint_url is set to")
    };
    let found = paths_of(config, origins).map_err(|error| wrong(format!("it is no XML: {error}")))?;
    if found.len() != origins.len() {
        return Err(wrong(format!("{} of {} origins have a path in it", found.len(), origins.len())));
    }
    let (mut changed, mut from) = (String::with_capacity(config.len() + path.len()), 0);
    for range in found {
        changed.push_str(&config[from..range.start]);
        changed.push_str(&quick_xml::escape::escape(path));
        from = range.end;
    }
    changed.push_str(&config[from..]);
    Ok(changed)
}

/// Where the paths of these origins are written, in order.
fn paths_of(
    config: &str,
    origins: &BTreeSet<&str>,
) -> std::result::Result<Vec<Range<usize>>, quick_xml::Error> {
    let mut reader = Reader::from_str(config);
    let (mut open, mut found): (Vec<String>, Vec<Range<usize>>) = Default::default();
    let (mut id, mut path, mut text) = (String::new(), None::<Range<usize>>, String::new());
    let place = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
    let mut begins = 0;
    loop {
        let before = place(reader.buffer_position());
        match reader.read_event()? {
            Event::Start(element) => {
                open.push(String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
                begins = place(reader.buffer_position());
                text.clear();
                if at(&open, &[]) {
                    (id, path) = (String::new(), None);
                }
            }
            Event::Text(piece) => text.push_str(&String::from_utf8_lossy(piece.as_ref())),
            Event::GeneralRef(name) => {
                text.push_str(&format!("&{};", String::from_utf8_lossy(name.as_ref())));
            }
            Event::End(_) => {
                if at(&open, &["Id"]) {
                    id = quick_xml::escape::unescape(&text)?.into_owned();
                } else if at(&open, &["OriginPath"]) {
                    path = Some(begins..before);
                } else if at(&open, &[]) && origins.contains(id.as_str()) {
                    found.extend(path.take());
                }
                open.pop();
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// Whether these elements are open: an origin, and what is inside it.
fn at(open: &[String], inside: &[&str]) -> bool {
    let wanted = ["DistributionConfig", "Origins", "Items", "Origin"].iter().chain(inside);
    open.iter().map(String::as_str).eq(wanted.copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "<?xml version=\"1.0\"?>\n<DistributionConfig xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
        <CallerReference>1</CallerReference><Origins><Quantity>3</Quantity><Items>\
        <Origin><Id>a &amp; b</Id><DomainName>x</DomainName><OriginPath>/versions/v2</OriginPath><New><OriginPath>/not/this</OriginPath></New></Origin>\
        <Origin><OriginPath>/versions/v2</OriginPath><Id>api</Id></Origin><Origin><Id>none</Id><OriginPath/></Origin></Items></Origins>\
        <Tomorrow kept=\"as it is\"/></DistributionConfig>";

    #[test]
    fn only_the_path_of_that_origin_changes() {
        let changed = with_origin_path(CONFIG, &BTreeSet::from(["a & b"]), "/versions/v1+<2>").unwrap();
        let wanted = CONFIG.replacen("/versions/v2", "/versions/v1+&lt;2&gt;", 1);
        assert_eq!(changed, wanted);
        let both = with_origin_path(CONFIG, &BTreeSet::from(["a & b", "api"]), "/versions/v1").unwrap();
        assert_eq!(both, CONFIG.replace("/versions/v2", "/versions/v1"));
    }

    #[test]
    fn what_is_no_such_configuration_is_not_changed() {
        for (config, origin) in
            [(CONFIG, "c"), (CONFIG, "none"), ("", "api"), ("<a>", "api"), ("<Origins></b>", "api")]
        {
            let error = with_origin_path(config, &BTreeSet::from([origin]), "/versions/v1").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{origin}");
        }
    }

    #[test]
    fn a_bucket_has_several_names() {
        let is = |domain: &str| {
            let origin = Origin { id: String::new(), domain: domain.to_owned(), path: String::new() };
            origin.is(&Bucket::new("shop-site").unwrap())
        };
        for ours in [
            "shop-site.s3.amazonaws.com",
            "Shop-Site.s3.eu-west-1.amazonaws.com",
            "shop-site.s3-eu-west-1.amazonaws.com",
            "shop-site.s3.dualstack.eu-west-1.amazonaws.com",
            "shop-site.s3-website-us-east-1.amazonaws.com",
            "shop-site.s3-website.eu-central-1.amazonaws.com",
            "shop-site.s3.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is(ours), "{ours}");
        }
        for other in [
            "my-shop-site.s3.amazonaws.com",
            "shop-site.example.com",
            "shop-site-2.s3.amazonaws.com",
            "shop-site.s3.amazonaws.com.example.com",
            "shop-site.ec2.amazonaws.com",
            "shop-site",
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
