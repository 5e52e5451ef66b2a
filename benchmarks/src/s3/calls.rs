//! What was asked of S3, by the log of the proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use rollback_tests::proxy::Exchange;

/// How S3 calls a copy. The proxy knows it by its header.
const COPY: &str = "CopyObject";

/// How often what was asked, and when copies were answered.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) kinds: BTreeMap<&'static str, usize>,
    /// The first and the last copy, by the monotonic clock.
    pub(crate) copies: Option<(Duration, Duration)>,
}

impl Calls {
    pub(crate) fn of(log: &[Exchange]) -> Self {
        let mut calls = Self::default();
        for exchange in log {
            let kind = kind(exchange.operation.as_deref(), &exchange.method, &exchange.path);
            *calls.kinds.entry(kind).or_default() += 1;
            if let Some(at) = exchange.answered.filter(|_| kind == COPY) {
                let (first, last) = calls.copies.unwrap_or((at, at));
                calls.copies = Some((first.min(at), last.max(at)));
            }
        }
        calls
    }

    pub(crate) fn all(&self) -> usize {
        self.kinds.values().sum()
    }
}

/// The operation, by AWS's name for it.
fn kind(operation: Option<&str>, method: &str, path: &str) -> &'static str {
    if operation == Some(COPY) {
        return COPY;
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let mut words = path.trim_start_matches('/').splitn(2, '/');
    let (bucket, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (method, bucket.is_empty(), key.is_empty()) {
        ("POST", true, _) => "GetCallerIdentity",
        ("POST", ..) if is("delete") => "DeleteObjects",
        ("GET", _, true) if is("versions") => "ListObjectVersions",
        ("GET", _, true) if is("list-type") => "ListObjectsV2",
        ("GET", false, true) if is("versioning") => "GetBucketVersioning",
        ("GET", false, true) => "ListObjects",
        ("GET", ..) if is("tagging") => "GetObjectTagging",
        ("GET", false, false) => "GetObject",
        ("HEAD", _, false) => "HeadObject",
        ("PUT", _, false) => "PutObject",
        ("DELETE", _, false) => "DeleteObject",
        ("HEAD" | "PUT", false, true) => "HeadBucket, CreateBucket",
        _ => "others",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_their_names() {
        for (method, path, name) in [
            ("POST", "/", "GetCallerIdentity"),
            ("GET", "/site?list-type=2&prefix=live%2F", "ListObjectsV2"),
            ("GET", "/site/?versions&prefix=live%2F", "ListObjectVersions"),
            ("GET", "/site/live/index.html", "GetObject"),
            ("HEAD", "/site/live/index.html", "HeadObject"),
            ("PUT", "/site/live/index.html?x-id=PutObject", "PutObject"),
            ("POST", "/site?delete", "DeleteObjects"),
        ] {
            assert_eq!(kind(None, method, path), name, "{method} {path}");
        }
        assert_eq!(kind(Some(COPY), "PUT", "/site/live/index.html"), COPY);
    }
}
