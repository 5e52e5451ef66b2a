//! How the toy driver tidies up.

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::time::Lasting;
use rollback_core::{Error, ErrorKind, Leftovers, Result, Tidies, Tidying};

use super::flaw::Flaw;
use super::toy::ToyTarget;
use super::world::Left;

/// For how long what a rollback left stays.
const GRACE: Lasting = Lasting::from_secs(3_600);
/// How large each thing is.
const BYTES: u64 = 7;

fn name(left: &Left) -> String {
    format!("r{} on {}", left.release, left.part)
}

impl ToyTarget {
    /// What may go, and how much is not old enough.
    fn due(&self, now: Timestamp) -> (Vec<Left>, Leftovers) {
        let mut told = Leftovers::default();
        let running: Vec<_> =
            self.world.look().parts.into_iter().map(|part| (part.id, part.release)).collect();
        let mut due = Vec::new();
        for left in self.world.left() {
            if running.contains(&(left.part.clone(), left.release)) {
                told.keep("it stays, as it runs again");
            } else if GRACE.after(left.since) > now && !self.has(Flaw::IgnoresGrace) {
                told.waiting += 1;
            } else {
                told.add(name(&left), BYTES);
                due.push(left);
            }
        }
        (due, told)
    }
}

#[async_trait]
impl Tidies for ToyTarget {
    async fn leftovers(&self, now: Timestamp) -> Result<Leftovers> {
        Ok(self.due(now).1)
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Leftovers> {
        let (due, mut told) = self.due(tidying.now);
        if due.is_empty() && self.has(Flaw::TripsOverGone) {
            return Err(Error::new(ErrorKind::NotFound, "tidy up", "there is nothing").next("do nothing"));
        }
        if let Some(neighbour) = self.beside.as_ref().filter(|_| self.has(Flaw::TidiesNextDoor)) {
            neighbour.touch();
        }
        if self.has(Flaw::ForgetsTheRest) {
            self.world.take_all_away(&due);
        }
        (told.due, told.bytes) = (0, 0);
        told.shown.clear();
        let half = if self.has(Flaw::TidiesHalf) { due.len().div_ceil(2) } else { due.len() };
        for left in due.iter().take(half) {
            if tidying.stop.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "tidy up", "it was asked to stop")
                    .next("run it again: it goes on with what is left"));
            }
            if self.world.take_away(left) {
                told.add(name(left), BYTES);
            }
            tokio::task::yield_now().await;
        }
        Ok(told)
    }
}
