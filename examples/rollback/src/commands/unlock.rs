//! `rollback unlock`.

use std::fmt::Write as _;

use futures_util::future::try_join_all;
use rollback_core::lease::{Holding, Sign};
use rollback_core::{ComponentName, Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::agree::agree_to;
use crate::args::UnlockArgs;
use crate::outcome::Outcome;
use crate::render::{Style, Tone, clean, count, maybe_time};
use crate::session::{Acting, Session};

type Held = (ComponentName, Option<Holding>);

pub(crate) async fn run(session: &Session<'_>, args: &UnlockArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let components = session.all(&environment.name, &args.components).await?;
    let engine = session.engine(environment, &components, Acting::default()).await?;
    if !session.global.quiet {
        let wait = format!("looking for signs of life, at most {} long\n", session.config.lease);
        session.console.print_error(&wait);
    }
    let looked = try_join_all(components.iter().map(|component| engine.holding(component))).await?;
    let held: Vec<Held> = components.into_iter().zip(looked).collect();
    let text: String = held.iter().map(|one| show(session.style(), one)).collect();
    let document = |taken: &[bool]| -> Vec<Value> {
        let entry = |((component, holding), taken): (&Held, &bool)| json!({ "component": component, "holding": holding, "taken": taken });
        held.iter().zip(taken).map(entry).collect()
    };
    let none = vec![false; held.len()];
    if held.iter().all(|(_, holding)| holding.is_none()) {
        return Outcome::done(text).with("components", &document(&none));
    }
    if session.is_text() {
        session.console.print(&text);
    }
    if let Err(error) = may(session, args, &held) {
        return Outcome::failed(error).with("components", &document(&none));
    }
    let mut taken = Vec::new();
    let mut done = String::new();
    for (component, holding) in &held {
        let Some(holding) = holding else {
            taken.push(false);
            continue;
        };
        let was = engine.unlock(holding, args.by.as_deref(), args.force).await?;
        done += &after(component, holding, was);
        taken.push(was);
    }
    Outcome::done(done).with("components", &document(&taken))
}

/// Nobody at work loses a lease by accident, and nobody takes one without being asked.
fn may(session: &Session<'_>, args: &UnlockArgs, held: &[Held]) -> Result<()> {
    let holdings = || held.iter().filter_map(|(_, holding)| holding.as_ref());
    let at_work = holdings().find(|holding| holding.sign == Sign::Beating);
    if let Some(holding) = at_work.filter(|_| !args.force) {
        let message = format!("{} was seen at work; nothing was done", holding.holder);
        return Err(Error::new(ErrorKind::Refused, "unlock", message)
            .next("stop it where it runs (Ctrl-C there), or add --force to take it away all the same"));
    }
    let what = match holdings().count() {
        1 => "Take the lease away?".to_owned(),
        number => format!("Take {} away?", count(number, "lease")),
    };
    agree_to(session, &what)
}

fn show(style: Style, (component, holding): &Held) -> String {
    let Some(holding) = holding else { return format!("{component}: nobody holds it\n") };
    let holder = &holding.holder;
    let sign = match holding.sign {
        Sign::Dead => style.paint(Tone::Good, "dead: that process is gone from this machine"),
        Sign::Silent => {
            let text = format!("silent: not one beat in {}; the next run takes over by itself", holding.ttl);
            style.paint(Tone::Careful, &text)
        }
        _ => style.paint(Tone::Bad, "at work: it was seen beating"),
    };
    let mut text = format!("{}\n", style.paint(Tone::Strong, component.as_str()));
    let rows = [
        ("held by", clean(&holder.person())),
        ("process", format!("{} on {}", holder.pid, clean(&holder.host))),
        ("run", holding.run.to_string()),
        ("since", maybe_time(holding.since)),
        ("last beat", maybe_time(holding.beat_at)),
        ("sign", sign),
        (
            "open",
            if holding.open.is_empty() { "nothing".to_owned() } else { count(holding.open.len(), "action") },
        ),
    ];
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:<9} {value}");
    }
    text
}

fn after(component: &ComponentName, holding: &Holding, taken: bool) -> String {
    if !taken {
        return format!("{component}: nobody holds it any more\n");
    }
    format!(
        "{component}: the lease is free. Should that process wake, it ends superseded; one request that it was already \
         allowed to send may still land.\n  next: rollback resume {}\n",
        holding.run
    )
}
