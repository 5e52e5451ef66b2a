//! Names of S3 and CloudFront, checked before they reach a request.

use std::fmt;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result, checked_text};
use schemars::JsonSchema;

/// The longest key that S3 takes, in bytes of UTF-8.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1024;

fn refused(what: &'static str, text: &str, next: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what, format!("{} is not one", quoted(text))).next(next)
}

checked_text! {
    /// The name of a general purpose bucket.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
    #[derive(JsonSchema)]
    #[schemars(inline)]
    Bucket, |text| {
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=63).contains(&text.len())
            && text.chars().all(|c| ends(c) || matches!(c, '-' | '.'))
            && text.starts_with(ends)
            && text.ends_with(ends)
            && !text.contains("..");
        let next = "use 3 to 63 lower-case letters, digits, '-' and '.', as `aws s3 ls` shows it";
        fits.then_some(()).ok_or_else(|| refused("read the name of a bucket", text, next))
    }
}

checked_text! {
    /// The id of a CloudFront distribution: `E2QWRUHAPOMQZL`.
    #[derive(JsonSchema)]
    #[schemars(inline)]
    DistributionId, |text| {
        let fits = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let next = "write its id, as `aws cloudfront list-distributions` shows it";
        fits.then_some(()).ok_or_else(|| refused("read the id of a distribution", text, next))
    }
}

checked_text! {
    /// Where a part of a bucket begins: nothing, or a text that ends with `/`.
    #[derive(JsonSchema)]
    #[schemars(inline)]
    Prefix, |text| {
        let fits = text.is_empty() || (text.ends_with('/') && !text.starts_with('/') && !text.contains("//"));
        let clean = !text.chars().any(char::is_control) && !text.split('/').any(|part| part == "." || part == "..");
        let next = "leave it empty for the whole bucket, or end it with '/', and begin it with something else";
        (fits && clean && text.len() <= 512).then_some(()).ok_or_else(|| refused("read a prefix", text, next))
    }
}

impl Prefix {
    /// The whole bucket.
    #[must_use]
    pub fn whole() -> Self {
        Self(String::new())
    }

    /// Whether everything below `other` is below this too.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// What is left of a full key below this.
    #[must_use]
    pub fn strip<'a>(&self, full: &'a str) -> Option<&'a str> {
        full.strip_prefix(self.as_str()).filter(|key| !key.is_empty())
    }

    /// The full key of something below this.
    #[must_use]
    pub fn join(&self, key: &Key) -> String {
        format!("{}{}", self.0, key.as_str())
    }
}

checked_text! {
    /// The key of an object below a prefix. S3 takes any text: spaces, `+`, `%`, `..` and line ends are only characters to it.
    Key, |text| {
        let fits = !text.is_empty() && text.len() <= LONGEST_KEY;
        let next = "S3 takes keys of 1 to 1,024 bytes";
        fits.then_some(()).ok_or_else(|| refused("read a key", text, next))
    }
}

impl Key {
    /// The name after the last `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The key as people are shown it: on one line, and as long as it is.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.0.chars().any(char::is_control) { format!("{:?}", self.0) } else { self.0.clone() }
    }
}

/// How many bytes both texts begin with, in whole characters.
pub(crate) fn common(one: &str, other: &str) -> usize {
    let equal = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    (0..=equal).rev().find(|at| one.is_char_boundary(*at)).unwrap_or_default()
}

/// Where a release has its copy: `versions/{version}/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Prefix,
    tail: String,
}

/// What stands for the release in a [`Layout`].
const RELEASE: &str = "{version}";

impl Layout {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `{version}` is not in it exactly once, as one whole folder of a prefix.
    pub fn new(text: &str) -> Result<Self> {
        let wrong = || {
            refused(
                "read where releases are kept",
                text,
                "write a prefix with {version} as one of its folders: versions/{version}/",
            )
        };
        let (root, tail) = text.split_once(RELEASE).ok_or_else(wrong)?;
        if tail.contains(RELEASE) || !tail.starts_with('/') || !tail.ends_with('/') || tail.contains("//") {
            return Err(wrong());
        }
        let root = Prefix::new(root).map_err(|_| wrong())?;
        Ok(Self { root, tail: tail.to_owned() })
    }

    /// What all releases are below.
    #[must_use]
    pub fn root(&self) -> &Prefix {
        &self.root
    }

    /// Where this one is.
    #[must_use]
    pub fn of(&self, release: &Release) -> Prefix {
        Prefix(format!("{}{}{}", self.root, release, self.tail))
    }

