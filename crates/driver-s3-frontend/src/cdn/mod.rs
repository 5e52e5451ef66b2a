//! What is between the bucket and browsers: a CloudFront distribution, as far as a rollback has to do with it.

mod origin;
mod paths;

pub(crate) use self::origin::{Origin, with_origin_path};
pub(crate) use self::paths::{NAMED, Paths, forget};

use crate::names::{Bucket, DistributionId, Layout, Prefix, Release};

/// A distribution as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    pub(crate) id: DistributionId,
    /// `d111111abcdef8.cloudfront.net`
    pub(crate) domain: String,
    /// Whether every edge has this configuration.
    pub(crate) deployed: bool,
    /// Whether it answers at all.
    pub(crate) enabled: bool,
    /// Whether it answers only who has a signed URL or cookie.
    pub(crate) signed: bool,
    /// Whether an object is in its caches under its own path and no other: no query, no function and no error page is in the way.
    pub(crate) plain: bool,
    /// What is served at `/`.
    pub(crate) root: Option<String>,
    /// The version of its configuration.
    pub(crate) etag: String,
    /// Where it gets objects from; that of its default behaviour first.
    pub(crate) origins: Vec<Origin>,
}

impl Distribution {
    /// Its origins that are this bucket.
    pub(crate) fn of<'a>(&'a self, bucket: &'a Bucket) -> impl Iterator<Item = &'a Origin> {
        self.origins.iter().filter(|origin| origin.is(bucket))
    }

    /// Where what is live begins for a browser: `/` or `/shop/`. `None` where no origin of this bucket serves it.
    pub(crate) fn begins(&self, bucket: &Bucket, live: &Prefix) -> Option<String> {
        self.of(bucket).find_map(|origin| {
            let below = live.as_str().strip_prefix(origin.prefix()?.as_str())?;
            Some(format!("/{below}"))
        })
    }

    /// The release that it serves straight from the archive, and the origins that do.
    ///
    /// # Errors
    ///
    /// What it serves in place of one release, for people.
    pub(crate) fn release(
        &self,
        bucket: &Bucket,
        layout: &Layout,
    ) -> Result<(Release, Vec<&Origin>), String> {
        let (mut found, mut other): (Vec<(Release, &Origin)>, Vec<&str>) = Default::default();
        for origin in self.origins.iter().filter(|origin| origin.is(bucket)) {
            match origin.prefix().and_then(|prefix| layout.release_at(&prefix)) {
                Some(release) => found.push((release, origin)),
                None => other.push(&origin.path),
            }
        }
        let Some((release, _)) = found.first().cloned() else {
            return Err(match other.first() {
                Some(path) => {
                    format!("{} serves {path:?} of the bucket, which is no release below {layout}", self.id)
                }
                None => format!("none of the origins of {} is the bucket {bucket}", self.id),
            });
        };
        if found.iter().any(|(one, _)| *one != release) {
            return Err(format!("the origins of {} serve several releases", self.id));
        }
        Ok((release, found.into_iter().map(|(_, origin)| origin).collect()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn distribution(origins: &[(&str, &str)]) -> Distribution {
        let origin = |(number, (domain, path)): (usize, &(&str, &str))| Origin {
            id: format!("origin-{number}"),
            domain: (*domain).to_owned(),
            path: (*path).to_owned(),
        };
        Distribution {
            id: DistributionId::new("E2QWRUHAPOMQZL").unwrap(),
            domain: "d111111abcdef8.cloudfront.net".to_owned(),
            deployed: true,
            enabled: true,
            signed: false,
            plain: true,
            root: Some("index.html".to_owned()),
            etag: "E1".to_owned(),
            origins: origins.iter().enumerate().map(origin).collect(),
        }
    }

    #[test]
    fn what_is_live_begins_where_the_origin_says() {
        let bucket = Bucket::new("shop-site").unwrap();
        let begins = |path: &str, live: &str| {
            let api = ("api.example.com", "");
            let found = distribution(&[api, ("shop-site.s3.eu-west-1.amazonaws.com", path)]);
            found.begins(&bucket, &Prefix::new(live).unwrap())
        };
        assert_eq!(begins("", "live/").as_deref(), Some("/live/"));
        assert_eq!(begins("/live", "live/").as_deref(), Some("/"));
        assert_eq!(begins("/live", "live/de/").as_deref(), Some("/de/"));
        assert_eq!(begins("", "").as_deref(), Some("/"));
        assert_eq!(begins("/other", "live/"), None);
        assert_eq!(begins("/liv", "live/"), None, "a folder, not a beginning");
    }

    #[test]
    fn one_release_is_served_or_none() {
        let (bucket, layout) =
            (Bucket::new("shop-site").unwrap(), Layout::new("versions/{version}/").unwrap());
        let of = |origins: &[(&str, &str)]| {
            let found = distribution(origins);
            let release = found.release(&bucket, &layout);
            release.map(|(release, origins)| (release.to_string(), origins.len()))
        };
        let here = "shop-site.s3.amazonaws.com";
        assert_eq!(of(&[(here, "/versions/v2")]), Ok(("v2".to_owned(), 1)));
        assert_eq!(of(&[(here, "/versions/v2"), (here, "/static")]), Ok(("v2".to_owned(), 1)));
        assert_eq!(of(&[(here, "/versions/v2"), (here, "/versions/v2")]), Ok(("v2".to_owned(), 2)));
        assert!(of(&[(here, "/versions/v2"), (here, "/versions/v1")]).is_err());
        for other in ["", "/live", "/versions", "/versions/v2/de", "/versions/.."] {
            assert!(of(&[(here, other)]).unwrap_err().contains("no release"), "{other}");
        }
        assert!(
            of(&[("other.s3.amazonaws.com", "/versions/v2")]).unwrap_err().contains("none of the origins")
        );
    }
}
