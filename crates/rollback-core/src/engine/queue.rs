//! Which steps of a proposal may be sent now.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Step;
use crate::name::StepId;

/// The steps that are still to be sent, by their places in the proposal.
///
/// Each step and each of its conditions is looked at once, so that a long proposal costs no more per step than a short
/// one.
#[derive(Debug)]
pub(super) struct Queue {
    /// Those that wait for nothing.
    ready: BTreeSet<usize>,
    /// For each step, how many steps it waits for. One that waits for a step that does not exist waits for ever.
    missing: Vec<usize>,
    /// For each step, those that wait for it.
    followers: Vec<Vec<usize>>,
}

impl Queue {
    /// The steps that are not applied.
    pub(super) fn new<A>(steps: &[Step<A>], applied: impl Fn(&StepId) -> bool) -> Self {
        let places: BTreeMap<&StepId, usize> =
            steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
        let mut queue = Self {
            ready: BTreeSet::new(),
            missing: vec![0; steps.len()],
            followers: vec![Vec::new(); steps.len()],
        };
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| !applied(&step.id)) {
            for first in step.after.iter().filter(|first| !applied(first)) {
                queue.missing[at] += 1;
                if let Some(first) = places.get(first) {
                    queue.followers[*first].push(at);
                }
            }
            if queue.missing[at] == 0 {
                queue.ready.insert(at);
            }
        }
        queue
    }

    /// At most `most` steps that wait for nothing, in the order of the proposal. Each is given once.
    pub(super) fn take(&mut self, most: usize) -> Vec<usize> {
        std::iter::from_fn(|| self.ready.pop_first()).take(most).collect()
    }

    /// Lets those go that waited for this one.
    pub(super) fn applied(&mut self, at: usize) {
        for follower in std::mem::take(&mut self.followers[at]) {
            self.missing[follower] -= 1;
            if self.missing[follower] == 0 {
                self.ready.insert(follower);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> StepId {
        StepId::new(name).unwrap()
    }

    fn step(name: &str, after: &[&str]) -> Step<()> {
        Step::single(id(name), name, ()).after(after.iter().map(|first| id(first)))
    }

    #[test]
    fn steps_go_in_the_proposals_order_after_those_they_wait_for() {
        let steps = [step("c", &["a", "b", "a"]), step("a", &[]), step("b", &[]), step("lost", &["nobody"])];
        let mut queue = Queue::new(&steps, |_| false);
        assert_eq!(queue.take(1), [1]);
        queue.applied(1);
        assert_eq!(queue.take(9), [2]);
        assert!(queue.take(9).is_empty(), "c still waits for b");
        queue.applied(2);
        assert_eq!(queue.take(9), [0]);
        queue.applied(0);
        assert!(queue.take(9).is_empty(), "nobody will let `lost` go");
    }

    #[test]
    fn what_was_applied_before_is_neither_sent_nor_waited_for() {
        let steps = [step("a", &[]), step("b", &["a"]), step("c", &["b"])];
        let mut queue = Queue::new(&steps, |step| step.as_str() == "a");
        assert_eq!(queue.take(2), [1]);
    }
}
