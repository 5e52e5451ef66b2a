//! Names from outside, hostile until parsed into one of these types.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result, quoted};

/// Checks a text that will be shown, stored and compared: not empty, bounded, no control characters, nothing
/// that hides or reorders what a person reads.
fn check_line(what: &'static str, text: &str, longest: usize) -> Result<()> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::Invalid, format!("read a {what}"), format!("{} {why}", quoted(text)))
    };
    if text.is_empty() || text.trim() != text {
        return Err(wrong("is empty or begins or ends with a space"));
    }
    if text.len() > longest {
        return Err(wrong(&format!("is longer than {longest} bytes")));
    }
    if text.chars().any(hides) {
        return Err(wrong("contains a control or invisible character"));
    }
    Ok(())
}

/// Control characters, line separators, and the marks that turn text around on a terminal.
fn hides(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Checks a name that may become a part of a key or a path: letters, digits, `.`, `_`, `-`, beginning with a
/// letter or digit.
fn check_slug(what: &'static str, text: &str, longest: usize) -> Result<()> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let clean = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if begins && clean && text.len() <= longest {
        return Ok(());
    }
    let why = format!("{} is no {what}", quoted(text));
    Err(Error::new(ErrorKind::Invalid, format!("read a {what}"), why).next(format!(
        "use up to {longest} letters, digits, '.', '_' or '-', beginning with a letter or digit"
    )))
}

macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $what:literal, $check:ident, $longest:literal) => {
        crate::checked_text!($(#[$meta])* $name, |text| $check($what, text, $longest));
    };
}

text_type!(
    /// The name of one component in a configuration: `backend`, `web-frontend`.
    ComponentName, "component name", check_slug, 63
);
text_type!(
    /// The name of an environment: `prod`, `staging`.
    EnvironmentName, "environment name", check_slug, 63
);
text_type!(
    /// The canonical id of a deployed thing: an ARN; cluster UID / namespace / kind / name; host key and path.
    /// Two operators who mean the same thing must get the same id, because they meet in one lease under it.
    TargetId, "target id", check_line, 512
);
text_type!(
    /// What a person types to name a snapshot: `42`, `abc123d`, `v1.7.3`.
    Revision, "revision", check_line, 200
);
text_type!(
    /// A version that means something outside the backend: an image tag, a commit.
    Version, "version", check_line, 200
);
text_type!(
    /// One independent part of a target: a host, a replica set, a region.
    PartId, "part id", check_line, 200
);
text_type!(
    /// The name of one action inside a proposal: `switch`, `restart@web-1`.
    StepId, "step id", check_line, 200
);

impl StepId {
    /// A step's name that stands in the code: strategies are pure and have nobody to tell that they mistyped it.
    ///
    /// ```
    /// # use rollback_core::StepId;
    /// assert_eq!(StepId::from_static("switch").as_str(), "switch");
    /// ```
    ///
    /// # Panics
    ///
    /// When the text is no step id.
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        match Self::new(text) {
            Ok(id) => id,
            Err(error) => panic!("{text:?} stands in the code as a step id: {error}"),
        }
    }
}

text_type!(
    /// When something last (re)started, in whatever form the backend tells it: equal means "not restarted".
    Incarnation, "incarnation", check_line, 512
);
text_type!(
    /// A key that is the same each time the same action of the same run is sent. Hand it to the API where it
    /// takes one.
    IdempotencyKey, "idempotency key", check_slug, 128
);

/// The concurrency token of a target: changes with intent and rollout, not with status noise.
///
/// It is opaque to core, which only compares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token from whatever the backend uses.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of one run; sorts by the time it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A run id made at `at`, unique by `entropy`.
    #[must_use]
    pub fn new(at: Timestamp, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let mut random = [0; 10];
        random.copy_from_slice(&entropy.bytes()[..10]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// When the run was made, to the millisecond.
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::parse_str(text).map(Self).map_err(|error| {
            Error::new(ErrorKind::Invalid, "read a run id", format!("{text:?}: {error}"))
                .next("`rollback runs` lists the runs with their ids")
        })
    }
}

/// Where nonces and run ids come from. Seeded in simulations, so that every schedule can be replayed.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Sixteen bytes that were not given before.
    fn bytes(&self) -> [u8; 16];
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 16] {
        *Uuid::new_v4().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for text in ["../../etc", "-rf", "", "a/b", "a b", "naïve", "x\n", &"a".repeat(64)] {
            assert!(ComponentName::new(text).is_err(), "{text:?}");
        }
        for text in ["a\nb", "\u{1b}[31mred", "", " v1", "v1 ", "safe\u{202e}lian", &"a".repeat(300)] {
            assert!(Revision::new(text).is_err(), "{text:?}");
        }
        assert!(Revision::new("release 2026/11 (hotfix)").is_ok());
        assert!(serde_json::from_str::<ComponentName>("\"../x\"").is_err());
    }

    #[test]
    fn run_ids_sort_by_time() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let early = RunId::new(at(1_000), &SystemEntropy);
        let late = RunId::new(at(2_000), &SystemEntropy);
        assert!(early < late);
        assert_eq!(early.made_at(), Some(at(1_000)));
        assert_eq!(early.to_string().parse::<RunId>().unwrap(), early);
    }

    #[test]
    fn entropy_differs_in_the_bytes_that_are_used() {
        let heads: std::collections::BTreeSet<_> =
            (0..100).map(|_| SystemEntropy.bytes()[..8].to_vec()).collect();
        assert_eq!(heads.len(), 100);
    }
}
