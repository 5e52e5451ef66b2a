//! The seven methods.

use async_trait::async_trait;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Shown, Standing};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Capabilities, Evidence, Finding, Goal, Landing, Observation, PartId, PartState, Reading,
    Receipt, Result, Snapshot as _, Target, TargetId, TargetInfo, Token,
};

use crate::client::{FlagClient, Write};
use crate::flag::{Flag, SetFlag};

/// One flag.
#[derive(Debug)]
pub struct FlagTarget {
    client: FlagClient,
}

impl FlagTarget {
    /// The flag that `client` talks about.
    #[must_use]
    pub fn new(client: FlagClient) -> Self {
        Self { client }
    }
}

/// What flags can do. The conformance kit chooses its cases by it: claim only what holds.
pub(crate) fn capabilities() -> Capabilities {
    let can = Capabilities::default().history().keeps_keys().refuses_stale_writers();
    // How long something in between may hold a request that it no longer answers for.
    can.with_visibility_lag(Lasting::from_secs(10))
}

/// A flag has one part: itself. The service is what programs ask, so what it says is what holds.
fn part(flag: &Flag) -> Result<PartState> {
    Ok(PartState::verified(PartId::new("flag")?, Some(flag.info().identity)))
}

fn receipt(write: &Write) -> Receipt {
    Receipt::default().with_token(write.token())
}

#[async_trait]
impl Target for FlagTarget {
    type Snapshot = Flag;
    type Action = SetFlag;

    async fn info(&self) -> Result<TargetInfo> {
        let page = self.client.read().await?;
        // The service's own name for itself: two operators may have got there by different addresses.
        let id = TargetId::new(format!("flag:{}/{}", page.service, page.flag))?;
        Ok(TargetInfo::new(id, page.service).with_capabilities(capabilities()))
    }

    async fn observe(&self, _after: Option<&Token>) -> Result<Observation<Flag>> {
        let now = self.client.read().await?.now()?;
        let part = part(&now.flag())?;
        Ok(Observation::settled(Reading::Known(now.flag()), now.token()).part(part))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Flag>>> {
        let page = self.client.read().await?;
        let mut entries: Vec<HistoryEntry<Flag>> = Vec::new();
        for write in page.writes.iter().filter(|write| query.wants(&write.flag().info())) {
            if entries.len() < query.limit && entries.iter().all(|entry| entry.snapshot != write.flag()) {
                let current = page.writes[0].value == write.value;
                let standing = if current { Standing::Current } else { Standing::Ran };
                entries.push(HistoryEntry::new(write.flag(), standing).with_ran_at(write.at));
            }
        }
        Ok(entries)
    }

    async fn inspect(&self, from: Option<&Flag>, to: &Flag) -> Result<Inspection> {
        let page = self.client.read().await?;
        let shown = |flag: &Flag| Shown::Plain(flag.value.to_string());
        let found = Inspection::default().differs("value", from.map(shown), Some(shown(to)));
        if page.variants.contains(&to.value) {
            return Ok(found.artifact(to.variant(), Reading::Known(None)));
        }
        let gone = Finding::blocker("variant-retired", format!("the flag has no variant {}", to.value));
        Ok(found.artifact(to.variant(), Reading::Absent).finding(gone.next(page.choices())))
    }

    async fn apply(&self, cx: &ActionContext, action: &SetFlag) -> Result<Landing> {
        // The service compares the token and remembers the key: nothing is left to do here.
        let page = self.client.write(&action.value, cx).await?;
        let mine = page.write_of(&cx.key).map(receipt).unwrap_or_default();
        Ok(Landing::Applied(mine))
    }

    async fn probe(&self, cx: &ActionContext, _action: &SetFlag) -> Result<Landing> {
        let page = self.client.read().await?;
        let now = page.now()?;
        if let Some(mine) = page.write_of(&cx.key) {
            return Ok(Landing::Applied(receipt(mine)));
        }
        Ok(match &cx.expected {
            Some(expected) if *expected == now.token() => {
                Landing::NotApplied { why: format!("it is still {}, and our key is not known", now.value) }
            }
            // As far back as the service remembers, no write has our key.
            Some(expected) if page.remembers(expected) => {
                Landing::Superseded { by: format!("somebody who wrote {}", now.value) }
            }
            _ => Landing::Unknown { why: "the service no longer remembers writes that old".to_owned() },
        })
    }

    async fn prove(&self, _goal: &Goal<Flag>) -> Result<Evidence> {
        let now = self.client.read().await?.now()?;
        Ok(Evidence::default().part(part(&now.flag())?).compared("the value that the service gives out"))
    }
}
