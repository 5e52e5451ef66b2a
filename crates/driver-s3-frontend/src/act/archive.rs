//! Putting a release back from its copy in the archive.

use jiff::Timestamp;
use rollback_core::{ActionContext, Identity, Landing, Result};

use super::{gone, superseded};
use crate::client::Versioning;
use crate::memory::Good;
use crate::names::Release;
use crate::past::Thought;
use crate::site::Site;
use crate::snapshot::Source;

impl Site {
    /// Copies what differs from a release in the archive. It may be repeated from any point: what is right already is not touched.
    pub(crate) async fn put_back(
        &self,
        cx: &ActionContext,
        release: &Release,
        identity: Identity,
    ) -> Result<Landing> {
        let noted = self.noted(identity, None).await?;
        let compared = self.compare(release, &self.memory.to_apply(cx, identity), noted.as_ref()).await?;
        if compared.release.identity() != identity {
            return Err(gone(identity));
        }
        if let Some(landing) = superseded(cx, &compared.tally) {
            return Ok(landing);
        }
        self.make(cx, &self.layout.of(release), compared, Source::Archive(release.clone())).await
    }

    /// The same for what nobody looked for yet: the way back to what was live. The archive need not have it.
    pub(crate) async fn put_back_from_anywhere(
        &self,
        cx: &ActionContext,
        seen: Option<Timestamp>,
        identity: Identity,
    ) -> Result<Landing> {
        if let Some(release) = self.find(identity, Good::Nothing).await? {
            return self.put_back(cx, &release, identity).await;
        }
        match self.client.versioning().await? {
            Versioning::On { .. } => {
                self.restore(cx, Thought { at: seen, ..Thought::default() }, identity).await
            }
            Versioning::Off | Versioning::Suspended => Err(gone(identity)),
        }
    }
}
