//! What can be found out of permissions and keys before anything is written.
//!
//! Neither S3 nor CloudFront tells whether a write would be allowed without being sent one. What is read can be tried: one byte of one object that
//! is to be copied says whether objects may be read there, and whether the KMS key that encrypts it can be used. Of the rest, a plan names what
//! comes only after the first writes: whatever they need themselves is refused before anything else was done.

use rollback_core::target::{Finding, Inspection};
use rollback_core::{Error, ErrorKind, Result};

use super::{Way, copied_entries};
use crate::client::CloudFront;
use crate::diff::Change;
use crate::names::Prefix;
use crate::site::{Compared, Site};

impl<T> Way<T> {
    /// Closed, if what is to be copied cannot be read from below `from`.
    pub(super) async fn tried(mut self, site: &Site, from: &Prefix) -> Result<Self> {
        if !self.is_open() {
            return Ok(self);
        }
        // An object without bytes has none that could be read.
        let first = self
            .compared
            .as_ref()
            .and_then(|compared| copied_entries(compared).find(|entry| entry.content.size > 0));
        let Some(entry) = first else { return Ok(self) };
        match site.client.first_byte(&from.join(&entry.key), entry.version.as_ref()).await {
            Ok(()) => Ok(self),
            Err(error) => match unreadable(&error) {
                Some(finding) => {
                    self.close(finding);
                    Ok(self)
                }
                // It went in between: whoever copies it says so.
                None if error.kind() == ErrorKind::NotFound => Ok(self),
                None => Err(error),
            },
        }
    }
}

/// What speaks against copying an object that cannot be read.
fn unreadable(error: &Error) -> Option<Finding> {
    let code = match error.kind() {
        _ if ["KMS.", "kms:"].iter().any(|word| error.message().contains(word)) => "key-unusable",
        ErrorKind::Denied => "source-denied",
        ErrorKind::Invalid => "source-unreadable",
        _ => return None,
    };
    let message = format!("cannot {}: {}", error.operation(), error.message());
    let next = error.next_step().unwrap_or("see what stands in its way: aws s3api get-object").to_owned();
    Some(Finding::blocker(code, message).next(next))
}

/// Names the permissions that come after the first writes, and that nobody can ask for beforehand.
pub(super) fn told(site: &Site, inspection: Inspection, compared: &Compared) -> Inspection {
    let pages = compared
        .changes
        .iter()
        .any(|change| matches!(change, Change::Extra(listed) if site.order.is_entry_point(&listed.key)));
    let is_written = pages || compared.counts.copies() + compared.counts.hidden > 0;
    let all = [
        ("s3:DeleteObject", pages),
        ("s3:DeleteObjectVersion", compared.counts.hidden > 0),
        ("cloudfront:CreateInvalidation", is_written && site.front.cloudfront.is_some()),
    ];
    unasked(inspection, all.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name))
}

/// The same of these.
pub(super) fn unasked(inspection: Inspection, names: impl Iterator<Item = &'static str>) -> Inspection {
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        return inspection;
    }
    let message = format!("whether {names} is allowed is seen only when it is done, after the first writes");
    let next = "see the policies of the caller; if it is refused then, allow it and run the same again";
    inspection.finding(Finding::info("permissions-unasked", message).next(next))
}

/// What may be read of a distribution beside what it is, as far as a rollback needs it.
pub(super) async fn of_distribution(
    site: &Site,
    cloudfront: &CloudFront,
    inspection: Inspection,
) -> Result<Inspection> {
    let (read, finding): (_, fn(&'static str, String) -> Finding) = match site.front.pointer() {
        // Without it nothing can be changed; without the list, only what became of a lost answer is not known.
        Some(_) => (cloudfront.config().await.map(drop), Finding::blocker),
        None => (cloudfront.may_list_invalidations().await, Finding::warning),
    };
    match read {
        Err(error) if error.kind() == ErrorKind::Denied => {
            let message = format!("cannot {}: {}", error.operation(), error.message());
            let found = finding("distribution-denied", message);
            Ok(inspection.finding(match error.next_step() {
                Some(next) => found.next(next.to_owned()),
                None => found,
            }))
        }
        // Whatever else is amiss with it was told by whoever looked at it first.
        _ => Ok(inspection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: ErrorKind, message: &str) -> Option<String> {
        unreadable(&Error::new(kind, "read one byte", message)).map(|finding| finding.code.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_apart() {
        let of = |kind, message| code(kind, message);
        assert_eq!(of(ErrorKind::Denied, "AccessDenied: Access Denied").as_deref(), Some("source-denied"));
        assert_eq!(
            of(ErrorKind::Denied, "not authorized to perform: kms:Decrypt").as_deref(),
            Some("key-unusable")
        );
        assert_eq!(
            of(ErrorKind::Invalid, "KMS.DisabledException: it is disabled").as_deref(),
            Some("key-unusable")
        );
        assert_eq!(of(ErrorKind::NotFound, "KMS.NotFoundException").as_deref(), Some("key-unusable"));
        assert_eq!(of(ErrorKind::NotFound, "NoSuchKey"), None);
        assert_eq!(of(ErrorKind::Unavailable, "InternalError"), None);
    }
}
