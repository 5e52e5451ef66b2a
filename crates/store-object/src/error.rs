//! From what happened to errors that say what became of the effect and what to do next.

use object_store::Error as Cause;
use rollback_core::{Effect, Error, ErrorKind};

use crate::location::{Bucket, Provider};
use crate::watch::{Answer, Happened, Plane, Seen};

/// Whether a call was meant to change the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Says where and during what something failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing<'a> {
    pub(crate) operation: &'a str,
    pub(crate) bucket: &'a Bucket,
    pub(crate) access: Access,
}

impl Failing<'_> {
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message).with_effect(Effect::None)
    }

    /// A call that failed, told by what its requests came to, or by the cause where they are not ours.
    pub(crate) fn call(&self, cause: &Cause, seen: &Seen) -> Error {
        let unsure = if self.access == Access::Write { Effect::Unknown } else { Effect::None };
        match &seen.last {
            // Whatever failed came before the first request, or other code sends the requests.
            None => self.foreign(cause, unsure),
            Some((Plane::Credentials, happened)) => {
                self.credentials(happened).with_effect(if seen.write_sent { unsure } else { Effect::None })
            }
            Some((Plane::Data, Happened::Unreached(why))) => self.unreached(why),
            Some((Plane::Data, Happened::Lost { timeout: true, .. })) => self
                .error(ErrorKind::Timeout, "the bucket's server did not answer in time")
                .next("check the network and the status page of the provider, and repeat")
                .with_effect(unsure),
            Some((Plane::Data, Happened::Lost { why, .. })) => self
                .error(ErrorKind::Unavailable, format!("the connection ended before the answer: {why}"))
                .next("check the network, and repeat")
                .with_effect(unsure),
            Some((Plane::Data, Happened::Answered(answer))) => self.answered(answer, unsure),
        }
    }

    /// The server's own answer.
    fn answered(&self, answer: &Answer, unsure: Effect) -> Error {
        let code = answer.code.as_deref().unwrap_or_default();
        match (answer.status, code) {
            (_, "SlowDown" | "ServerBusy" | "TooManyRequests") | (429, _) => self
                .error(ErrorKind::Throttled, told("the server asks to slow down", answer))
                .next("wait a little and repeat; see whether something else writes to this bucket all the time"),
            (_, "NoSuchBucket" | "ContainerNotFound") | (404, _) => self.no_bucket(answer),
            (301 | 307 | 308, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                self.elsewhere(answer)
            }
            (_, "RequestTimeTooSkewed") => self
                .error(ErrorKind::Denied, "the clocks of this machine and of the server differ too much")
                .next("set this machine's clock (`timedatectl`), and repeat"),
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "RequestExpired") => self
                .error(ErrorKind::Denied, told("the credentials have expired", answer))
                .next(self.renew()),
            (401 | 403, _) => self.denied(answer),
            // Two conditional writes of one key at the same time: this one was not carried out.
            (409, _) => self.busy(),
            (405 | 501, _) => self
                .error(ErrorKind::Unsupported, told("the server cannot do this", answer))
                .next("use a bucket whose server honours If-None-Match and If-Match on PUT"),
            // Only a server that names its reason has certainly not begun: a proxy answers 503 as well when its own
            // connection broke after it had passed the request on.
            (500..=599, _) => self
                .error(ErrorKind::Unavailable, told("the server failed", answer))
                .next("see the status page of the provider, and repeat")
                .with_effect(unsure),
            (408, _) => self
                .error(ErrorKind::Timeout, told("the server waited too long for the request", answer))
                .next("check the network, and repeat")
                .with_effect(unsure),
            (200..=299, _) => self
                .error(ErrorKind::Unsupported, "the server's answer cannot be understood; it may lack an ETag")
                .next("check that the endpoint is one of object storage, with nothing in between that changes headers")
                .with_effect(unsure),
            _ => self
                .error(ErrorKind::Invalid, told("the server refuses the request", answer))
                .next("check the endpoint and what stands between this machine and it"),
        }
    }

    fn unreached(&self, why: &str) -> Error {
        let next = match self.bucket.provider() {
            Provider::S3 => "check the network, AWS_REGION, and AWS_ENDPOINT_URL if it is set",
            _ => "check the network, and repeat",
        };
        self.error(ErrorKind::Unavailable, format!("no connection to the bucket's server: {why}")).next(next)
    }

    fn credentials(&self, happened: &Happened) -> Error {
        let (kind, message) = match happened {
            Happened::Unreached(_) | Happened::Lost { .. } => (
                ErrorKind::Denied,
                "there are no credentials in the environment, and nobody here hands them out".into(),
            ),
            Happened::Answered(answer) if answer.status >= 500 || answer.status == 429 => {
                (ErrorKind::Unavailable, told("who hands out credentials failed", answer))
            }
            Happened::Answered(answer) => (ErrorKind::Denied, told("credentials were refused", answer)),
        };
        self.error(kind, message).next(self.renew())
    }

    fn no_bucket(&self, answer: &Answer) -> Error {
        let what = if self.bucket.provider() == Provider::Azure { "container" } else { "bucket" };
        let message = told(&format!("there is no {what} {}", self.bucket.name()), answer);
        self.error(ErrorKind::NotFound, message).next(format!(
            "correct `store` in rollback.toml, or make the {what}; check that the endpoint and the account are the right \
             ones"
        ))
    }

    fn elsewhere(&self, answer: &Answer) -> Error {
        let error = |more: String| {
            let message = format!("the bucket {} is in another region{more}", self.bucket.name());
            self.error(ErrorKind::Invalid, message)
        };
        match &answer.region {
            Some(region) => error(format!(": {region}")).next(format!("export AWS_REGION={region}")),
            None => error(String::new()).next("set AWS_REGION to the region of the bucket"),
        }
    }

    fn denied(&self, answer: &Answer) -> Error {
        let message = match &answer.denied {
            Some(why) => format!("permission is denied: {why}"),
            None => told("permission is denied", answer),
        };
        let rights = match self.bucket.provider() {
            Provider::S3 => {
                "s3:GetObject and s3:PutObject on the objects and s3:ListBucket on the bucket (and kms:Decrypt and \
                 kms:GenerateDataKey where it is encrypted with a KMS key)"
            }
            Provider::Google => "storage.objects.get, create, delete (for replacing) and list",
            Provider::Azure => "the role Storage Blob Data Contributor on the container",
        };
        self.error(ErrorKind::Denied, message)
            .next(format!("see who you are to the provider; the store needs {rights}. {}", self.renew()))
    }

    fn renew(&self) -> &'static str {
        match self.bucket.provider() {
            Provider::S3 => {
                "renew the credentials (`aws sso login`), then put them into the environment: `eval \"$(aws configure \
                 export-credentials --format env)\"`"
            }
            Provider::Google => {
                "renew the credentials (`gcloud auth application-default login`), or name a key file in \
                 GOOGLE_APPLICATION_CREDENTIALS"
            }
            Provider::Azure => {
                "renew the credentials (`az login`, with AZURE_USE_AZURE_CLI=true), or set AZURE_STORAGE_ACCOUNT_KEY"
            }
        }
    }

    /// A conditional write that met another one.
    pub(crate) fn busy(&self) -> Error {
        self.error(ErrorKind::Conflict, "another write of the same key was under way; nothing was written")
            .transient(true)
            .next("repeat it")
    }

    /// An error of an object store that somebody handed in, or before any request.
    fn foreign(&self, cause: &Cause, unsure: Effect) -> Error {
        let told = |kind, what: &str| self.error(kind, format!("{what}: {}", brief(cause)));
        match cause {
            Cause::NotFound { .. } => {
                told(ErrorKind::NotFound, "it is not there").next("check the name of the bucket")
            }
            Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => {
                told(ErrorKind::Denied, "permission is denied").next(self.renew())
            }
            Cause::NotImplemented { .. } | Cause::NotSupported { .. } => {
                told(ErrorKind::Unsupported, "the object store cannot do this")
                    .next("use one that can write on a condition")
            }
            Cause::AlreadyExists { .. } => self.busy(),
            _ => told(ErrorKind::Unavailable, "the object store fails").next("repeat it").with_effect(unsure),
        }
    }
}

fn told(what: &str, answer: &Answer) -> String {
    match &answer.code {
        Some(code) => format!("{what} ({}, {code})", answer.status),
        None => format!("{what} ({})", answer.status),
    }
}

/// The innermost cause on one line, without what may quote a request: a body in XML, a query.
fn brief(cause: &Cause) -> String {
    let mut innermost: &dyn std::error::Error = cause;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    let text = innermost.to_string();
    let end = text.find(['<', '?', '{', '\n', '\r']).unwrap_or(text.len());
    text[..end].chars().filter(|c| !c.is_control()).take(200).collect::<String>().trim_end().to_owned()
}
