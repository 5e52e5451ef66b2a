//! ARNs, as far as drivers have to understand them.

use std::fmt;
use std::str::FromStr;

use rollback_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::as_text;
use crate::text::invalid;

const LONGEST: usize = 512;

/// Whether a text looks like a region: `eu-west-1`.
pub(crate) fn is_region(text: &str) -> bool {
    (5..=32).contains(&text.len())
        && text.contains('-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The name of an AWS resource: `arn:aws:ecs:eu-west-1:123456789012:service/prod/web`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn {
    text: String,
}

impl Arn {
    fn field(&self, index: usize) -> &str {
        self.text.splitn(6, ':').nth(index).unwrap_or_default()
    }

    /// `aws`, `aws-cn`, …
    #[must_use]
    pub fn partition(&self) -> &str {
        self.field(1)
    }

    /// The AWS service: `ecs`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.field(2)
    }

    /// The region; empty for resources that have none.
    #[must_use]
    pub fn region(&self) -> &str {
        self.field(3)
    }

    /// The account; empty for resources that have none.
    #[must_use]
    pub fn account(&self) -> &str {
        self.field(4)
    }

    /// Everything after the account.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.field(5)
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Arn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why| invalid("an ARN", text, why);
        if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("is too long or has characters that no ARN has"));
        }
        let fields: Vec<_> = text.splitn(6, ':').collect();
        let [scheme, partition, service, region, account, resource] = fields[..] else {
            return Err(wrong("has not six parts"));
        };
        let slug =
            |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let account_fits = account.is_empty()
            || account == "aws"
            || account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if scheme != "arn"
            || !partition.starts_with("aws")
            || !slug(partition)
            || service.is_empty()
            || !slug(service)
        {
            return Err(wrong("does not begin like an ARN"));
        }
        if !(region.is_empty() || is_region(region)) || !account_fits || resource.is_empty() {
            return Err(wrong("names no region, account or resource that there could be"));
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
as_text!(Arn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_taken_apart() {
        let arn: Arn = "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:service/prod/web".parse().unwrap();
        assert_eq!((arn.partition(), arn.service()), ("aws-us-gov", "ecs"));
        assert_eq!(
            (arn.region(), arn.account(), arn.resource()),
            ("us-gov-west-1", "123456789012", "service/prod/web")
        );
        assert!("arn:aws:iam::123456789012:role/x".parse::<Arn>().is_ok());
        assert!("arn:aws:s3:::bucket/key:with:colons".parse::<Arn>().is_ok());
    }

    #[test]
    fn hostile_arns_are_refused() {
        for text in [
            "",
            "arn",
            "arn:aws:ecs:eu-west-1:123456789012:",
            "arn:evil:ecs:eu-west-1:123456789012:x",
            "ARN:aws:ecs:::x",
            "arn:aws:ecs:eu-west-1:12345:x",
            "arn:aws:ecs:eu west:123456789012:x",
            "arn:aws:ecs:::x\n",
            "arn:aws:ecs:::\u{202e}x",
        ] {
            assert!(text.parse::<Arn>().is_err(), "{text:?}");
        }
    }
}
