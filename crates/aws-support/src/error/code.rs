//! What the codes of AWS mean. A code says more than a status; a 5xx is believed over a code.

use rollback_core::{Effect, ErrorKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Throttled,
    Expired,
    BadCredentials,
    Clock,
    Denied,
    NotFound,
    Stale,
    Conflict,
    /// Another change is under way: it ends by itself.
    Busy,
    Quota,
    Unsupported,
    /// The server gave up waiting.
    Slow,
    Failing,
    Elsewhere,
    Invalid,
    /// An error under a status that is not one.
    Unclear,
}

use Meaning::{
    BadCredentials, Busy, Clock, Conflict, Denied, Elsewhere, Expired, Failing, Invalid, NotFound, Quota,
    Slow, Stale, Throttled, Unclear, Unsupported,
};

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

impl Meaning {
    pub(super) fn of(code: &str, message: &str, status: u16) -> Self {
        if THROTTLED.contains(&code) || status == 429 {
            return Throttled;
        }
        if matches!(code, "NotImplemented" | "NotImplementedException" | "UnknownOperationException") {
            return Unsupported;
        }
        if status >= 500 {
            return Failing;
        }
        Self::named(code, message).unwrap_or_else(|| Self::bare(status))
    }

    fn named(code: &str, message: &str) -> Option<Self> {
        Some(match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Expired,
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Clock,
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if message.contains("Signature expired") || message.contains("Signature not yet current") =>
            {
                Clock
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            // EC2: the credentials could not be validated.
            | "AuthFailure"
            | "MissingAuthenticationTokenException"
            | "UnrecognizedClientException"
            | "AuthorizationHeaderMalformed" => BadCredentials,
            "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "BlockedException"
            | "NotAuthorized"
            | "OptInRequired"
            | "UnauthorizedException"
            | "UnauthorizedOperation" => Denied,
            "PreconditionFailed" | "InvalidIfMatchVersion" => Stale,
            "ConditionalRequestConflict"
            | "OperationAborted"
            | "ResourceInUseException"
            | "TooManyInvalidationsInProgress"
            | "TooManyUpdates"
            | "UpdateInProgressException" => Busy,
            "ConcurrentModificationException"
            | "ConditionalCheckFailedException"
            | "ConflictException"
            | "ServiceNotActiveException" => Conflict,
            "RequestTimeout" | "RequestTimeoutException" => Slow,
            "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => Elsewhere,
            "InvalidAction" | "UnsupportedFeatureException" | "UnsupportedOperation" | "MethodNotAllowed" => {
                Unsupported
            }
            _ => return Self::patterned(code),
        })
    }

    fn patterned(code: &str) -> Option<Self> {
        let stem = code.strip_suffix("Exception").or_else(|| code.strip_suffix("Fault")).unwrap_or(code);
        if stem.ends_with("NotFound") || stem.ends_with("DoesNotExist") || stem.starts_with("NoSuch") {
            Some(NotFound)
        } else if stem.contains("LimitExceeded")
            || stem.contains("QuotaExceeded")
            || stem.starts_with("TooMany")
        {
            Some(Quota)
        } else if stem.contains("Already") || stem.ends_with("InUse") || stem.ends_with("NotInReadyState") {
            Some(Conflict)
        } else if stem.starts_with("Invalid") && stem.ends_with("State") {
            // The thing is in the wrong state: InvalidDBInstanceState, InvalidObjectState.
            Some(Conflict)
        } else {
            None
        }
    }

    fn bare(status: u16) -> Self {
        match status {
            401 | 403 => Denied,
            404 | 410 => NotFound,
            408 => Slow,
            409 => Conflict,
            412 => Stale,
            300..=399 => Elsewhere,
            400..=499 => Invalid,
            _ => Unclear,
        }
    }

    pub(super) fn kind(self) -> ErrorKind {
        match self {
            Throttled => ErrorKind::Throttled,
            Expired | BadCredentials | Clock | Denied => ErrorKind::Denied,
            NotFound => ErrorKind::NotFound,
            Stale => ErrorKind::Stale,
            Conflict | Busy => ErrorKind::Conflict,
            Unsupported => ErrorKind::Unsupported,
            Slow => ErrorKind::Timeout,
            Failing | Unclear => ErrorKind::Unavailable,
            Elsewhere | Invalid => ErrorKind::Invalid,
            Quota => ErrorKind::Other,
        }
    }

