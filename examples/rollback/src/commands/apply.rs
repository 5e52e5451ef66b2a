//! `rollback apply`.

use std::path::Path;

use rollback_core::{Error, ErrorKind, Plan, Result};

use super::run::act;
use crate::args::ApplyArgs;
use crate::drive::Live;
use crate::outcome::Outcome;
use crate::session::Session;

pub(crate) async fn run(session: &Session<'_>, args: &ApplyArgs) -> Result<Outcome> {
    let plan = read(&session.console.folder().join(&args.file))?;
    if let Some(wanted) = args.digest.filter(|wanted| *wanted != plan.digest()) {
        let message = format!("it has the digest {}, approved is {}", plan.digest().short(), wanted.short());
        return Err(Error::new(ErrorKind::Refused, "apply the plan", message)
            .next("review this plan and approve its own digest"));
    }
    let planned_in = &plan.environment.name;
    if let Some(named) = session.global.environment.as_ref().filter(|named| *named != planned_in) {
        let message = format!("it was made for {planned_in}, not for {named}");
        return Err(Error::new(ErrorKind::Refused, "apply the plan", message)
            .next(format!("leave --environment out, or make a plan for {named}")));
    }
    let environment = session.config.environment(Some(planned_in))?;
    let components: Vec<_> = plan.components.keys().cloned().collect();
    let (live, acting) = Live::new(args.glass.break_glass.clone());
    let engine = session.engine(environment, &components, acting).await?;
    let again = "a plan cannot be changed: make it again with --reason \"…\"";
    act(session, environment, &engine, live, &plan, again).await
}

/// No plan is larger than this: diffs and findings are bounded.
const LARGEST_PLAN: u64 = 64 << 20;

fn read(file: &Path) -> Result<Plan> {
    let failed = |message: String| {
        Error::new(ErrorKind::Invalid, format!("read the plan {}", file.display()), message)
            .next("name a file that `rollback plan -o FILE` wrote")
    };
    let size = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if size > LARGEST_PLAN {
        return Err(failed(format!("it has {size} bytes; plans are smaller")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    Plan::from_json(&text)
}
