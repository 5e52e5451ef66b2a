//! Whether what fired leads to a rollback.

use std::time::Duration;

use jiff::Timestamp;
use rollback_core::time::Lasting;
use serde::{Deserialize, Serialize};

use crate::severity::{Response, Severity};

/// What may be done without a person in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Rolling back.
    Act,
    /// Proposing it.
    Propose,
    /// Nothing, until this time if one is named.
    Off(Option<Timestamp>),
}

/// When the trouble began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Onset {
    /// After the deploy.
    After,
    /// It was there before, or an alarm was on already.
    Before,
    /// Nobody looked before the deploy.
    Unknown,
}

/// What is known when a trigger has fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How bad it is: the worst of what fired.
    pub severity: Severity,
    /// For how long it has fired.
    pub watched: Duration,
    /// What may be done without a person.
    pub mode: Mode,
    /// Whether the deploy changed anything. A pipeline that failed before did not.
    pub changed: bool,
    /// Whether what runs was itself put there by a rollback.
    pub is_rollback: bool,
    /// Whether what runs has itself earned being called good.
    pub runs_good: bool,
    /// When it began.
    pub onset: Onset,
    /// Other components, which nobody changed, that fail in the same way.
    pub others: Vec<String>,
    /// The version that earned being called good, where there is one.
    pub good: Option<String>,
    /// A deploy or a rollback that is under way.
    pub under_way: Option<String>,
    /// Why nothing may be changed now.
    pub frozen: Option<String>,
    /// How often it was rolled back in this window.
    pub done: u32,
    /// How often it may be.
    pub budget: u32,
}

impl Facts {
    /// A trigger fired so long ago, nothing speaks against acting, and nothing good is known.
    #[must_use]
    pub fn fired(severity: Severity, watched: Duration) -> Self {
        Self {
            severity,
            watched,
            mode: Mode::Act,
            changed: true,
            is_rollback: false,
            runs_good: false,
            onset: Onset::After,
            others: Vec::new(),
            good: None,
            under_way: None,
            frozen: None,
            done: 0,
            budget: 2,
        }
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is rolled back.
    Act,
    /// It is looked at again in so long.
    Wait(Lasting),
    /// A person is asked whether it shall be rolled back.
    Propose,
    /// A person is called: a rollback would not help, or may not be done.
    CallSomebody,
    /// It is written down.
    Record,
}

/// A question that was asked before anything was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    pub question: String,
    /// What is known.
    pub answer: String,
    /// What it leads to, where it speaks against acting at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Verdict>,
}

/// What is done, and every question that led there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is done.
    pub verdict: Verdict,
    /// What was asked, in this order. The first that speaks against acting decides; all are asked, for the record.
    pub answers: Vec<Answer>,
}

impl Decision {
    /// The question that decided, where anything spoke against acting.
    #[must_use]
    pub fn because(&self) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.against.is_some())
    }
}

/// How long it is waited before what is under way is looked at again.
const AGAIN: Lasting = Lasting::from_secs(10);

/// Decides.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let answers = vec![
        changed(facts),
        switched_on(facts),
        under_way(facts),
        rollback(facts),
        runs_good(facts),
        onset(facts),
        others(facts),
        good(facts),
        budget(facts),
        frozen(facts),
        severity(facts),
        alone(facts),
    ];
    let verdict = answers.iter().find_map(|answer| answer.against.clone()).unwrap_or(Verdict::Act);
    Decision { verdict, answers }
}

fn answer(question: &str, answer: impl Into<String>, against: Option<Verdict>) -> Answer {
    Answer { question: question.to_owned(), answer: answer.into(), against }
}

/// What was left as it was is not what fails.
fn changed(facts: &Facts) -> Answer {
    let told = if facts.changed { "it did" } else { "no: it ended before it changed anything" };
    answer("did the deploy change anything?", told, (!facts.changed).then_some(Verdict::Record))
}

fn switched_on(facts: &Facts) -> Answer {
    let (told, against) = match &facts.mode {
        Mode::Off(None) => ("no".to_owned(), Some(Verdict::Record)),
        Mode::Off(Some(until)) => (format!("not until {until:.0}"), Some(Verdict::Record)),
        Mode::Act | Mode::Propose => ("yes".to_owned(), None),
    };
    answer("is automatic rollback switched on?", told, against)
}

fn under_way(facts: &Facts) -> Answer {
    let told = facts.under_way.clone().unwrap_or_else(|| "no".to_owned());
    answer(
        "is a deploy or a rollback under way?",
        told,
        facts.under_way.as_ref().map(|_| Verdict::Wait(AGAIN)),
    )
}

/// Two versions that both fail would be changed for each other for ever.
fn rollback(facts: &Facts) -> Answer {
    let told = if facts.is_rollback { "yes: a rollback is never rolled back" } else { "no" };
    answer(
        "is what runs itself the result of a rollback?",
        told,
        facts.is_rollback.then_some(Verdict::CallSomebody),
    )
}

/// What was well for long did not become bad by itself: something else did.
fn runs_good(facts: &Facts) -> Answer {
    let told = if facts.runs_good { "yes: another version would hardly help" } else { "no" };
    let against = facts.runs_good.then_some(Verdict::CallSomebody);
    answer("has what runs earned being called good?", told, against)
}

