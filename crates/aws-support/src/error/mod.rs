//! From the SDK's errors to core's: what kind, what became of the effect, what to do next.

mod code;
mod credentials;
mod denial;
mod text;
mod transport;

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use rollback_core::{Effect, Error, ErrorKind};

use self::code::Meaning;
use self::denial::Denial;
use self::text::{request_id, scrubbed};

/// One call as an error tells of it: what it was for, which API it is, and whether it was to change something.
///
/// ```
/// use rollback_aws_support::Call;
/// let call = Call::changes("ecs", "UpdateService", "point the service web at revision 41");
/// assert_eq!(call.api(), "ecs:UpdateService");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    service: &'static str,
    operation: &'static str,
    permission: Option<&'static str>,
    doing: String,
    changes: bool,
    profile: Option<String>,
}

impl Call {
    /// A call that changes nothing. `service` is the prefix that IAM uses, `operation` the name of the API, and
    /// `doing` completes "cannot …".
    pub fn reads(service: &'static str, operation: &'static str, doing: impl Into<String>) -> Self {
        Self { service, operation, permission: None, doing: doing.into(), changes: false, profile: None }
    }

    /// A call that changes something: its errors say what became of the change.
    pub fn changes(service: &'static str, operation: &'static str, doing: impl Into<String>) -> Self {
        Self { changes: true, ..Self::reads(service, operation, doing) }
    }

    /// Names the IAM action where it is not called like the operation: `s3:ListBucket` for `ListObjectsV2`.
    #[must_use]
    pub fn permission(mut self, action: &'static str) -> Self {
        self.permission = Some(action);
        self
    }

    /// The profile that the credentials came from, for the advice on how to renew them.
    #[must_use]
    pub fn profile(mut self, profile: Option<String>) -> Self {
        self.profile = profile;
        self
    }

    /// Service and operation, as IAM writes them.
    #[must_use]
    pub fn api(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>, effect: Effect) -> Error {
        let effect = if self.changes { effect } else { Effect::None };
        Error::new(kind, self.doing.clone(), message).with_effect(effect)
    }

    fn renew(&self) -> String {
        match &self.profile {
            Some(profile) => format!("aws sso login --profile {profile}"),
            None => "aws sso login".to_owned(),
        }
    }
}

/// What an error of an SDK client means.
///
/// The effect is told truthfully for a call that [changes](Call::changes) something:
///
/// | found | effect |
/// |---|---|
/// | the request could not be made, no credentials, no connection | none |
/// | AWS refused it: any 4xx, and throttling with any status | none |
/// | no answer in time, a connection that broke, an answer that cannot be read, 5xx | unknown |
///
/// For a call that [reads](Call::reads) there is no effect. Bodies and headers are never shown; of AWS's message only
/// what cannot hold credentials is.
///
/// ```
/// use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
/// use aws_sdk_sts::error::SdkError;
/// use rollback_aws_support::{Call, explain};
/// use rollback_core::{Effect, ErrorKind};
///
/// let lost: SdkError<GetCallerIdentityError> = SdkError::timeout_error("too slow");
/// let call = Call::changes("ecs", "UpdateService", "point the service web at revision 41");
/// let error = explain(&call, &lost);
/// assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown));
/// ```
pub fn explain<E>(call: &Call, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => transport::unmade(call, error.source()),
        SdkError::TimeoutError(_) => transport::silence(call),
        SdkError::DispatchFailure(failure) => transport::explain(call, failure),
        SdkError::ResponseError(answer) => unreadable(call, answer.raw().status().as_u16()),
        SdkError::ServiceError(answer) => {
            let said = Said {
                code: answer.err().code().map(scrubbed),
                message: answer.err().message().map(scrubbed),
                status: answer.raw().status().as_u16(),
                request: error.request_id().and_then(request_id),
            };
            refused(call, &said)
        }
        _ => call.error(ErrorKind::Other, "the SDK failed in a way that is not known here", Effect::Unknown),
    }
}

/// What AWS said, fit to be shown.
struct Said {
    code: Option<String>,
    message: Option<String>,
    status: u16,
    request: Option<String>,
}

impl Said {
    /// `ecs:UpdateService was answered ThrottlingException (HTTP 400, request 5ed9…)`.
    fn summary(&self, call: &Call) -> String {
        let code = self.code.as_deref().unwrap_or("an error without a code");
        let request = self.request.as_deref().map(|id| format!(", request {id}")).unwrap_or_default();
        format!("{} was answered {code} (HTTP {}{request})", call.api(), self.status)
    }

    fn told(&self, call: &Call) -> String {
        match &self.message {
            Some(message) if !message.is_empty() => format!("{}: {message}", self.summary(call)),
            _ => self.summary(call),
        }
    }
}

/// There is nobody who would sign the call.
#[cfg(feature = "instances")]
pub(crate) fn nobody(call: &Call) -> Error {
    credentials::none(call)
}

/// An answer that is none of this service.
pub(crate) fn odd_answer(call: &Call) -> Error {
    unreadable(call, 200)
}

fn unreadable(call: &Call, status: u16) -> Error {
    let found = format!("the answer to {} cannot be read (HTTP {status})", call.api());
    call.error(ErrorKind::Unavailable, found, Effect::Unknown)
        .next("see whether a proxy or another endpoint stands in between, and the AWS Health Dashboard")
}

fn refused(call: &Call, said: &Said) -> Error {
    let (code, message) = (said.code.as_deref(), said.message.as_deref());
    let meaning = Meaning::of(code.unwrap_or_default(), message.unwrap_or_default(), said.status);
    // Messages about signatures quote the request, with the session token in it: those are never shown.
    let text = if meaning.quotes_the_request() { said.summary(call) } else { said.told(call) };
    let error = call.error(meaning.kind(), text, meaning.effect()).transient(meaning.is_transient());
    match meaning {
        Meaning::Denied => denied(call, said),
        Meaning::Expired => error.next(format!(
            "the credentials have expired: {}, or renew them where they come from, and repeat",
            call.renew()
        )),
        Meaning::BadCredentials => error.next(format!(
            "AWS does not know these credentials: check the profile and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, \
             AWS_SESSION_TOKEN; with single sign-on: {}",
            call.renew()
        )),
        _ => error.next(meaning.next()),
    }
}

fn denied(call: &Call, said: &Said) -> Error {
    let found = said.message.as_deref().map(Denial::read).unwrap_or_default();
    let guess = call.permission.map_or_else(|| call.api(), str::to_owned);
    let action = found.action.unwrap_or(&guess);
    let who = found.principal.unwrap_or("the caller");
    let on = found.resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
    let next = if found.explicit {
        format!(
            "a policy denies {action}{on} to {who} explicitly (a service control policy, a boundary or a deny in \
                 its own policies): allowing it elsewhere does not help"
        )
    } else {
        format!("allow {action}{on} to {who}; who that is: aws sts get-caller-identity")
    };
    call.error(ErrorKind::Denied, said.told(call), Effect::None).next(next)
}
