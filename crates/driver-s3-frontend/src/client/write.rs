//! What changes the bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::copy_object::builders::CopyObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{MetadataDirective, ServerSideEncryption, StorageClass as Class, TaggingDirective};
use rollback_aws_support::explain;
use rollback_core::{Effect, Error, ErrorKind, Result};

use super::encoding::{encode, tagging};
use super::{Client, Marker, lacking};
use crate::object::{ETag, Headers, StorageClass, VersionId};

/// How many bytes a copy makes in a second where S3 is slow.
const SLOWEST: u64 = 16 * 1024 * 1024;

/// What must be there for a write to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing.
    Absent,
    /// The object with this tag.
    Tag(ETag),
}

impl Expected {
    pub(super) fn if_match(&self) -> Option<String> {
        match self {
            Self::Tag(etag) => Some(format!("\"{etag}\"")),
            Self::Absent => None,
        }
    }

    pub(super) fn if_none_match(&self) -> Option<String> {
        (*self == Self::Absent).then(|| "*".to_owned())
    }
}

/// One object that is copied inside the bucket.
#[derive(Debug)]
pub(crate) struct Copy<'a> {
    /// The full key of what is copied, and which version of it.
    pub(crate) from: &'a str,
    pub(crate) version: Option<&'a VersionId>,
    /// The tag that it must have.
    pub(crate) tag: &'a ETag,
    /// The full key of the copy.
    pub(crate) to: &'a str,
    /// What must be there now.
    pub(crate) over: &'a Expected,
    pub(crate) class: &'a StorageClass,
    /// What goes along, where S3 does not take it along by itself.
    pub(crate) headers: &'a Headers,
    /// Whether these are the headers of what is copied.
    pub(crate) copied: bool,
    /// The tags that it is to have; `None` for those of what is copied.
    pub(crate) tags: Option<&'a BTreeMap<String, String>>,
    /// How large it is.
    pub(crate) bytes: u64,
}

impl Client {
    /// Copies one object of at most 5 GiB, with everything that goes with it.
    ///
    /// S3 takes headers, metadata and tags along; a website's redirect, the storage class and the encryption it does not.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
    pub(crate) async fn copy(&self, copy: &Copy<'_>) -> Result<ETag> {
        let doing = format!("copy {} to {}", self.shown(copy.from), self.shown(copy.to));
        let headers = copy.headers;
        let sent = self.copying(copy).customize().config_override(self.patient(copy.bytes));
        let expires = headers.expires.clone().filter(|_| !copy.copied);
        let sent = sent.mutate_request(move |request| set_expires(request, expires.clone())).send().await;
        let call = self.changes("CopyObject", "s3:PutObject", doing.clone());
        let answer = sent.map_err(|error| about_object(explain(&call, &error), headers))?;
        let result = answer.copy_object_result().and_then(|result| result.e_tag());
        // The status comes before the copy is done: an answer without a result is a copy that failed after that.
        let unknown = || lacking(&doing, "result").with_effect(Effect::Unknown);
        ETag::read(result.ok_or_else(unknown)?)
    }

    fn copying(&self, copy: &Copy<'_>) -> CopyObjectFluentBuilder {
        let headers = copy.headers;
        let request = self
            .s3
            .copy_object()
            .bucket(self.bucket.as_str())
            .key(copy.to)
            .copy_source(self.source(copy))
            .copy_source_if_match(format!("\"{}\"", copy.tag))
            .set_if_match(copy.over.if_match())
            .set_if_none_match(copy.over.if_none_match())
            .tagging_directive(copy.tags.map_or(TaggingDirective::Copy, |_| TaggingDirective::Replace))
            .set_tagging(copy.tags.map(tagging))
            .storage_class(Class::from(copy.class.as_str()))
            .set_website_redirect_location(headers.redirect.clone())
            .set_server_side_encryption(headers.encryption.as_deref().map(ServerSideEncryption::from))
            .set_ssekms_key_id(headers.kms_key.clone())
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(self.owner());
        if copy.copied {
            return request.metadata_directive(MetadataDirective::Copy);
        }
        let said = headers.clone();
        request
            .metadata_directive(MetadataDirective::Replace)
            .set_content_type(said.content_type)
            .set_content_encoding(said.content_encoding)
            .set_content_language(said.content_language)
            .set_content_disposition(said.content_disposition)
            .set_cache_control(said.cache_control)
            .set_metadata(Some(said.metadata.into_iter().collect()))
    }

    /// What is copied, as a header names it.
    pub(super) fn source(&self, copy: &Copy<'_>) -> String {
        let mut source = encode(&format!("{}/{}", self.bucket, copy.from));
        if let Some(version) = copy.version {
            source.push_str(&format!("?versionId={}", encode(version.as_str())));
        }
        source
    }

    /// S3 answers when it has copied: so many bytes take their time.
    pub(super) fn patient(&self, bytes: u64) -> Builder {
        let usual = self.s3.config().timeout_config();
        let usual = usual.cloned().unwrap_or_else(|| TimeoutConfig::builder().build());
        aws_sdk_s3::Config::builder().timeout_config(lengthened(usual, bytes))
    }

