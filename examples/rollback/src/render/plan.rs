//! Plans for people: everything that must be known before saying yes.

use std::fmt::Write as _;

use rollback_core::plan::{ComponentPlan, Method, MethodVerdict, Plan};
use rollback_core::snapshot::SnapshotRecord;
use rollback_core::target::{DiffEntry, Reading, Shown};
use rollback_core::{ComponentName, Proposal, Risk};

use super::table::{Field, Table};
use super::{Style, Tone, clean, findings, phase, time};

/// How many differences are shown unless everything is wanted.
const SHOWN_DIFFERENCES: usize = 20;

/// The plan. `explain` adds the steps of the alternatives, what each method expects to be true, and every
/// difference.
pub(crate) fn render(plan: &Plan, style: Style, explain: bool) -> String {
    let mut out = String::new();
    let environment = clean(plan.environment.name.as_str());
    let title = style.paint(Tone::Strong, &format!("Plan {} for {environment}", plan.digest().short()));
    let _ = writeln!(out, "{title}, asked by {}", clean(&plan.actor));
    if let Some(reason) = &plan.request.reason {
        let _ = writeln!(out, "reason: {}", clean(reason));
    }
    for (name, component) in &plan.components {
        out.push('\n');
        render_component(&mut out, style, name, component, explain);
    }
    gates(&mut out, plan);
    out.push('\n');
    closing(&mut out, style, plan);
    out
}

fn render_component(
    out: &mut String,
    style: Style,
    name: &ComponentName,
    plan: &ComponentPlan,
    explain: bool,
) {
    let title = style.paint(Tone::Strong, name.as_str());
    let _ = writeln!(out, "{title} ({})", clean(&plan.driver));
    let to = format!("{}  {}", clean(&plan.to.info.label()), plan.to.info.identity.short());
    let to = if plan.already_there { format!("{to}  (already there, proven)") } else { to };
    let mut rows = vec![
        ("from", origin(&plan.from)),
        ("to", to),
        ("why", clean(&plan.because)),
        ("target", clean(plan.target.id.as_str())),
        ("account", clean(&plan.target.account)),
    ];
    if let Some(caller) = &plan.target.caller {
        rows.push(("caller", clean(caller)));
    }
    rows.push(("now", phase(&plan.phase)));
    rows.push(("way back", clean(&plan.way_back)));
    if !plan.after.is_empty() {
        let after: Vec<_> = plan.after.iter().map(ComponentName::as_str).collect();
        rows.push(("after", after.join(", ")));
    }
    for (label, value) in rows {
        let _ = writeln!(out, "  {label:<9} {value}");
    }
    methods(out, style, &plan.methods);
    steps(out, plan, explain);
    difference(out, plan, explain);
    if !plan.findings.is_empty() {
        out.push_str("  findings\n");
        findings(out, style, "    ", &plan.findings);
    }
}

fn origin(from: &Reading<SnapshotRecord>) -> String {
    match from {
        Reading::Known(from) => format!("{}  {}", clean(&from.info.label()), from.info.identity.short()),
        Reading::Absent => "nothing".to_owned(),
        Reading::Unknown(why) => format!("unknown: {}", clean(why)),
    }
}

/// The method comparison of the runbooks, computed.
fn methods(out: &mut String, style: Style, methods: &[Method]) {
    if methods.is_empty() {
        return;
    }
    let header = ["METHOD", "VERDICT", "RISK", "DOWNTIME", "EXPECTED", "UNDO", "WHAT, OR WHY NOT"];
    let mut table = Table::new(style, &header, &["WHAT, OR WHY NOT"]);
    for method in methods {
        let name = Field::from(clean(&method.strategy));
        let (verdict, what) = match &method.verdict {
            MethodVerdict::Chosen(_) => (Field::toned(Tone::Good, "chosen"), clean(&method.summary)),
            MethodVerdict::Alternative(_) => (Field::from("alternative".to_owned()), clean(&method.summary)),
            MethodVerdict::Rejected(why) => (Field::toned(Tone::Faint, "rejected"), clean(why)),
        };
        let dash = || Field::from("-".to_owned());
        let numbers = match method.proposal() {
            None => [dash(), dash(), dash(), dash()],
            Some(proposal) => [
                risk(proposal.risk),
                Field::from(proposal.downtime.to_string()),
                Field::from(proposal.expected.to_string()),
                Field::from(if proposal.is_reversible() { "yes" } else { "no" }.to_owned()),
            ],
        };
        let [risk, downtime, expected, undo] = numbers;
        table.row([name, verdict, risk, downtime, expected, undo, Field::from(what)]);
    }
    out.push_str("  methods\n");
    out.push_str(&table.render("    "));
}

