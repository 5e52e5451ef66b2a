//! What speaks against going back in what is between the bucket and browsers.

use rollback_core::target::{Finding, Inspection};
use rollback_core::{ErrorKind, Result};

use super::allowed;
use crate::cdn::Distribution;
use crate::site::Site;

/// Adds what the distribution has to say.
pub(super) async fn inspect(site: &Site, inspection: Inspection) -> Result<Inspection> {
    let Some(cloudfront) = &site.front.cloudfront else { return Ok(inspection) };
    let distribution = match cloudfront.distribution().await {
        Ok(distribution) => distribution,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {
            let code = if error.kind() == ErrorKind::Denied {
                "distribution-denied"
            } else {
                "distribution-missing"
            };
            let finding =
                Finding::blocker(code, format!("cannot {}: {}", error.operation(), error.message()));
            let next = error.next_step().unwrap_or("correct `distribution`").to_owned();
            return Ok(inspection.finding(finding.next(next)));
        }
        Err(error) => return Err(error),
    };
    allowed::of_distribution(site, cloudfront, findings(site, inspection, &distribution)).await
}

fn findings(site: &Site, mut inspection: Inspection, distribution: &Distribution) -> Inspection {
    let (id, bucket) = (&distribution.id, site.client.bucket());
    if !distribution.enabled {
        let message =
            format!("the distribution {id} is disabled: nobody is served through it, whatever is put back");
        let next = format!(
            "enable it in the CloudFront console, or see why it is: aws cloudfront get-distribution-config --id {id}"
        );
        inspection = inspection.finding(Finding::warning("distribution-disabled", message).next(next));
    }
    if !distribution.deployed {
        let message = format!("a change of the distribution {id} is still on its way to the edges");
        let next =
            format!("it is waited for; to see it: aws cloudfront wait distribution-deployed --id {id}");
        inspection = inspection.finding(Finding::info("distribution-in-progress", message).next(next));
    }
    if distribution.of(bucket).next().is_none() {
        let message = format!("none of the origins of {id} is the bucket {bucket}");
        let next = "correct `distribution` or `bucket`; behind another name of the bucket, set `url` as well";
        let finding = if site.front.pointer { Finding::blocker } else { Finding::warning };
        inspection = inspection.finding(finding("distribution-foreign", message).next(next));
    } else if !site.front.pointer && distribution.begins(bucket, &site.live).is_none() {
        let message = format!("no origin of {id} serves {:?} of the bucket {bucket}", site.live.as_str());
        let next = "correct `live`, or the origin path of the distribution";
        inspection = inspection.finding(Finding::warning("distribution-elsewhere", message).next(next));
    }
    inspection
}
