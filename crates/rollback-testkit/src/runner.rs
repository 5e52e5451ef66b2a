//! The running part of all suites: arguments, what is ignored and why, and that nothing executed is a failure.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What became of a task.
pub(crate) enum End {
    Passed,
    Failed(String),
    /// It found out that it does not apply; the text says why.
    Ignored(String),
}

/// One named piece of work.
pub(crate) struct Task {
    pub(crate) name: String,
    /// Why it does not apply, if that is known before it runs: it never runs then.
    pub(crate) ignored: Option<String>,
    /// Whether it is ignored because its backend is not here, where that is allowed.
    pub(crate) excused: bool,
    pub(crate) run: Box<dyn FnOnce() -> End + Send>,
}

impl Task {
    fn into_trial(self) -> Trial {
        let Self { name, ignored, run, excused: _ } = self;
        match ignored {
            None => Trial::ignorable_test(name, move || match run() {
                End::Passed => Ok(Completion::Completed),
                End::Ignored(why) => Ok(Completion::ignored_with(why)),
                End::Failed(why) => Err(Failed::from(why)),
            }),
            // Also `--include-ignored` gives nobody a capability.
            Some(why) => {
                let reason = why.clone();
                Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
                    .with_kind(why)
                    .with_ignored_flag(true)
            }
        }
    }
}

/// Runs tasks as the process's arguments say and prints as `cargo test` does. Failure when a task failed, and when
/// none was executed although nobody asked for fewer: a suite that checks nothing must not look like one that passed.
pub(crate) fn main_of(tasks: Vec<Task>) -> ExitCode {
    // Before everything else, so that a mere `--list` fails as well: that is where nextest would see nothing.
    if shows_nothing(&tasks) {
        return nothing_executed(tasks.len());
    }
    let arguments = Arguments::from_args();
    let chosen =
        arguments.list || arguments.ignored || arguments.filter.is_some() || !arguments.skip.is_empty();
    let (count, excused) = (tasks.len(), tasks.iter().all(|task| task.excused));
    let conclusion = libtest_mimic::run(&arguments, tasks.into_iter().map(Task::into_trial).collect());
    if conclusion.num_passed + conclusion.num_failed == 0 && !chosen && !excused {
        return nothing_executed(count);
    }
    conclusion.exit_code()
}

/// Whether no task can run, and not even because of a backend that may be missing here.
fn shows_nothing(tasks: &[Task]) -> bool {
    let excused = !tasks.is_empty() && tasks.iter().all(|task| task.excused);
    !excused && tasks.iter().all(|task| task.ignored.is_some())
}

fn nothing_executed(count: usize) -> ExitCode {
    eprintln!(
        "error: none of {count} cases was executed: this shows nothing\n  next: see why each is ignored, and which \
         capabilities the fixture states"
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(ignored: bool, excused: bool) -> Task {
        let ignored = ignored.then(|| "why".to_owned());
        Task { name: "a".to_owned(), ignored, excused, run: Box::new(|| End::Passed) }
    }

    #[test]
    fn only_a_missing_backend_excuses_that_nothing_runs() {
        assert!(shows_nothing(&[]));
        assert!(shows_nothing(&[task(true, false)]));
        assert!(shows_nothing(&[task(true, false), task(true, true)]));
        assert!(!shows_nothing(&[task(true, true)]));
        assert!(!shows_nothing(&[task(true, false), task(false, false)]));
    }
}
