//! The soak: what was proven is watched for a while, and proven once more. Something that crashes a few seconds after it was
//! ready has passed every look until then.

use std::collections::BTreeMap;
use std::time::Duration;

use super::component::{ComponentRun, Forward, Halt, LegEnd};
use super::settle::{HEALTHY_WITHIN, Look, SHORTEST_PAUSE, Seen, complaint};
use crate::condition::Verdict;
use crate::error::ErrorRecord;
use crate::journal::counted;
use crate::name::{Incarnation, PartId};
use crate::probe::SOAK;
use crate::progress::Stage;
use crate::target::{Changes, Evidence, Goal, PartState, Proof};
use crate::time::Lasting;

/// The longest pause between two looks: most failures are told by what stirs, and the others are noticed within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl ComponentRun {
    /// Watches what arrived for as long as the plan says. What failed a gate already is not watched: that is told.
    pub(super) async fn soak(&self, forward: Forward) -> Forward {
        let Some(lasting) = self.soak else { return forward };
        let Forward::Reached { evidence, healthy: true, .. } = forward else { return forward };
        self.emit_stage(Stage::Soaking, lasting.to_string());
        self.watch(lasting, evidence).await.unwrap_or_else(Forward::Halted)
    }

    async fn watch(&self, lasting: Lasting, evidence: Evidence) -> Result<Forward, Halt> {
        let clock = &self.context.clock;
        let mut soak = Soak::new(lasting, clock.monotonic(), &evidence.parts);
        let pause = (lasting.as_duration() / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let verdict = loop {
            self.check_lost()?;
            if self.cancel.is_cancelled() {
                break Verdict::Failed("stopped on request before it was over".to_owned());
            }
            let mut changes = Changes::default();
            let seen = self.look(&self.plan.to, true, &mut changes).await?;
            match soak.feed(clock.monotonic(), seen) {
                Verdict::Pending(what) => {
                    self.wait_for(&changes, what, pause.min(soak.left(clock.monotonic()))).await;
                }
                end => break end,
            }
        };
        match verdict {
            Verdict::Failed(why) => self.did_not_stay(why, evidence).await,
            Verdict::Held | Verdict::Pending(_) => self.still_so(lasting).await,
        }
    }

    /// Proves it all once more.
    async fn still_so(&self, lasting: Lasting) -> Result<Forward, Halt> {
        let leg = self.state(|state| state.leg().map(|leg| leg.leg.clone())).await;
        let Some(leg) = leg else {
            return Err(Halt::Stuck("the journal names no way that was taken".to_owned()));
        };
        match self.settle(self.proposal(&leg)?, &self.plan.to).await? {
            LegEnd::Failed { why, .. } => self.did_not_stay(why, Evidence::default()).await,
            LegEnd::Proven(evidence) => {
                let (passed, detail) = match complaint(&evidence.parts) {
                    Some(why) => (false, why),
                    None => (true, format!("proven once more after {lasting}")),
                };
                self.gate_ended(SOAK, passed, detail).await?;
                Ok(Forward::Reached { evidence, healthy: passed, soaked: passed.then_some(lasting) })
            }
        }
    }

    /// What does not stay well is still there, or it is not: that decides what this is called.
    async fn did_not_stay(&self, why: String, before: Evidence) -> Result<Forward, Halt> {
        self.gate_ended(SOAK, false, why.clone()).await?;
        let now = self.prove_goal(&Goal::runs(self.plan.to.clone())).await;
        let (evidence, gone) = match now {
            Ok((evidence, Proof::NotProven { may_heal: false, .. })) => (evidence, true),
            Ok((evidence, _)) => (evidence, false),
            Err(_) => (before, false),
        };
        if gone {
            let goal = self.plan.to.info.label();
            return Ok(Forward::Failed { why: format!("{goal} was proven, and did not stay: {why}") });
        }
        Ok(Forward::Reached { evidence, healthy: false, soaked: None })
    }
}

/// What was seen since it was proven.
#[derive(Debug)]
struct Soak {
    lasting: Duration,
    started: Duration,
    well_since: Duration,
    /// Since when it is not well, or cannot be looked at.
    amiss_since: Option<Duration>,
    lives: BTreeMap<PartId, Life>,
}

/// What tells that something on a part was started again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// As its platform counts it.
    Counted(u64),
    /// One replica that is another one now. Of many, an autoscaler may have added some.
    Single(Incarnation),
}

