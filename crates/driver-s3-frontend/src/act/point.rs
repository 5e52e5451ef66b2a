//! Letting the distribution serve another release of the archive.

use std::collections::BTreeSet;

use rollback_core::{ActionContext, Effect, Error, ErrorKind, Identity, Landing, Receipt, Result, Token};

use crate::memory::Good;
use crate::names::{DistributionId, Prefix, Release};
use crate::site::Site;

/// A prefix as an origin path.
fn path_of(prefix: &Prefix) -> String {
    format!("/{}", prefix.as_str().trim_end_matches('/'))
}

impl Site {
    /// One request, which CloudFront refuses where somebody else changed the distribution in between.
    pub(crate) async fn point(
        &self,
        cx: &ActionContext,
        id: &DistributionId,
        release: Option<&Release>,
        identity: Identity,
    ) -> Result<Landing> {
        let cloudfront = self.cloudfront(id)?;
        let release = self.holding(release, identity).await.map_err(unsent)?;
        let distribution = cloudfront.distribution().await.map_err(unsent)?;
        if cx.expected.as_ref().is_some_and(|expected| expected.as_str() != distribution.etag) {
            return Ok(Landing::Superseded { by: "another change of the distribution".to_owned() });
        }
        let (served, origins) =
            distribution.release(self.client.bucket(), &self.layout).map_err(unknown_place)?;
        if served == release {
            return Ok(Landing::Applied(
                Receipt::default().with_token(Token::new(distribution.etag.clone())),
            ));
        }
        let config = cloudfront.config().await.map_err(unsent)?;
        let origins: BTreeSet<&str> = origins.iter().map(|origin| origin.id.as_str()).collect();
        let etag = config.etag().to_owned();
        // Its origins were read from another configuration than the one that is changed.
        if etag != distribution.etag {
            return Ok(Landing::Superseded { by: "another change of the distribution".to_owned() });
        }
        let etag = cloudfront.point(config, &origins, &path_of(&self.layout.of(&release))).await?;
        Ok(Landing::Applied(Receipt::default().with_token(Token::new(etag))))
    }

    /// CloudFront keeps no mark of who moved it: the version of its configuration says whether anybody did, and the path where to.
    pub(crate) async fn pointed(
        &self,
        cx: &ActionContext,
        id: &DistributionId,
        release: Option<&Release>,
        identity: Identity,
    ) -> Result<Landing> {
        let distribution = self.cloudfront(id)?.distribution().await?;
        if cx.expected.as_ref().is_some_and(|expected| expected.as_str() == distribution.etag) {
            return Ok(Landing::NotApplied { why: "the distribution is as it was".to_owned() });
        }
        let release = self.holding(release, identity).await?;
        let token = Token::new(distribution.etag.clone());
        Ok(match distribution.release(self.client.bucket(), &self.layout) {
            Ok((served, _)) if served == release => {
                Landing::Applied(Receipt::default().with_token(token).presumed())
            }
            Ok((served, _)) if cx.expected.is_none() => {
                Landing::NotApplied { why: format!("the distribution serves release {served}") }
            }
            Ok((served, _)) => {
                Landing::Superseded { by: format!("somebody who had it serve release {served}") }
            }
            Err(why) => Landing::Superseded { by: why },
        })
    }

    /// The release that holds this, if it still does.
    async fn holding(&self, release: Option<&Release>, identity: Identity) -> Result<Release> {
        let found = match release {
            Some(release) => self
                .release(release, Good::Nothing)
                .await?
                .filter(|found| found.identity == identity)
                .map(|_| release.clone()),
            None => self.find(identity, Good::Nothing).await?,
        };
        found.ok_or_else(|| super::gone(identity))
    }
}

/// Nothing was sent yet, whatever went wrong.
fn unsent(error: Error) -> Error {
    error.with_effect(Effect::None)
}

fn unknown_place(why: String) -> Error {
    Error::new(ErrorKind::Conflict, "move the origin path", why)
        .next("let the distribution serve a release of the archive, or leave out `pointer`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_path_has_no_end() {
        assert_eq!(path_of(&Prefix::new("versions/v1/").unwrap()), "/versions/v1");
    }
}
