//! What is known of one object, and small objects themselves.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use jiff::Timestamp;
use rollback_aws_support::{asking, explain};
use rollback_core::{ErrorKind, Result};

use super::write::about_object;
use super::{Client, lacking, missing_bucket};
use crate::object::{Algorithm, Content, ETag, Headers, VersionId};

/// One object, as it says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) content: Content,
    pub(crate) headers: Headers,
    /// Whether it has tags. S3 says so to whoever may read them.
    pub(crate) tagged: bool,
}

impl Client {
    /// What an object says of itself, or one version of it; `None` if there is none.
    pub(crate) async fn head(&self, full: &str, version: Option<&VersionId>) -> Result<Option<Head>> {
        let doing = format!("look at {}", self.shown(full));
        let sent = self
            .s3
            .head_object()
            .bucket(self.bucket.as_str())
            .key(full)
            .set_version_id(version.map(ToString::to_string))
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let permission = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let call = self.reads("HeadObject", permission, doing.clone());
        match sent.map_err(|error| explain(&call, &error)) {
            Ok(answer) => head(&doing, &answer).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // An answer without a body does not say which.
            Err(error) if error.kind() == ErrorKind::Denied && error.next_step().is_some() => {
                let next = format!(
                    "{}; and kms:Decrypt, where a KMS key encrypts it",
                    error.next_step().unwrap_or_default()
                );
                Err(error.next(next))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the first byte of an object, or of one version of it: whoever may not read it, or may not use its key, is told so.
    pub(crate) async fn first_byte(&self, full: &str, version: Option<&VersionId>) -> Result<()> {
        let doing = format!("read {}", self.shown(full));
        let sent = self.s3.get_object().bucket(self.bucket.as_str()).key(full).range("bytes=0-0");
        let sent = sent.set_version_id(version.map(ToString::to_string));
        let sent = sent.set_expected_bucket_owner(self.owner()).send().await;
        let permission = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let call = self.reads("GetObject", permission, doing);
        sent.map(drop).map_err(|error| about_object(explain(&call, &error), &Headers::default()))
    }

    /// A small object, whole, with its tag; `None` if there is none.
    pub(crate) async fn get(&self, full: &str) -> Result<Option<(Vec<u8>, ETag)>> {
        Ok(self.get_with_time(full).await?.map(|(body, etag, _)| (body, etag)))
    }

    /// The same, with when it was written.
    pub(crate) async fn get_with_time(
        &self,
        full: &str,
    ) -> Result<Option<(Vec<u8>, ETag, Option<Timestamp>)>> {
        let doing = format!("read {}", self.shown(full));
        let sent = self
            .s3
            .get_object()
            .bucket(self.bucket.as_str())
            .key(full)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let call = self.reads("GetObject", "s3:GetObject", doing.clone());
        let answer = match missing_bucket(&self.bucket, sent.map_err(|error| explain(&call, &error))) {
            Ok(answer) => answer,
            Err(error)
                if error.kind() == ErrorKind::NotFound && !error.message().contains("NoSuchBucket") =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let etag = ETag::read(answer.e_tag().ok_or_else(|| lacking(&doing, "entity tag"))?)?;
        let modified = asking::time(answer.last_modified());
        let body = answer.body.collect().await.map_err(|_| {
            rollback_core::Error::new(ErrorKind::Unavailable, doing, "the connection broke while it was read")
                .next("see whether a proxy stands in between, then run it again")
        })?;
        Ok(Some((body.to_vec(), etag, modified)))
    }
}

fn head(doing: &str, answer: &HeadObjectOutput) -> Result<Head> {
    let size = answer.content_length().and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| lacking(doing, "size"))?;
    let etag = ETag::read(answer.e_tag().ok_or_else(|| lacking(doing, "entity tag"))?)?;
    let mut content = Content::listed(size, etag);
    // A checksum of checksums depends on how it was uploaded: a copy in one piece has another.
    if answer.checksum_type() != Some(&ChecksumType::Composite) {
        let known = [
            (Algorithm::Sha256, answer.checksum_sha256()),
            (Algorithm::Sha1, answer.checksum_sha1()),
            (Algorithm::Crc64Nvme, answer.checksum_crc64_nvme()),
        ];
        for (algorithm, value) in known {
            if let Some(value) = value.filter(|value| !value.contains('-')) {
                content = content.with_checksum(algorithm, value);
            }
        }
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let headers = Headers {
        content_type: owned(answer.content_type()),
        content_encoding: owned(answer.content_encoding()).filter(|encoding| encoding != "aws-chunked"),
        content_language: owned(answer.content_language()),
        content_disposition: owned(answer.content_disposition()),
        cache_control: owned(answer.cache_control()),
        expires: owned(answer.expires_string()),
        redirect: owned(answer.website_redirect_location()),
        metadata: answer
            .metadata()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        encryption: answer.server_side_encryption().map(|encryption| encryption.as_str().to_owned()),
        kms_key: owned(answer.ssekms_key_id()),
    };
    let tagged = answer.tag_count().is_some_and(|count| count > 0);
    Ok(Head { content, headers, tagged })
}
