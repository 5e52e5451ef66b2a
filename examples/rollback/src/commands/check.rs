//! `rollback check`.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::engine::{Check, CheckRequest, Verdict};
use rollback_core::{ComponentName, Destination, Environment, Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::Exit;
use crate::args::CheckArgs;
use crate::config::Hidden;
use crate::destinations::{choose, meant};
use crate::outcome::Outcome;
use crate::render::{check, error, markdown};
use crate::session::{Acting, Session};

/// How many components are asked at once: backends throttle those who ask for everything together.
const AT_ONCE: usize = 8;

/// One component in one environment, and what checking it came to.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) component: ComponentName,
    pub(crate) check: Result<Check>,
}

impl Checked<'_> {
    pub(crate) fn verdict(&self) -> Verdict {
        self.check.as_ref().map_or(Verdict::Blocked, |check| check.verdict)
    }
}

pub(crate) async fn run(session: &Session<'_>, args: &CheckArgs) -> Result<Outcome> {
    let (asked, unknown) = asked(session, args).await?;
    let checks = asked.into_iter().map(|(environment, component, to)| {
        let mut request = CheckRequest::default().warn_within(args.warn_within);
        request.to = to;
        async move {
            let check = one(session, environment, &component, &request).await;
            Checked { environment, component, check }
        }
    });
    let mut checked: Vec<_> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    checked.extend(unknown);
    let worst = checked.iter().map(Checked::verdict).max().unwrap_or(Verdict::Ready);
    let fails = worst == Verdict::Blocked || (args.strict && worst == Verdict::Warned);
    let exit = if fails { Exit::NotReady } else { Exit::Done };
    let hidden = &session.config.hidden;
    let document: Vec<_> = checked.iter().map(|one| json(one, hidden)).collect();
    Outcome::done(check::render(session.style(), &checked, args.all, hidden))
        .exit(exit)
        .summary(markdown::check(&checked, hidden))
        .with("ready", &!fails)?
        .with("checks", &document)
}

type Asked<'a> = Vec<(&'a Environment, ComponentName, Option<Destination>)>;
/// Blocks of which nobody could say what they stand for.
type Unknown<'a> = Vec<Checked<'a>>;

/// What is to be checked: the named components, those of the environment, or those of all environments.
async fn asked<'a>(session: &'a Session<'_>, args: &CheckArgs) -> Result<(Asked<'a>, Unknown<'a>)> {
    if !args.all {
        let environment = session.environment()?;
        return of(session, environment, args).await;
    }
    if let Some(named) = &session.global.environment {
        let message = format!("--all means every environment, and --environment {named} one");
        return Err(
            Error::new(ErrorKind::Invalid, "choose the components", message).next("leave one of the two out")
        );
    }
    let (mut asked, mut unknown) = (Vec::new(), Vec::new());
    for environment in session.config.environments.values() {
        // An environment without components has nothing that could be rolled back.
        if session.config.components_in(&environment.name).next().is_some() {
            let (more, failed) = of(session, environment, args).await?;
            asked.extend(more);
            unknown.extend(failed);
        }
    }
    Ok((asked, unknown))
}

async fn of<'a>(
    session: &Session<'_>,
    environment: &'a Environment,
    args: &CheckArgs,
) -> Result<(Asked<'a>, Unknown<'a>)> {
    let names = session.components(&environment.name, &meant(&args.components, &args.to))?;
    let spread = session.spread(&environment.name, &names).await;
    let named = spread.names(&args.components);
    let all = spread.names(&names);
    let chosen: BTreeMap<_, _> = match all.is_empty() {
        // Only blocks, of none of which it is known what it stands for.
        true => BTreeMap::new(),
        false => choose(&named, &spread.to(&args.to), all)?,
    };
    let failed = spread.failed.into_iter();
    let unknown = failed.map(|(component, error)| Checked { environment, component, check: Err(error) });
    Ok((chosen.into_iter().map(|(component, to)| (environment, component, to)).collect(), unknown.collect()))
}

/// An engine for each: one that cannot be reached must not hide the others.
async fn one(
    session: &Session<'_>,
    environment: &Environment,
    component: &ComponentName,
    request: &CheckRequest,
) -> Result<Check> {
    let engine = session.engine(environment, std::slice::from_ref(component), Acting::default()).await?;
    engine.check(component, request).await
}

fn json(checked: &Checked<'_>, hidden: &Hidden) -> Value {
    let mut entry = match &checked.check {
        Ok(check) => serde_json::to_value(check).unwrap_or_default(),
        Err(error) => json!({ "verdict": Verdict::Blocked, "error": error::json(error, hidden) }),
    };
    entry["component"] = json!(checked.component);
    entry["environment"] = json!(checked.environment.name);
    entry
}