    /// The release that a full key or a common prefix of a listing belongs to.
    #[must_use]
    pub fn release_of(&self, full: &str) -> Option<Release> {
        let (name, rest) = full.strip_prefix(self.root.as_str())?.split_once('/')?;
        let inside = format!("/{rest}");
        let fits = inside.starts_with(&self.tail) || self.tail.starts_with(&inside);
        Release::new(name).ok().filter(|_| fits)
    }

    /// The release that is all of what is below this prefix.
    #[must_use]
    pub fn release_at(&self, prefix: &Prefix) -> Option<Release> {
        self.release_of(prefix.as_str()).filter(|release| self.of(release) == *prefix)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{RELEASE}{}", self.root, self.tail)
    }
}

checked_text! {
    /// What a release is called in the archive: one folder's name.
    Release, |text| {
        let fits = (1..=128).contains(&text.len())
            && text != "." && text != ".."
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'));
        let next = "use letters, digits, '.', '-', '_' and '+', not beginning with '-'";
        fits.then_some(()).ok_or_else(|| refused("read the name of a release", text, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_distributions() {
        for wrong in
            ["", "ab", "Shop", "shop_1", "-shop", "shop-", "a..b", "s3://shop", "shop/live", "shop\n"]
        {
            assert!(Bucket::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Bucket::new("shop.example.com").is_ok());
        assert!(DistributionId::new("E2QWRUHAPOMQZL").is_ok());
        assert!(
            DistributionId::new("https://d1.cloudfront.net").is_err() && DistributionId::new("").is_err()
        );
    }

    #[test]
    fn a_prefix_ends_where_a_folder_does() {
        for wrong in ["live", "/live/", "live//", "a/../b/", "./", "a\n/"] {
            assert!(Prefix::new(wrong).is_err(), "{wrong:?}");
        }
        let live = Prefix::new("live/").unwrap();
        assert_eq!(live.strip("live/index.html"), Some("index.html"));
        assert_eq!((live.strip("live/"), live.strip("liver/x")), (None, None));
        assert!(Prefix::whole().holds(&live) && live.holds(&live) && !live.holds(&Prefix::whole()));
    }

    #[test]
    fn keys_are_only_text() {
        for odd in ["a b", "a+b", "%2e%2e/x", "../x", "/leading", "line\nend", "grün/🦀.js", "*"] {
            let key = Key::new(odd).unwrap();
            assert_eq!(key.as_str(), odd);
            assert!(!key.shown().contains('\n'));
        }
        assert!(
            Key::new("").is_err() && Key::new("ä".repeat(513)).is_err() && Key::new("a".repeat(1024)).is_ok()
        );
    }

    #[test]
    fn texts_begin_alike_in_whole_characters() {
        assert_eq!((common("a/b", "a/c"), common("a", "ab"), common("", "a")), (2, 1, 0));
        // The first bytes of both letters are the same.
        assert_eq!((common("xä", "xö"), common("xä.", "xä/")), (1, 3));
    }

    #[test]
    fn an_archive_has_a_folder_for_each_release() {
        let layout = Layout::new("versions/{version}/").unwrap();
        let v1 = Release::new("v1.2+3").unwrap();
        assert_eq!(layout.of(&v1).as_str(), "versions/v1.2+3/");
        assert_eq!(layout.release_of("versions/v1.2+3/"), Some(v1.clone()));
        assert_eq!(layout.release_of("versions/v1.2+3/assets/app.js"), Some(v1.clone()));
        assert_eq!(layout.release_of("live/v1/"), None);
        assert_eq!(layout.release_of("versions/../x"), None);
        let deep = Layout::new("sites/{version}/public/").unwrap();
        assert_eq!(deep.of(&v1).as_str(), "sites/v1.2+3/public/");
        assert_eq!(deep.release_of("sites/v1.2+3/"), Some(v1.clone()));
        assert_eq!(deep.release_of("sites/v1.2+3/public/index.html"), Some(v1));
        assert_eq!(deep.release_of("sites/v1/source/index.html"), None);
        let at = |prefix: &str| deep.release_at(&Prefix::new(prefix).unwrap()).map(String::from);
        assert_eq!(at("sites/v1/public/").as_deref(), Some("v1"));
        assert_eq!((at("sites/v1/"), at("sites/v1/public/de/"), at("")), (None, None, None));
        for wrong in [
            "versions/",
            "{version}",
            "v-{version}x/",
            "{version}/{version}/",
            "/{version}/",
            "a//{version}/",
        ] {
            assert!(Layout::new(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(layout.to_string(), "versions/{version}/");
        for wrong in ["", ".", "..", "-rf", "a/b", "a b", "é"] {
            assert!(Release::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
