//! Putting a release back from its copy in the archive.

use rollback_core::{ActionContext, Error, ErrorKind, Identity, Landing, Result};

use super::work::{Stages, Work};
use super::{Job, superseded};
use crate::diff::Change;
use crate::names::{Prefix, Release};
use crate::site::Site;
use crate::snapshot::{SiteSnapshot, Source};

impl Site {
    /// Copies what differs from a release in the archive. It may be repeated from any point: what is right already is not touched.
    pub(crate) async fn put_back(
        &self,
        cx: &ActionContext,
        release: Option<&Release>,
        identity: Identity,
    ) -> Result<Landing> {
        let gone = || {
            let found = format!("no release in the archive holds {}", identity.short());
            Error::new(ErrorKind::NotFound, "read the archive", found)
                .next("choose another one: rollback history")
        };
        let release = match release {
            Some(release) => release.clone(),
            None => self.find(identity).await?.ok_or_else(gone)?,
        };
        let mut compared = self.compare(&release).await?;
        if compared.release.identity() != identity {
            return Err(gone());
        }
        if let Some(landing) = superseded(cx, &compared.tally) {
            return Ok(landing);
        }
        let stages = self.copies_of(&self.layout.of(&release), std::mem::take(&mut compared.changes));
        let kept = compared.counts.extra - stages.deletions();
        let mut to = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), &compared.release)?;
        to.sources = vec![Source::Archive(release)];
        self.carry_out(cx, Job { stages, tally: compared.tally, mark: compared.mark, to, kept }).await
    }

    /// What is to be written. Tabs that are open still ask for the assets of the release that is left: those stay.
    fn copies_of(&self, archive: &Prefix, changes: Vec<Change>) -> Stages {
        let mut stages = Stages::default();
        for change in changes {
            let (entry, over) = match change {
                Change::Missing(entry) => (entry, None),
                Change::Differs(entry, listed) | Change::Unknown(entry, listed) => (entry, Some(listed)),
                Change::Extra(listed) if self.order.is_entry_point(&listed.key) => {
                    stages.add(&self.order, Work::Delete(listed));
                    continue;
                }
                Change::Extra(_) | Change::Same => continue,
            };
            let from = archive.join(&entry.key);
            stages.add(&self.order, Work::Copy { entry, from, over });
        }
        stages
    }
}
