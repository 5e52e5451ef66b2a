//! Images and repositories.

use std::time::Duration;

use rollback_aws_support::ecr::{ImageId, Repository, Storage};
use rollback_core::{Digest, Reading};
use rollback_scripted_aws::{Does, Injection};

use crate::bed::{bed, web};

#[tokio::test]
async fn many_targets_ask_together() {
    let bed = bed().await;
    for n in 0..60 {
        bed.push(&format!("b{n}"));
    }
    let repository = web();
    bed.cloud.forget_calls();
    let all = (0..60).map(|n| bed.ecr.image(&repository, ImageId::Tag(format!("b{n}"))));
    let found = futures_util::future::join_all(all).await;
    assert!(found.iter().all(|found| found.known().is_some()));
    assert_eq!(bed.cloud.count("DescribeImages"), 1);
    // One that is missing is found in a few halves, and harms no other.
    bed.cloud.forget_calls();
    let some = (0..64).map(|n| bed.ecr.image(&repository, ImageId::Tag(format!("b{n}"))));
    let found = futures_util::future::join_all(some).await;
    assert_eq!(found.iter().filter(|found| **found == Reading::Absent).count(), 4);
    assert_eq!(found.iter().filter(|found| found.known().is_some()).count(), 60);
    // 1 + 2 + 4, then four times two on each of the four levels that are left.
    assert!(bed.cloud.count("DescribeImages") <= 39, "{}", bed.cloud.count("DescribeImages"));
}

#[tokio::test]
async fn a_throttled_call_is_sent_again_and_a_broken_one_said() {
    let bed = bed().await;
    bed.cloud.inject(Injection::new("ecr", "DescribeImages", Does::Throttles).times(2));
    let image = bed.ecr.image(&web(), ImageId::Tag("v1".to_owned())).await;
    assert!(image.known().is_some(), "{image:?}");
    bed.cloud.inject(Injection::new("ecr", "DescribeImages", Does::Breaks));
    let image = bed.ecr.image(&web(), ImageId::Tag("v1".to_owned())).await;
    assert!(matches!(image, Reading::Unknown(why) if why.contains("ecr:DescribeImages")));
}

#[tokio::test]
async fn images_are_listed_with_the_newest_first() {
    let bed = bed().await;
    for n in 2..=9 {
        bed.cloud.tick(Duration::from_secs(60));
        bed.push(&format!("v{n}"));
    }
    let images = bed.ecr.images(&web()).await.known().cloned().unwrap();
    let tags: Vec<_> = images.iter().flat_map(|image| &image.tags).map(String::as_str).collect();
    assert_eq!(tags, ["v9", "v8", "v7", "v6", "v5", "v4", "v3", "v2", "v1"]);
    assert!(images.iter().all(|image| image.size == Some(1_000_000) && image.pushed_at.is_some()));
    assert!(images.iter().all(|image| image.storage == Storage::Standard && !image.index));
    let gone = Repository::of(&"123456789012.dkr.ecr.eu-west-1.amazonaws.com/gone".parse().unwrap()).unwrap();
    assert_eq!(bed.ecr.images(&gone).await, Reading::Absent);
}

#[tokio::test]
async fn whoever_may_only_pull_learns_the_digest_alone() {
    let bed = bed().await;
    let digest = bed.push("v2").to_string();
    bed.denies("ecr", "DescribeImages");
    let image = bed.ecr.image(&web(), ImageId::Tag("v2".to_owned())).await.known().cloned().unwrap();
    assert_eq!((image.digest.as_str(), image.size, image.pushed_at), (digest.as_str(), None, None));
    assert_eq!(bed.ecr.image(&web(), ImageId::Tag("v9".to_owned())).await, Reading::Absent);
    let listed = bed.ecr.images(&web()).await;
    assert!(matches!(listed, Reading::Unknown(why) if why.contains("ecr:DescribeImages")));
}

#[tokio::test]
async fn a_registry_is_asked_in_its_own_region() {
    let bed = bed().await;
    let far = "999999999999.dkr.ecr.us-east-1.amazonaws.com/web:v1";
    bed.cloud.world().images.tag(far, Digest::of_bytes(b"far").to_string());
    let repository = Repository::of(&far.parse().unwrap()).unwrap();
    assert!(bed.ecr.image(&repository, ImageId::Tag("v1".to_owned())).await.known().is_some());
    assert!(bed.ecr.image(&web(), ImageId::Tag("v1".to_owned())).await.known().is_some());
    assert_eq!(bed.regions("DescribeImages"), ["us-east-1", "eu-west-1"]);
}