    pub(super) fn effect(self) -> Effect {
        match self {
            Slow | Failing | Unclear => Effect::Unknown,
            _ => Effect::None,
        }
    }

    pub(super) fn is_transient(self) -> bool {
        matches!(self, Throttled | Busy | Slow | Failing | Unclear)
    }

    pub(super) fn quotes_the_request(self) -> bool {
        matches!(self, Expired | BadCredentials | Clock)
    }

    pub(super) fn next(self) -> &'static str {
        match self {
            Throttled => "wait a little and repeat; see what else calls this API in this account and region",
            Clock => "the clock of this machine is wrong: set it, and repeat",
            NotFound => "check the name, the region and the account: aws sts get-caller-identity",
            Stale => "somebody changed it in between: look again, and plan again",
            Conflict => {
                "somebody else changed it or it is not in the state for this: look again, and plan again"
            }
            Busy => "another change is under way: wait until it is done, and repeat",
            Quota => {
                "a quota of the account is used up: remove what is not needed, or ask for more in Service Quotas"
            }
            Unsupported => {
                "this service or endpoint cannot do it: see whether endpoint_url names the right server"
            }
            Slow | Failing | Unclear => "see the AWS Health Dashboard, and repeat",
            Elsewhere => "it is in another region or under another endpoint: set the region of the resource",
            Expired | BadCredentials | Denied => "check the credentials: aws sts get-caller-identity",
            Invalid => "correct what AWS names, and plan again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_aws_documents() {
        for (code, status, meaning) in [
            ("ThrottlingException", 400, Throttled),
            ("Throttling", 400, Throttled),
            ("SlowDown", 503, Throttled),
            ("RequestLimitExceeded", 503, Throttled),
            ("", 429, Throttled),
            ("ExpiredTokenException", 400, Expired),
            ("ExpiredToken", 403, Expired),
            ("InvalidClientTokenId", 403, BadCredentials),
            ("UnrecognizedClientException", 400, BadCredentials),
            ("RequestTimeTooSkewed", 403, Clock),
            ("AccessDeniedException", 400, Denied),
            ("AuthFailure", 401, BadCredentials),
            ("AccessDenied", 403, Denied),
            ("", 403, Denied),
            ("ClusterNotFoundException", 400, NotFound),
            ("ServiceNotFoundException", 400, NotFound),
            ("DeploymentDoesNotExistException", 400, NotFound),
            ("DBInstanceNotFoundFault", 404, NotFound),
            ("NoSuchKey", 404, NotFound),
            ("", 404, NotFound),
            ("PreconditionFailed", 412, Stale),
            ("ConflictException", 400, Conflict),
            ("BucketAlreadyExists", 409, Conflict),
            ("DeploymentAlreadyCompletedException", 400, Conflict),
            ("DeploymentIsNotInReadyStateException", 400, Conflict),
            ("InvalidDBInstanceStateFault", 400, Conflict),
            ("InvalidDBInstanceState", 400, Conflict),
            ("ResourceInUseException", 400, Busy),
            ("UpdateInProgressException", 400, Busy),
            ("LimitExceededException", 400, Quota),
            ("ServiceQuotaExceededException", 400, Quota),
            ("DeploymentLimitExceededException", 400, Quota),
            ("UnsupportedFeatureException", 400, Unsupported),
            ("NotImplemented", 501, Unsupported),
            ("RequestTimeout", 400, Slow),
            ("", 408, Slow),
            ("ServerException", 500, Failing),
            ("InternalError", 500, Failing),
            ("AccessDenied", 500, Failing),
            ("", 503, Failing),
            ("PermanentRedirect", 301, Elsewhere),
            ("InvalidParameterException", 400, Invalid),
            ("ClientException", 400, Invalid),
            ("", 400, Invalid),
            ("InternalFailure", 200, Unclear),
        ] {
            assert_eq!(Meaning::of(code, "", status), meaning, "{code} {status}");
        }
        let late = "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z";
        assert_eq!(Meaning::of("InvalidSignatureException", late, 400), Clock);
    }
}
