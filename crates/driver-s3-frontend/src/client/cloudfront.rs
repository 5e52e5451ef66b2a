//! What is asked of CloudFront.
//!
//! It is one service for the whole world: endpoint and signature are chosen by the SDK, whatever the region of the bucket.

use std::collections::BTreeSet;

use aws_sdk_cloudfront::operation::get_distribution_config::GetDistributionConfigOutput;
use aws_sdk_cloudfront::types::{
    self as sdk, CacheBehavior, DefaultCacheBehavior, DistributionConfig, InvalidationBatch,
};
use rollback_aws_support::verbatim::{self, Verbatim};
use rollback_aws_support::{Call, Session, explain};
use rollback_core::{Error, ErrorKind, Result};

use super::lacking;
use crate::cdn::{Distribution, Origin, Paths, with_origin_path};
use crate::names::DistributionId;

/// Cache policies of AWS by which an object is kept under its path alone.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html>
const BY_PATH: [&str; 2] = ["658327ea-f89d-4fab-a63d-7e88639e58f6", "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"];
/// How many of the newest invalidations are looked through for one of ours.
const NEWEST: i32 = 30;

/// One distribution, and how to ask about it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CloudFront {
    session: Session,
    sdk: aws_sdk_cloudfront::Client,
    id: DistributionId,
}

/// An invalidation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalidation {
    pub(crate) id: String,
    /// Whether every edge has forgotten.
    pub(crate) completed: bool,
}

/// A configuration that is about to be changed.
pub(crate) struct Config {
    read: DistributionConfig,
    /// As CloudFront sent it.
    text: String,
    etag: String,
}

impl Config {
    /// Its version.
    pub(crate) fn etag(&self) -> &str {
        &self.etag
    }
}

impl CloudFront {
    pub(crate) fn new(session: &Session, id: DistributionId) -> Self {
        let config = aws_sdk_cloudfront::config::Builder::from(session.sending()).interceptor(Verbatim);
        let sdk = aws_sdk_cloudfront::Client::from_conf(config.build());
        Self { session: session.clone(), sdk, id }
    }

    pub(crate) fn id(&self) -> &DistributionId {
        &self.id
    }

    fn reads(&self, operation: &'static str, doing: &str) -> Call {
        self.session.reads("cloudfront", operation, format!("{doing} {}", self.id))
    }

    fn changes(&self, operation: &'static str, doing: &str) -> Call {
        self.session.changes("cloudfront", operation, format!("{doing} {}", self.id))
    }

    /// What it is now.
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_GetDistribution.html>
    pub(crate) async fn distribution(&self) -> Result<Distribution> {
        let call = self.reads("GetDistribution", "look at the distribution");
        let sent = self.sdk.get_distribution().id(self.id.as_str()).send().await;
        let answer = sent.map_err(|error| missing(explain(&call, &error)))?;
        let lacks = |what| lacking(&format!("look at the distribution {}", self.id), what);
        let found = answer.distribution().ok_or_else(|| lacks("distribution"))?;
        let config = found.distribution_config().ok_or_else(|| lacks("configuration"))?;
        Ok(Distribution {
            id: self.id.clone(),
            domain: found.domain_name().to_owned(),
            deployed: found.status() == "Deployed",
            enabled: config.enabled(),
            signed: config.default_cache_behavior().is_some_and(is_signed),
            plain: is_plain(config),
            root: config.default_root_object().filter(|root| !root.is_empty()).map(str::to_owned),
            etag: answer.e_tag().ok_or_else(|| lacks("entity tag"))?.to_owned(),
            origins: origins(config),
        })
    }

    /// Its configuration, to be changed.
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_GetDistributionConfig.html>
    pub(crate) async fn config(&self) -> Result<Config> {
        let call = self.reads("GetDistributionConfig", "read the configuration of the distribution");
        let request = self.sdk.get_distribution_config().id(self.id.as_str()).send();
        let (answer, bytes) = verbatim::bytes(&call, None, request).await.map_err(missing)?;
        let GetDistributionConfigOutput { distribution_config, e_tag, .. } = answer;
        let lacks = |what| lacking(&format!("read the configuration of {}", self.id), what);
        Ok(Config {
            read: distribution_config.ok_or_else(|| lacks("configuration"))?,
            text: String::from_utf8(bytes).map_err(|_| lacks("text"))?,
            etag: e_tag.ok_or_else(|| lacks("entity tag"))?,
        })
    }

    /// Lets these origins begin at another path, if the configuration is still this one. The version of the new one.
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateDistribution.html>
    pub(crate) async fn point(&self, config: Config, origins: &BTreeSet<&str>, path: &str) -> Result<String> {
        let doing = format!("move the origin path to {path} on the distribution");
        let body = with_origin_path(&config.text, origins, path)?;
        let call = self.changes("UpdateDistribution", &doing);
        let request = self.sdk.update_distribution().id(self.id.as_str()).if_match(config.etag);
        // What the SDK made of the configuration stands for it here; what is sent is the text.
        let request = request.distribution_config(config.read).send();
        let (answer, _) = verbatim::bytes(&call, Some(body.into_bytes()), request).await?;
        answer
            .e_tag()
            .map(str::to_owned)
            .ok_or_else(|| lacking(&doing, "entity tag").with_effect(rollback_core::Effect::Applied))
    }

