//! `rollback record`.

use rollback_core::Result;
use rollback_core::engine::Claim;
use rollback_core::progress::{Event, Progress};

use crate::args::RecordArgs;
use crate::outcome::Outcome;
use crate::render::clean;
use crate::session::{Acting, Session};

pub(crate) async fn run(session: &Session<'_>, args: &RecordArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let component = &args.component;
    let (progress, mut events) = Progress::channel();
    let acting = Acting { progress, ..Acting::default() };
    let engine = session.engine(environment, std::slice::from_ref(component), acting).await?;
    let mut claim = match (args.good, args.pending) {
        (true, _) => Claim::good(),
        (false, true) => Claim::pending(),
        (false, false) => Claim::deployed(),
    };
    claim = claim.lift_quarantine(args.lift_quarantine);
    (claim.version, claim.commit) = (args.version.clone(), args.commit.clone());
    if let Some(by) = &args.by {
        claim = claim.by(by);
    }
    let deployment = engine.record(component, &claim).await?;
    let mut warnings = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::Warning { message, .. } = event {
            session.warn(&clean(&message));
            warnings.push(message);
        }
    }
    let kept = match &deployment.kept {
        Some(kept) => format!("  kept: its contents, {} bytes, encrypted\n", kept.bytes()),
        None => String::new(),
    };
    let label = clean(&deployment.snapshot.info.label());
    let text = match &deployment.good {
        Some(good) => format!("{component}: {label} recorded, {}\n{kept}", clean(&good.describe())),
        None if args.pending => format!(
            "{component}: {label} recorded, and has to show that it is good\n{kept}  next: `rollback guard {component}` \
             watches it for some minutes; `rollback watch` does so for ever\n"
        ),
        None => format!(
            "{component}: {label} recorded as deployed\n{kept}  next: `rollback record {component} --good` once it has \
             shown that it is good\n"
        ),
    };
    Outcome::done(text)
        .with("component", component)?
        .with("deployment", &deployment)?
        .with("warnings", &warnings)
}
