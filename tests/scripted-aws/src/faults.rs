//! Faults that a test injects.

use crate::protocol::Fault;

/// What happens to a call instead of its answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Does {
    /// Refuses it with `ThrottlingException: Rate exceeded`, or `Throttling` where the service speaks a query.
    Throttles,
    /// Refuses it with `AccessDeniedException`, or `AccessDenied`, as IAM words it.
    Denies,
    /// Refuses it with `ExpiredTokenException`, or `ExpiredToken`.
    Expires,
    /// Answers with status 500.
    Breaks,
    /// Refuses it with an error of the test's own.
    Refuses(Fault),
    /// Closes the connection, and nothing was done.
    LosesRequest,
    /// Does it, then closes the connection.
    LosesAnswer,
    /// Waits for [`Cloud::release`](crate::Cloud::release), then does it.
    Delays,
    /// Never answers, and does nothing.
    Hangs,
}

/// A fault, and the calls that it strikes.
#[derive(Debug, Clone)]
pub struct Injection {
    service: String,
    operation: String,
    does: Does,
    skip: u32,
    times: Option<u32>,
}

impl Injection {
    /// Strikes every call of an operation. `*` as the operation is all of the service.
    #[must_use]
    pub fn new(service: impl Into<String>, operation: impl Into<String>, does: Does) -> Self {
        Self { service: service.into(), operation: operation.into(), does, skip: 0, times: None }
    }

    /// Strikes so many calls and no more.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    fn strikes(&self, service: &str, operation: &str) -> bool {
        self.service == service && (self.operation == "*" || self.operation == operation)
    }
}

/// All faults that wait for their calls.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Injection>);

impl Faults {
    pub(crate) fn add(&mut self, injection: Injection) {
        self.0.push(injection);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Nothing is held from now on.
    pub(crate) fn release(&mut self) {
        self.0.retain(|injection| injection.does != Does::Delays);
    }

    /// What strikes this call: the oldest injection that has not been used up.
    pub(crate) fn strike(&mut self, service: &str, operation: &str) -> Option<Does> {
        for injection in self.0.iter_mut().filter(|i| i.strikes(service, operation)) {
            if injection.skip > 0 {
                injection.skip -= 1;
                continue;
            }
            match &mut injection.times {
                Some(0) => continue,
                Some(times) => *times -= 1,
                None => {}
            }
            return Some(injection.does.clone());
        }
        None
    }
}
