//! Notices in words: what runbooks have people fill in by hand.

use std::fmt::Write as _;

use rollback_core::time::Lasting;

use super::{Kind, Moved, Notice, Version};
use crate::clean;

/// How many components are named in a title, and in a text.
const IN_TITLE: usize = 3;
const IN_TEXT: usize = 10;
/// How long a title may be, in characters.
const LONGEST_TITLE: usize = 140;
const LONGEST_LINE: usize = 1_000;

/// One thing that a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A label with one line.
    Line(&'static str, String),
    /// A label with several.
    List(&'static str, Vec<String>),
}

impl Notice {
    /// In one line: a subject, a headline.
    #[must_use]
    pub fn title(&self) -> String {
        let place = &self.environment;
        let moved = self.in_title();
        let title = match self.kind {
            Kind::Started => format!("[{place}] Rollback started: {moved}"),
            Kind::Done => format!("[{place}] Rollback done: {moved}"),
            Kind::Failed => match self.state {
                Some(state) => format!("[{place}] Rollback not done ({state}): {moved}"),
                None => format!("[{place}] Rollback not done: {moved}"),
            },
            Kind::NeedsSomebody => format!("[{place}] Somebody is needed: {moved}"),
            Kind::Proposed => format!("[{place}] Rollback proposed: {moved}"),
            Kind::Recorded => format!("[{place}] Recorded: {moved}"),
        };
        // Where no component is named.
        clean::line(title.trim_end().trim_end_matches(':'), LONGEST_TITLE)
    }

    fn in_title(&self) -> String {
        let way = |moved: &Moved| match (&moved.from, &moved.to) {
            (Some(from), Some(to)) => format!("{} {} → {}", moved.component, from.label, to.label),
            (None, Some(to)) => format!("{} → {}", moved.component, to.label),
            _ => moved.component.to_string(),
        };
        let mut named: Vec<String> = self.components.iter().take(IN_TITLE).map(way).collect();
        let left_out = self.components.len().saturating_sub(IN_TITLE) + self.components_omitted;
        if left_out > 0 {
            named.push(format!("{left_out} more"));
        }
        let moved = named.join(", ");
        match (self.kind, &self.reason) {
            (Kind::NeedsSomebody | Kind::Recorded, Some(reason)) if moved.is_empty() => reason.clone(),
            (Kind::NeedsSomebody | Kind::Recorded, Some(reason)) => format!("{moved}: {reason}"),
            _ => moved,
        }
    }

    /// The whole notice in plain text, for e-mail and for terminals.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        for fact in self.facts() {
            match fact {
                Fact::Line(label, line) => {
                    let _ = writeln!(text, "{label}: {line}");
                }
                Fact::List(label, lines) => {
                    let _ = writeln!(text, "\n{label}:");
                    for line in lines {
                        let _ = writeln!(text, "- {line}");
                    }
                }
            }
        }
        text
    }

    /// The whole notice as Markdown. Nothing in it that came from outside is markup.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", clean::markdown(&self.title()));
        for fact in self.facts() {
            match fact {
                Fact::Line(label, line) => {
                    let _ = writeln!(text, "- **{label}:** {}", clean::markdown(&line));
                }
                Fact::List(label, lines) => {
                    let _ = writeln!(text, "\n**{label}:**\n");
                    for line in lines {
                        let _ = writeln!(text, "- {}", clean::markdown(&line));
                    }
                }
            }
        }
        text
    }

    /// What there is to say, in this order: what is wrong, who is at it, what was done, what is left to do.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = self.lines();
        let mut list = |label, lines: Vec<String>| {
            if !lines.is_empty() {
                facts.push(Fact::List(
                    label,
                    lines.iter().map(|line| clean::line(line, LONGEST_LINE)).collect(),
                ));
            }
        };
        let mut components: Vec<String> = self.components.iter().take(IN_TEXT).map(in_text).collect();
        let left_out = self.components.len().saturating_sub(IN_TEXT) + self.components_omitted;
        if left_out > 0 {
            components.push(format!("and {left_out} more"));
        }
        list("Components", components);
        list("Next", self.next.clone());
        list("What would undo it", self.undone_by.clone());
        list("Call", self.contacts.clone());
        let answers = self.answers.iter().map(|answer| format!("{} {}", answer.question, answer.answer));
        list("Asked before it was decided", answers.collect());
        facts
    }

    fn lines(&self) -> Vec<Fact> {
        let status = match (self.kind, self.state) {
            (Kind::Started, _) => "rollback in progress".to_owned(),
            (_, Some(state)) => state.to_string(),
            (Kind::Proposed, _) => "waits for a person".to_owned(),
            (Kind::NeedsSomebody, _) => "nothing was done".to_owned(),
            (kind, None) => kind.to_string(),
        };
        let who =
            self.actor.clone().map(|who| if self.automatic { format!("{who} (automatic)") } else { who });
        let who = who.or_else(|| self.automatic.then(|| "automatic".to_owned()));
        let took = self.started_at.zip(self.ended_at).map(|(from, to)| lasted(from, to).to_string());
        let lines = [
            ("Status", Some(status)),
            ("Severity", self.severity.map(|severity| severity.to_string())),
            ("Issue", self.reason.clone()),
            ("Who", who),
            ("Started", self.started_at.map(clean::time)),
            ("Ended", self.ended_at.map(clean::time)),
            ("Took", took),
            ("Seen", self.started_at.is_none().then(|| clean::time(self.at))),
            ("Without a lease", self.break_glass.clone()),
            ("Run", self.run.map(|run| run.to_string())),
            ("Plan", self.plan.map(|plan| plan.to_string())),
            ("More", self.link.clone()),
        ];
        let told =
            |(label, line): (_, Option<String>)| Some(Fact::Line(label, clean::line(&line?, LONGEST_LINE)));
        lines.into_iter().filter_map(told).collect()
    }
}

/// To the second: nobody reads milliseconds of a rollback.
pub(crate) fn lasted(from: jiff::Timestamp, to: jiff::Timestamp) -> Lasting {
    let seconds = to.duration_since(from).as_secs();
    Lasting::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn in_text(moved: &Moved) -> String {
    let told = |version: &Version| format!("{} [{}]", version.label, version.identity.short());
    let mut text = moved.component.to_string();
    match (&moved.from, &moved.to) {
        (Some(from), Some(to)) => _ = write!(text, ": {} → {}", told(from), told(to)),
        (None, Some(to)) => _ = write!(text, ": → {}", told(to)),
        (Some(from), None) => _ = write!(text, ": runs {}", told(from)),
        (None, None) => {}
    }
    if let Some(state) = moved.state {
        let _ = write!(text, ": {state}");
    }
    if let Some(summary) = &moved.summary {
        let _ = write!(text, ": {summary}");
    }
    text
}
