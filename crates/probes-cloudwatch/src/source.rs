//! Whom to ask, and as whom.

use std::sync::Arc;

use rollback_aws_support::asking::Asker;
use rollback_aws_support::{AwsSettings, Pacer, Session, Sessions};
use rollback_core::Result;
use rollback_core::time::{Clock, SystemClock};

/// What a factory was given by the program that it is in.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    session: Option<Session>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Given {
    fn default() -> Self {
        Self { session: None, clock: Arc::new(SystemClock) }
    }
}

impl Given {
    pub(crate) fn of(session: Session) -> Self {
        Self { session: Some(session), ..Self::default() }
    }

    pub(crate) fn source(&self, settings: AwsSettings) -> Source {
        Source { session: self.session.clone(), settings }
    }
}

/// Where a probe gets its session.
#[derive(Debug)]
pub(crate) struct Source {
    session: Option<Session>,
    settings: AwsSettings,
}

impl Source {
    /// Who asks. Sessions are shared by all that have the same settings, drivers among them.
    pub(crate) async fn asker(&self) -> Result<Asker> {
        let session = match &self.session {
            Some(session) => session.clone(),
            None => Sessions::shared().open(&self.settings).await?,
        };
        Ok(Asker::new(session, Pacer::shared()))
    }
}
