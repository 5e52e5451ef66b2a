//! The calls: the only files that know the SDK.
//!
//! Every call is made once: core repeats what may be repeated.

mod body;
mod bucket;
mod cloudfront;
mod encoding;
mod head;
mod list;
mod listing;
mod parts;
mod versions;
mod walk;
mod write;

use rollback_aws_support::{Call, Session};
use rollback_core::{Error, ErrorKind, Result};

pub(crate) use self::bucket::{Rule, Versioning};
pub(crate) use self::cloudfront::{CloudFront, Invalidation};
pub(crate) use self::encoding::{decoded, encode};
pub(crate) use self::head::Head;
pub(crate) use self::list::Page;
pub(crate) use self::parts::Upload;
pub(crate) use self::versions::{Layer, Layers, Marker};
pub(crate) use self::walk::Reserved;
use self::walk::Shared;
pub(crate) use self::write::{Copy, Expected, was_overtaken};
use crate::names::{Bucket, Prefix};

/// One bucket, and how to ask about it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    session: Session,
    // Not shared by the targets of a session, as its connections are: how buckets are named is each target's own.
    s3: aws_sdk_s3::Client,
    bucket: Bucket,
    /// The account that must own it: S3 refuses a bucket of that name that somebody else has.
    owner: Option<String>,
    /// What its lists have to do with each other.
    walks: Shared,
}

impl Client {
    pub(crate) fn new(session: &Session, bucket: Bucket, owner: Option<String>, path_style: bool) -> Self {
        let config = aws_sdk_s3::config::Builder::from(session.sending()).force_path_style(path_style);
        let s3 = aws_sdk_s3::Client::from_conf(config.build());
        Self { session: session.clone(), s3, bucket, owner, walks: Shared::default() }
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    fn owner(&self) -> Option<String> {
        self.owner.clone()
    }

    fn reads(&self, operation: &'static str, permission: &'static str, doing: impl Into<String>) -> Call {
        self.session.reads("s3", operation, doing).permission(permission)
    }

    fn changes(&self, operation: &'static str, permission: &'static str, doing: impl Into<String>) -> Call {
        self.session.changes("s3", operation, doing).permission(permission)
    }

    /// What an object is called in errors.
    fn shown(&self, full: &str) -> String {
        let key = if full.chars().any(char::is_control) { format!("{full:?}") } else { full.to_owned() };
        format!("s3://{}/{key}", self.bucket)
    }

    /// What a part of the bucket is called in errors.
    fn place(&self, prefix: &Prefix) -> String {
        format!("s3://{}/{prefix}", self.bucket)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// An answer that S3 never gives.
fn lacking(doing: &str, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, doing, format!("the answer has no {what}"))
        .next("is the endpoint S3? see what endpoint_url is set to")
}

/// A bucket that does not exist is not a key that does not.
fn missing_bucket<T>(bucket: &Bucket, answer: Result<T>) -> Result<T> {
    answer.map_err(|error| match error.kind() {
        ErrorKind::NotFound if error.message().contains("NoSuchBucket") => {
            error.next(format!("see which buckets there are: aws s3 ls | grep {bucket}"))
        }
        _ => error,
    })
}

/// What may not be read is not known, nor what the server knows nothing of; everything else that goes wrong is an error.
pub(crate) fn readable<T>(answer: Result<T>) -> Result<Result<T, Error>> {
    match answer {
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unsupported) => Ok(Err(error)),
        answer => answer.map(Ok),
    }
}
