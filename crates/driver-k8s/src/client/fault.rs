//! What an answer that is no success means: whether waiting helps, and whether anything was changed.

use std::error::Error as StdError;
use std::io;

use http::StatusCode;
use rollback_core::{Effect, Error, ErrorKind};
use serde_json::Value;

use crate::text::{line, list, text};

/// What was asked, as roles call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) verb: &'static str,
    /// With its group: `deployments.apps`.
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

impl Asked {
    /// Completes "cannot …".
    fn doing(&self) -> String {
        let place = [self.namespace.as_deref(), self.name.as_deref()];
        let place: Vec<_> = place.into_iter().flatten().collect();
        format!("{} {} {}", self.verb, self.resource, place.join("/")).trim_end().to_owned()
    }

    /// Whether it could have changed anything.
    pub(super) fn changes(&self) -> bool {
        matches!(self.verb, "patch" | "delete" | "create" | "update")
    }

    /// What the caller needs to be allowed.
    fn rule(&self) -> String {
        let place = self.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}"));
        format!("verb {} on {}{}", self.verb, self.resource, place.unwrap_or_default())
    }
}

/// What the API server answered.
pub(crate) fn answered(asked: &Asked, status: StatusCode, retry_after: Option<&str>, body: &Value) -> Error {
    let said = line(text(body, "/message").unwrap_or_default());
    let reason = text(body, "/reason").unwrap_or_default();
    let error = |kind, message: String| Error::new(kind, asked.doing(), message);
    let or = |otherwise: &str| if said.is_empty() { otherwise.to_owned() } else { said.clone() };
    match status.as_u16() {
        401 => error(ErrorKind::Denied, "the API server does not accept the credentials".to_owned())
            .next("they may have expired: sign in again, and check with `kubectl auth whoami`"),
        403 if said.contains("exceeded quota") => error(ErrorKind::Refused, or("a quota refuses it"))
            .next("make room in the quota of the namespace"),
        403 if said.contains("admission webhook") => {
            error(ErrorKind::Refused, or("an admission webhook refuses it"))
                .next("ask whoever runs that webhook; choose another destination meanwhile")
        }
        403 => error(ErrorKind::Denied, or("the caller may not do that"))
            .next(format!("the caller needs {}", asked.rule())),
        404 if reason != "NotFound" && body.get("kind").is_none() => {
            error(ErrorKind::Unsupported, "the API server does not know this kind of object".to_owned())
                .next("is this the address of a Kubernetes API server?")
        }
        404 => error(ErrorKind::NotFound, or("there is no such object")),
        409 if reason == "AlreadyExists" => error(ErrorKind::Conflict, or("it exists already")),
        409 => error(ErrorKind::Stale, or("somebody else changed it meanwhile")),
        410 => error(ErrorKind::Stale, or("what was asked for is gone")).transient(true),
        // Its message quotes the value that does not fit, which may be anything.
        400 | 422 => error(ErrorKind::Invalid, format!("the API server refuses it: {}", fields(body)))
            .next("try `kubectl apply --dry-run=server` with the same content for the whole message"),
        429 => {
            let wait = retry_after.filter(|wait| wait.len() < 10).map(|wait| format!(" for {wait} s"));
            error(ErrorKind::Throttled, format!("the API server asks to wait{}", wait.unwrap_or_default()))
        }
        504 => error(ErrorKind::Timeout, or("the API server did not finish in time")),
        500..=599 => error(ErrorKind::Unavailable, or("the API server is failing")),
        code => {
            error(ErrorKind::Other, format!("the API server answered {code}")).with_effect(Effect::Unknown)
        }
    }
}

/// The fields that the API server complains of, without their values.
fn fields(body: &Value) -> String {
    let cause = |cause: &Value| {
        let reason = text(cause, "/reason").unwrap_or("not accepted");
        Some(line(&format!("{}: {reason}", text(cause, "/field")?)))
    };
    let found: Vec<_> = list(body, "/details/causes").iter().filter_map(cause).take(5).collect();
    let reason = text(body, "/reason").unwrap_or("no reason is given");
    if found.is_empty() { line(reason) } else { found.join(", ") }
}

