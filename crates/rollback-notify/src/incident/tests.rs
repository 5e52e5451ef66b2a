//! Nothing from outside changes the shape of a report.

use proptest::prelude::*;
use rollback_core::report::GateReport;
use rollback_core::{ComponentName, EnvironmentName, Identity, State};
use rollback_watch::{Answer, Decision, Severity, Verdict};

use super::{Component, Incident, Measured, Point, Sent, Told};
use crate::notice::Version;

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_795_230_000 + second).unwrap()
}

/// An incident with this text wherever a text can be.
fn filled(text: &str) -> Incident {
    let texts = || vec![text.to_owned(), text.to_owned()];
    let version = Version {
        label: text.to_owned(),
        version: Some(text.to_owned()),
        identity: Identity::of("x").unwrap(),
    };
    let mut incident = Incident::new(EnvironmentName::new("prod").unwrap()).deployed(at(0));
    incident.state = Some(State::Partial);
    (incident.actor, incident.reason) = (Some(text.to_owned()), Some(text.to_owned()));
    incident.break_glass = Some(text.to_owned());
    incident.contacts = texts();
    incident.told = vec![Told { at: at(90), title: text.to_owned(), to: texts() }];
    let sent = |ended| Sent {
        title: text.to_owned(),
        leg: Some(text.to_owned()),
        at: at(60),
        ended,
        outcome: text.to_owned(),
    };
    incident.components = vec![Component {
        component: ComponentName::new("web").unwrap(),
        from: Some(version.clone()),
        to: Some(version),
        state: Some(State::Stuck),
        summary: text.to_owned(),
        parts: vec![(text.to_owned(), text.to_owned())],
        actions: vec![sent(Some(at(80))), sent(None)],
        gates: vec![GateReport::new(text, false, text)],
        errors: texts(),
        next: texts(),
        undone_by: texts(),
        findings: texts(),
        way_back: Some(text.to_owned()),
        journal: vec![(at(60), text.to_owned())],
    }];
    let answer = Answer { question: text.to_owned(), answer: text.to_owned(), against: Some(Verdict::Act) };
    let decision = Decision { verdict: Verdict::CallSomebody, answers: vec![answer] };
    let mut rule =
        Measured::new(text, &rollback_watch::named::error_rate().rule().clone(), Default::default());
    (rule.rule, rule.metric, rule.limit) = (text.to_owned(), Some(text.to_owned()), Some(5.0));
    rule.points = vec![Point::new(at(10), Some(7.0), Some(true)), Point::new(at(20), Some(1.0), Some(false))];
    rule.fired = Some(at(15));
    incident.decided(decision, Severity::P0, at(30)).rule(rule)
}

/// The tags with the names of their attributes. Panics where one is not as the code writes them.
fn shape(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        assert!(
            !rest[..begin].contains(['"', '\'']) || !tags.iter().any(|tag| tag == "/style"),
            "{}",
            &rest[..begin]
        );
        rest = &rest[begin + 1..];
        let mut quoted = false;
        let end = rest.find(|c: char| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let tag = &rest[..end.expect("a tag that ends")];
        rest = &rest[tag.len() + 1..];
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains(['<', '\'', '`', '&']), "{tag}");
        tags.push(outside);
    }
    tags
}

proptest! {
    #[test]
    fn no_text_changes_the_shape_of_a_page(text in "(<script>|</style>|\" onload=|'>|-->|&lt;|<!--|\\]\\]>|[<>&\"'`=/a-z\u{202e}\n\u{0}é-]){1,12}") {
        let page = filled(&text).html();
        prop_assert_eq!(shape(&page), shape(&filled("x").html()));
        let hidden = ['\u{202e}', '\u{0}'].iter().any(|hidden| page.contains(*hidden));
        prop_assert!(!hidden, "what nobody sees is left out");
    }

    #[test]
    fn no_text_is_markup_in_markdown(text in "(<b>|\\[x\\]\\(http://e\\)|\\*\\*|`|\n# |\\||https://e|www\\.e|- |[a-z#>_~!\\\\]){1,12}") {
        let written = filled(&text).markdown();
        let plain = filled("x").markdown();
        let lines = |text: &str| text.lines().map(|line| line.chars().take_while(|c| "#-*| ".contains(*c)).collect::<String>()).collect::<Vec<_>>();
        prop_assert_eq!(lines(&written).len(), lines(&plain).len());
        for character in ["<", "[", "](", "\\", "~", "_", "!"] {
            prop_assert!(!written.contains(character), "{character} in {written}");
        }
        for character in ["**", "`", "|"] {
            let count = |text: &str| text.matches(character).count();
            prop_assert_eq!(count(&written), count(&plain), "{} in {}", character, &written);
        }
        prop_assert!(!written.contains("://") && !written.contains("www."));
    }
}

#[test]
fn a_page_needs_nothing_else_and_runs_nothing() {
    let page = filled("https://example.com/x.js url(x) @import javascript:alert(1)").html();
    for tag in shape(&page) {
        for forbidden in
            ["script", "img", "link", "iframe", "object", "a href", "src=", "href=", " on", "style="]
        {
            assert!(!tag.contains(forbidden), "{tag}");
        }
    }
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains('<'));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_is_read_again_is_the_same() {
    let mut incident = filled("x");
    let written = serde_json::to_string(&incident).unwrap();
    // What was asked is not kept.
    incident.rules = incident.rules.into_iter().map(Measured::forgetting).collect();
    assert_eq!(serde_json::from_str::<Incident>(&written).unwrap(), incident);
}

#[test]
fn times_follow_from_what_was_measured() {
    let rule = |points: &[(i64, bool)], fired| {
        let mut rule = Measured::new("r", rollback_watch::named::outage().rule(), Default::default());
        rule.points = points.iter().map(|(second, bad)| Point::new(at(*second), None, Some(*bad))).collect();
        rule.fired = Some(at(fired));
        rule
    };
    let prod = || Incident::new(EnvironmentName::new("prod").unwrap());
    // A fault that passed before is not when it began.
    let one = rule(&[(0, true), (10, false), (20, true), (30, true), (40, false)], 30);
    let both = prod().rule(one.clone()).rule(rule(&[(25, true), (60, false)], 35));
    assert_eq!(both.times.first_bad, Some(at(20)));
    assert_eq!(both.times.detected, Some(at(30)));
    assert_eq!(both.times.restored, Some(at(60)), "well again is what all of them are");
    let still = prod().rule(one).rule(rule(&[(25, true), (60, true)], 35));
    assert_eq!(still.times.restored, None);
    // A blip of a rule that never fired is not how it began.
    let mut blip = rule(&[(1, true), (2, false)], 0);
    blip.fired = None;
    let fired = rule(&[(20, true), (60, false)], 35);
    assert_eq!(prod().rule(blip.clone()).rule(fired.clone()).times.first_bad, Some(at(20)));
    assert_eq!(prod().rule(fired).rule(blip.clone()).times.first_bad, Some(at(20)));
    assert_eq!(prod().rule(blip).times.first_bad, Some(at(1)));
}
