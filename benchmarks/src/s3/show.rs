//! The tables.

use std::collections::BTreeSet;

use rollback_tests::CALLS_BESIDE;

use super::Times;
use super::release::Releases;
use super::ways::{AT_A_TIME, LATENCY, Way};
use crate::measure::number;
use crate::report::Table;

/// One line for each way.
pub(super) fn side_by_side(releases: &Releases, times: &[Times], missing: &[Way]) -> Table {
    let title = format!("{} objects, {} differ", releases.objects(), releases.differ);
    let head = ["s in all", "of the first", "s until the last copy", "calls", "the site afterwards"];
    let mut table = Table::new([title.as_str()].into_iter().chain(head));
    for one in times {
        let copied = if one.calls.copies.is_some() { one.copied.show(1.0) } else { "-".to_owned() };
        let verdicts: Vec<_> = one.verdicts.iter().map(ToString::to_string).collect();
        table.row([
            one.way.name().to_owned(),
            one.all.show(1.0),
            number(one.all.over(&times[0].all).median()),
            copied,
            one.calls.all().to_string(),
            verdicts.join("; "),
        ]);
    }
    for way in missing {
        table.row([way.name(), "not installed", "", "", "", ""]);
    }
    table
}

/// What was asked, by kind.
pub(super) fn asked(times: &[Times]) -> Table {
    let kinds: BTreeSet<_> = times.iter().flat_map(|one| one.calls.kinds.keys().copied()).collect();
    let mut table = Table::new(std::iter::once("calls").chain(kinds.iter().copied()));
    for one in times {
        let count = |kind| one.calls.kinds.get(kind).map_or("-".to_owned(), ToString::to_string);
        table.row(std::iter::once(one.way.name().to_owned()).chain(kinds.iter().map(count)));
    }
    table
}

/// What is asked of ours, and what came of it.
pub(super) fn targets(measured: &[(Releases, Vec<Times>)], rounds: usize) -> Table {
    let mut table = Table::new(["targets of rollback run", "allowed", "taken", "of what is allowed"]);
    for (releases, times) in measured {
        let Some(ours) = times.iter().find(|one| one.way == Way::Ours) else { continue };
        let differ = releases.differ;
        let (calls, allowed) = (ours.calls.all(), 2 * releases.pages() + 2 * differ + CALLS_BESIDE);
        let ratio = number(calls as f64 / allowed as f64);
        table.row([format!("calls, {differ} differ"), allowed.to_string(), calls.to_string(), ratio]);
        let least = (releases.pages() + differ) as f64 * LATENCY.as_secs_f64() / AT_A_TIME as f64;
        let (copied, allowed) = (ours.copied.median(), 1.3 * least);
        let name = format!("s until the last copy, {differ} differ");
        table.row([name, number(allowed), number(copied), number(copied / allowed)]);
        let name = format!("of that, until the first copy, {differ} differ");
        table.row([name, "-".to_owned(), number(ours.begun.median()), "-".to_owned()]);
        if let Some((peer, share)) = nearest(ours, times) {
            let name = format!("s in all, {differ} differ: less than {}", peer.way.name());
            let (allowed, taken) = (number(peer.all.median()), number(ours.all.median()));
            table.row([name, allowed, taken, number(share)]);
        }
    }
    table.note(notes(measured, rounds));
    table
}

/// Of those that end with the right site, the fastest, and how much of its time ours takes.
fn nearest<'a>(ours: &Times, times: &'a [Times]) -> Option<(&'a Times, f64)> {
    let peers = times.iter().filter(|one| !one.way.is_ours() && one.way != Way::Bare && one.is_right());
    let shares = peers.map(|peer| (peer, ours.all.over(&peer.all).median()));
    shares.max_by(|(_, one), (_, other)| one.total_cmp(other))
}

fn notes(measured: &[(Releases, Vec<Times>)], rounds: usize) -> String {
    let pages = measured.first().map_or(0, |(releases, _)| releases.pages());
    format!(
        "ministack, a new one for each way and round, behind a proxy that holds each request for {} ms and counts it; rounds in turn: {rounds}; \
         medians with quartiles, calls of the last one. Afterwards every object is read and held against the release, with three headers, and the archive is listed. Allowed are calls for twice \
         the pages of both listings ({pages} together, of a thousand objects), two for each object that differs, and {CALLS_BESIDE} more; and 1.3 times (pages + copies) × latency ÷ \
         {AT_A_TIME} until the last copy.",
        LATENCY.as_millis()
    )
}
