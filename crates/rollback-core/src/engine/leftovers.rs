//! What rollbacks left behind for a while: looked at, and taken away under the target's lease.

use super::{Engine, run};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;
use crate::tidies::{Leftovers, Tidying};

impl Engine {
    /// What rollbacks of a component left that may go now. `None` of a target that leaves nothing behind.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn leftovers(&self, component: &ComponentName) -> Result<Option<Leftovers>> {
        self.context.info(component).await?;
        self.context.target(component)?.leftovers(self.context.clock.now()).await
    }

    /// Takes it away.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] while somebody works on the target, or where a run that was cut off may still have something on its
    /// way; what could not be removed.
    pub async fn tidy(&self, component: &ComponentName) -> Result<Option<Leftovers>> {
        let target = self.context.target(component)?;
        let info = self.context.info(component).await?;
        let lease = self.context.leasing.acquire(&info.id, run::new_id(&self.context)).await?;
        let open = lease.found.as_ref().map(|head| head.open.clone()).unwrap_or_default();
        if let Some(first) = open.first() {
            let found = format!("run {} was cut off, and may still have something on its way", first.run);
            let next = format!("bring it to its end: rollback resume {}", first.run);
            lease.release(open).await;
            return Err(Error::new(ErrorKind::Conflict, format!("tidy up {component}"), found).next(next));
        }
        let stop = lease.lost().child_token();
        let (cancel, stopped) = (self.context.cancel.clone(), stop.clone());
        let tidying = Tidying::new(self.context.clock.now()).stopping(stop);
        let tidied = {
            let work = target.tidy(&tidying);
            tokio::pin!(work);
            tokio::select! {
                biased;
                tidied = &mut work => tidied,
                () = cancel.cancelled() => {
                    stopped.cancel();
                    work.await
                }
            }
        };
        lease.release(Vec::new()).await;
        tidied
    }
}
