//! What shall go wrong, and when.

use std::time::Duration;

use crate::Random;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Waits between `least` and `most`, then goes on: the rules after it count too. With TCP before connecting.
    Delay {
        /// The shortest wait.
        least: Duration,
        /// The longest wait.
        most: Duration,
    },
    /// Answers in the server's place, which sees nothing. With TCP the same as [`ResetBefore`](Self::ResetBefore).
    Answer(Answer),
    /// Resets the connection. The server saw nothing of the request.
    ResetBefore,
    /// Resets the connection when the server has done it and answered. With TCP when it sends its first bytes.
    ResetAfter,
    /// Closes the connection, in the usual way and without a word, when the server has done it and answered.
    EofAfter,
    /// Never answers. The server saw nothing of the request.
    Hang,
    /// Never answers, although the server has done it and answered. With TCP nothing comes back.
    HangAfter,
    /// Passes the first half of the answer's body on, then resets. As [`ResetAfter`](Self::ResetAfter) where there is
    /// none, and with TCP.
    CutBody,
}

impl Fault {
    /// A delay of always the same length.
    #[must_use]
    pub fn delay(duration: Duration) -> Self {
        Self::Delay { least: duration, most: duration }
    }

    /// What it is counted as.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Delay { .. } => "delay".to_owned(),
            Self::Answer(answer) => format!("answer {}", answer.status),
            Self::ResetBefore => "reset before".to_owned(),
            Self::ResetAfter => "reset after".to_owned(),
            Self::EofAfter => "eof after".to_owned(),
            Self::Hang => "hang".to_owned(),
            Self::HangAfter => "hang after".to_owned(),
            Self::CutBody => "cut body".to_owned(),
        }
    }
}

/// An answer in the server's place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A status alone.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// As S3 says it: 503 is `SlowDown`, 429 `TooManyRequests`, anything else `InternalError`.
    #[must_use]
    pub fn s3(status: u16) -> Self {
        let (code, message) = match status {
            503 => ("SlowDown", "Please reduce your request rate."),
            429 => ("TooManyRequests", "Too many requests."),
            _ => ("InternalError", "We encountered an internal error. Please try again."),
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <RequestId>0A49CE4060975EAC</RequestId></Error>"
        );
        Self::new(status).body("application/xml", body)
    }

    /// As AWS services that speak JSON say it: `aws_json(400, "ThrottlingException")`.
    #[must_use]
    pub fn aws_json(status: u16, error: &str) -> Self {
        let body = serde_json::json!({ "__type": error, "message": "Injected by a test." }).to_string();
        Self::new(status).header("x-amzn-errortype", error).body("application/x-amz-json-1.1", body)
    }

    /// As the API server of Kubernetes says it: `kubernetes(429, "TooManyRequests")`.
    #[must_use]
    pub fn kubernetes(status: u16, reason: &str) -> Self {
        Self::new(status).body("application/json", kubernetes_status(status, reason).to_string())
    }

    /// How a watch of Kubernetes ends when it asked for changes after a version that is no longer known: well, with 410 in its
    /// one event.
    #[must_use]
    pub fn kubernetes_gone() -> Self {
        let event = serde_json::json!({ "type": "ERROR", "object": kubernetes_status(410, "Expired") });
        Self::new(200).body("application/json", format!("{event}\n"))
    }
}

fn kubernetes_status(code: u16, reason: &str) -> serde_json::Value {
    serde_json::json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Injected by a test.",
        "reason": reason,
        "code": code,
    })
}

/// A fault, for which requests, and how often.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a rule does nothing until it is part of some faults"]
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    path: Option<String>,
    operation: Option<String>,
    when: When,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    Always,
    Nth(u64),
    First(u64),
    Chance(f64),
}

impl Rule {
    /// That fault, every time.
    pub fn new(fault: Fault) -> Self {
        Self { fault, method: None, path: None, operation: None, when: When::Always }
    }

    /// Only for this method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only where the path with its query is like `pattern`, in which `*` stands for anything.
    pub fn path(mut self, pattern: &str) -> Self {
        self.path = Some(pattern.to_owned());
        self
    }

    /// Only for this operation, of an AWS service that speaks JSON: `UpdateService`.
    pub fn operation(mut self, name: &str) -> Self {
        self.operation = Some(name.to_owned());
        self
    }

    /// Only the `number`-th of those that match, from 1.
    pub fn nth(mut self, number: u64) -> Self {
        self.when = When::Nth(number);
        self
    }

    /// Only the first `count` of those that match.
    pub fn first(mut self, count: u64) -> Self {
        self.when = When::First(count);
        self
    }

