//! Putting back what was served at a time, from the versions of the objects.

use rollback_core::{ActionContext, Error, ErrorKind, Identity, Landing, Result};

use super::superseded;
use crate::client::Versioning;
use crate::manifest::Gone;
use crate::past::{Sought, Thought};
use crate::site::Site;

impl Site {
    /// Puts back what differs from what was served then. It may be repeated from any point: whatever it writes is younger than that
    /// time, and what was served then stays known.
    pub(crate) async fn restore(
        &self,
        cx: &ActionContext,
        thought: Thought,
        identity: Identity,
    ) -> Result<Landing> {
        // Switched off in between, what is written over now would be lost.
        let Versioning::On { mfa_delete } = self.client.versioning().await? else {
            let found = "the bucket keeps no versions any more";
            return Err(Error::new(ErrorKind::Conflict, "put versions back", found).next("plan again"));
        };
        let (source, compared) = match self.compare_found(identity, thought, !mfa_delete, &[]).await? {
            Sought::Found(source, compared) => (source, compared),
            Sought::Nowhere(gone) => return Err(not_there(identity, gone)),
        };
        if let Some(landing) = superseded(cx, &compared.tally) {
            return Ok(landing);
        }
        self.make(cx, &self.live, *compared, source).await
    }
}

fn not_there(identity: Identity, gone: Option<Gone>) -> Error {
    let found = match gone {
        Some(gone) => gone.why,
        None => format!("the versions show no time at which {} was served", identity.short()),
    };
    Error::new(ErrorKind::NotFound, "read the versions", found)
        .next("versions of it were removed; choose another state: rollback history")
}
