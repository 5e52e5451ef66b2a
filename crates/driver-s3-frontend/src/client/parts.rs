//! Copying in parts what is too large for one request. Nothing of it is seen under the key before it is completed.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
    StorageClass as Class,
};
use rollback_aws_support::explain;
use rollback_core::{Effect, ErrorKind, Result};

use super::encoding::tagging;
use super::write::{Copy, about_object, set_expires};
use super::{Client, lacking};
use crate::object::{ETag, Headers, VersionId};

/// An upload in parts that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    /// The full key of what it will be.
    pub(crate) full: String,
    /// What S3 calls it.
    pub(crate) id: String,
}

/// What an upload in parts is not told of the source by S3 itself.
#[derive(Debug, Default)]
pub(crate) struct Along {
    /// The tags, as a header has them.
    tags: String,
    /// How large the first part of the source is, where that can be told.
    pub(crate) first: Option<u64>,
}

impl Client {
    /// What goes with an object beside its headers.
    pub(crate) async fn along(&self, copy: &Copy<'_>) -> Result<Along> {
        let first = async {
            // What was uploaded whole has no parts.
            match copy.tag.parts() {
                Some(_) => self.first_part(copy.from, copy.version).await,
                None => None,
            }
        };
        let tags = async {
            match copy.tags {
                Some(tags) => Ok(tagging(tags)),
                None => Ok(tagging(&self.tags(copy.from, copy.version).await?)),
            }
        };
        let (tags, first) = futures_util::join!(tags, first);
        Ok(Along { tags: tags?, first })
    }

