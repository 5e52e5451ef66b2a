//! Cases, verdicts and the suite that runs them.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use rollback_core::{Capabilities, Result};

use super::bench::Bench;
use super::fixture::Fixture;
use crate::runner::{self, End, Task};

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The driver keeps the rule.
    Kept,
    /// The rule does not apply, or the fixture cannot arrange what the case needs; the text says which.
    Ignored(String),
    /// The driver breaks the rule; the text says how.
    Broken(String),
}

/// Which drivers a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// All of them.
    Nothing,
    /// Those with this capability.
    Capability(&'static str),
    /// Those without it.
    Without(&'static str),
}

impl Needs {
    fn unmet(self, capabilities: &Capabilities) -> Option<String> {
        let has = |name| capabilities.by_name().contains(&(name, true));
        match self {
            Self::Capability(name) if !has(name) => Some(format!("the driver has no capability {name}")),
            Self::Without(name) if has(name) => Some(format!("only for drivers without {name}")),
            Self::Nothing | Self::Capability(_) | Self::Without(_) => None,
        }
    }
}

pub(super) type Run = for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Result<Verdict>>;

/// One rule with the code that checks it.
#[derive(Clone, Copy)]
pub struct Case {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) next: &'static str,
    pub(super) needs: Needs,
    pub(super) run: Run,
}

impl Case {
    /// Its name, which failures give: `probe-after-a-lost-answer`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The rule in one sentence.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// What the author of a driver that breaks it should do.
    #[must_use]
    pub fn next(&self) -> &'static str {
        self.next
    }

    /// Which drivers it is for.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    async fn execute(&self, fixture: Box<dyn Fixture>) -> Verdict {
        let verdict = async {
            let bench = Bench::new(fixture).await?;
            match self.needs.unmet(&bench.info.capabilities) {
                Some(why) => Ok(Verdict::Ignored(why)),
                None => (self.run)(&bench).await,
            }
        };
        verdict.await.unwrap_or_else(|error: rollback_core::Error| {
            Verdict::Broken(format!(
                "the driver, or the fixture, fails where neither may ({:?}): {error}",
                error.kind()
            ))
        })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// Declares a case: name, rule, what to do when it is broken, what it needs, and the function that checks it.
macro_rules! case {
    ($name:literal, $rule:literal, $next:literal, $needs:expr, $run:path $(,)?) => {
        crate::driver::case::Case {
            name: $name,
            rule: $rule,
            next: $next,
            needs: $needs,
            run: |bench| Box::pin($run(bench)),
        }
    };
}

/// Ends a case as broken unless something holds.
macro_rules! keep {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Ok(crate::driver::case::Verdict::Broken(format!($($why)+)));
        }
    };
}

/// Ends a case as ignored unless the fixture can arrange a fault.
macro_rules! arrange {
    ($bench:expr, $fault:expr) => {
        if !$bench.fixture.inject($fault).await? {
            return Ok(crate::driver::case::Verdict::Ignored(format!(
                "the fixture cannot arrange {:?}",
                $fault
            )));
        }
    };
}

pub(super) use {arrange, case, keep};

/// The conformance cases over one driver.
#[derive(Clone)]
pub struct Suite {
    name: String,
    /// What the suite needs and does not find here.
    missing: Option<String>,
    // Runs one case on a runtime of its own.
    execute: Arc<dyn Fn(Case) -> Verdict + Send + Sync>,
}

/// The conformance cases over the driver that `factory` makes fixtures of. Each case gets a fresh one.
pub fn suite<F, X>(name: impl Into<String>, factory: F) -> Suite
where
    F: AsyncFn() -> Result<X> + Send + Sync + 'static,
    X: Fixture,
{
    let execute = move |case: Case| {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Verdict::Broken(format!("no runtime: {error}")),
        };
        runtime.block_on(async {
            match factory().await {
                Ok(fixture) => case.execute(Box::new(fixture)).await,
                Err(error) => Verdict::Broken(format!("the fixture could not be made: {error}")),
            }
        })
    };
    Suite { name: name.into(), missing: None, execute: Arc::new(execute) }
}

/// Whether nothing may be skipped: `ROLLBACK_REQUIRE_ALL` is set to something other than `0`.
fn requires_all() -> bool {
    std::env::var_os("ROLLBACK_REQUIRE_ALL").is_some_and(|value| !value.is_empty() && value != "0")
}

