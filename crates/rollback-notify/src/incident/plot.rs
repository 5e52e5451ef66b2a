//! What was measured, as small plots.

use super::html::Page;
use super::picture::clock;
use super::scale::Scale;
use super::{Incident, Measured, Point};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 110.0;
const TOP: f64 = 10.0;
const LEFT: f64 = 4.0;
/// How many samples a plot shows; of more, the worst of those that lie together.
const MOST: usize = 240;

/// Draws the samples of a rule: a line for a number, bars for what is only good or bad.
pub(super) fn draw(page: &mut Page, incident: &Incident, rule: &Measured) {
    let points = thinned(&rule.points);
    let Some(scale) = Scale::of(points.iter().map(|point| point.at), LEFT, WIDTH - 2.0 * LEFT) else {
        page.raw("<p class=\"dim\">no samples</p>");
        return;
    };
    page.raw("<svg class=\"plot\" role=\"img\" aria-label=\"samples\" viewBox=\"0 0 ");
    page.number(WIDTH).raw(" ").number(HEIGHT + 24.0).raw("\">");
    let most = points.iter().filter_map(|point| point.value).chain(rule.limit).fold(0.0_f64, f64::max);
    let numbers = rule.metric.is_some() && most > 0.0;
    let y = |value: f64| TOP + (HEIGHT - TOP) * (1.0 - (value / (most * 1.1)).clamp(0.0, 1.0));
    shade(page, &points, &scale);
    if numbers {
        line(page, &points, &scale, y);
        if let Some(limit) = rule.limit.filter(|limit| *limit > 0.0) {
            page.raw("<g class=\"limit\"><path d=\"M").number(LEFT).raw(" ").number(y(limit));
            page.raw("H").number(WIDTH - LEFT).raw("\"/><text x=\"").number(LEFT + 2.0);
            page.raw("\" y=\"").number(y(limit) - 3.0).raw("\">").text(&number(limit)).raw("</text></g>");
        }
        page.raw("<text class=\"tick end\" x=\"").number(WIDTH - LEFT).raw("\" y=\"9\">highest ");
        let highest = points.iter().filter_map(|point| point.value).fold(0.0_f64, f64::max);
        page.text(&number(highest)).raw("</text>");
    } else {
        bars(page, &points, &scale);
    }
    moments(page, incident, rule, &scale);
    page.raw("<path class=\"axis\" d=\"M0 ").number(HEIGHT).raw("H").number(WIDTH).raw("\"/>");
    ends(page, &points, &scale);
    page.raw("</svg>");
}

/// No more than a plot can show: of samples that lie together the worst.
fn thinned(points: &[Point]) -> Vec<Point> {
    let size = points.len().div_ceil(MOST).max(1);
    let worst = |some: &[Point]| {
        let key = |point: &&Point| (point.bad == Some(true), point.value.unwrap_or(f64::MIN));
        let most = some.iter().max_by(|one, other| {
            let (one, other) = (key(one), key(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        most.copied()
    };
    points.chunks(size).filter_map(worst).collect()
}

/// Behind what is bad.
fn shade(page: &mut Page, points: &[Point], scale: &Scale) {
    for run in points.chunk_by(|one, other| (one.bad == Some(true)) == (other.bad == Some(true))) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        if first.bad == Some(true) {
            let (left, right) = (scale.x(first.at), scale.x(last.at));
            page.raw("<rect class=\"trouble\" y=\"0\" x=\"").number(left - 1.0).raw("\" width=\"");
            page.number(right - left + 2.0).raw("\" height=\"").number(HEIGHT).raw("\"/>");
        }
    }
}

fn line(page: &mut Page, points: &[Point], scale: &Scale, y: impl Fn(f64) -> f64) {
    page.raw("<path class=\"value\" d=\"");
    let mut drawing = false;
    for point in points {
        // Where nothing was measured there is no line.
        let Some(value) = point.value else {
            drawing = false;
            continue;
        };
        page.raw(if drawing { "L" } else { "M" }).number(scale.x(point.at)).raw(" ").number(y(value));
        drawing = true;
    }
    page.raw("\"/>");
}

/// A high bar where it was bad, a low one where it was good, a dot where nobody knows.
fn bars(page: &mut Page, points: &[Point], scale: &Scale) {
    for point in points {
        let (class, top) = match point.bad {
            Some(true) => ("<path class=\"bar badly\" d=\"M", TOP + 10.0),
            Some(false) => ("<path class=\"bar well\" d=\"M", HEIGHT - 30.0),
            None => ("<path class=\"bar\" d=\"M", HEIGHT - 4.0),
        };
        page.raw(class)
            .number(scale.x(point.at))
            .raw(" ")
            .number(HEIGHT - 1.0)
            .raw("V")
            .number(top)
            .raw("\"/>");
    }
}

fn moments(page: &mut Page, incident: &Incident, rule: &Measured, scale: &Scale) {
    let (Some(first), Some(last)) = (rule.points.first(), rule.points.last()) else { return };
    let fired = rule.fired.map(|at| (at, "fired"));
    let acted = incident.times.first_effect.map(|at| (at, "first action"));
    for (at, name) in fired.into_iter().chain(acted).filter(|(at, _)| (first.at..=last.at).contains(at)) {
        let x = scale.x(at);
        page.raw("<g class=\"mark\"><path d=\"M").number(x).raw(" 0V").number(HEIGHT).raw("\"/>");
        page.raw(if x > WIDTH / 2.0 { "<text class=\"end\" x=\"" } else { "<text class=\"start\" x=\"" });
        page.number(if x > WIDTH / 2.0 { x - 4.0 } else { x + 4.0 }).raw("\" y=\"");
        page.number(if name == "fired" { 22.0 } else { 36.0 }).raw("\">").text(name).raw("</text></g>");
    }
}

fn ends(page: &mut Page, points: &[Point], scale: &Scale) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    page.raw("<text class=\"tick\" x=\"")
        .number(scale.x(first.at).min(LEFT))
        .raw("\" y=\"")
        .number(HEIGHT + 16.0);
    page.raw("\">").text(&clock(first.at)).raw("</text><text class=\"tick end\" x=\"").number(WIDTH - LEFT);
    page.raw("\" y=\"").number(HEIGHT + 16.0).raw("\">").text(&clock(last.at)).raw("</text>");
}

/// With as many digits as somebody reads.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
