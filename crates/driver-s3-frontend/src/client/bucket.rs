//! What a bucket is set to.

use aws_sdk_s3::types::{BucketVersioningStatus, ExpirationStatus, LifecycleRule, MfaDeleteStatus};
use jiff::{SignedDuration, Timestamp};
use rollback_aws_support::explain;
use rollback_core::{ErrorKind, Result};

use super::{Client, missing_bucket};
use crate::names::Prefix;

/// Whether a bucket keeps what is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versioning {
    /// It never did.
    Off,
    /// It did once: what is written over now is lost.
    Suspended,
    /// It does. With `mfa_delete`, no version and no marker goes without a one-time password.
    On { mfa_delete: bool },
}

/// A rule that removes versions that are not current any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is called.
    pub(crate) id: String,
    /// The full keys that it is for begin so.
    pub(crate) prefix: String,
    /// After how many days.
    pub(crate) days: i32,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Rule {
    /// A rule that may take old versions away. One that asks for tags or sizes, or that keeps some versions, is taken to fit: it tells
    /// the earliest moment.
    fn of(rule: &LifecycleRule) -> Option<Self> {
        if *rule.status() != ExpirationStatus::Enabled {
            return None;
        }
        let days = rule.noncurrent_version_expiration()?.noncurrent_days()?;
        let filter = rule.filter();
        #[expect(deprecated, reason = "rules that were written before filters have it")]
        let plain = rule.prefix();
        let inner = filter.and_then(|filter| filter.and()).and_then(|and| and.prefix());
        let prefix = filter.and_then(|filter| filter.prefix()).or(inner).or(plain).unwrap_or_default();
        Some(Self { id: rule.id().unwrap_or("without a name").to_owned(), prefix: prefix.to_owned(), days })
    }

    /// When it removes what ceased to be current then: so many days later, rounded up to the next midnight UTC.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>
    pub(crate) fn removes(&self, replaced: Timestamp) -> Timestamp {
        let days = DAY.saturating_mul(self.days);
        let at = replaced.checked_add(days).unwrap_or(Timestamp::MAX);
        let over = at.as_second().rem_euclid(DAY.as_secs());
        let whole =
            at.as_second() - over + if over > 0 || at.subsec_nanosecond() > 0 { DAY.as_secs() } else { 0 };
        Timestamp::from_second(whole).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn fits(&self, full: &str) -> bool {
        full.starts_with(&self.prefix)
    }
}

impl Client {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html>
    pub(crate) async fn versioning(&self) -> Result<Versioning> {
        let doing = format!("see whether {} keeps versions", self.bucket);
        let sent = self.s3.get_bucket_versioning().bucket(self.bucket.as_str());
        let sent = sent.set_expected_bucket_owner(self.owner()).send().await;
        let call = self.reads("GetBucketVersioning", "s3:GetBucketVersioning", doing);
        let answer = missing_bucket(&self.bucket, sent.map_err(|error| explain(&call, &error)))?;
        Ok(match answer.status() {
            Some(BucketVersioningStatus::Enabled) => {
                Versioning::On { mfa_delete: answer.mfa_delete() == Some(&MfaDeleteStatus::Enabled) }
            }
            Some(_) => Versioning::Suspended,
            None => Versioning::Off,
        })
    }

    /// The rules that may take away versions below a prefix.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html>
    pub(crate) async fn rules(&self, live: &Prefix) -> Result<Vec<Rule>> {
        let doing = format!("read the lifecycle rules of {}", self.bucket);
        let sent = self.s3.get_bucket_lifecycle_configuration().bucket(self.bucket.as_str());
        let sent = sent.set_expected_bucket_owner(self.owner()).send().await;
        let call = self.reads("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", doing);
        let answer = match sent.map_err(|error| explain(&call, &error)) {
            Ok(answer) => answer,
            // A bucket without rules has no such configuration.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let live = live.as_str();
        let near = |rule: &Rule| rule.prefix.starts_with(live) || live.starts_with(&rule.prefix);
        Ok(answer.rules().iter().filter_map(Rule::of).filter(near).collect())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleRuleFilter, NoncurrentVersionExpiration};

    use super::*;

    fn rule(status: ExpirationStatus, days: Option<i32>) -> Option<Rule> {
        let expiration = NoncurrentVersionExpiration::builder().set_noncurrent_days(days).build();
        let filter = LifecycleRuleFilter::builder().prefix("live/").build();
        let rule = LifecycleRule::builder().id("tidy").status(status).filter(filter);
        Rule::of(&rule.noncurrent_version_expiration(expiration).build().unwrap())
    }

    #[test]
    fn only_rules_that_remove_old_versions_count() {
        let tidy = rule(ExpirationStatus::Enabled, Some(30)).unwrap();
        assert!(tidy.fits("live/index.html") && !tidy.fits("versions/v1/index.html"));
        assert_eq!(rule(ExpirationStatus::Disabled, Some(30)), None);
        assert_eq!(rule(ExpirationStatus::Enabled, None), None);
    }

    #[test]
    fn days_end_at_midnight() {
        let tidy = rule(ExpirationStatus::Enabled, Some(30)).unwrap();
        let removed = |at: &str| tidy.removes(at.parse().unwrap()).to_string();
        assert_eq!(removed("2026-11-01T10:30:00Z"), "2026-12-02T00:00:00Z");
        assert_eq!(removed("2026-11-01T00:00:00Z"), "2026-12-01T00:00:00Z");
    }
}
