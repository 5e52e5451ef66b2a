//! The application behind CloudFront, whose edges keep what they fetched until they are told to forget it.

use rollback_testkit::harness::ensure;

use super::relay::{Relay, between, cloudfront, edge};
use super::shop::{Made, Shop, told};

/// A cache policy of AWS's: an object is kept under its path alone.
const BY_PATH: &str = "658327ea-f89d-4fab-a63d-7e88639e58f6";

/// A distribution, and what browsers speak to.
pub(crate) struct Edges {
    pub(crate) distribution: String,
    pub(crate) front: Relay,
}

impl Edges {
    /// Before the bucket, which lets everybody read, with this origin path.
    pub(crate) async fn before(shop: &Shop, path: &str) -> Made<Self> {
        let bucket = &shop.bucket;
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}]}}"#
        );
        shop.s3.put_bucket_policy().bucket(bucket).policy(policy).send().await.map_err(told)?;
        let made = cloudfront(&shop.account, "POST", "", "", &settings(bucket, path))?;
        let text = made.text();
        ensure(made.status == 201, format!("no distribution: {text}"))?;
        // The first element of either name is its own.
        let first = |tag: &str| between(&text, tag).into_iter().next().unwrap_or_default();
        let distribution = first("Id");
        let front = edge(&shop.account, &distribution, &first("DomainName"))?;
        Ok(Self { distribution, front })
    }
}

fn settings(bucket: &str, path: &str) -> String {
    format!(
        "<DistributionConfig><CallerReference>{bucket}</CallerReference><Comment>the application</Comment><Enabled>true</Enabled>\
         <DefaultRootObject>index.html</DefaultRootObject><Origins><Quantity>1</Quantity><Items><Origin><Id>site</Id>\
         <DomainName>{bucket}.s3.us-east-1.amazonaws.com</DomainName><OriginPath>{path}</OriginPath>\
         <S3OriginConfig><OriginAccessIdentity></OriginAccessIdentity></S3OriginConfig></Origin></Items></Origins>\
         <DefaultCacheBehavior><TargetOriginId>site</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy>\
         <CachePolicyId>{BY_PATH}</CachePolicyId></DefaultCacheBehavior></DistributionConfig>"
    )
}
