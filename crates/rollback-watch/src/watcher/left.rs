//! Rollbacks that a watcher began and did not live to finish.

use std::collections::BTreeSet;
use std::time::Duration;

use rollback_core::{ComponentName, ErrorKind, Result};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::event::Event;

/// How many runs are looked through.
const NEWEST: usize = 50;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(30);

/// Looks for them until `stop`, and finishes what it finds.
pub(super) async fn look_after(shared: Shared, components: Vec<ComponentName>, stop: CancellationToken) {
    let Some(first) = components.first().cloned() else { return };
    let ours: BTreeSet<_> = components.into_iter().collect();
    loop {
        if let Err(error) = finish(&shared, &first, &ours).await {
            let message = format!("what others left unfinished cannot be looked for: {error}");
            shared.telling.tell(Event::Warning { component: first.clone(), message });
        }
        tokio::select! {
            () = shared.clock.sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn finish(shared: &Shared, first: &ComponentName, ours: &BTreeSet<ComponentName>) -> Result<()> {
    let reader = shared.engines.engine(first).await?;
    for run in reader.runs(NEWEST).await? {
        let [component] = run.components.as_slice() else { continue };
        if run.state.is_some() || !ours.contains(component) || shared.board.is_acting(component) {
            continue;
        }
        let engine = shared.engines.engine(component).await?;
        // What a person began is a person's to go on with.
        if !engine.run(run.run).await?.plan.request.automatic {
            continue;
        }
        match engine.resume(run.run).await {
            Ok(report) => {
                let target = engine.target(component)?.info().await?.id;
                shared.incidents.complete(&target, run.run, report.state, report.ended_at).await?;
                let message = format!("finished run {}, which was cut off: {}", run.run, report.state);
                shared.telling.tell(Event::Warning { component: component.clone(), message });
            }
            // Somebody works on it.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
