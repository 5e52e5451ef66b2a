//! Putting a release back from its copy in the archive.

use rollback_core::{ActionContext, Identity, Landing, Result};

use super::{gone, superseded};
use crate::names::Release;
use crate::site::Site;
use crate::snapshot::Source;

impl Site {
    /// Copies what differs from a release in the archive. It may be repeated from any point: what is right already is not touched.
    pub(crate) async fn put_back(
        &self,
        cx: &ActionContext,
        release: Option<&Release>,
        identity: Identity,
    ) -> Result<Landing> {
        let gone = || gone(identity);
        let release = match release {
            Some(release) => release.clone(),
            None => self.find(identity).await?.ok_or_else(gone)?,
        };
        let compared = self.compare(&release).await?;
        if compared.release.identity() != identity {
            return Err(gone());
        }
        if let Some(landing) = superseded(cx, &compared.tally) {
            return Ok(landing);
        }
        let to = Source::Archive(release.clone());
        self.make(cx, &self.layout.of(&release), compared, to).await
    }
}