    /// The tags of an object, or of one version of it.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html>
    pub(crate) async fn tags(
        &self,
        full: &str,
        version: Option<&VersionId>,
    ) -> Result<BTreeMap<String, String>> {
        let doing = format!("read the tags of {}", self.shown(full));
        let sent = self.s3.get_object_tagging().bucket(self.bucket.as_str()).key(full);
        let sent = sent.set_version_id(version.map(ToString::to_string));
        let sent = sent.set_expected_bucket_owner(self.owner()).send().await;
        let permission = if version.is_some() { "s3:GetObjectVersionTagging" } else { "s3:GetObjectTagging" };
        let call = self.reads("GetObjectTagging", permission, doing);
        let answer = match sent.map_err(|error| explain(&call, &error)) {
            Ok(answer) => answer,
            // A server that knows no tags keeps none.
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        Ok(answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
    }

    /// A hint: where it is not given, the object is cut in other places.
    async fn first_part(&self, full: &str, version: Option<&VersionId>) -> Option<u64> {
        let sent = self.s3.head_object().bucket(self.bucket.as_str()).key(full).part_number(1);
        let sent = sent.set_version_id(version.map(ToString::to_string));
        let answer = sent.set_expected_bucket_owner(self.owner()).send().await.ok()?;
        answer.content_length().and_then(|size| u64::try_from(size).ok())
    }

    /// Begins a copy. An upload in parts takes nothing along by itself: everything is said here. With a checksum of the whole, it can be
    /// told from its content later, whatever its tag is.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>
    pub(crate) async fn begin(&self, copy: &Copy<'_>, along: &Along) -> Result<Upload> {
        let doing = format!("begin to copy {} to {}", self.shown(copy.from), self.shown(copy.to));
        let Headers { expires, metadata, .. } = copy.headers;
        let (headers, expires) = (copy.headers.clone(), expires.clone());
        let metadata = (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect());
        let sent = self
            .s3
            .create_multipart_upload()
            .bucket(self.bucket.as_str())
            .key(copy.to)
            .set_content_type(headers.content_type)
            .set_content_encoding(headers.content_encoding)
            .set_content_language(headers.content_language)
            .set_content_disposition(headers.content_disposition)
            .set_cache_control(headers.cache_control)
            .set_website_redirect_location(headers.redirect)
            .set_metadata(metadata)
            .set_tagging(Some(along.tags.clone()).filter(|tags| !tags.is_empty()))
            .storage_class(Class::from(copy.class.as_str()))
            .set_server_side_encryption(headers.encryption.as_deref().map(ServerSideEncryption::from))
            .set_ssekms_key_id(headers.kms_key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .set_expected_bucket_owner(self.owner())
            .customize()
            .mutate_request(move |request| set_expires(request, expires.clone()))
            .send()
            .await;
        let call = self.changes("CreateMultipartUpload", "s3:PutObject", doing.clone());
        // Without parts, an upload costs nothing and changes nothing.
        let answer = sent
            .map_err(|error| about_object(explain(&call, &error), copy.headers).with_effect(Effect::None))?;
        let id = answer.upload_id().ok_or_else(|| lacking(&doing, "id of the upload"))?;
        Ok(Upload { full: copy.to.to_owned(), id: id.to_owned() })
    }

    /// Copies one part: the bytes from `first` to `last`. It may be repeated, and nobody sees it.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>
    pub(crate) async fn copy_part(
        &self,
        copy: &Copy<'_>,
        upload: &Upload,
        number: u64,
        (first, last): (u64, u64),
    ) -> Result<ETag> {
        let doing = format!("copy part {number} of {} to {}", self.shown(copy.from), self.shown(copy.to));
        let sent = self
            .s3
            .upload_part_copy()
            .bucket(self.bucket.as_str())
            .key(copy.to)
            .upload_id(&upload.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(self.source(copy))
            .copy_source_if_match(format!("\"{}\"", copy.tag))
            .copy_source_range(format!("bytes={first}-{last}"))
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(self.owner())
            .customize()
            .config_override(self.patient(last - first))
            .send()
            .await;
        let call = self.changes("UploadPartCopy", "s3:PutObject", doing.clone());
        let answer = sent
            .map_err(|error| about_object(explain(&call, &error), copy.headers).with_effect(Effect::None))?;
        let tag = answer.copy_part_result().and_then(|result| result.e_tag());
        ETag::read(tag.ok_or_else(|| lacking(&doing, "tag of the part"))?)
    }

    /// Makes the object of its parts, if what is there is still what was seen.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    pub(crate) async fn complete(
        &self,
        copy: &Copy<'_>,
        upload: &Upload,
        parts: Vec<ETag>,
        bytes: u64,
    ) -> Result<ETag> {
        let doing = format!("copy {} to {}", self.shown(copy.from), self.shown(copy.to));
        let part = |(number, tag): (i32, ETag)| {
            CompletedPart::builder().part_number(number).e_tag(format!("\"{tag}\"")).build()
        };
        let parts = (1..).zip(parts).map(part).collect();
        let sent = self
            .s3
            .complete_multipart_upload()
            .bucket(self.bucket.as_str())
            .key(copy.to)
            .upload_id(&upload.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX))
            .set_if_match(copy.over.if_match())
            .set_if_none_match(copy.over.if_none_match())
            .set_expected_bucket_owner(self.owner())
            .customize()
            .config_override(self.patient(bytes))
            .send()
            .await;
        let call = self.changes("CompleteMultipartUpload", "s3:PutObject", doing.clone());
        let answer = sent.map_err(|error| about_object(explain(&call, &error), copy.headers))?;
        // The status comes before it is done, as with every other copy.
        let unknown = || lacking(&doing, "entity tag").with_effect(Effect::Unknown);
        ETag::read(answer.e_tag().ok_or_else(unknown)?)
    }

    /// Gives an upload up, with the parts that were copied. `false` if there is none: it was completed, or given up before.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
    pub(crate) async fn abort(&self, upload: &Upload) -> Result<bool> {
        let doing = format!("give up the copy to {}", self.shown(&upload.full));
        let sent = self.s3.abort_multipart_upload().bucket(self.bucket.as_str()).key(&upload.full);
        let sent = sent.upload_id(&upload.id).set_expected_bucket_owner(self.owner()).send().await;
        let call = self.changes("AbortMultipartUpload", "s3:AbortMultipartUpload", doing);
        match sent.map_err(|error| explain(&call, &error)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
