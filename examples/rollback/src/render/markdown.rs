//! Summaries of a pipeline's step, as Markdown. Names and texts come from outside: nothing in them is markup.

use std::fmt::Write as _;

use rollback_core::engine::Verdict;
use rollback_core::target::{Finding, Severity};
use rollback_core::{Error, Plan, Report, SnapshotInfo};

use super::{check, clean, count, time};
use crate::commands::check::Checked;
use crate::config::Hidden;

/// A text from outside, in one line and without any meaning as markup: whatever could have one is written as a
/// character reference, which Markdown shows and never reads.
pub(crate) fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    let mut before = ' ';
    for character in clean(text).chars() {
        // `www.` alone begins a link.
        let harmless = !character.is_ascii_punctuation()
            || matches!(character, '-' | ',' | '=' | '%' | '/')
            || (character == '.' && !before.eq_ignore_ascii_case(&'w'));
        if harmless {
            inert.push(character);
        } else {
            let _ = write!(inert, "&#{};", u32::from(character));
        }
        before = character;
    }
    inert
}

fn row(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn header(out: &mut String, cells: &[&str]) {
    row(out, &cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    row(out, &vec!["---".to_owned(); cells.len()]);
}

/// The plan: where each component would go, and what speaks against it.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut out = format!("### Rollback plan for {}\n\n", inert(plan.environment.name.as_str()));
    header(&mut out, &["component", "from", "to", "why", "method"]);
    for (name, component) in &plan.components {
        let from = component.from.known().map_or_else(|| "unknown".to_owned(), |from| from.info.label());
        let method = component.proposals().next().map_or("-", |(strategy, _)| strategy);
        let method = if component.already_there { "already there" } else { method };
        let texts = [name.as_str(), &from, &component.to.info.label(), &component.because, method];
        row(&mut out, &texts.map(inert));
    }
    out.push('\n');
    let named: Vec<_> = plan.findings().map(|(name, finding)| (name.to_string(), finding)).collect();
    told(&mut out, &named);
    let _ = writeln!(out, "Asked by {}", inert(&plan.actor));
    if let Some(reason) = &plan.request.reason {
        let _ = writeln!(out, "because: {}", inert(reason));
    }
    let _ = writeln!(out, "\nExpires {}, digest `{}`\n", inert(&time(plan.expires_at)), plan.digest());
    out
}

/// The report of a run.
pub(crate) fn report(report: &Report) -> String {
    let mut out = format!("### Rollback: {}\n\n", inert(&report.state.to_string()));
    if let Some(reason) = &report.break_glass {
        let _ = writeln!(out, "**Break-glass, without a lease:** {}\n", inert(reason));
    }
    header(&mut out, &["component", "state", "from", "to", "what happened"]);
    for (name, component) in &report.components {
        let from = component.from.as_ref().map_or_else(|| "unknown".to_owned(), SnapshotInfo::label);
        let (state, to) = (component.state.to_string(), component.to.label());
        row(&mut out, &[name.as_str(), &state, &from, &to, &component.summary].map(inert));
    }
    out.push('\n');
    for (name, component) in report.components.iter().filter(|(_, component)| !component.next.is_empty()) {
        let _ = writeln!(out, "Next for {}:\n", inert(name.as_str()));
        for (number, step) in component.next.iter().enumerate() {
            let _ = writeln!(out, "{}. {}", number + 1, inert(step));
        }
        out.push('\n');
    }
    if let Some(reason) = &report.request.reason {
        let _ = writeln!(out, "Reason: {}\n", inert(reason));
    }
    let _ = writeln!(out, "Run `{}`\n", report.run);
    out
}

/// Whether components could be rolled back right now.
pub(crate) fn check(checked: &[Checked<'_>], hidden: &Hidden) -> String {
    let blocked = checked.iter().filter(|one| one.verdict() == Verdict::Blocked).count();
    let title = match blocked {
        0 => "everything could be rolled back".to_owned(),
        number => format!("{} could not be rolled back", count(number, "component")),
    };
    let mut out = format!("### Rollback check: {title}\n\n");
    header(
        &mut out,
        &["environment", "component", "ready", "from", "to", "until", "method", "takes", "down"],
    );
    let mut named: Vec<(String, &Finding)> = Vec::new();
    let mut failed = String::new();
    for one in checked {
        let ready = match one.verdict() {
            Verdict::Ready => "yes",
            Verdict::Warned => "yes, see below",
            _ => "**NO**",
        };
        let [from, to, until, method, takes, down] = check::way(one).map(|text| inert(&text));
        let (environment, name) = (inert(one.environment.name.as_str()), inert(one.component.as_str()));
        row(&mut out, &[environment, name, ready.to_owned(), from, to, until, method, takes, down]);
        match &one.check {
            Ok(check) => named.extend(check.findings.iter().map(|found| (one.component.to_string(), found))),
            Err(error) => failed += &trouble(one.component.as_str(), error, hidden),
        }
    }
    out.push('\n');
    told(&mut out, &named);
    out + &failed
}

/// What a command failed with.
pub(crate) fn failure(command: &str, error: &Error, hidden: &Hidden) -> String {
    format!("{}\n", trouble(&format!("rollback {command}"), error, hidden))
}

fn trouble(what: &str, error: &Error, hidden: &Hidden) -> String {
    let record = error.to_record();
    let shown = |text: &str| inert(&hidden.hide(text));
    let next = record.next.map_or_else(String::new, |next| format!(" Next: {}", shown(&next)));
    format!("- **{}**: cannot {}: {}{next}\n", inert(what), shown(&record.operation), shown(&record.message))
}

/// Findings that matter.
fn told(out: &mut String, findings: &[(String, &Finding)]) {
    let matters = findings.iter().filter(|(_, finding)| finding.severity > Severity::Info);
    let mut any = false;
    for (name, finding) in matters {
        any = true;
        let word = if finding.severity == Severity::Blocker { "**blocker**" } else { "warning" };
        let next = finding.next.as_ref().map_or_else(String::new, |next| format!(" Next: {}", inert(next)));
        let _ = writeln!(out, "- {}: {word}: {}{next}", inert(name), inert(&finding.message));
    }
    if any {
        out.push('\n');
    }
}

/// Appends to the file that the pipeline names for summaries.
pub(crate) fn append(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_shown_and_mean_nothing() {
        let hostile = "v1|x`y`<script>\n# *boo* [a](http://b) \\| &amp; ~~z~~ www.evil.example @team";
        let text = inert(hostile);
        for character in ['|', '`', '<', '>', '\n', '*', '[', ']', '(', ')', '\\', '~', '@', ':'] {
            assert!(!text.contains(character), "{character:?} in {text}");
        }
        assert!(!text.contains("www.") && !text.contains("&amp;"), "{text}");
        // A reference and nothing else is left of each.
        assert!(text.starts_with("v1&#124;x&#96;y&#96;&#60;script&#62;"), "{text}");
        assert_eq!(inert("1.2.3-rc1 by ana"), "1.2.3-rc1 by ana");
    }
}
