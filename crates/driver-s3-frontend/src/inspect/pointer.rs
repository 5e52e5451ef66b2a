//! Pointing a distribution to another release.

use rollback_core::target::{Finding, Inspection, Reading, Shown};
use rollback_core::{Error, Result};
use serde_json::json;

use super::allowed::unasked;
use crate::client::CloudFront;
use crate::facts::Whence;
use crate::names::Release;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::strategy::NOT_A_COPY;

pub(super) async fn inspect(
    site: &Site,
    cloudfront: &CloudFront,
    from: Option<&SiteSnapshot>,
    to: &SiteSnapshot,
) -> Result<Inspection> {
    let found = async { Ok::<_, Error>((site.holds(to).await?, cloudfront.distribution().await)) };
    let (release, distribution) = found.await?;
    // A distribution that cannot be asked is a finding of its own.
    let serves = match distribution {
        Ok(distribution) => {
            distribution.release(site.client.bucket(), &site.layout).map(|(release, _)| release)
        }
        Err(error) => Err(error.message().to_owned()),
    };
    let path = |release: &Release| Shown::Plain(site.layout.of(release).to_string());
    let mut inspection = super::overview(from, to);
    let moves = release.as_ref().is_some_and(|release| serves.as_ref().ok() != Some(release));
    inspection = unasked(inspection, moves.then_some("cloudfront:CreateInvalidation").into_iter());
    if let Some(release) = release.as_ref().filter(|release| serves.as_ref().ok() != Some(*release)) {
        inspection = inspection.differs("origin path", serves.as_ref().ok().map(path), Some(path(release)));
        if let Ok(from) = &serves {
            inspection = inspection.finding(open_tabs(from, release));
        }
    }
    let presence = if release.is_some() { Reading::Known(None) } else { Reading::Absent };
    let archive = match (release, serves) {
        (_, Err(why)) => Whence::Nowhere(why),
        (Some(release), Ok(_)) => Whence::From(release),
        (None, Ok(_)) => Whence::Nowhere("no copy of it is in the archive".to_owned()),
    };
    let versions = Whence::<Release>::Nowhere(NOT_A_COPY.to_owned());
    let facts = json!({ "archive": archive, "versions": versions });
    Ok(inspection.artifact(to.artifact(), presence).facts(facts))
}

/// Nothing is kept here for those who have the page of the release before.
fn open_tabs(from: &Release, to: &Release) -> Finding {
    let message = format!(
        "pages of {from} that are open, or load right then, lose those of its assets that {to} has not"
    );
    let next = "a reload helps them; for good, serve assets from a folder of all releases, through an origin of its own";
    Finding::info("open-tabs", message).next(next)
}
