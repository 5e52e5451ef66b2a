//! What the site is made of: a release that was good, and a bad one that is as large.

use std::collections::BTreeMap;

/// How many bytes an object has at least.
const BYTES: usize = 400;

/// One object of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) body: String,
    /// What must survive beside the content.
    pub(crate) headers: [(&'static str, String); 3],
}

/// A release: its objects by their keys.
pub(crate) type Files = BTreeMap<String, File>;

/// Both releases, and how many objects of the good one are not there while the bad one is live.
#[derive(Debug)]
pub(crate) struct Releases {
    pub(crate) good: Files,
    pub(crate) bad: Files,
    pub(crate) differ: usize,
}

impl Releases {
    /// Two releases of `objects` objects, of which one in `one_in` differs.
    pub(crate) fn new(objects: usize, one_in: usize) -> Self {
        let release = |name| (0..objects).map(|number| file(number, one_in, name)).collect();
        Self { good: release("good"), bad: release("bad!"), differ: objects.div_ceil(one_in) }
    }

    pub(crate) fn objects(&self) -> usize {
        self.good.len()
    }

    /// How many pages it takes to list both once: a thousand objects each.
    pub(crate) fn pages(&self) -> usize {
        self.good.len().div_ceil(1_000) + self.bad.len().div_ceil(1_000)
    }

    /// Those that are to be copied.
    pub(crate) fn differing(&self) -> impl Iterator<Item = &String> {
        self.good.iter().filter(|(key, file)| self.bad.get(*key) != Some(file)).map(|(key, _)| key)
    }
}

/// Of five objects that differ, one is a page of the same name and size, two have the same name and another size, and two have a name
/// of their own in each release, as bundlers give them.
fn file(number: usize, one_in: usize, release: &'static str) -> (String, File) {
    let differs = number.is_multiple_of(one_in);
    let is = if differs { release } else { "both" };
    let (key, kind, cache) = match number / one_in % 5 {
        0 => (format!("pages/{number:06}.html"), "text/html; charset=utf-8", "no-cache"),
        1 => (format!("data/{number:06}.json"), "application/json", "max-age=60"),
        2 => (format!("data/{number:06}.svg"), "image/svg+xml", "max-age=3600"),
        _ => {
            let hash = is.trim_end_matches('!');
            (format!("assets/{number:06}.{hash}.js"), "text/javascript", "max-age=31536000, immutable")
        }
    };
    // Pages are as long in both, as they are when nothing but a hash in them changes.
    let longer = if kind.starts_with("text/html") { 0 } else { usize::from(is == "bad!") };
    let text = format!("number {number} of {is}");
    let body = format!("{text:<width$}", width = BYTES + longer);
    let headers = [
        ("content-type", kind.to_owned()),
        ("cache-control", cache.to_owned()),
        ("x-amz-meta-build", is.to_owned()),
    ];
    (key, File { body, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_differ_as_it_says() {
        for (objects, one_in, differ) in [(5_000, 100, 50), (5_000, 1, 5_000), (40, 10, 4)] {
            let releases = Releases::new(objects, one_in);
            assert_eq!((releases.good.len(), releases.bad.len()), (objects, objects));
            assert_eq!((releases.differ, releases.differing().count()), (differ, differ));
        }
        let page = |files: &Files| files["pages/000000.html"].body.len();
        let releases = Releases::new(40, 10);
        assert_eq!(page(&releases.good), page(&releases.bad), "the size says nothing");
    }
}
