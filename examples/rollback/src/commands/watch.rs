//! `rollback watch`.

use rollback_core::Result;
use rollback_watch::Telling;
use tokio_util::sync::CancellationToken;

use super::left;
use crate::args::WatchArgs;
use crate::outcome::Outcome;
use crate::session::Session;
use crate::watching::{follow, watcher};

pub(crate) async fn run(session: &Session<'_>, args: &WatchArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let (telling, events) = Telling::channel();
    let watcher = watcher(session, environment, &args.components, "watch", telling).await?;
    let stop = CancellationToken::new();
    match follow(session, environment, events, &stop, watcher.run(stop.clone())).await? {
        Some(()) => Ok(Outcome::done("the watch is over\n")),
        None => left(None),
    }
}
