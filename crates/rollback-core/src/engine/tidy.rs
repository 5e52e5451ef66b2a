//! What is left to do once the destination is proven: the rollback is over, whatever becomes of it.

use super::component::{ComponentRun, Halt};
use crate::document::Envelope;
use crate::journal::{JournalEvent, Leg, Purpose};
use crate::progress::Stage;
use crate::strategy::Proposal;
use crate::target::Finding;

impl ComponentRun {
    /// Does what the proposal that arrived leaves for afterwards. What was not done, and why.
    pub(super) async fn tidy_up(&self) -> Option<Finding> {
        let why = match self.tidy().await {
            Ok(None) => return None,
            Ok(Some(why)) | Err(Halt::Lost(why) | Halt::Superseded(why) | Halt::Stuck(why)) => why,
            Err(Halt::Cancelled) => "stopped on request".to_owned(),
            Err(Halt::Store(error)) => error.to_string(),
        };
        let message = format!("not tidied up: {why}");
        self.warn(message.clone());
        Some(Finding::warning("not-tidied", message).next(
            "the rollback holds all the same; do by hand what the plan leaves for afterwards, or leave it",
        ))
    }

    async fn tidy(&self) -> Result<Option<String>, Halt> {
        let Some((leg, failed)) =
            self.state(|state| state.leg().map(|leg| (leg.leg.clone(), leg.failed.clone()))).await
        else {
            return Ok(None);
        };
        let leg = match (leg.purpose, failed) {
            (Purpose::Tidy, None) => leg,
            (Purpose::Tidy, failed) => return Ok(failed),
            _ => match left_by(self.proposal(&leg)?) {
                None => return Ok(None),
                Some(proposal) => {
                    let strategy = leg.strategy;
                    let leg = Leg { purpose: Purpose::Tidy, strategy, proposal: Some(proposal), token: None };
                    self.note(JournalEvent::LegStarted { leg: leg.clone() }).await?;
                    leg
                }
            },
        };
        self.emit_stage(Stage::Tidying, leg.strategy.clone());
        let Some((why, error)) = self.act(self.proposal(&leg)?).await? else { return Ok(None) };
        self.note(JournalEvent::LegFailed { why: why.clone(), error }).await?;
        Ok(Some(why))
    }
}

/// What a proposal leaves for afterwards, as one of its own: proven as that one is.
fn left_by(proposal: &Proposal<Envelope>) -> Option<Proposal<Envelope>> {
    let mut left = proposal.clone();
    left.steps = std::mem::take(&mut left.afterwards);
    (!left.steps.is_empty()).then_some(left)
}