    /// Has these paths forgotten. The same reference with the same paths is the same invalidation, however often it is sent.
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html>
    pub(crate) async fn invalidate(&self, reference: &str, paths: &Paths) -> Result<Invalidation> {
        let call = self.changes("CreateInvalidation", "have paths forgotten by the distribution");
        let unmade = |error: aws_sdk_cloudfront::error::BuildError| {
            Error::new(ErrorKind::Other, "make an invalidation", error.to_string())
        };
        let quantity = i32::try_from(paths.len()).unwrap_or(i32::MAX);
        let items = Some(paths.iter().cloned().collect());
        let listed = sdk::Paths::builder().quantity(quantity).set_items(items).build().map_err(unmade)?;
        let batch = InvalidationBatch::builder().paths(listed).caller_reference(reference);
        let batch = batch.build().map_err(unmade)?;
        let request = self.sdk.create_invalidation().distribution_id(self.id.as_str());
        let sent = request.invalidation_batch(batch).send().await;
        let answer = sent.map_err(|error| missing(explain(&call, &error)))?;
        let made = answer.invalidation().ok_or_else(|| lacking("have paths forgotten", "invalidation"))?;
        Ok(invalidation(made))
    }

    /// Whether its invalidations may be listed: an error if not.
    pub(crate) async fn may_list_invalidations(&self) -> Result<()> {
        let call = self.reads("ListInvalidations", "list the invalidations of the distribution");
        let request = self.sdk.list_invalidations().distribution_id(self.id.as_str()).max_items(1);
        request.send().await.map(drop).map_err(|error| missing(explain(&call, &error)))
    }

    /// The invalidation whose reference begins so, among the newest ones.
    ///
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ListInvalidations.html>,
    /// <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_GetInvalidation.html>
    pub(crate) async fn invalidation(&self, reference: &str) -> Result<Option<Invalidation>> {
        let call = self.reads("ListInvalidations", "list the invalidations of the distribution");
        let request = self.sdk.list_invalidations().distribution_id(self.id.as_str()).max_items(NEWEST);
        let answer = request.send().await.map_err(|error| missing(explain(&call, &error)))?;
        // They come newest first: ours is seldom far.
        for summary in answer.invalidation_list().map(sdk::InvalidationList::items).unwrap_or_default() {
            let call = self.reads("GetInvalidation", "look at an invalidation of the distribution");
            let request = self.sdk.get_invalidation().distribution_id(self.id.as_str()).id(summary.id());
            let answer = request.send().await.map_err(|error| explain(&call, &error))?;
            let ours = |found: &&sdk::Invalidation| {
                found
                    .invalidation_batch()
                    .is_some_and(|batch| batch.caller_reference().starts_with(reference))
            };
            if let Some(found) = answer.invalidation().filter(ours) {
                return Ok(Some(invalidation(found)));
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for CloudFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudFront").field("id", &self.id).finish_non_exhaustive()
    }
}

fn invalidation(found: &sdk::Invalidation) -> Invalidation {
    Invalidation { id: found.id().to_owned(), completed: found.status() == "Completed" }
}

/// A distribution that does not exist.
fn missing(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    error.next("see which distributions there are: aws cloudfront list-distributions --query 'DistributionList.Items[].[Id,DomainName,Comment]' --output text")
}

/// The origins, those of the default behaviour first: it may name a group of them.
fn origins(config: &DistributionConfig) -> Vec<Origin> {
    let target = config.default_cache_behavior().map(DefaultCacheBehavior::target_origin_id);
    let groups = config.origin_groups().map(sdk::OriginGroups::items).unwrap_or_default();
    let members =
        groups.iter().filter(|group| Some(group.id()) == target).filter_map(|group| group.members());
    let members: Vec<&str> =
        members.flat_map(sdk::OriginGroupMembers::items).map(sdk::OriginGroupMember::origin_id).collect();
    let all = config.origins().map(sdk::Origins::items).unwrap_or_default();
    let mut origins: Vec<Origin> = all
        .iter()
        .map(|origin| Origin {
            id: origin.id().to_owned(),
            domain: origin.domain_name().to_owned(),
            path: origin.origin_path().unwrap_or_default().to_owned(),
        })
        .collect();
    origins
        .sort_by_key(|origin| Some(origin.id.as_str()) != target && !members.contains(&origin.id.as_str()));
    origins
}

fn is_signed(behavior: &DefaultCacheBehavior) -> bool {
    behavior.trusted_signers().is_some_and(sdk::TrustedSigners::enabled)
        || behavior.trusted_key_groups().is_some_and(sdk::TrustedKeyGroups::enabled)
}

/// See [`Distribution::plain`].
fn is_plain(config: &DistributionConfig) -> bool {
    let others = config.cache_behaviors().map(sdk::CacheBehaviors::items).unwrap_or_default();
    let pages = config.custom_error_responses().map(sdk::CustomErrorResponses::items).unwrap_or_default();
    config.default_cache_behavior().is_some_and(is_default_plain)
        && others.iter().all(is_other_plain)
        // A page that stands for one that is missing is kept under the path of that one.
        && pages.iter().all(|page| page.response_page_path().is_none_or(str::is_empty))
}

/// Both kinds of behaviours have these, and no type in common.
macro_rules! by_path {
    ($name:ident, $behavior:ty) => {
        fn $name(behavior: &$behavior) -> bool {
            // The older way; it is deprecated and still in use.
            #[expect(deprecated, reason = "distributions that were made so are still answered so")]
            let older = behavior.forwarded_values().is_some_and(|values| !values.query_string());
            let policy = behavior.cache_policy_id().map_or(older, |policy| BY_PATH.contains(&policy));
            policy
                && behavior.function_associations().is_none_or(|found| found.quantity() == 0)
                && behavior.lambda_function_associations().is_none_or(|found| found.quantity() == 0)
        }
    };
}
by_path!(is_default_plain, DefaultCacheBehavior);
by_path!(is_other_plain, CacheBehavior);
