//! When what belongs to a stage may be written: once everything before it was.

use tokio::sync::watch;

/// The stage up to which may be written; `None` where no further one will be.
pub(super) struct Gate(watch::Sender<Option<usize>>);

/// A gate as one stage sees it.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    stage: usize,
}

/// How much of each stage is not done yet. It moves the gate.
pub(super) struct Stand<'a, const STAGES: usize> {
    gate: &'a Gate,
    left: [usize; STAGES],
}

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(Some(0)))
    }
}

impl Gate {
    pub(super) fn of(&self, stage: usize) -> Pass<'_> {
        Pass { gate: self, stage }
    }
}

impl Pass<'_> {
    /// Whether this stage is never begun, as far as is known.
    pub(super) fn is_closed(self) -> bool {
        self.gate.0.borrow().is_none()
    }

    /// Waits for this stage. False where it is never begun.
    pub(super) async fn opens(self) -> bool {
        let mut open = self.gate.0.subscribe();
        let reached = open.wait_for(|open| open.is_none_or(|open| self.stage <= open)).await;
        reached.is_ok_and(|open| open.is_some())
    }
}

impl<'a, const STAGES: usize> Stand<'a, STAGES> {
    /// With how much there is in each stage.
    pub(super) fn new(gate: &'a Gate, left: [usize; STAGES]) -> Self {
        let stand = Self { gate, left };
        stand.moves(true);
        stand
    }

    /// One of `stage` is done. `well` says whether everything was, so far.
    pub(super) fn done(&mut self, stage: usize, well: bool) {
        if let Some(left) = self.left.get_mut(stage) {
            *left = left.saturating_sub(1);
        }
        self.moves(well);
    }

    fn moves(&self, well: bool) {
        let first = self.left.iter().position(|left| *left > 0).unwrap_or(STAGES);
        self.gate.0.send_if_modified(|open| match *open {
            Some(before) if before < first => {
                *open = well.then_some(first);
                true
            }
            _ => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn passes(gate: &Gate, stage: usize) -> Option<bool> {
        gate.of(stage).opens().now_or_never()
    }

    #[test]
    fn a_stage_begins_when_the_one_before_it_is_done_and_empty_ones_are_no_obstacle() {
        let gate = Gate::default();
        let mut stand = Stand::new(&gate, [0, 2, 0, 1]);
        assert_eq!([0, 1, 2, 3].map(|stage| passes(&gate, stage)), [Some(true), Some(true), None, None]);
        stand.done(1, true);
        assert_eq!(passes(&gate, 3), None);
        stand.done(1, true);
        assert_eq!(passes(&gate, 3), Some(true));
    }

    #[test]
    fn where_something_is_missing_its_own_stage_goes_on_and_no_other_begins() {
        let gate = Gate::default();
        let mut stand = Stand::new(&gate, [2, 2, 1]);
        stand.done(0, false);
        assert_eq!((passes(&gate, 0), passes(&gate, 1)), (Some(true), None));
        assert!(!gate.of(1).is_closed());
        stand.done(0, false);
        assert_eq!([1, 2].map(|stage| passes(&gate, stage)), [Some(false); 2]);
        assert!(gate.of(2).is_closed());
    }

    #[test]
    fn what_is_not_found_ahead_of_its_stage_keeps_it_from_beginning() {
        let gate = Gate::default();
        let mut stand = Stand::new(&gate, [1, 2]);
        stand.done(1, false);
        assert_eq!(passes(&gate, 1), None);
        stand.done(0, false);
        assert_eq!(passes(&gate, 1), Some(false));
    }
}