    /// Writes a small object of our own.
    pub(crate) async fn put(&self, full: &str, body: Vec<u8>, over: Option<&Expected>) -> Result<ETag> {
        let doing = format!("write {}", self.shown(full));
        let sent = self
            .s3
            .put_object()
            .bucket(self.bucket.as_str())
            .key(full)
            .content_type("application/json")
            .body(ByteStream::from(body))
            .set_if_match(over.and_then(Expected::if_match))
            .set_if_none_match(over.and_then(Expected::if_none_match))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let call = self.changes("PutObject", "s3:PutObject", doing.clone());
        let answer = sent.map_err(|error| explain(&call, &error))?;
        ETag::read(answer.e_tag().ok_or_else(|| lacking(&doing, "entity tag").with_effect(Effect::Unknown))?)
    }

    /// Removes one delete marker, for good: what is below it is there again. To remove what is gone already is no error.
    ///
    /// Object Lock does not protect markers: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>
    pub(crate) async fn remove_marker(&self, full: &str, marker: &Marker) -> Result<()> {
        let doing = format!("remove the delete marker of {}", self.shown(full));
        let sent = self
            .s3
            .delete_object()
            .bucket(self.bucket.as_str())
            .key(full)
            .version_id(marker.version.as_str())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let call = self.changes("DeleteObject", "s3:DeleteObjectVersion", doing);
        sent.map(drop).map_err(|error| explain(&call, &error))
    }

    /// Deletes one object, if it is still this one. Where the bucket keeps versions, that is a marker which can be taken away again.
    pub(crate) async fn delete(&self, full: &str, tag: &ETag) -> Result<()> {
        let doing = format!("delete {}", self.shown(full));
        let sent = self
            .s3
            .delete_object()
            .bucket(self.bucket.as_str())
            .key(full)
            .if_match(format!("\"{tag}\""))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let call = self.changes("DeleteObject", "s3:DeleteObject", doing);
        sent.map(drop).map_err(|error| explain(&call, &error))
    }
}

/// As it was written: it need not be a time.
pub(super) fn set_expires(request: &mut HttpRequest, expires: Option<String>) {
    let set = expires.map(|expires| request.headers_mut().try_insert("expires", expires));
    // It came as a header, and so it is one.
    drop(set);
}

/// Every limit for a whole call, longer by what copying so many bytes may take.
fn lengthened(usual: TimeoutConfig, bytes: u64) -> TimeoutConfig {
    let more = Duration::from_secs(bytes / SLOWEST);
    let (attempt, read, whole) =
        (usual.operation_attempt_timeout(), usual.read_timeout(), usual.operation_timeout());
    let mut longer = usual.into_builder();
    // What is not limited must not be named: that would take limits away which come from elsewhere.
    if let Some(attempt) = attempt {
        longer = longer.operation_attempt_timeout(attempt.saturating_add(more));
    }
    if let Some(read) = read {
        longer = longer.read_timeout(read.saturating_add(more));
    }
    if let Some(whole) = whole {
        longer = longer.operation_timeout(whole.saturating_add(more));
    }
    longer.build()
}

/// What S3 has against one object, or KMS against its key, is no conflict with anybody.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub(super) fn about_object(error: Error, headers: &Headers) -> Error {
    // In a tier of Intelligent-Tiering, say: no listing tells that.
    if error.message().contains("InvalidObjectState") {
        let (doing, found) = (error.operation().to_owned(), error.message().to_owned());
        return Error::new(ErrorKind::Invalid, doing, found)
            .next("it is archived: aws s3api restore-object, wait for hours, then plan again");
    }
    let of_kms = ["KMS.", "kms:"].iter().any(|word| error.message().contains(word));
    let key = headers.kms_key.as_deref();
    if !of_kms {
        return error;
    }
    let next = match (error.kind(), error.next_step(), key) {
        (ErrorKind::Denied, Some(next), Some(key)) => format!("{next}; the object's key is {key}"),
        (ErrorKind::Denied, ..) => return error,
        (.., Some(key)) => format!("see whether the key can be used: aws kms describe-key --key-id {key}"),
        (.., None) => "see which key the bucket encrypts with, and whether it can be used: aws s3api get-bucket-encryption".to_owned(),
    };
    error.next(next)
}

/// Whether somebody else changed what was to be written over.
pub(crate) fn was_overtaken(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Stale | ErrorKind::Conflict) && error.effect() == Effect::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_copies_are_waited_for_longer() {
        let limits = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_secs(30))
            .build();
        assert_eq!(lengthened(limits.clone(), 1_000_000), limits, "small ones are not");
        let longer = lengthened(limits.clone(), 5 * 1024 * 1024 * 1024);
        assert_eq!(longer.operation_attempt_timeout(), Some(Duration::from_secs(335)));
        assert_eq!(longer.operation_timeout(), Some(Duration::from_secs(350)));
        assert_eq!(longer.connect_timeout(), limits.connect_timeout());
        assert_eq!(longer.read_timeout(), None);
    }
}
