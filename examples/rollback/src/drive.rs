//! Follows a run to its end: shows its progress, and stops it when somebody wants that.

use std::future::Future;
use std::pin::pin;

use rollback_core::progress::{Event, Events, Progress};
use rollback_core::{Report, Result, RunId};
use tokio_util::sync::CancellationToken;

use crate::render::Tone;
use crate::render::progress::Display;
use crate::session::{Acting, Session};
use crate::signals::Stops;

/// How following a run ended.
#[derive(Debug)]
pub(crate) enum Driven {
    /// The engine brought it to an end, or could not begin.
    Ended(Result<Box<Report>>),
    /// Somebody wanted to leave at once. The run, if it had begun.
    Left(Option<RunId>),
}

/// The near end of an engine's progress and cancellation.
#[derive(Debug)]
pub(crate) struct Live {
    events: Events,
    cancel: CancellationToken,
}

impl Live {
    /// Both ends.
    pub(crate) fn new(break_glass: Option<String>) -> (Self, Acting) {
        let (progress, events) = Progress::channel();
        let cancel = CancellationToken::new();
        let acting = Acting { progress, cancel: cancel.clone(), break_glass };
        (Self { events, cancel }, acting)
    }

    /// Follows `work`.
    pub(crate) async fn follow(
        self,
        session: &Session<'_>,
        work: impl Future<Output = Result<Report>>,
    ) -> Result<Driven> {
        let stops = Stops::install()?;
        let display = Display::start(session.console, session.error_style(), session.manner());
        let driven = self.until_ended(session, &display, stops, work).await;
        display.finish();
        Ok(driven)
    }

    async fn until_ended(
        mut self,
        session: &Session<'_>,
        display: &Display,
        mut stops: Stops,
        work: impl Future<Output = Result<Report>>,
    ) -> Driven {
        let mut work = pin!(work);
        let mut run = None;
        let mut telling = true;
        let mut show = |event: Event| {
            if let Event::RunStarted { run: started, .. } = &event {
                run = Some(*started);
            }
            display.show(event);
        };
        loop {
            tokio::select! {
                result = &mut work => {
                    while let Some(event) = self.events.try_next() {
                        show(event);
                    }
                    return Driven::Ended(result.map(Box::new));
                }
                event = self.events.next(), if telling => match event {
                    Some(event) => show(event),
                    None => telling = false,
                },
                () = stops.next() => {
                    if self.cancel.is_cancelled() {
                        return Driven::Left(run);
                    }
                    self.cancel.cancel();
                    say_stopping(session);
                }
            }
        }
    }
}

fn say_stopping(session: &Session<'_>) {
    let text = "stopping at the next safe point; once more to leave at once";
    let style = session.error_style();
    session.console.print_error(&format!("\n{}\n", style.paint(Tone::Careful, text)));
}
