//! What is asked of a repository as a whole.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::get_lifecycle_policy::GetLifecyclePolicyError;
use aws_sdk_ecr::types::ImageIdentifier;
use rollback_core::Reading;
use serde_json::Value;

use super::images::{pulled, stored};
use super::{READ, Repository, StoredImage, newest_first};
use crate::asking::{Asker, reading};
use crate::pacing::Quota;

/// A listing of a repository ends after so many pages of 1,000 images.
const PAGES: usize = 10;
/// An index of images for several platforms is at most this long; larger ones are not looked into.
const LONGEST_INDEX: usize = 1 << 20;

const POLICY: Quota = Quota::new("ecr", "GetLifecyclePolicy", 100, 50.0);

pub(super) async fn index_holds(asker: &Asker, of: &Repository, index: &str, digest: &str) -> Reading<bool> {
    let id = ImageIdentifier::builder().image_digest(index).build();
    let answer = match pulled(asker, of, vec![id]).await {
        Ok(answer) => answer,
        Err(error) => return Reading::Unknown(error.message().to_owned()),
    };
    let image = answer.into_iter().flat_map(|answer| answer.images.unwrap_or_default()).next();
    let Some(manifest) = image.and_then(|image| image.image_manifest) else { return Reading::Absent };
    if manifest.len() > LONGEST_INDEX {
        return Reading::Unknown("the index is too large".to_owned());
    }
    let Ok(manifest) = serde_json::from_str::<Value>(&manifest) else {
        return Reading::Unknown("the index is no JSON".to_owned());
    };
    let images = manifest["manifests"].as_array().into_iter().flatten();
    Reading::Known(images.into_iter().any(|image| image["digest"] == digest))
}

pub(super) async fn upstream(asker: &Asker, of: &Repository) -> Reading<String> {
    let region = of.registry().region();
    let client = Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads(
        "ecr",
        "DescribePullThroughCacheRules",
        "see where the registry takes images from",
    );
    let send = || client.describe_pull_through_cache_rules().registry_id(of.registry().account()).send();
    let rules = match asker.ask(region, READ, &call, |_| false, send).await {
        Ok(answer) => answer.and_then(|answer| answer.pull_through_cache_rules).unwrap_or_default(),
        Err(error) => return Reading::Unknown(error.message().to_owned()),
    };
    let fits = |prefix: &str| {
        prefix == "ROOT" || of.name().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    };
    let rule = rules.into_iter().find(|rule| rule.ecr_repository_prefix.as_deref().is_some_and(fits));
    rule.map_or(Reading::Absent, |rule| Reading::Known(rule.upstream_registry_url.unwrap_or_default()))
}

pub(super) async fn policy(asker: &Asker, of: &Repository) -> Reading<String> {
    let region = of.registry().region();
    let client = Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads(
        "ecr",
        "GetLifecyclePolicy",
        format!("read the lifecycle policy of {}", of.name()),
    );
    let send = || {
        client.get_lifecycle_policy().registry_id(of.registry().account()).repository_name(of.name()).send()
    };
    let none = |error: &GetLifecyclePolicyError| {
        error.is_lifecycle_policy_not_found_exception() || error.is_repository_not_found_exception()
    };
    let answer = asker.ask(region, POLICY, &call, none, send).await;
    reading(answer.map(|answer| answer?.lifecycle_policy_text))
}

pub(super) async fn listing(asker: &Asker, of: &Repository) -> Reading<Vec<StoredImage>> {
    let region = of.registry().region();
    let client = Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads("ecr", "DescribeImages", format!("list the images of {}", of.name()));
    let mut found = Vec::new();
    let mut next = None;
    for _ in 0..PAGES {
        let send = || {
            client
                .describe_images()
                .registry_id(of.registry().account())
                .repository_name(of.name())
                .max_results(1000)
                .set_next_token(next.clone())
                .send()
        };
        let none = |error: &DescribeImagesError| error.is_repository_not_found_exception();
        match asker.ask(region, READ, &call, none, send).await {
            Err(error) => return Reading::Unknown(error.message().to_owned()),
            Ok(None) => return Reading::Absent,
            Ok(Some(answer)) => {
                found.extend(answer.image_details.unwrap_or_default().iter().filter_map(stored));
                next = answer.next_token.filter(|token| !token.is_empty());
            }
        }
        if next.is_none() {
            newest_first(&mut found);
            return Reading::Known(found);
        }
    }
    Reading::Unknown(format!("{} has more than {} images", of.name(), PAGES * 1000))
}
