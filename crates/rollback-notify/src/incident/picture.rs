//! The timeline as a picture.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rollback_core::time::Lasting;

use super::html::Page;
use super::scale::Scale;
use super::{Component, Incident};

const WIDTH: f64 = 760.0;
const SIDE: f64 = 12.0;
const LEVEL: f64 = 18.0;
const LANE: f64 = 34.0;
/// About how wide a letter of a label is.
const LETTER: f64 = 6.6;
/// How many components have a lane, and how many actions are drawn in one.
const MOST_LANES: usize = 8;
const MOST_BARS: usize = 60;

/// A label over a moment.
struct Mark {
    name: &'static str,
    label: String,
    x: f64,
    left: f64,
    level: usize,
}

/// Draws when what happened. Nothing, where no time is known.
pub(super) fn draw(page: &mut Page, incident: &Incident) {
    let Some(scale) = Scale::of(moments(incident), SIDE, WIDTH - 2.0 * SIDE) else { return };
    let marks = marks(incident, &scale);
    let levels = marks.iter().map(|mark| mark.level + 1).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a handful of levels")]
    let top = 8.0 + LEVEL * levels as f64;
    let shown: Vec<&Component> = incident.components.iter().take(MOST_LANES).collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of lanes")]
    let bottom = top + 14.0 + LANE * shown.len() as f64;
    page.raw("<div class=\"wide\"><svg class=\"line\" role=\"img\" aria-label=\"timeline\" viewBox=\"0 0 ");
    page.number(WIDTH).raw(" ").number(bottom + 24.0).raw("\">");
    trouble(page, incident, &scale, top, bottom);
    for mark in &marks {
        draw_mark(page, mark, top, bottom);
    }
    let mut y = top + 14.0;
    for component in shown {
        lane(page, component, incident, &scale, y);
        y += LANE;
    }
    axis(page, incident, &scale, bottom);
    page.raw("</svg></div>");
}

fn moments(incident: &Incident) -> Vec<Timestamp> {
    let mut moments: Vec<Timestamp> = incident.times.named().map(|(_, at)| at).collect();
    for action in incident.components.iter().flat_map(|component| &component.actions) {
        moments.push(action.at);
        moments.extend(action.ended);
    }
    moments
}

/// Each label on the lowest level where it covers no other.
fn marks(incident: &Incident, scale: &Scale) -> Vec<Mark> {
    let mut ends: Vec<f64> = Vec::new();
    let mut named: Vec<_> = incident.times.named().collect();
    named.sort_by_key(|(_, at)| *at);
    let mark = |(name, at): (&'static str, Timestamp)| {
        let label = format!("{name} {}", clock(at));
        #[expect(clippy::cast_precision_loss, reason = "a short label")]
        let width = LETTER * label.len() as f64 + 10.0;
        let x = scale.x(at);
        let left = x.min(WIDTH - width);
        let level = ends.iter().position(|end| *end < left).unwrap_or(ends.len());
        if level == ends.len() {
            ends.push(0.0);
        }
        ends[level] = left + width;
        Mark { name, label, x, left, level }
    };
    named.into_iter().map(mark).collect()
}

fn draw_mark(page: &mut Page, mark: &Mark, top: f64, bottom: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a handful of levels")]
    let y = top - LEVEL * mark.level as f64 - 6.0;
    let class = match mark.name {
        "first bad sample" | "detected" => "<g class=\"mark badly\">",
        "well again" | "proven" => "<g class=\"mark well\">",
        _ => "<g class=\"mark\">",
    };
    page.raw(class).raw("<path d=\"M").number(mark.x).raw(" ").number(y - 10.0).raw("V").number(bottom);
    page.raw("\"/><circle r=\"3.5\" cx=\"").number(mark.x).raw("\" cy=\"").number(bottom);
    page.raw("\"/><text x=\"").number(mark.left + 4.0).raw("\" y=\"").number(y).raw("\">").text(&mark.label);
    page.raw("</text></g>");
}

/// From the first bad sample until it was well again.
fn trouble(page: &mut Page, incident: &Incident, scale: &Scale, top: f64, bottom: f64) {
    let times = &incident.times;
    let Some(from) = times.first_bad else { return };
    let until = times.restored.or(times.ended);
    let (left, right) = (scale.x(from), until.map_or(WIDTH - SIDE, |at| scale.x(at)));
    page.raw("<rect class=\"trouble\" x=\"").number(left).raw("\" y=\"").number(top);
    page.raw("\" width=\"").number((right - left).max(1.0)).raw("\" height=\"").number(bottom - top);
    page.raw("\"><title>bad</title></rect>");
}

fn lane(page: &mut Page, component: &Component, incident: &Incident, scale: &Scale, y: f64) {
    let begin = component.actions.first().map(|action| scale.x(action.at));
    page.raw("<text class=\"lane\" x=\"");
    let name = component.component.as_str();
    #[expect(clippy::cast_precision_loss, reason = "a name")]
    let room = WIDTH - 2.0 * SIDE - LETTER * name.len() as f64;
    page.number(begin.unwrap_or(SIDE).clamp(SIDE, room.max(SIDE))).raw("\" y=\"").number(y + 9.0);
    page.raw("\">").text(name).raw("</text>");
    let last = component.actions.iter().filter_map(|action| action.ended).max();
    if let (Some(from), Some(until)) = (last, incident.times.proven) {
        bar(page, "<rect class=\"proving\" x=\"", scale.x(from), scale.x(until), y + 15.0);
        page.raw("\"><title>until it was proven</title></rect>");
    }
    for action in component.actions.iter().take(MOST_BARS) {
        let until = action.ended.or(incident.times.ended).unwrap_or(action.at);
        let good = action.outcome.starts_with("applied");
        let class = if good { "<rect class=\"act\" x=\"" } else { "<rect class=\"act failed\" x=\"" };
        bar(page, class, scale.x(action.at), scale.x(until), y + 13.0);
        page.raw("\"><title>").text(&action.title).raw(": ").text(&action.outcome).raw("</title></rect>");
    }
}

fn bar(page: &mut Page, begin: &'static str, left: f64, right: f64, y: f64) {
    page.raw(begin).number(left).raw("\" y=\"").number(y);
    page.raw("\" width=\"").number((right - left).max(3.0)).raw("\" height=\"10\" rx=\"2");
}

fn axis(page: &mut Page, incident: &Incident, scale: &Scale, bottom: f64) {
    page.raw("<path class=\"axis\" d=\"M").number(SIDE).raw(" ").number(bottom).raw("H").number(WIDTH - SIDE);
    page.raw("\"/>");
    let mut moments = moments(incident);
    moments.sort();
    let (first, last) = (moments.first().copied(), moments.last().copied());
    for (at, class) in [(first, "<text class=\"tick\" x=\""), (last, "<text class=\"tick end\" x=\"")] {
        let Some(at) = at else { continue };
        page.raw(class).number(scale.x(at)).raw("\" y=\"").number(bottom + 18.0).raw("\">");
        page.text(&clock(at)).raw("</text>");
    }
    if let Some((x, seconds)) = scale.broken() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a pause between two times"
        )]
        let long = Lasting::from_secs(seconds as u64);
        page.raw("<g class=\"broken\"><path d=\"M").number(x - 5.0).raw(" ").number(bottom + 6.0);
        page.raw("l4 -12m4 12l4 -12\"/><text x=\"")
            .number(x + 8.0)
            .raw("\" y=\"")
            .number(bottom - 6.0)
            .raw("\">");
        page.text(&long.to_string()).raw("</text></g>");
    }
}

/// The time of day.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}
