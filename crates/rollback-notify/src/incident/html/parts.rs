//! What is said of each component.

use super::page::Page;
use crate::clean;
use crate::incident::{Component, Sent};
use crate::notice::{Version, lasted};

/// How many components are written out.
const MOST: usize = 100;

/// Before and after.
pub(super) fn components(page: &mut Page, components: &[Component]) {
    page.raw(
        "<section><h2>Before and after</h2><div class=\"wide\"><table><tr><th>component</th><th>state</th>",
    );
    page.raw("<th>before</th><th>after</th><th>what happened</th></tr>");
    for component in components.iter().take(MOST) {
        page.raw("<tr><th>").text(component.component.as_str()).raw("</th><td>");
        if let Some(state) = component.state {
            page.raw(if state.is_success() { "<b class=\"well\">" } else { "<b class=\"badly\">" });
            page.text(&state.to_string()).raw("</b>");
        }
        page.raw("</td><td>");
        version(page, component.from.as_ref());
        page.raw("</td><td>");
        version(page, component.to.as_ref());
        page.raw("</td><td>").text(&component.summary).raw("</td></tr>");
    }
    page.raw("</table></div>");
    if components.len() > MOST {
        page.raw("<p class=\"dim\">and ").text(&(components.len() - MOST).to_string()).raw(" more</p>");
    }
    page.raw("</section>");
}

fn version(page: &mut Page, version: Option<&Version>) {
    let Some(version) = version else {
        page.raw("unknown");
        return;
    };
    page.text(&version.label).raw("<br><code class=\"dim\">").text(&version.identity.short()).raw("</code>");
}

/// What was done, and what is left to do.
pub(super) fn details(page: &mut Page, components: &[Component]) {
    for component in components.iter().take(MOST) {
        page.raw("<section><h2>").text(component.component.as_str()).raw("</h2>");
        list(page, "<div class=\"next\"><h3>What to do now</h3>", &component.next);
        list(page, "<div class=\"next\"><h3>What would undo it</h3>", &component.undone_by);
        actions(page, &component.actions);
        gates(page, component);
        parts(page, component);
        list(page, "<div><h3>What went wrong</h3>", &component.errors);
        list(page, "<div><h3>Worth knowing</h3>", &component.findings);
        if let Some(way_back) = &component.way_back {
            page.raw("<h3>How to take it back</h3><p>").text(way_back).raw("</p>");
        }
        page.raw("</section>");
    }
}

fn actions(page: &mut Page, actions: &[Sent]) {
    if actions.is_empty() {
        return;
    }
    let longest = actions.iter().map(seconds).fold(0.0, f64::max).max(1.0);
    page.raw(
        "<h3>Actions</h3><div class=\"wide\"><table><tr><th>sent</th><th>what</th><th>became of it</th>",
    );
    page.raw("<th>took</th></tr>");
    for action in actions {
        page.raw("<tr><td><time>").text(&crate::incident::picture::clock(action.at)).raw("</time></td><td>");
        page.text(&action.title);
        if let Some(leg) = &action.leg {
            page.raw(" <span class=\"dim\">").text(leg).raw("</span>");
        }
        page.raw("</td><td>").text(&action.outcome).raw("</td><td>");
        match action.ended {
            Some(ended) => page.text(&lasted(action.at, ended).to_string()),
            None => page.raw("not known"),
        };
        page.raw("<svg class=\"took\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"act\" ");
        page.raw("width=\"")
            .number(100.0 * seconds(action) / longest)
            .raw("\" height=\"6\"/></svg></td></tr>");
    }
    page.raw("</table></div>");
}

fn seconds(action: &Sent) -> f64 {
    action.ended.map_or(0.0, |ended| ended.duration_since(action.at).as_secs_f64().max(0.0))
}

fn gates(page: &mut Page, component: &Component) {
    if component.gates.is_empty() {
        return;
    }
    page.raw("<h3>Gates</h3><ul>");
    for gate in &component.gates {
        page.raw(if gate.passed {
            "<li><b class=\"well\">passed</b> "
        } else {
            "<li><b class=\"badly\">failed</b> "
        });
        page.text(&gate.name).raw(": ").text(&gate.detail).raw("</li>");
    }
    page.raw("</ul>");
}

fn parts(page: &mut Page, component: &Component) {
    if component.parts.is_empty() {
        return;
    }
    page.raw("<h3>What runs on each part, by the last evidence</h3><ul>");
    for (part, found) in &component.parts {
        page.raw("<li>").text(part).raw(": <code>").text(found).raw("</code></li>");
    }
    page.raw("</ul>");
}

/// A list after a beginning that opens a `div` or `section`; nothing, where there is nothing in it.
pub(super) fn list(page: &mut Page, begin: &'static str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    page.raw(begin).raw("<ul>");
    for line in lines {
        page.raw("<li>").text(line).raw("</li>");
    }
    page.raw(if begin.starts_with("<section") { "</ul></section>" } else { "</ul></div>" });
}

pub(super) fn journals(page: &mut Page, components: &[Component]) {
    let told: Vec<&Component> = components.iter().filter(|one| !one.journal.is_empty()).take(MOST).collect();
    if told.is_empty() {
        return;
    }
    page.raw("<section><h2>Journal</h2>");
    for component in told {
        page.raw("<details><summary>")
            .text(component.component.as_str())
            .raw("</summary><ol class=\"moments\">");
        for (at, line) in &component.journal {
            page.raw("<li><time>").text(&clean::time(*at)).raw("</time> ").text(line).raw("</li>");
        }
        page.raw("</ol></details>");
    }
    page.raw("</section>");
}
