//! Who holds a component, and taking it away.

use super::Engine;
use crate::error::Result;
use crate::lease::Holding;
use crate::name::ComponentName;

impl Engine {
    /// Who holds the lease of a component, if somebody does. Watches for a beat: at most one time to live long.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn holding(&self, component: &ComponentName) -> Result<Option<Holding>> {
        let info = self.context.info(component).await?;
        self.context.leasing.watch(&info.id).await
    }

    /// Takes the lease away from the holder that [`holding`](Self::holding) saw: for a process that a person knows to be
    /// gone. Should it wake after all, it is authorised to nothing any more and ends
    /// [`Superseded`](crate::State::Superseded); at most the one request that it had already been authorised to send may
    /// still land. What it left open stays known, so that [`resume`](Self::resume) or the next run settles it. `false`
    /// when nobody held it any more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) for a holder that beats, unless it is forced;
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when somebody else holds it by now.
    pub async fn unlock(&self, seen: &Holding, by: Option<&str>, force: bool) -> Result<bool> {
        let person = self.context.leasing.holder.person();
        self.context.leasing.fence(seen, by.unwrap_or(&person), force).await
    }
}