/// What a case comes to that has no backend.
fn without_backend(why: &str, requires_all: bool) -> Verdict {
    match requires_all {
        true => Verdict::Broken(format!("it cannot run here, and ROLLBACK_REQUIRE_ALL is set: {why}")),
        false => Verdict::Ignored(why.to_owned()),
    }
}

impl Suite {
    /// Says what the suite needs and does not find here, if anything: a server that is not installed, say.
    ///
    /// Its cases are then ignored with that reason, and a run of nothing else is no failure. Where
    /// `ROLLBACK_REQUIRE_ALL` is set to something other than `0`, as in CI, they fail instead.
    ///
    /// ```no_run
    /// # use rollback_testkit::driver::{Suite, suite};
    /// # fn demo(suite: Suite) -> std::process::ExitCode {
    /// let server = std::env::var("FLAGS_URL");
    /// suite.missing(server.is_err().then(|| "FLAGS_URL names no server".to_owned())).main()
    /// # }
    /// ```
    #[must_use]
    pub fn missing(mut self, why: Option<String>) -> Self {
        self.missing = why;
        self
    }

    fn verdict(&self, case: Case) -> Verdict {
        match &self.missing {
            Some(why) => without_backend(why, requires_all()),
            None => (self.execute)(case),
        }
    }

    /// Runs every case here and now.
    #[must_use]
    pub fn check(&self) -> Results {
        let run = |case: Case| CaseResult {
            name: case.name,
            rule: case.rule,
            next: case.next,
            verdict: self.verdict(case),
        };
        Results { results: super::cases().into_iter().map(run).collect() }
    }

    fn task(&self, case: Case) -> Task {
        let ignored = self.missing.clone().filter(|_| !requires_all());
        let excused = ignored.is_some();
        let (name, suite) = (format!("{}::{}", self.name, case.name), self.clone());
        let run = Box::new(move || match suite.verdict(case) {
            Verdict::Kept => End::Passed,
            Verdict::Ignored(why) => End::Ignored(why),
            Verdict::Broken(how) => {
                End::Failed(format!("rule broken: {}\n  found: {how}\n  next: {}", case.rule, case.next))
            }
        });
        Task { name, ignored, excused, run }
    }

    /// The main function of a test program with `harness = false`. Fails when nothing was executed.
    #[must_use]
    pub fn main(&self) -> ExitCode {
        main_of([self.clone()])
    }
}

/// The main function of a test program with `harness = false` over several suites: one driver set up in several ways.
/// Fails when nothing was executed.
#[must_use]
pub fn main_of(suites: impl IntoIterator<Item = Suite>) -> ExitCode {
    let tasks = |suite: Suite| super::cases().into_iter().map(move |case| suite.task(case));
    runner::main_of(suites.into_iter().flat_map(tasks).collect())
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What one case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaseResult {
    /// The case.
    pub name: &'static str,
    /// Its rule in one sentence.
    pub rule: &'static str,
    /// What the driver's author should do if it is broken.
    pub next: &'static str,
    /// What it came to.
    pub verdict: Verdict,
}

/// What all cases came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Results {
    /// Each case, in the kit's order.
    pub results: Vec<CaseResult>,
}

impl Results {
    /// The broken rules by name, with how they were broken. Holds `nothing-executed` when no case ran at all.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<&'static str, &str> {
        let mut failures = BTreeMap::new();
        for result in &self.results {
            if let Verdict::Broken(how) = &result.verdict {
                failures.insert(result.name, how.as_str());
            }
        }
        if self.results.iter().all(|result| matches!(result.verdict, Verdict::Ignored(_))) {
            failures
                .insert("nothing-executed", "every case was ignored: this shows nothing about the driver");
        }
        failures
    }

    /// The ignored cases by name, with why.
    #[must_use]
    pub fn ignored(&self) -> BTreeMap<&'static str, &str> {
        let mut ignored = BTreeMap::new();
        for result in &self.results {
            if let Verdict::Ignored(why) = &result.verdict {
                ignored.insert(result.name, why.as_str());
            }
        }
        ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_backend_is_seen_and_fails_where_all_is_required() {
        assert_eq!(without_backend("no server", false), Verdict::Ignored("no server".to_owned()));
        assert!(
            matches!(without_backend("no server", true), Verdict::Broken(how) if how.contains("no server"))
        );
    }
}
