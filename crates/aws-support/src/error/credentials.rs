//! Calls that had nobody to sign them.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use rollback_core::{Effect, Error, ErrorKind};

use super::transport::chain;
use super::{Call, explain as explain_call};

type RoleRefused = SdkError<AssumeRoleError, HttpResponse>;

/// Nothing was sent. What a provider says is not shown: a `credential_process` may have printed a secret.
pub(super) fn explain(call: &Call, error: &CredentialsError) -> Error {
    if let Some(refused) = chain(error).find_map(|error| error.downcast_ref::<RoleRefused>()) {
        let assume = Call::reads("sts", "AssumeRole", call.doing.clone()).profile(call.profile.clone());
        return explain_call(&assume, refused);
    }
    let found = match error {
        CredentialsError::CredentialsNotLoaded(_) => return none(call),
        CredentialsError::ProviderTimedOut(_) => return late(call),
        CredentialsError::InvalidConfiguration(_) => "the shared AWS configuration is not right",
        _ if speaks_of(error, "SSO") => "the single sign-on session has expired or was never begun",
        // The last place that is asked: this machine's own role.
        _ if speaks_of(error, "IMDS") => return none(call),
        _ => "the source of the AWS credentials failed",
    };
    let next = if speaks_of(error, "SSO") { format!("{}, and repeat", call.renew()) } else { check(call) };
    unsigned(call, found).next(next)
}

/// There are none at all.
pub(super) fn none(call: &Call) -> Error {
    unsigned(call, "no AWS credentials were found").next(check(call))
}

fn unsigned(call: &Call, found: &str) -> Error {
    call.error(ErrorKind::Denied, format!("{found}; {} was not sent", call.api()), Effect::None)
}

fn check(call: &Call) -> String {
    let profile = call.profile.as_deref().map(|profile| format!(" --profile {profile}")).unwrap_or_default();
    format!("check with: aws sts get-caller-identity{profile}; with single sign-on: {}", call.renew())
}

fn late(call: &Call) -> Error {
    let found =
        format!("the source of the AWS credentials did not answer in time; {} was not sent", call.api());
    call.error(ErrorKind::Unavailable, found, Effect::None)
        .next("check with: aws sts get-caller-identity; on a machine of AWS's, whether the metadata service answers")
}

/// The providers' errors have no types that tell; a word is looked for and never shown.
fn speaks_of(error: &CredentialsError, word: &str) -> bool {
    chain(error).any(|error| {
        error
            .to_string()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|found| found.eq_ignore_ascii_case(word))
    })
}