/// No answer came.
pub(crate) fn unanswered(asked: &Asked, error: &kube::Error) -> Error {
    let refused = matches!(error, kube::Error::Auth(_));
    if refused {
        // The error of a credential helper may quote what it printed.
        return Error::new(ErrorKind::Denied, asked.doing(), "no credentials could be had")
            .next("check with `kubectl auth whoami` in the same context")
            .with_effect(Effect::None);
    }
    let (mut unsent, mut late, mut cause) = (false, false, "the connection failed".to_owned());
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    // Bounded: an error that is its own cause would never end.
    for _ in 0..16 {
        let Some(one) = next else { break };
        if let Some(io) = one.downcast_ref::<io::Error>() {
            late |= io.kind() == io::ErrorKind::TimedOut;
            unsent |= matches!(io.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable);
        }
        let said = one.to_string();
        // The address could not be found, or the server is not who it should be: nothing was sent.
        unsent |=
            said.contains("dns error") || said.contains("tcp connect error") || said.contains("certificate");
        cause = line(&said);
        next = one.source();
    }
    let kind = if late { ErrorKind::Timeout } else { ErrorKind::Unavailable };
    let error = Error::new(kind, asked.doing(), format!("the API server does not answer: {cause}"))
        .next("check the address and the network: `kubectl version` in the same context");
    match unsent || !asked.changes() {
        true => error.with_effect(Effect::None),
        false => error.with_effect(Effect::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(verb: &'static str) -> Asked {
        let (namespace, name) = (Some("shop".to_owned()), Some("web".to_owned()));
        Asked { verb, resource: "deployments.apps".to_owned(), namespace, name }
    }

    fn error(code: u16, body: &Value) -> Error {
        answered(&asked("patch"), StatusCode::from_u16(code).unwrap(), Some("3"), body)
    }

    #[test]
    fn each_answer_says_what_it_means() {
        let status = |reason: &str| json!({ "kind": "Status", "reason": reason, "message": "said" });
        for (code, reason, kind, effect, transient) in [
            (401, "Unauthorized", ErrorKind::Denied, Effect::None, false),
            (403, "Forbidden", ErrorKind::Denied, Effect::None, false),
            (404, "NotFound", ErrorKind::NotFound, Effect::None, false),
            (409, "Conflict", ErrorKind::Stale, Effect::None, false),
            (409, "AlreadyExists", ErrorKind::Conflict, Effect::None, false),
            (410, "Expired", ErrorKind::Stale, Effect::None, true),
            (422, "Invalid", ErrorKind::Invalid, Effect::None, false),
            (429, "TooManyRequests", ErrorKind::Throttled, Effect::None, true),
            (500, "InternalError", ErrorKind::Unavailable, Effect::Unknown, true),
            (503, "ServiceUnavailable", ErrorKind::Unavailable, Effect::Unknown, true),
            (504, "Timeout", ErrorKind::Timeout, Effect::Unknown, true),
            (302, "", ErrorKind::Other, Effect::Unknown, false),
        ] {
            let found = error(code, &status(reason));
            assert_eq!(
                (found.kind(), found.effect(), found.is_transient()),
                (kind, effect, transient),
                "{code}"
            );
        }
        let denied = error(403, &status("Forbidden"));
        assert_eq!(
            denied.next_step(),
            Some("the caller needs verb patch on deployments.apps in namespace shop")
        );
        assert!(error(429, &Value::Null).message().contains("for 3 s"));
    }

    #[test]
    fn refused_values_are_not_quoted() {
        let body = json!({ "reason": "Invalid", "message": "Invalid value: \"hunter2\"", "details": { "causes": [
            { "field": "spec.template.spec.containers[0].env[0].value", "reason": "FieldValueInvalid", "message": "hunter2" } ] } });
        let said = format!("{}", error(422, &body));
        assert!(said.contains("env[0].value: FieldValueInvalid") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn only_what_was_surely_not_sent_has_no_effect() {
        let io = |kind| kube::Error::Service(Box::new(io::Error::from(kind)));
        let effect = |verb, kind| unanswered(&asked(verb), &io(kind)).effect();
        assert_eq!(effect("patch", io::ErrorKind::ConnectionRefused), Effect::None);
        assert_eq!(effect("patch", io::ErrorKind::ConnectionReset), Effect::Unknown);
        assert_eq!(effect("patch", io::ErrorKind::TimedOut), Effect::Unknown);
        assert_eq!(effect("get", io::ErrorKind::ConnectionReset), Effect::None);
        assert_eq!(unanswered(&asked("get"), &io(io::ErrorKind::TimedOut)).kind(), ErrorKind::Timeout);
    }
}
