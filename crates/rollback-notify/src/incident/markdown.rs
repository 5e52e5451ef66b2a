//! An incident as Markdown.

use std::fmt::Write as _;

use rollback_watch::Verdict;

use super::plot::number;
use super::{Component, Incident, Measured};
use crate::clean::{self, markdown as inert};
use crate::notice::{Version, lasted};

/// How many components are written out.
const MOST: usize = 100;

/// A verdict in words.
pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Act => "roll back".to_owned(),
        Verdict::Wait(again) => format!("look again in {again}"),
        Verdict::Propose => "propose it to a person".to_owned(),
        Verdict::CallSomebody => "call somebody".to_owned(),
        Verdict::Record => "write it down".to_owned(),
    }
}

impl Incident {
    /// The report as Markdown, for an issue or a page of a wiki. Nothing in it that came from outside is markup.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n", inert(&self.title()));
        let facts = [
            ("State", self.state.map(|state| state.to_string())),
            ("Severity", self.severity.map(|severity| severity.to_string())),
            ("Why", self.reason.clone()),
            ("Who", self.actor.clone()),
            ("Automatic", self.automatic.then(|| "yes".to_owned())),
            ("Without a lease", self.break_glass.clone()),
            ("Run", self.run.map(|run| run.to_string())),
            ("Plan", self.plan.map(|plan| plan.to_string())),
        ];
        for (label, fact) in facts {
            if let Some(fact) = fact {
                let _ = writeln!(out, "- **{label}:** {}", inert(&fact));
            }
        }
        for (name, took) in self.spans() {
            let _ = writeln!(out, "- **{name}:** {}", inert(&took));
        }
        self.timeline(&mut out);
        self.table(&mut out);
        if !self.rules.is_empty() {
            out.push_str("\n## What was measured\n\n");
            self.rules.iter().for_each(|rule| measured(&mut out, rule));
        }
        self.questions(&mut out);
        self.components.iter().take(MOST).for_each(|component| details(&mut out, component));
        if !self.told.is_empty() {
            out.push_str("\n## Who was told\n\n");
            for told in &self.told {
                let to =
                    if told.to.is_empty() { String::new() } else { format!(" ({})", told.to.join("; ")) };
                let _ = writeln!(out, "- {} {}", clean::time(told.at), inert(&format!("{}{to}", told.title)));
            }
        }
        list(&mut out, "\n## Whom to call", &self.contacts);
        out
    }

    fn timeline(&self, out: &mut String) {
        let mut named: Vec<_> = self.times.named().collect();
        named.sort_by_key(|(_, at)| *at);
        if !named.is_empty() {
            out.push_str("\n## Timeline\n\n| when | what | after |\n| --- | --- | --- |\n");
        }
        let mut before = None;
        for (name, at) in named {
            let after = before.map(|before| lasted(before, at).to_string()).unwrap_or_default();
            let _ = writeln!(out, "| {} | {name} | {after} |", clean::time(at));
            before = Some(at);
        }
    }

    fn table(&self, out: &mut String) {
        out.push_str("\n## Before and after\n\n| component | state | before | after | what happened |\n");
        out.push_str("| --- | --- | --- | --- | --- |\n");
        let told = |version: Option<&Version>| {
            version.map_or_else(
                || "unknown".to_owned(),
                |version| format!("{} `{}`", inert(&version.label), version.identity.short()),
            )
        };
        for component in self.components.iter().take(MOST) {
            let name = inert(component.component.as_str());
            let state = component.state.map(|state| state.to_string()).unwrap_or_default();
            let (from, to) = (told(component.from.as_ref()), told(component.to.as_ref()));
            let _ = writeln!(out, "| {name} | {state} | {from} | {to} | {} |", inert(&component.summary));
        }
        if self.components.len() > MOST {
            let _ = writeln!(out, "\nand {} more", self.components.len() - MOST);
        }
    }

    fn questions(&self, out: &mut String) {
        let Some(decision) = &self.decision else { return };
        let _ =
            writeln!(out, "\n## What was decided without a person\n\n**{}**\n", verdict(&decision.verdict));
        out.push_str("| asked | answer | speaks against acting |\n| --- | --- | --- |\n");
        for answer in &decision.answers {
            let against = answer.against.as_ref().map(verdict).unwrap_or_default();
            let _ = writeln!(out, "| {} | {} | {against} |", inert(&answer.question), inert(&answer.answer));
        }
    }
}

fn measured(out: &mut String, rule: &Measured) {
    let bad = rule.points.iter().filter(|point| point.bad == Some(true)).count();
    let _ = write!(
        out,
        "- **{}** ({}): {} samples, {bad} bad",
        inert(&rule.name),
        inert(&rule.rule),
        rule.points.len()
    );
    let highest = rule.points.iter().filter_map(|point| point.value).reduce(f64::max);
    if let Some(highest) = highest {
        let _ = write!(out, ", highest {}", number(highest));
    }
    if let Some(fired) = rule.fired {
        let _ = write!(out, ", fired at {}", clean::time(fired));
    }
    out.push('\n');
}

fn details(out: &mut String, component: &Component) {
    let _ = writeln!(out, "\n## {}", inert(component.component.as_str()));
    list(out, "\n### What to do now", &component.next);
    list(out, "\n### What would undo it", &component.undone_by);
    if !component.actions.is_empty() {
        out.push_str("\n### Actions\n\n| sent | what | became of it | took |\n| --- | --- | --- | --- |\n");
    }
    for action in &component.actions {
        let took =
            action.ended.map_or_else(|| "not known".to_owned(), |ended| lasted(action.at, ended).to_string());
        let leg = action.leg.as_ref().map(|leg| format!(" ({leg})")).unwrap_or_default();
        let (title, outcome) = (inert(&format!("{}{leg}", action.title)), inert(&action.outcome));
        let _ = writeln!(out, "| {} | {title} | {outcome} | {took} |", clean::time(action.at));
    }
    let gates = component.gates.iter().map(|gate| {
        format!("{} {}: {}", gate.name, if gate.passed { "passed" } else { "failed" }, gate.detail)
    });
    list(out, "\n### Gates", &gates.collect::<Vec<_>>());
    let parts: Vec<_> = component.parts.iter().map(|(part, found)| format!("{part}: {found}")).collect();
    list(out, "\n### What runs on each part, by the last evidence", &parts);
    list(out, "\n### What went wrong", &component.errors);
    list(out, "\n### Worth knowing", &component.findings);
    let way_back: Vec<_> = component.way_back.iter().cloned().collect();
    list(out, "\n### How to take it back", &way_back);
}

fn list(out: &mut String, heading: &'static str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{heading}\n");
    for line in lines {
        let _ = writeln!(out, "- {}", inert(line));
    }
}
