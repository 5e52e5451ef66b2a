//! Who the calls are made as.

use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use rollback_core::{Effect, Error, ErrorKind, Result};

use crate::config::is_account;
use crate::error::{Call, explain};

const ASK: &str = "find out whose AWS credentials these are";

/// The account and the principal behind the credentials, as AWS itself says (STS `GetCallerIdentity`, which needs no
/// permission).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    account: String,
    arn: String,
    partition: String,
}

impl Caller {
    /// Reads account and partition off an answer of STS.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it is not an answer that STS gives.
    pub fn new(account: impl Into<String>, arn: impl Into<String>) -> Result<Self> {
        let (account, arn) = (account.into(), arn.into());
        let partition = arn.strip_prefix("arn:").and_then(|rest| rest.split(':').next()).unwrap_or_default();
        let printable = arn.len() <= 2048 && !arn.chars().any(char::is_control);
        if !is_account(&account) || partition.is_empty() || !printable {
            return Err(Self::nobody());
        }
        let partition = partition.to_owned();
        Ok(Self { account, arn, partition })
    }

    pub(crate) async fn ask(config: &SdkConfig, profile: Option<String>) -> Result<Self> {
        let call = Call::reads("sts", "GetCallerIdentity", ASK).profile(profile);
        let answer = Client::new(config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| explain(&call, &error))?;
        Self::new(answer.account().unwrap_or_default(), answer.arn().unwrap_or_default())
    }

    pub(crate) fn nobody() -> Error {
        Error::new(ErrorKind::Unavailable, ASK, "the server's answer names no account")
            .transient(false)
            .with_effect(Effect::None)
            .next("see whether endpoint_url and AWS_ENDPOINT_URL name the right server")
    }

    /// The account: twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The user, or the role with the name of its session.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, …
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// Refuses any other account, before anything is done in it.
    ///
    /// ```
    /// use rollback_aws_support::Caller;
    /// let caller = Caller::new("123456789012", "arn:aws:sts::123456789012:assumed-role/deploy/ada")?;
    /// caller.must_be_in("123456789012")?;
    /// assert!(caller.must_be_in("999999999999").is_err());
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] with both accounts.
    pub fn must_be_in(&self, account: &str) -> Result<()> {
        if self.account == account {
            return Ok(());
        }
        let found = format!(
            "it is in account {account:?}, and these credentials are of {} ({})",
            self.account, self.arn
        );
        Err(Error::new(ErrorKind::Refused, "touch this target", found)
            .next("choose the profile or role of that account, then check with: aws sts get-caller-identity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_comes_from_the_arn() {
        let caller = Caller::new("123456789012", "arn:aws-cn:iam::123456789012:user/ada").unwrap();
        assert_eq!(caller.partition(), "aws-cn");
    }

    #[test]
    fn an_answer_that_names_nobody_is_none() {
        for (account, arn) in [("", ""), ("1234", "arn:aws:iam::1234:user/a"), ("123456789012", "nobody")] {
            assert!(Caller::new(account, arn).is_err(), "{account} {arn}");
        }
    }

    #[test]
    fn another_account_is_refused_by_name() {
        let caller = Caller::new("123456789012", "arn:aws:iam::123456789012:user/ada").unwrap();
        let error = caller.must_be_in("999999999999").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.message().contains("123456789012") && error.message().contains("999999999999"));
    }
}
