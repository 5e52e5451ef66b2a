//! A site whose distribution serves a release straight from the archive: what is live is the release that its origin path names.

use rollback_core::target::{Phase, Reading};
use rollback_core::{Observation, Result, Token};

use crate::client::CloudFront;
use crate::memory::Good;
use crate::names::Release;
use crate::site::{Archived, Site};
use crate::snapshot::SiteSnapshot;
use crate::target::part;

/// What a distribution points to.
#[derive(Debug)]
pub(crate) struct Pointed {
    /// The version of the distribution's configuration.
    token: Token,
    /// Whether every edge has it.
    deployed: bool,
    /// The release; the text says what is served in place of one.
    release: Result<Release, String>,
    /// What it holds; `None` if there is nothing.
    pub(crate) archived: Option<Archived>,
}

impl Pointed {
    pub(crate) fn snapshot(&self) -> Option<&SiteSnapshot> {
        self.archived.as_ref().map(|archived| &archived.snapshot)
    }

    /// The snapshot where every edge serves it.
    pub(crate) fn settled(&self) -> Option<&SiteSnapshot> {
        self.snapshot().filter(|_| self.deployed)
    }

    /// As a strategy is told.
    pub(crate) fn release(&self) -> Result<&Release, &str> {
        self.release.as_ref().map_err(String::as_str)
    }

    /// As core is told.
    pub(crate) fn observation(&self) -> Result<Observation<SiteSnapshot>> {
        let settled = match (&self.release, self.snapshot()) {
            (Err(why), _) => Reading::Unknown(why.clone()),
            (Ok(_), None) => Reading::Absent,
            (Ok(_), Some(_)) if !self.deployed => {
                Reading::Unknown("CloudFront brings a change of the distribution to its edges".to_owned())
            }
            (Ok(_), Some(snapshot)) => Reading::Known(snapshot.clone()),
        };
        let observed = Observation::settled(settled, self.token.clone()).part(part(self.settled())?);
        Ok(match self.snapshot().filter(|_| !self.deployed) {
            Some(snapshot) => observed
                .heading_to(snapshot.clone())
                .in_phase(Phase::Progressing("CloudFront brings the change to its edges".to_owned())),
            None => observed,
        })
    }
}

impl Site {
    /// The release in the archive that holds this, first where it was thought to be.
    pub(crate) async fn holds(&self, to: &SiteSnapshot) -> Result<Option<Release>> {
        if let Some(release) = to.release() {
            let there = self.release(release, Good::Nothing).await?;
            if there.is_some_and(|there| there.identity == to.identity) {
                return Ok(Some(release.clone()));
            }
        }
        self.find(to.identity, Good::Nothing).await
    }

    /// Looks at what the distribution points to.
    pub(crate) async fn pointed_to(&self, cloudfront: &CloudFront) -> Result<Pointed> {
        let distribution = cloudfront.distribution().await?;
        let release = distribution.release(self.client.bucket(), &self.layout).map(|(release, _)| release);
        let archived = match &release {
            Ok(release) => self.listed(release).await?,
            Err(_) => None,
        };
        Ok(Pointed {
            token: Token::new(distribution.etag),
            deployed: distribution.deployed,
            release,
            archived,
        })
    }
}
