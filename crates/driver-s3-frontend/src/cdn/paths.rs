//! What CloudFront is told to forget.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rollback_core::Digest;

use super::Distribution;
use crate::names::{Bucket, Key, Prefix};

/// How many keys are named one by one. Each of their paths counts against the 1,000 that are free in a month, and `/*` counts as one:
/// naming them spares the origin, never money.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PayingForInvalidation.html>
pub(crate) const NAMED: usize = 15;
/// What a browser asks for in place of the page.
const INDEX: &str = "index.html";

/// The paths of one invalidation, none of them twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths(BTreeSet<String>);

impl Paths {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Stands for all of them.
    pub(crate) fn digest(&self) -> Digest {
        let all: Vec<&str> = self.0.iter().map(String::as_str).collect();
        Digest::of_bytes(all.join("\n").as_bytes())
    }

    fn one(path: String) -> Self {
        Self(BTreeSet::from([path]))
    }
}

/// What is to be forgotten once these keys below `live` were written or deleted; `None` stands for any.
///
/// They are named where they are few and CloudFront surely has them under these names; else it forgets everything of the site.
pub(crate) fn forget(
    distribution: &Distribution,
    bucket: &Bucket,
    live: &Prefix,
    changed: Option<&[Key]>,
) -> Paths {
    let Some(begins) = distribution.begins(bucket, live) else { return Paths::one("/*".to_owned()) };
    named(distribution, &begins, changed).unwrap_or_else(|| match encoded(&begins) {
        Some(begins) => Paths::one(format!("{begins}*")),
        None => Paths::one("/*".to_owned()),
    })
}

fn named(distribution: &Distribution, begins: &str, changed: Option<&[Key]>) -> Option<Paths> {
    let changed = changed.filter(|keys| distribution.plain && !keys.is_empty() && keys.len() <= NAMED)?;
    let mut paths = BTreeSet::new();
    for key in changed {
        let path = format!("{begins}{key}");
        if key.name() == INDEX {
            paths.insert(encoded(path.strip_suffix(INDEX)?)?);
        }
        if distribution.root.as_deref() == path.strip_prefix('/') {
            paths.insert("/".to_owned());
        }
        paths.insert(encoded(&path)?);
    }
    Some(Paths(paths))
}

/// A path as it is to be written: what is not ASCII, and what RFC 1738 calls unsafe, is encoded, and nothing else. `None` where that leaves
/// a doubt: of `~` browsers and that RFC think differently, and `*` would be more than itself.
///
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html>
fn encoded(path: &str) -> Option<String> {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'~' | b'*' => return None,
            byte if byte.is_ascii_control() => return None,
            b' '
            | b'<'
            | b'>'
            | b'"'
            | b'#'
            | b'%'
            | b'{'
            | b'}'
            | b'|'
            | b'\\'
            | b'^'
            | b'['
            | b']'
            | b'`'
            | 0x80.. => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
            // A query would begin there.
            b'?' => return None,
            plain => encoded.push(char::from(plain)),
        }
    }
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdn::tests::distribution;

    fn of(path: &str, live: &str, plain: bool, keys: Option<&[&str]>) -> Vec<String> {
        let mut found = distribution(&[("shop-site.s3.amazonaws.com", path)]);
        found.plain = plain;
        let keys = keys.map(|keys| keys.iter().map(|key| Key::new(*key).unwrap()).collect::<Vec<_>>());
        let bucket = Bucket::new("shop-site").unwrap();
        forget(&found, &bucket, &Prefix::new(live).unwrap(), keys.as_deref()).0.into_iter().collect()
    }

    #[test]
    fn few_are_named_as_browsers_ask_for_them() {
        let keys = ["index.html", "de/index.html", "app.js"];
        assert_eq!(
            of("/live", "live/", true, Some(&keys)),
            ["/", "/app.js", "/de/", "/de/index.html", "/index.html"]
        );
        assert_eq!(of("", "live/", true, Some(&["index.html"])), ["/live/", "/live/index.html"]);
        assert_eq!(of("", "", true, Some(&["a b/ä+(1).js"])), ["/a%20b/%C3%A4+(1).js"]);
        assert_eq!(of("", "", true, Some(&["100%.js"])), ["/100%25.js"]);
    }

    #[test]
    fn where_there_is_any_doubt_everything_is_forgotten() {
        let many: Vec<String> = (0..=NAMED).map(|number| format!("{number}.js")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of("", "", true, Some(&many[1..])).len(), NAMED);
        for (plain, keys) in [
            (true, None),
            (true, Some(&[][..])),
            (true, Some(&many[..])),
            (false, Some(&["a.js"][..])),
            (true, Some(&["a~.js"][..])),
            (true, Some(&["a*.js"][..])),
            (true, Some(&["a?.js"][..])),
            (true, Some(&["a\n.js"][..])),
        ] {
            assert_eq!(of("/live", "live/", plain, keys), ["/*"], "{keys:?}");
            assert_eq!(of("", "live/", plain, keys), ["/live/*"], "{keys:?}");
        }
        assert_eq!(of("/other", "live/", true, Some(&["a.js"])), ["/*"], "nobody knows where it is served");
    }
}
