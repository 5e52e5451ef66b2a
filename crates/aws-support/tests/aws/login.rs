//! Logins to registries.

use std::time::Duration;

use jiff::SignedDuration;
use rollback_aws_support::{EcrRegistry, ImageRef, Registry};
use rollback_core::ErrorKind;
use rollback_scripted_aws::{Does, Injection};

use crate::bed::bed;

const HOUR: u64 = 3600;

fn registry(account: &str, region: &str) -> EcrRegistry {
    let image: ImageRef = format!("{account}.dkr.ecr.{region}.amazonaws.com/web").parse().unwrap();
    match image.registry() {
        Some(Registry::Ecr(registry)) => registry.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_login_is_remembered_until_shortly_before_it_expires() {
    let bed = bed().await;
    let home = registry("123456789012", "eu-west-1");
    let first = bed.ecr.login(&home).await.unwrap();
    assert_eq!((first.user(), first.registry()), ("AWS", &home));
    assert!(first.password().expose().len() > 1000);
    assert_eq!(first.expires_at(), bed.cloud.now() + SignedDuration::from_hours(12));

    bed.cloud.tick(Duration::from_secs(11 * HOUR + 30 * 60));
    assert_eq!(bed.ecr.login(&home).await.unwrap(), first);
    assert_eq!(bed.cloud.count("GetAuthorizationToken"), 1);

    bed.cloud.tick(Duration::from_secs(20 * 60));
    let second = bed.ecr.login(&home).await.unwrap();
    assert_ne!(second.password(), first.password(), "ten minutes before it expires");
    assert_eq!(bed.ecr.login(&home).await.unwrap(), second);
    assert_eq!(bed.cloud.count("GetAuthorizationToken"), 2);
}

#[tokio::test]
async fn one_login_opens_the_registries_of_a_region() {
    let bed = bed().await;
    let home = registry("123456789012", "eu-west-1");
    let all = (0..20).map(|_| bed.ecr.login(&home));
    let logins = futures_util::future::join_all(all).await;
    let ours = logins
        .into_iter()
        .reduce(|a, b| if a.as_ref().unwrap() == b.as_ref().unwrap() { a } else { panic!() });
    let ours = ours.unwrap().unwrap();
    let theirs = bed.ecr.clone().login(&registry("999999999999", "eu-west-1")).await.unwrap();
    assert_eq!(theirs.password(), ours.password());
    assert_eq!(theirs.registry().to_string(), "999999999999.dkr.ecr.eu-west-1.amazonaws.com");
    let far = bed.ecr.login(&registry("123456789012", "us-east-1")).await.unwrap();
    assert_ne!(far.password(), ours.password());
    assert_eq!(bed.regions("GetAuthorizationToken"), ["eu-west-1", "us-east-1"]);
}

#[tokio::test]
async fn a_login_that_is_refused_is_asked_for_again() {
    let bed = bed().await;
    let home = registry("123456789012", "eu-west-1");
    bed.denies("ecr", "GetAuthorizationToken");
    let error = bed.ecr.login(&home).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Denied, "log in to the registries of eu-west-1")
    );
    assert!(error.next_step().unwrap().contains("ecr:GetAuthorizationToken"), "{error}");
    bed.cloud.no_faults();
    bed.cloud.inject(Injection::new("ecr", "GetAuthorizationToken", Does::Throttles).times(2));
    bed.ecr.login(&home).await.unwrap();
    assert_eq!(bed.cloud.count("GetAuthorizationToken"), 4);
}
