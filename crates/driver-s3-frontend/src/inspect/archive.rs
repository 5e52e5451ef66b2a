//! Going back to a release in the archive.

use rollback_core::Result;

use super::Way;
use crate::names::Release;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;

pub(super) async fn look(site: &Site, to: &SiteSnapshot) -> Result<Way<Release>> {
    let found = site.find_and_compare(to.identity, to.release(), &site.memory.to_inspect()).await?;
    Ok(match found {
        Some((release, compared)) => {
            let from = site.layout.of(&release);
            Way::through(release, compared).tried(site, &from).await?
        }
        None => Way::closed("no copy of it is in the archive"),
    })
}