impl Life {
    fn of(part: &PartState) -> Option<Self> {
        let single = part.replicas.is_some_and(|replicas| replicas.wanted == 1 && replicas.ready == 1);
        let incarnation = || part.incarnation.clone().filter(|_| single).map(Self::Single);
        part.restarts.map(Self::Counted).or_else(incarnation)
    }

    /// What happened between two looks.
    fn ended(&self, now: &Self) -> Option<String> {
        match (self, now) {
            (Self::Counted(before), Self::Counted(now)) if now > before => {
                Some(format!("was started again {} since it was proven", counted(now - before, "time")))
            }
            (Self::Single(before), Self::Single(now)) if now != before => {
                Some("was started again since it was proven".to_owned())
            }
            _ => None,
        }
    }
}

impl Soak {
    fn new(lasting: Lasting, now: Duration, parts: &[PartState]) -> Self {
        let lasting = lasting.as_duration();
        Self { lasting, started: now, well_since: now, amiss_since: None, lives: lives(parts) }
    }

    /// How much of it is left if all stays well.
    fn left(&self, now: Duration) -> Duration {
        self.lasting.saturating_sub(now.saturating_sub(self.well_since)).max(SHORTEST_PAUSE)
    }

    /// Takes one look at `now`, which must not go back.
    fn feed(&mut self, now: Duration, seen: Result<Seen, ErrorRecord>) -> Verdict {
        let amiss = match seen {
            // Nobody knows whether it is well: that breaks nothing, and must not last.
            Err(error) => Some(format!("it cannot be looked at: {error}")),
            Ok(Seen { look: Look::Fail(why), .. }) => return Verdict::Failed(why),
            Ok(Seen { look, parts }) => {
                if let Some(again) = self.started_again(&parts) {
                    return Verdict::Failed(again);
                }
                let what = unwell(look, &parts);
                if what.is_some() {
                    self.well_since = now;
                }
                what
            }
        };
        let Some(what) = amiss else {
            self.amiss_since = None;
            return self.well(now);
        };
        let since = *self.amiss_since.get_or_insert(now);
        if now.saturating_sub(since) >= HEALTHY_WITHIN.as_duration() || self.is_over(now) {
            return Verdict::Failed(what);
        }
        Verdict::Pending(what)
    }

    fn well(&self, now: Duration) -> Verdict {
        let lasted = now.saturating_sub(self.well_since);
        if lasted >= self.lasting {
            return Verdict::Held;
        }
        if self.is_over(now) {
            return Verdict::Failed(format!(
                "it was never well for {} without a break",
                Lasting::new(self.lasting)
            ));
        }
        Verdict::Pending(format!("well for {} of {}", Lasting::new(lasted), Lasting::new(self.lasting)))
    }

    /// Whether it may take no longer, however well it is now: what is up and down by turns never ends otherwise.
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.started) >= self.lasting * 3 + HEALTHY_WITHIN.as_duration()
    }

    /// A part on which something was started again since the last look.
    fn started_again(&mut self, parts: &[PartState]) -> Option<String> {
        let now = lives(parts);
        let again = now
            .iter()
            .find_map(|(part, life)| Some(format!("{part}: {}", self.lives.get(part)?.ended(life)?)));
        // Kept where it cannot be told for a moment: one replica that is away has no life.
        self.lives.extend(now);
        again
    }
}

fn lives(parts: &[PartState]) -> BTreeMap<PartId, Life> {
    parts.iter().filter_map(|part| Some((part.part.clone(), Life::of(part)?))).collect()
}

