//! An incident as one HTML file that needs nothing else.

mod page;
mod parts;

pub(super) use self::page::Page;
use super::{Incident, picture, plot};
use crate::clean;
use crate::notice::lasted;

/// Nothing that got into the page by mistake could run or fetch anything.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
    <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"color-scheme\" content=\"light dark\"><title>";

impl Incident {
    /// The report as one HTML file: styles and pictures are in it, scripts and references to anything else are not. It can be read on a
    /// phone, on paper, in the dark, and without colours.
    #[must_use]
    pub fn html(&self) -> String {
        let mut page = Page::default();
        page.raw(HEAD).text(&self.title()).raw("</title><style>").raw(include_str!("html/style.css"));
        page.raw("</style></head><body><main>");
        self.head(&mut page);
        self.numbers(&mut page);
        page.raw("<section><h2>Timeline</h2>");
        picture::draw(&mut page, self);
        self.moments(&mut page);
        page.raw("</section>");
        parts::components(&mut page, &self.components);
        self.plots(&mut page);
        self.asked(&mut page);
        parts::details(&mut page, &self.components);
        self.people(&mut page);
        parts::journals(&mut page, &self.components);
        page.raw("<footer>Times are in UTC.");
        if let Some(plan) = self.plan {
            page.raw(" Plan <code>").text(&plan.to_string()).raw("</code>.");
        }
        page.raw("</footer></main></body></html>\n");
        page.finish()
    }

    fn head(&self, page: &mut Page) {
        page.raw("<header><h1>").text(&self.title()).raw("</h1><p>");
        if let Some(state) = self.state {
            page.raw(if state.is_success() {
                "<b class=\"badge well\">"
            } else {
                "<b class=\"badge badly\">"
            });
            page.text(&state.to_string()).raw("</b> ");
        }
        if let Some(severity) = self.severity {
            page.raw("<b class=\"badge\">").text(&severity.to_string()).raw("</b> ");
        }
        if self.automatic {
            page.raw("<b class=\"badge\">automatic</b> ");
        }
        if let Some(run) = self.run {
            page.raw("run <code>").text(&run.to_string()).raw("</code>");
        }
        page.raw("</p>");
        for (label, text) in
            [("Why", &self.reason), ("Who", &self.actor), ("Without a lease", &self.break_glass)]
        {
            if let Some(text) = text {
                page.raw("<p><b>").raw(label).raw(":</b> ").text(text).raw("</p>");
            }
        }
        page.raw("</header>");
    }

    /// How long it took from one thing to the next.
    fn numbers(&self, page: &mut Page) {
        let spans = self.spans();
        if spans.is_empty() {
            return;
        }
        page.raw("<dl class=\"numbers\">");
        for (name, took) in spans {
            page.raw("<div><dt>").text(name).raw("</dt><dd>").text(&took).raw("</dd></div>");
        }
        page.raw("</dl>");
    }

    pub(super) fn spans(&self) -> Vec<(&'static str, String)> {
        let times = &self.times;
        let begin = times.first_bad.or(times.detected);
        let asked = times.decided.or(times.detected).or(times.started);
        let wanted = [
            ("until it was detected", times.first_bad, times.detected),
            ("until it was decided", times.detected, times.decided),
            ("until the first action", asked, times.first_effect),
            ("from the first action until it was proven", times.first_effect, times.proven),
            ("it was bad for", begin, times.restored),
            ("the run took", times.started, times.ended),
        ];
        let known =
            |(name, from, to): (_, Option<_>, Option<_>)| Some((name, lasted(from?, to?).to_string()));
        let mut spans: Vec<_> = wanted.into_iter().filter_map(known).collect();
        let deadline = self.severity.and_then(rollback_watch::Severity::deadline);
        if let (Some(deadline), Some(from), Some(until)) =
            (deadline, times.detected, times.restored.or(times.proven))
        {
            let kept = if until <= deadline.after(from) { "kept" } else { "missed" };
            spans.push(("the limit for this severity", format!("{deadline}, {kept}")));
        }
        spans
    }

    /// The picture in words, for whoever cannot see it.
    fn moments(&self, page: &mut Page) {
        let mut named: Vec<_> = self.times.named().collect();
        named.sort_by_key(|(_, at)| *at);
        page.raw("<ol class=\"moments\">");
        let mut before = None;
        for (name, at) in named {
            page.raw("<li><time>").text(&clean::time(at)).raw("</time> ").text(name);
            if let Some(before) = before {
                page.raw(" <span class=\"dim\">+").text(&lasted(before, at).to_string()).raw("</span>");
            }
            page.raw("</li>");
            before = Some(at);
        }
        page.raw("</ol>");
    }

    fn plots(&self, page: &mut Page) {
        if self.rules.is_empty() {
            return;
        }
        page.raw("<section><h2>What was measured</h2><div class=\"plots\">");
        for rule in &self.rules {
            page.raw("<figure><figcaption><b>").text(&rule.name).raw("</b> ");
            page.raw(if rule.verifies {
                "<span class=\"dim\">wanted: "
            } else {
                "<span class=\"dim\">fires on: "
            });
            page.text(&rule.rule).raw("</span></figcaption>");
            plot::draw(page, self, rule);
            page.raw("</figure>");
        }
        page.raw("</div></section>");
    }

    fn asked(&self, page: &mut Page) {
        let Some(decision) = &self.decision else { return };
        page.raw("<section><h2>What was decided without a person</h2><p><b>");
        page.text(&super::markdown::verdict(&decision.verdict)).raw("</b></p><div class=\"wide\"><table>");
        page.raw("<tr><th>asked</th><th>answer</th><th>speaks against acting</th></tr>");
        for answer in &decision.answers {
            page.raw("<tr><td>").text(&answer.question).raw("</td><td>").text(&answer.answer);
            page.raw("</td><td>");
            if let Some(against) = &answer.against {
                page.raw("<b>").text(&super::markdown::verdict(against)).raw("</b>");
            }
            page.raw("</td></tr>");
        }
        page.raw("</table></div></section>");
    }

    fn people(&self, page: &mut Page) {
        if !self.told.is_empty() {
            page.raw("<section><h2>Who was told</h2><ul>");
            for told in &self.told {
                page.raw("<li><time>").text(&clean::time(told.at)).raw("</time> ").text(&told.title);
                for to in &told.to {
                    page.raw("<br><span class=\"dim\">").text(to).raw("</span>");
                }
                page.raw("</li>");
            }
            page.raw("</ul></section>");
        }
        parts::list(page, "<section><h2>Whom to call</h2>", &self.contacts);
    }
}
