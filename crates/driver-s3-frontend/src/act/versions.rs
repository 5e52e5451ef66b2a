//! Putting back what was served at a time, from the versions of the objects.

use jiff::Timestamp;
use rollback_core::{ActionContext, Error, ErrorKind, Identity, Landing, Result};

use super::superseded;
use crate::client::Versioning;
use crate::site::Site;
use crate::snapshot::Source;

impl Site {
    /// Puts back what differs from what was served at that time. It may be repeated from any point: whatever it writes is younger than
    /// that time, and what was served then stays known.
    pub(crate) async fn restore(
        &self,
        cx: &ActionContext,
        at: Option<Timestamp>,
        identity: Identity,
    ) -> Result<Landing> {
        // Switched off in between, what is written over now would be lost.
        let Versioning::On { mfa_delete } = self.client.versioning().await? else {
            let found = "the bucket keeps no versions any more";
            return Err(Error::new(ErrorKind::Conflict, "put versions back", found).next("plan again"));
        };
        let gone = || {
            let found = format!("the versions show no time at which {} was served", identity.short());
            Error::new(ErrorKind::NotFound, "read the versions", found)
                .next("versions of it were removed; choose another state: rollback history")
        };
        let found = self.compare_found(identity, (at, None), !mfa_delete, &[]).await?;
        let (at, compared) = found.ok_or_else(gone)?;
        if let Some(landing) = superseded(cx, &compared.tally) {
            return Ok(landing);
        }
        self.make(cx, &self.live, compared, Source::Versions(at)).await
    }
}
