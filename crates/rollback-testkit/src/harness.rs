//! The runner of conformance suites: cases are chosen by capability, what is skipped is shown, and a suite of
//! which nothing applies fails.
//!
//! A suite is a test target of its own, with its own `main`:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```
//! use std::process::ExitCode;
//!
//! use rollback_testkit::harness::{Need, Suite, equal};
//!
//! fn main() -> ExitCode {
//!     let can_pause = false;
//!     Suite::new("my-driver")
//!         .case("two_and_two", true, || async { equal("the sum", &(2 + 2), &4) })
//!         .case("pauses", Need::when(can_pause, "pausing"), || async { equal("the phase", "live", "paused") })
//!         .run()
//! }
//! ```
//!
//! It understands the arguments of `cargo test` (`--list`, `--exact`, filters, `--nocapture`, …) and works with
//! `cargo nextest`.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use rollback_core::time::{SystemClock, within};

use crate::runner::{self, End, Task};

/// How long one case may take before it counts as hanging: in real time, and where time is virtual.
const LIMIT: Duration = Duration::from_secs(120);
const VIRTUAL_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What a case is worth: `Ok` or why it failed. Made with `?` from any error that can be displayed, and by
/// [`ensure`] and [`equal`].
pub type CaseResult = Result<(), Failure>;

/// Why a case failed, for the author of what was tested; or why it does not apply after all, made by [`ignore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    ignored: bool,
}

impl Failure {
    /// A failure that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ignored: false }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn into_outcome(self) -> Outcome {
        match self.ignored {
            true => Outcome::Ignored(self.message),
            false => Outcome::Failed(self.message),
        }
    }
}

/// Ends a case that finds out while it runs that it does not apply; `why` is shown.
///
/// ```
/// use rollback_testkit::harness::{CaseResult, ignore};
///
/// fn case(server: Option<&str>) -> CaseResult {
///     let Some(server) = server else { return ignore("no server was named") };
///     // …
/// #   let _ = server;
///     Ok(())
/// }
/// # assert!(case(None).is_err());
/// ```
///
/// # Errors
///
/// Always: that is how the case ends.
pub fn ignore(why: impl Into<String>) -> CaseResult {
    Err(Failure { message: why.into(), ignored: true })
}

// Failure itself is no `Display`, as this would overlap with the conversion from itself.
impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Fails with `message` unless `holds`.
///
/// # Errors
///
/// A [`Failure`] with that message.
pub fn ensure(holds: bool, message: impl Into<String>) -> CaseResult {
    if holds { Ok(()) } else { Err(Failure::new(message)) }
}

/// Fails unless `found` equals `expected`; `what` names the thing that was compared.
///
/// # Errors
///
/// A [`Failure`] that shows both.
pub fn equal<T: PartialEq + fmt::Debug + ?Sized>(what: &str, found: &T, expected: &T) -> CaseResult {
    ensure(found == expected, format!("{what}: found {found:?}, expected {expected:?}"))
}

/// What the body of a case may return: nothing, when it asserts, or any result whose error can be displayed.
pub trait Verdict {
    /// As the result of the case.
    ///
    /// # Errors
    ///
    /// The failure, when there was one.
    fn into_result(self) -> CaseResult;
}

impl Verdict for () {
    fn into_result(self) -> CaseResult {
        Ok(())
    }
}

impl<E: Into<Failure>> Verdict for Result<(), E> {
    fn into_result(self) -> CaseResult {
        self.map_err(Into::into)
    }
}

/// Whether what is tested has the capability that a case is about. A plain `bool` does where no name is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    met: bool,
    capability: String,
}

impl Need {
    /// The case runs if `met`; otherwise it is shown as ignored for want of `capability`.
    pub fn when(met: bool, capability: impl Into<String>) -> Self {
        Self { met, capability: capability.into() }
    }
}

impl From<bool> for Need {
    fn from(met: bool) -> Self {
        Self::when(met, "a capability it does not have")
    }
}

/// What became of one case, for tests of a suite itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and held.
    Passed,
    /// It ran and did not hold: why.
    Failed(String),
    /// It did not run, or found out that it does not apply: the capability it needs, or why.
    Ignored(String),
}

type Body = Box<dyn FnOnce(Clockwork) -> CaseResult + Send>;

struct Case {
    name: String,
    need: Need,
    body: Body,
}

/// How the runtime of a case treats time.
#[derive(Debug, Clone, Copy)]
struct Clockwork {
    paused: bool,
    limit: Duration,
}

/// A named list of cases. See the [module](self).
#[must_use = "a suite does nothing until it is run"]
pub struct Suite {
    name: String,
    clockwork: Clockwork,
    cases: Vec<Case>,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.cases.iter().map(|case| case.name.as_str()).collect();
        f.debug_struct("Suite").field("name", &self.name).field("cases", &names).finish_non_exhaustive()
    }
}

impl Suite {
    /// An empty suite about `name`, which is what its cases are called after: `name::case`.
    pub fn new(name: impl Into<String>) -> Self {
        let clockwork = Clockwork { paused: false, limit: LIMIT };
        Self { name: name.into(), clockwork, cases: Vec::new() }
    }

    /// Runs every case in virtual time: tokio's clock stands still and jumps to the next timer when all tasks
    /// wait. Use [`TokioClock`](rollback_core::time::TokioClock) with it. Not for I/O with real servers.
    pub fn virtual_time(mut self) -> Self {
        self.clockwork = Clockwork { paused: true, limit: VIRTUAL_LIMIT };
        self
    }