fn risk(risk: Risk) -> Field {
    match risk {
        Risk::Low => Field::toned(Tone::Good, "low"),
        Risk::Medium => Field::toned(Tone::Careful, "medium"),
        Risk::High => Field::toned(Tone::Bad, "high"),
    }
}

fn steps(out: &mut String, plan: &ComponentPlan, explain: bool) {
    if plan.already_there {
        return;
    }
    let shown = if explain { usize::MAX } else { 1 };
    for (number, (strategy, proposal)) in plan.proposals().take(shown).enumerate() {
        if number == 0 {
            out.push_str("  steps\n");
        } else {
            let _ = writeln!(out, "  steps of the alternative {}", clean(strategy));
        }
        proposal_steps(out, proposal);
    }
}

fn proposal_steps<A>(out: &mut String, proposal: &Proposal<A>) {
    for (number, step) in proposal.steps.iter().chain(&proposal.afterwards).enumerate() {
        let part = step.part.as_ref().map(|part| format!(" [{}]", clean(part.as_str()))).unwrap_or_default();
        let forever = if step.reversible { "" } else { "  (cannot be taken back)" };
        let last = if number < proposal.steps.len() { "" } else { "once that is proven: " };
        let _ = writeln!(out, "    {}. {last}{}{part}{forever}", number + 1, clean(&step.title));
    }
    for precondition in &proposal.preconditions {
        let _ = writeln!(out, "    needs: {}", clean(precondition));
    }
}

fn difference(out: &mut String, plan: &ComponentPlan, explain: bool) {
    if plan.diff.is_empty() {
        return;
    }
    out.push_str("  changes\n");
    let limit = if explain { usize::MAX } else { SHOWN_DIFFERENCES };
    for entry in plan.diff.iter().take(limit) {
        let _ = writeln!(out, "    {}", change(entry));
    }
    let cut = u64::try_from(plan.diff.len().saturating_sub(limit)).unwrap_or(u64::MAX);
    let hint = if cut > 0 { " (--explain shows more)" } else { "" };
    match plan.diff_omitted.saturating_add(cut) {
        0 => {}
        more => {
            let _ = writeln!(out, "    … and {more} more{hint}");
        }
    }
}

fn change(entry: &DiffEntry) -> String {
    let path = clean(&entry.path);
    match (&entry.from, &entry.to) {
        (None, None) => format!("~ {path}"),
        (None, Some(to)) => format!("+ {path}: {}", shown(to)),
        (Some(from), None) => format!("- {path}: {}", shown(from)),
        (Some(from), Some(to)) => format!("~ {path}: {} → {}", shown(from), shown(to)),
    }
}

fn shown(value: &Shown) -> String {
    match value {
        Shown::Plain(text) => clean(text),
        Shown::Redacted => "(not shown)".to_owned(),
        Shown::Digest(digest) => digest.short(),
    }
}

fn gates(out: &mut String, plan: &Plan) {
    let soak = plan.soak();
    if plan.gates.is_empty() && soak.is_none() {
        return;
    }
    out.push_str("\ngates\n");
    for gate in &plan.gates {
        let (name, kind) = (clean(&gate.name), clean(&gate.probe.kind));
        let _ = writeln!(out, "  {name} on {}: {kind} {}", gate.component, clean(&gate.rule.to_string()));
    }
    if let Some(soak) = soak {
        let _ = writeln!(out, "  soak: what is proven is watched for {soak}, then proven once more");
    }
}

fn closing(out: &mut String, style: Style, plan: &Plan) {
    let blockers = plan.blockers().count();
    if blockers > 0 {
        let text = format!("This plan must not run: {}.", super::count(blockers, "blocker"));
        let _ = writeln!(out, "{}", style.paint(Tone::Bad, &text));
    }
    if let Some(phrase) = &plan.environment.confirm {
        let _ = writeln!(out, "confirm  {}", clean(phrase));
    }
    let _ = writeln!(out, "expires  {}", time(plan.expires_at));
    let _ = writeln!(out, "digest   {}", plan.digest());
}