    /// Only with this probability, from 0 to 1, by the seed of the faults.
    pub fn chance(mut self, probability: f64) -> Self {
        self.when = When::Chance(probability);
        self
    }

    fn matches(&self, method: &str, path: &str, operation: Option<&str>) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && (self.operation.is_none() || self.operation.as_deref() == operation)
            && self.path.as_deref().is_none_or(|pattern| is_like(path, pattern))
    }
}

/// Whether `text` is like `pattern`, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = text.split_once(piece) else { return false };
        text = after;
    }
    text.ends_with(last)
}

/// Rules in their order. For each request the first one that applies decides, but for delays, which add up.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "faults do nothing until a proxy has them"]
pub struct Faults {
    seed: u64,
    rules: Vec<Rule>,
}

impl Faults {
    /// None: everything passes.
    pub fn none() -> Self {
        Self::default()
    }

    /// None yet, with a seed for what is left to chance.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, rules: Vec::new() }
    }

    /// Adds a rule after the others.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// Faults, and how far they have come.
#[derive(Debug)]
pub(super) struct Deciding {
    random: Random,
    rules: Vec<(Rule, u64)>,
}

/// What shall happen to a request.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) delay: Duration,
    pub(super) fault: Option<Fault>,
}

impl Deciding {
    pub(super) fn new(faults: Faults) -> Self {
        let rules = faults.rules.into_iter().map(|rule| (rule, 0)).collect();
        Self { random: Random::seeded(faults.seed), rules }
    }

    pub(super) fn decide(&mut self, method: &str, path: &str, operation: Option<&str>) -> Decision {
        let mut decision = Decision::default();
        for (rule, matched) in &mut self.rules {
            if !rule.matches(method, path, operation) {
                continue;
            }
            *matched += 1;
            let applies = match rule.when {
                When::Always => true,
                When::Nth(number) => *matched == number,
                When::First(count) => *matched <= count,
                When::Chance(probability) => self.random.chance(probability),
            };
            if !applies {
                continue;
            }
            let Fault::Delay { least, most } = rule.fault else {
                decision.fault = Some(rule.fault.clone());
                return decision;
            };
            let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
            decision.delay += least + Duration::from_micros(self.random.below(span.saturating_add(1)));
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a*", "/ab?c", true),
            ("*list-type=2*", "/b?list-type=2&prefix=x", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/d", false),
            ("*aba", "ababa", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(is_like(text, pattern), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_rule_that_applies_decides_and_delays_add_up() {
        let wait = Duration::from_millis(3);
        let mut plan = Deciding::new(
            Faults::none()
                .rule(Rule::new(Fault::delay(wait)))
                .rule(Rule::new(Fault::Delay { least: wait, most: wait * 2 }).method("put"))
                .rule(Rule::new(Fault::ResetBefore).method("PUT").nth(2))
                .rule(Rule::new(Fault::Hang).path("/a*").first(1)),
        );
        let found: Vec<_> = ["/a", "/a", "/b"]
            .iter()
            .map(|path| plan.decide("PUT", path, None))
            .map(|d| (d.delay, d.fault))
            .collect();
        assert!(found.iter().all(|(delay, _)| (wait * 2..=wait * 3).contains(delay)), "{found:?}");
        let faults: Vec<_> = found.into_iter().map(|(_, fault)| fault).collect();
        assert_eq!(faults, [Some(Fault::Hang), Some(Fault::ResetBefore), None]);
        assert_eq!(plan.decide("GET", "/", None).delay, wait);
    }

    #[test]
    fn an_operation_is_told_apart_from_others_with_the_same_path() {
        let rule = Rule::new(Fault::Hang).operation("UpdateService").nth(2);
        let mut plan = Deciding::new(Faults::none().rule(rule));
        let found =
            [Some("UpdateService"), None, Some("ListTasks"), Some("UpdateService"), Some("UpdateService")]
                .map(|operation| plan.decide("POST", "/", operation).fault.is_some());
        assert_eq!(found, [false, false, false, true, false]);
    }

    #[test]
    fn chance_follows_the_seed() {
        let count = |seed| {
            let mut plan = Deciding::new(Faults::seeded(seed).rule(Rule::new(Fault::Hang).chance(0.1)));
            (0..10_000).map(|_| plan.decide("GET", "/", None).fault.is_some()).collect::<Vec<_>>()
        };
        let hit = count(1).iter().filter(|hit| **hit).count();
        assert!((800..1_200).contains(&hit), "{hit}");
        assert_eq!(count(1), count(1));
        assert_ne!(count(1), count(2));
    }
}