fn onset(facts: &Facts) -> Answer {
    let (told, against) = match facts.onset {
        Onset::After => ("yes", None),
        Onset::Before => ("no: it was so before", Some(Verdict::CallSomebody)),
        // Where nobody looked before, the deploy is the likeliest cause.
        Onset::Unknown => ("nobody looked before it", None),
    };
    answer("did it begin with the deploy?", told, against)
}

fn others(facts: &Facts) -> Answer {
    let fail = !facts.others.is_empty();
    let told = if fail { facts.others.join(", ") } else { "none".to_owned() };
    answer("which unchanged components fail in the same way?", told, fail.then_some(Verdict::CallSomebody))
}

fn good(facts: &Facts) -> Answer {
    let told = facts.good.clone().unwrap_or_else(|| "none".to_owned());
    let against = facts.good.is_none().then_some(Verdict::CallSomebody);
    answer("which other version has earned being called good?", told, against)
}

fn budget(facts: &Facts) -> Answer {
    let told = format!("{} of {}", facts.done, facts.budget);
    let against = (facts.done >= facts.budget).then_some(Verdict::CallSomebody);
    answer("how often was it rolled back in this window?", told, against)
}

fn frozen(facts: &Facts) -> Answer {
    let told = facts.frozen.clone().unwrap_or_else(|| "no".to_owned());
    answer("is it frozen?", told, facts.frozen.as_ref().map(|_| Verdict::CallSomebody))
}

fn severity(facts: &Facts) -> Answer {
    let against = match facts.severity.response() {
        Response::Now => None,
        Response::After(wanted) => {
            let left = wanted.as_duration().saturating_sub(facts.watched);
            (!left.is_zero()).then(|| Verdict::Wait(Lasting::new(left)))
        }
        Response::Propose => Some(Verdict::Propose),
        Response::Record => Some(Verdict::Record),
    };
    let told = format!("{}, for {}", facts.severity, Lasting::new(facts.watched));
    answer("how bad is it?", told, against)
}

fn alone(facts: &Facts) -> Answer {
    let asks = facts.mode == Mode::Propose;
    let told = if asks { "no: a person is asked" } else { "yes" };
    answer("may it be done without a person?", told, asks.then_some(Verdict::Propose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { good: Some("v41".to_owned()), ..Facts::fired(Severity::P0, Duration::ZERO) }
    }

    #[test]
    fn nothing_speaks_against_it() {
        let decision = decide(&facts());
        assert_eq!(decision.verdict, Verdict::Act);
        assert_eq!(decision.because(), None);
        assert_eq!(decision.answers.len(), 12, "all questions are in the record");
        assert_eq!(decide(&Facts { onset: Onset::Unknown, ..facts() }).verdict, Verdict::Act);
    }

    #[test]
    fn each_reason_speaks_for_itself() {
        let cases: [(&str, Facts, Verdict); 11] = [
            ("change", Facts { changed: false, ..facts() }, Verdict::Record),
            ("switched on", Facts { mode: Mode::Off(None), ..facts() }, Verdict::Record),
            ("under way", Facts { under_way: Some("run 7".to_owned()), ..facts() }, Verdict::Wait(AGAIN)),
            ("itself", Facts { is_rollback: true, ..facts() }, Verdict::CallSomebody),
            ("has what runs earned", Facts { runs_good: true, ..facts() }, Verdict::CallSomebody),
            ("begin with", Facts { onset: Onset::Before, ..facts() }, Verdict::CallSomebody),
            ("unchanged", Facts { others: vec!["db".to_owned()], ..facts() }, Verdict::CallSomebody),
            ("which other version", Facts { good: None, ..facts() }, Verdict::CallSomebody),
            ("window", Facts { done: 2, ..facts() }, Verdict::CallSomebody),
            ("frozen", Facts { frozen: Some("black friday".to_owned()), ..facts() }, Verdict::CallSomebody),
            ("without a person", Facts { mode: Mode::Propose, ..facts() }, Verdict::Propose),
        ];
        for (question, facts, verdict) in cases {
            let decision = decide(&facts);
            assert_eq!(decision.verdict, verdict, "{question}");
            assert!(decision.because().unwrap().question.contains(question), "{decision:?}");
        }
    }

    #[test]
    fn severity_decides_when() {
        let of = |severity, seconds| {
            decide(&Facts { severity, watched: Duration::from_secs(seconds), ..facts() }).verdict
        };
        assert_eq!(of(Severity::P0, 0), Verdict::Act);
        assert_eq!(of(Severity::P1, 60), Verdict::Wait(Lasting::from_secs(540)));
        assert_eq!(of(Severity::P1, 600), Verdict::Act);
        assert_eq!(of(Severity::P2, 6_000), Verdict::Propose);
        assert_eq!(of(Severity::P3, 6_000), Verdict::Record);
    }

    #[test]
    fn a_record_can_be_read_again() {
        let decision = decide(&Facts { severity: Severity::P1, ..facts() });
        let text = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        assert!(text.contains(r#""verdict":{"wait":"10m"}"#), "{text}");
    }
}
