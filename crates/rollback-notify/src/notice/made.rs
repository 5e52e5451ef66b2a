//! Notices of plans, reports and what a watcher saw.

use jiff::Timestamp;
use rollback_core::plan::ComponentPlan;
use rollback_core::report::ComponentReport;
use rollback_core::target::Finding;
use rollback_core::{ComponentName, Digest, Environment, Plan, Report, RunId, SnapshotInfo, State};
use rollback_watch::{Decision, Severity};

use super::{Kind, MOST_COMPONENTS, Moved, Notice};
use crate::clean;

/// How many lines of each list a notice holds, and how long each may be.
const MOST_LINES: usize = 20;
const LONGEST_LINE: usize = 500;

/// What a watcher saw, and what was decided about it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Where.
    pub environment: &'a Environment,
    /// Of which component.
    pub component: &'a ComponentName,
    /// What it runs, where that is known.
    pub runs: Option<&'a SnapshotInfo>,
    /// What was seen, in one sentence: `outage: HTTP 503 for 2m`.
    pub what: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// What was decided, with all that was asked.
    pub decision: &'a Decision,
    /// When.
    pub at: Timestamp,
}

impl Notice {
    /// A rollback begins. It has the same id when the run is taken up again after it was cut off.
    #[must_use]
    pub fn started(run: RunId, plan: &Plan, at: Timestamp) -> Self {
        let mut notice = Self::of_plan(Kind::Started, format!("{run}-started"), plan, at);
        notice.run = Some(run);
        notice.started_at = Some(at);
        notice
    }

    /// A rollback begins whose run has no number yet.
    #[must_use]
    pub fn begun(plan: &Plan, at: Timestamp) -> Self {
        let mut notice = Self::of_plan(Kind::Started, format!("{}-started", plan.digest().hex()), plan, at);
        notice.started_at = Some(at);
        notice
    }

    /// A rollback ended. Whom to call is in it if something is left to do.
    #[must_use]
    pub fn ended(plan: &Plan, report: &Report) -> Self {
        let kind = if report.state.is_success() { Kind::Done } else { Kind::Failed };
        let id = format!("{}-{kind}-{}", report.run, slug(report.state));
        let mut notice = Self::of_plan(kind, id, plan, report.ended_at);
        notice.run = Some(report.run);
        notice.state = Some(report.state);
        notice.break_glass = report.break_glass.as_deref().map(bounded);
        (notice.started_at, notice.ended_at) = (Some(report.started_at), Some(report.ended_at));
        notice.put(report.components.iter().map(|(name, component)| of_report(name, component)));
        let many = report.components.len() > 1;
        let named = |name: &ComponentName, text: &str| {
            if many { format!("{name}: {text}") } else { text.to_owned() }
        };
        let next = report
            .components
            .iter()
            .flat_map(|(name, component)| component.next.iter().map(move |step| named(name, step)));
        notice.next = lines(next);
        let undoers = report.components.iter().flat_map(|(name, component)| {
            let undoers = component.findings.iter().filter(|finding| undoes(finding));
            undoers.map(move |finding| named(name, &told(finding)))
        });
        notice.undone_by = lines(undoers);
        notice.call(&plan.environment, leaves_something_to_do(report.state, notice.automatic));
        notice
    }

    /// A plan was made, and a person is asked whether it shall run.
    ///
    /// `seen` is what led to it, if nobody asked for it. With a severity of P2 or P3 nobody is called for it.
    #[must_use]
    pub fn proposed(plan: &Plan, seen: Option<&Seen<'_>>, at: Timestamp) -> Self {
        let id = format!("{}-proposed", plan.digest().hex());
        let mut notice = Self::of_plan(Kind::Proposed, id, plan, at);
        if let Some(seen) = seen {
            notice.watched(seen);
        }
        notice.next = vec![format!("review the plan, and apply it with its digest {}", plan.digest())];
        let urgent = seen.is_some_and(|seen| seen.severity <= Severity::P1);
        notice.call(&plan.environment, urgent);
        notice
    }

    /// Something is wrong that no rollback is done for.
    #[must_use]
    pub fn needs_somebody(seen: &Seen<'_>) -> Self {
        let mut notice = Self::of_seen(Kind::NeedsSomebody, seen);
        if let Some(answer) = seen.decision.because() {
            notice.next = vec![bounded(&format!("nothing was done: {} {}", answer.question, answer.answer))];
        }
        notice.call(seen.environment, true);
        notice
    }

