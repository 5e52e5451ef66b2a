//! `rollback incidents`.

use rollback_core::Result;
use rollback_watch::Incidents;

use crate::args::IncidentsArgs;
use crate::outcome::Outcome;
use crate::render::watch;
use crate::session::Session;

pub(crate) async fn run(session: &Session<'_>, args: &IncidentsArgs) -> Result<Outcome> {
    let mut found = Incidents::new(session.records().await?).all().await?;
    let environment = session.global.environment.as_ref();
    found.retain(|incident| {
        let named = args.components.is_empty() || args.components.contains(&incident.component);
        named && environment.is_none_or(|environment| *environment == incident.environment)
    });
    found.truncate(args.limit);
    Outcome::done(watch::incidents(session.style(), &found)).with("incidents", &found)
}