/// What is not as it was when it was proven.
fn unwell(look: Look, parts: &[PartState]) -> Option<String> {
    let missing = |part: &PartState| {
        let replicas = part.replicas.filter(|replicas| replicas.ready < replicas.wanted)?;
        Some(format!("{}: {} of {} replicas are ready", part.part, replicas.ready, replicas.wanted))
    };
    let waits = match look {
        Look::Wait(why) => Some(why),
        Look::Prove | Look::Fail(_) => None,
    };
    complaint(parts).or(waits).or_else(|| parts.iter().find_map(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::target::Health;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn part(restarts: Option<u64>, incarnation: &str, wanted: u32, ready: u32) -> PartState {
        let mut part = PartState::verified(PartId::new("web").unwrap(), None).with_replicas(wanted, ready);
        part.restarts = restarts;
        part.with_incarnation(Incarnation::new(incarnation).ok()).with_health(Health::Healthy)
    }

    fn seen(part: PartState) -> Result<Seen, ErrorRecord> {
        Ok(Seen { look: Look::Prove, parts: vec![part] })
    }

    fn begun(part: PartState) -> Soak {
        Soak::new(Lasting::from_secs(100), at(0), &[part])
    }

    fn failed(verdict: Verdict) -> String {
        match verdict {
            Verdict::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stays_well_has_soaked() {
        let mut soak = begun(part(Some(3), "a", 2, 2));
        assert!(matches!(soak.feed(at(99), seen(part(Some(3), "a", 2, 2))), Verdict::Pending(_)));
        assert_eq!(soak.left(at(99)), at(1));
        assert_eq!(soak.feed(at(100), seen(part(Some(3), "a", 2, 2))), Verdict::Held);
    }

    #[test]
    fn a_restart_is_certain() {
        let mut soak = begun(part(Some(3), "a", 2, 2));
        let why = failed(soak.feed(at(5), seen(part(Some(4), "b", 2, 2))));
        assert_eq!(why, "web: was started again 1 time since it was proven");
        let mut single = begun(part(None, "a", 1, 1));
        assert!(matches!(single.feed(at(4), seen(part(None, "a", 1, 0))), Verdict::Pending(_)));
        assert!(failed(single.feed(at(5), seen(part(None, "b", 1, 1)))).contains("was started again"));
    }

    #[test]
    fn an_autoscaler_restarts_nothing() {
        let mut soak = begun(part(Some(3), "a", 2, 2));
        // One more, then the one with three restarts goes.
        for (second, restarts, wanted) in [(20, 3, 3), (40, 0, 2), (60, 0, 5)] {
            let look = seen(part(Some(restarts), "other", wanted, wanted));
            assert!(matches!(soak.feed(at(second), look), Verdict::Pending(_)), "{second}");
        }
        let mut uncounted = begun(part(None, "a", 2, 2));
        assert!(matches!(uncounted.feed(at(5), seen(part(None, "b", 3, 3))), Verdict::Pending(_)));
    }

    #[test]
    fn a_break_begins_it_anew_and_a_long_one_ends_it() {
        let mut soak = begun(part(Some(0), "a", 2, 2));
        assert!(matches!(soak.feed(at(50), seen(part(Some(0), "a", 2, 1))), Verdict::Pending(_)));
        assert!(matches!(soak.feed(at(100), seen(part(Some(0), "a", 2, 2))), Verdict::Pending(_)));
        assert_eq!(soak.feed(at(150), seen(part(Some(0), "a", 2, 2))), Verdict::Held);
        let mut away = begun(part(Some(0), "a", 2, 2));
        assert!(matches!(away.feed(at(10), seen(part(Some(0), "a", 2, 1))), Verdict::Pending(_)));
        assert_eq!(
            failed(away.feed(at(70), seen(part(Some(0), "a", 2, 1)))),
            "web: 1 of 2 replicas are ready"
        );
    }

    #[test]
    fn what_flaps_ends_too() {
        let mut soak = begun(part(Some(0), "a", 2, 2));
        let end = (1..).find_map(|turn: u64| {
            let ready = if turn.is_multiple_of(2) { 2 } else { 1 };
            match soak.feed(at(turn * 30), seen(part(Some(0), "a", 2, ready))) {
                Verdict::Pending(_) => None,
                end => Some((turn * 30, end)),
            }
        });
        assert!(matches!(end, Some((360, Verdict::Failed(_)))), "{end:?}");
    }

    #[test]
    fn not_knowing_breaks_nothing_and_must_not_last() {
        let unread = || Err(Error::new(ErrorKind::Unavailable, "look", "503").to_record());
        let mut soak = begun(part(Some(0), "a", 2, 2));
        assert!(matches!(soak.feed(at(60), unread()), Verdict::Pending(_)));
        assert_eq!(soak.feed(at(100), seen(part(Some(0), "a", 2, 2))), Verdict::Held);
        let mut dark = begun(part(Some(0), "a", 2, 2));
        assert!(matches!(dark.feed(at(60), unread()), Verdict::Pending(_)));
        assert!(failed(dark.feed(at(120), unread())).contains("503"));
    }

    #[test]
    fn what_the_target_says_of_itself_counts() {
        let mut soak = begun(part(Some(0), "a", 2, 2));
        let ill = part(Some(0), "a", 2, 2).with_health(Health::Unhealthy("probe fails".into()));
        assert_eq!(soak.feed(at(1), seen(ill)), Verdict::Pending("web: probe fails".into()));
        let fails = Ok(Seen { look: Look::Fail("it crashes".into()), parts: Vec::new() });
        assert_eq!(failed(soak.feed(at(2), fails)), "it crashes");
    }
}