    /// Sets how long one case may take before it fails as hanging. Two minutes if not set; ten years where
    /// time is virtual.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.clockwork.limit = limit;
        self
    }

    /// Adds a case.
    ///
    /// `body` runs in a current-thread tokio runtime of its own if `need` is met. It fails by returning an
    /// error or by panicking.
    pub fn case<B, F>(mut self, name: &str, need: impl Into<Need>, body: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output: Verdict> + 'static,
    {
        let name = format!("{}::{name}", self.name);
        let body = Box::new(move |clockwork| execute(clockwork, body));
        self.cases.push(Case { name, need: need.into(), body });
        self
    }

    /// Adds all cases of `other`, which keep their names and get this suite's time.
    pub fn and(mut self, other: Suite) -> Self {
        self.cases.extend(other.cases);
        self
    }

    /// Runs the suite as the process's arguments say and prints as `cargo test` does.
    ///
    /// The code is failure when a case failed, and also when no case applies at all: a suite that checks
    /// nothing must not look like one that passed.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let clockwork = self.clockwork;
        runner::main_of(self.cases.into_iter().map(|case| case.into_task(clockwork)).collect())
    }

    /// Runs all cases here, one after the other, and says what became of each: for tests of suites.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when no case applies.
    pub fn outcomes(self) -> Result<Vec<(String, Outcome)>, Failure> {
        let clockwork = self.clockwork;
        let judge = |case: Case| {
            if !case.need.met {
                return (case.name, Outcome::Ignored(case.need.capability));
            }
            let body = case.body;
            let result = catch_unwind(AssertUnwindSafe(|| body(clockwork)))
                .unwrap_or_else(|panic| Err(Failure::new(panic_text(&*panic))));
            (case.name, result.map_or_else(Failure::into_outcome, |()| Outcome::Passed))
        };
        let outcomes: Vec<_> = self.cases.into_iter().map(judge).collect();
        let executed = outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Ignored(_)));
        ensure(executed, format!("no case of the suite {:?} applies: nothing was checked", self.name))?;
        Ok(outcomes)
    }
}

impl Case {
    fn into_task(self, clockwork: Clockwork) -> Task {
        let Self { name, need, body } = self;
        let ignored = (!need.met).then(|| format!("needs {}", need.capability));
        let run = Box::new(move || match body(clockwork).map_err(Failure::into_outcome) {
            Ok(()) | Err(Outcome::Passed) => End::Passed,
            Err(Outcome::Ignored(why)) => End::Ignored(why),
            Err(Outcome::Failed(why)) => End::Failed(why),
        });
        Task { name, ignored, excused: false, run }
    }
}

fn execute<B, F>(clockwork: Clockwork, body: B) -> CaseResult
where
    B: FnOnce() -> F,
    F: Future<Output: Verdict>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(clockwork.paused)
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(async { within(&SystemClock, clockwork.limit, body()).await });
    let limit = clockwork.limit;
    outcome
        .map_or_else(|| Err(Failure::new(format!("it hangs: no end within {limit:?}"))), Verdict::into_result)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn on_purpose() {
        panic!("on purpose");
    }

    fn outcome_of(suite: Suite) -> Outcome {
        suite.outcomes().unwrap().remove(0).1
    }

    #[test]
    fn errors_and_panics_fail_a_case_by_name() {
        let outcomes = Suite::new("s")
            .case("holds", true, || async {})
            .case("returns", true, || async { equal("a number", &1, &2) })
            .case("panics", true, on_purpose)
            .outcomes()
            .unwrap();
        let failed = |text: &str| Outcome::Failed(text.to_owned());
        assert_eq!(outcomes[0], ("s::holds".to_owned(), Outcome::Passed));
        assert_eq!(outcomes[1], ("s::returns".to_owned(), failed("a number: found 1, expected 2")));
        assert_eq!(outcomes[2], ("s::panics".to_owned(), failed("it panicked: on purpose")));
    }

    #[test]
    fn a_case_without_its_capability_is_shown_and_never_run() {
        let suite =
            Suite::new("s").case("a", Need::when(false, "wings"), on_purpose).case("b", true, || async {});
        assert_eq!(outcome_of(suite), Outcome::Ignored("wings".to_owned()));
    }

    #[test]
    fn a_suite_that_checks_nothing_fails() {
        assert!(Suite::new("empty").outcomes().is_err());
        let unmet = || Suite::new("unmet").case("a", false, || async {});
        assert!(unmet().outcomes().is_err());
        assert_eq!(unmet().run(), ExitCode::FAILURE);
    }

    #[test]
    fn a_case_may_find_out_that_it_does_not_apply() {
        let suite = || Suite::new("s").case("a", true, || async { ignore("no server") });
        let outcomes = suite().case("b", true, || async {}).outcomes().unwrap();
        assert_eq!(outcomes[0].1, Outcome::Ignored("no server".to_owned()));
        assert!(suite().outcomes().is_err(), "nothing was checked");
    }

    #[test]
    fn a_hanging_case_fails() {
        let suite = Suite::new("s").virtual_time().case("a", true, std::future::pending::<()>);
        assert!(matches!(outcome_of(suite), Outcome::Failed(text) if text.starts_with("it hangs")));
    }
}
