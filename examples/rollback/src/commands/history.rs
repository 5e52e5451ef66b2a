//! `rollback history`.

use rollback_core::Result;

use crate::args::HistoryArgs;
use crate::outcome::Outcome;
use crate::render::history;
use crate::session::{Acting, Session};

pub(crate) async fn run(session: &Session<'_>, args: &HistoryArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let component = &args.component;
    let engine = session.engine(environment, std::slice::from_ref(component), Acting::default()).await?;
    let candidates = engine.history(component, args.limit).await?;
    let command = format!("rollback run {component}");
    let text = if candidates.is_empty() {
        format!("nothing that {component} could be put back to is known\n")
    } else {
        history::candidates(session.style(), &candidates, Some(&command))
    };
    Outcome::done(text).with("component", component)?.with("candidates", &candidates)
}