    /// Something is wrong, and a person is asked whether it shall be rolled back. There is no plan yet: whoever agrees makes it.
    #[must_use]
    pub fn asked(seen: &Seen<'_>) -> Self {
        let mut notice = Self::of_seen(Kind::Proposed, seen);
        notice.next =
            vec![format!("to go back: rollback run {} -e {}", seen.component, seen.environment.name)];
        notice.call(seen.environment, seen.severity <= Severity::P1);
        notice
    }

    /// Something was seen that calls for nobody.
    #[must_use]
    pub fn recorded(seen: &Seen<'_>) -> Self {
        Self::of_seen(Kind::Recorded, seen)
    }

    fn of_seen(kind: Kind, seen: &Seen<'_>) -> Self {
        let told = (seen.environment.name.as_str(), seen.component.as_str(), seen.what, seen.at);
        let id = Digest::of_bytes(format!("{told:?}").as_bytes()).hex();
        let mut notice = Self::new(kind, format!("{id}-{kind}"), seen.environment.name.clone(), seen.at);
        let from = seen.runs.map(Into::into);
        notice.components = vec![Moved { from, ..Moved::new(seen.component.clone()) }];
        notice.automatic = true;
        notice.watched(seen);
        notice
    }

    fn of_plan(kind: Kind, id: String, plan: &Plan, at: Timestamp) -> Self {
        let mut notice = Self::new(kind, id, plan.environment.name.clone(), at);
        notice.plan = Some(plan.digest());
        notice.reason = plan.request.reason.as_deref().map(bounded);
        notice.actor = Some(bounded(&plan.actor));
        notice.automatic = plan.request.automatic;
        notice.put(plan.components.iter().map(|(name, component)| of_plan(name, component)));
        let undoers = plan.findings().filter(|(_, finding)| undoes(finding));
        notice.undone_by = lines(undoers.map(|(name, finding)| format!("{name}: {}", told(finding))));
        notice
    }

    fn watched(&mut self, seen: &Seen<'_>) {
        self.reason = Some(bounded(seen.what));
        self.severity = Some(seen.severity);
        self.answers.clone_from(&seen.decision.answers);
    }

    /// The components that are not where they should be come first, and the rest as far as there is room.
    fn put(&mut self, components: impl Iterator<Item = Moved>) {
        self.components = components.collect();
        self.components.sort_by_key(|moved| moved.state.is_none_or(State::is_success));
        self.components_omitted = self.components.len().saturating_sub(MOST_COMPONENTS);
        self.components.truncate(MOST_COMPONENTS);
    }

    fn call(&mut self, environment: &Environment, needed: bool) {
        self.needs_person = needed;
        if needed {
            self.contacts.clone_from(&environment.contacts);
        }
    }
}

fn of_plan(name: &ComponentName, component: &ComponentPlan) -> Moved {
    let from = component.leaving.as_ref().or_else(|| component.from.known().map(|from| &from.info));
    Moved { from: from.map(Into::into), to: Some((&component.to.info).into()), ..Moved::new(name.clone()) }
}

fn of_report(name: &ComponentName, component: &ComponentReport) -> Moved {
    Moved {
        component: name.clone(),
        from: component.from.as_ref().map(Into::into),
        to: Some((&component.to).into()),
        state: Some(component.state),
        summary: Some(bounded(&component.summary)),
    }
}

/// Whether somebody has to do something once a run ended like this. Who stopped or took over a run knows of it, and who was refused
/// reads why, unless it was nobody.
fn leaves_something_to_do(state: State, automatic: bool) -> bool {
    match state {
        State::Restored | State::AlreadyThere | State::Superseded | State::Cancelled => false,
        State::Refused => automatic,
        _ => true,
    }
}

/// Whether a finding names something that brings back what was left.
pub(crate) fn undoes(finding: &Finding) -> bool {
    let code = finding.code.as_str();
    matches!(code, "will-be-undone" | "next-deploy" | "server-side-apply") || code.starts_with("managed-by-")
}

/// A finding in one line, with what to do about it.
pub(crate) fn told(finding: &Finding) -> String {
    match &finding.next {
        Some(next) => format!("{} ({next})", finding.message),
        None => finding.message.clone(),
    }
}

fn bounded(text: &str) -> String {
    clean::line(text, LONGEST_LINE)
}

fn lines(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = texts.map(|text| bounded(&text)).collect();
    let left_out = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    if left_out > 0 {
        lines.push(format!("and {left_out} more"));
    }
    lines
}

/// As in JSON: `failed-restored`.
fn slug(state: State) -> String {
    let told = serde_json::to_value(state).ok();
    told.as_ref().and_then(serde_json::Value::as_str).unwrap_or("ended").to_owned()
}
