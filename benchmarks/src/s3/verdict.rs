//! Whether the site is right afterwards.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use hyper::HeaderMap;

use super::release::{File, Files};

/// An object as it is served.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
}

/// What is in a bucket.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What is served, by the keys of a release.
    pub(crate) live: BTreeMap<String, Object>,
    /// Full keys with entity tags.
    pub(crate) archive: BTreeMap<String, String>,
}

impl Seen {
    /// Whether this is served, with its content and headers.
    pub(crate) fn has(&self, key: &str, file: &File) -> bool {
        self.live.get(key).is_some_and(|object| object.has_body(file) && object.has_headers(file))
    }

    /// Held against the release that is to be served.
    pub(crate) fn judge(&self, files: &Files, archive_lost: usize) -> Verdict {
        let mut verdict = Verdict { archive_lost, ..Verdict::default() };
        for (key, file) in files {
            match self.live.get(key) {
                None => verdict.missing += 1,
                Some(object) if !object.has_body(file) => verdict.wrong += 1,
                Some(object) if !object.has_headers(file) => verdict.headers += 1,
                Some(_) => {}
            }
        }
        verdict.kept = self.live.keys().filter(|key| !files.contains_key(*key)).count();
        verdict
    }
}

impl Object {
    fn has_body(&self, file: &File) -> bool {
        self.body == file.body
    }

    fn has_headers(&self, file: &File) -> bool {
        let has = |(name, value): &(&str, String)| {
            self.headers.get(*name).is_some_and(|found| found == value.as_str())
        };
        file.headers.iter().all(has)
    }
}

/// What is amiss.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Objects of the release that are not there.
    missing: usize,
    /// Those with another content.
    wrong: usize,
    /// Those with the content and other headers.
    headers: usize,
    /// Assets of the bad release. That they are still there is no fault: open tabs ask for them.
    kept: usize,
    /// Objects of the archive that are gone or others.
    archive_lost: usize,
    /// What the command ended with, if not well.
    pub(crate) code: Option<i32>,
}

impl Verdict {
    /// Every object of the release is served with its content and headers, and the archive is whole.
    pub(crate) fn is_right(&self) -> bool {
        let Self { missing, wrong, headers, archive_lost, code, kept: _ } = self;
        missing + wrong + headers + archive_lost == 0 && code.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amiss = [
            (self.missing, "missing"),
            (self.wrong, "of the bad release"),
            (self.headers, "without their headers"),
            (self.archive_lost, "of the archive erased"),
        ];
        let mut parts: Vec<_> = amiss
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        parts.extend(self.code.map(|code| format!("exit code {code}")));
        let kept = if self.kept > 0 { format!(", old assets kept: {}", self.kept) } else { String::new() };
        match parts.as_slice() {
            [] => write!(f, "right{kept}"),
            parts => write!(f, "WRONG: {}{kept}", parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::super::release::Releases;
    use super::*;

    fn served(files: &Files) -> Seen {
        let object = |file: &File| Object {
            body: file.body.clone().into(),
            headers: file
                .headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
                .collect(),
        };
        Seen {
            live: files.iter().map(|(key, file)| (key.clone(), object(file))).collect(),
            ..Seen::default()
        }
    }

    #[test]
    fn anything_that_is_amiss_is_told() {
        let Releases { good, bad, .. } = Releases::new(10, 1);
        let judged = |seen: &Seen, lost| seen.judge(&good, lost);
        assert!(judged(&served(&good), 0).is_right());
        let left = judged(&served(&bad), 0);
        assert_eq!(left.to_string(), "WRONG: 4 missing, 6 of the bad release, old assets kept: 4");
        let mut seen = served(&good);
        seen.live.get_mut("pages/000000.html").unwrap().headers.remove("cache-control");
        assert_eq!(judged(&seen, 0).to_string(), "WRONG: 1 without their headers");
        assert_eq!(judged(&served(&good), 7).to_string(), "WRONG: 7 of the archive erased");
        let kept = Verdict { kept: 4, ..Verdict::default() };
        assert!(kept.is_right());
        assert!(!Verdict { code: Some(1), ..Verdict::default() }.is_right());
    }
}
