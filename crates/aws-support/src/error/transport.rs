//! Calls that got no answer: sent or not?

use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http::endpoint::error::ResolveEndpointError;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use hyper_util::client::legacy;
use rollback_core::{Effect, Error, ErrorKind};

use super::text::scrubbed;
use super::{Call, credentials};

pub(super) fn silence(call: &Call) -> Error {
    let found = format!("no answer to {} in time", call.api());
    call.error(ErrorKind::Timeout, found, Effect::Unknown)
        .next("check the network and the AWS Health Dashboard, and repeat")
}

/// The SDK found before sending that this is no request. Its words name fields; it masks those that are secret.
pub(super) fn unmade(call: &Call, cause: Option<&(dyn StdError + 'static)>) -> Error {
    let why = cause.and_then(|cause| chain(cause).last()).map(|error| scrubbed(&error.to_string()));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    call.error(ErrorKind::Invalid, format!("the request {} could not be made{why}", call.api()), Effect::None)
        .next("see whether the region is set and right, and whether the names in the settings are complete")
}

pub(super) fn explain(call: &Call, failure: &DispatchFailure) -> Error {
    let Some(cause) = failure.as_connector_error() else {
        return broken(call, None);
    };
    if let Some(missing) = chain(cause).find_map(|error| error.downcast_ref::<CredentialsError>()) {
        return credentials::explain(call, missing);
    }
    if chain(cause).any(<dyn StdError>::is::<ResolveEndpointError>) {
        return unmade(call, Some(cause));
    }
    // This type is private to the SDK. Should it read otherwise one day, the effect is unknown, which is never wrong.
    if chain(cause).any(|error| error.to_string().starts_with("failed to select an auth scheme")) {
        return credentials::none(call);
    }
    // Of all errors of the HTTP client only this one proves that nothing was sent: there was no connection yet.
    let unconnected =
        chain(cause).filter_map(|error| error.downcast_ref::<legacy::Error>()).any(legacy::Error::is_connect);
    if unconnected {
        return unreached(call, cause);
    }
    if cause.is_timeout() { silence(call) } else { broken(call, why(cause)) }
}

fn unreached(call: &Call, cause: &(dyn StdError + 'static)) -> Error {
    let why = why(cause).unwrap_or_else(|| "no connection in time".to_owned());
    let found = format!("no connection for {}: {why}; nothing was sent", call.api());
    call.error(ErrorKind::Unavailable, found, Effect::None)
        .next("check the network, the proxy, the region and endpoint_url, and repeat")
}

fn broken(call: &Call, why: Option<String>) -> Error {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let found = format!("the connection for {} ended before the answer{why}", call.api());
    call.error(ErrorKind::Unavailable, found, Effect::Unknown).next("check the network, and repeat")
}

/// What the operating system or TLS says. Other causes may quote what was sent, so they are not asked.
fn why(cause: &(dyn StdError + 'static)) -> Option<String> {
    chain(cause)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .last()
        .map(|error| scrubbed(&error.to_string()))
}

pub(super) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    // Causes are a handful; a cycle would be somebody's mistake.
    std::iter::successors(Some(error), |&error| error.source()).take(32)
}
