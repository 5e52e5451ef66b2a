//! One component's watch: samples, looks, and what follows from them.

mod earning;
mod usual;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use rollback_core::ledger::Deployment;
use rollback_core::probe::{Probe, Sample};
use rollback_core::target::Phase;
use rollback_core::time::{Lasting, within};
use rollback_core::{ComponentName, Digest, Observation, Result, SnapshotRecord, State};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::earning::Guard;
use super::respond::{Alarm, Response, respond};
use super::{Asked, Component, Guarded, Shared};
use crate::decision::Verdict;
use crate::event::Event;
use crate::incident::{Incident, Plot, Point};
use crate::usual::Usual;
use crate::vigil::Vigil;

/// After how long what was decided is decided again, where nothing changed: a switch may have been put on, a freeze may be over.
const AGAIN: Duration = Duration::from_secs(60);
/// The same where somebody else is at work, or the decision could not be made.
const SOON: Duration = Duration::from_secs(10);

/// The pause before it is decided anew where something else seemed to run.
const MOVED: Duration = Duration::from_secs(1);
/// While there is trouble, what runs is looked at as often as this, or more often.
const CLOSELY: Duration = Duration::from_secs(5);

type Beat = BoxFuture<'static, Woken>;

/// What a post waits for.
enum Woken {
    Sampled(usize, Sample),
    Looked(Duration, Result<Observation<SnapshotRecord>>),
    Responded(Result<Response>),
    Promoted(Result<Deployment>),
    Remembered(Result<Option<Usual>>),
    Kept(Result<Usual>),
    TimeIsUp,
    Stopped,
}

/// The watch over one component.
pub(super) struct Post {
    shared: Shared,
    name: ComponentName,
    asked: Vec<Asked>,
    pauses: Vec<Duration>,
    vigil: Vigil,
    waits: FuturesUnordered<Beat>,
    hasten: Arc<Notify>,
    stopping: bool,
    /// When something is decided next, at the earliest.
    not_before: Duration,
    responding: bool,
    promoting: bool,
    /// What has been promoted, or could not be: it is not tried at every look.
    promoted: Option<Digest>,
    /// When what is usual was kept last.
    kept: Option<Duration>,
    keeping: bool,
    /// The triggers that see trouble.
    troubles: Vec<String>,
    overdue: bool,
    incident: Option<Box<Incident>>,
    said: Option<String>,
    /// A guard's time.
    guard: Option<Guard>,
    ended: Option<Guarded>,
}

impl Post {
    pub(super) fn new(shared: Shared, component: &Component, guard: Option<Lasting>) -> Self {
        // A driver is asked as often as it is looked, whatever the rule says.
        let gap = Lasting::new(shared.settings.look_every.as_duration().saturating_mul(3));
        let triggers: Vec<_> = component
            .triggers
            .iter()
            .map(|(trigger, asked)| match asked {
                Asked::Driver => trigger.clone().gap(gap),
                Asked::Probe(_) => trigger.clone(),
            })
            .collect();
        let began = shared.clock.monotonic();
        Self {
            name: component.name.clone(),
            asked: component.triggers.iter().map(|(_, asked)| asked.clone()).collect(),
            pauses: triggers.iter().map(|trigger| trigger.rule().every.as_duration()).collect(),
            vigil: Vigil::new(triggers),
            waits: FuturesUnordered::new(),
            hasten: Arc::new(Notify::new()),
            stopping: false,
            not_before: Duration::ZERO,
            responding: false,
            promoting: false,
            promoted: None,
            kept: None,
            keeping: false,
            troubles: Vec::new(),
            overdue: false,
            incident: None,
            said: None,
            guard: guard.map(|lasting| Guard { lasting, began, is_up: false }),
            ended: None,
            shared,
        }
    }

    /// Watches until it is stopped, or a guard knows how it ended.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Guarded {
        self.waits.push(async move { stop.cancelled_owned().await }.map(|()| Woken::Stopped).boxed());
        self.begin();
        while let Some(woken) = self.waits.next().await {
            match woken {
                Woken::Sampled(number, sample) => self.sampled(number, &sample),
                Woken::Looked(at, observed) => self.looked(at, observed),
                Woken::Responded(response) => self.responded(response),
                Woken::Promoted(promoted) => self.was_promoted(promoted),
                Woken::Remembered(usual) => self.remembered(usual),
                Woken::Kept(kept) => self.was_kept(kept),
                Woken::TimeIsUp => self.guard.iter_mut().for_each(|guard| guard.is_up = true),
                Woken::Stopped => self.stopping = true,
            }
            // A rollback that was begun is brought to its end.
            if self.stopping && !self.responding {
                return self.ended.unwrap_or(Guarded::Stopped);
            }
            self.end_guard();
            if let Some(ended) = self.ended.take_if(|_| !self.responding && !self.promoting) {
                return ended;
            }
        }
        Guarded::Stopped
    }

    fn begin(&mut self) {
        self.look_in(self.spread(self.shared.settings.look_every.as_duration()));
        for number in 0..self.asked.len() {
            if let Asked::Probe(_) = self.asked[number] {
                self.sample_in(number, self.spread(self.pauses[number]));
            }
        }
        if let Some(guard) = &self.guard {
            let (clock, lasting) = (Arc::clone(&self.shared.clock), guard.lasting.as_duration());
            self.waits.push(async move { clock.sleep(lasting).await }.map(|()| Woken::TimeIsUp).boxed());
        }
    }

    /// Thousands of components must not all be asked in the same moment. A guard has few, and no time to lose.
    fn spread(&self, pause: Duration) -> Duration {
        if self.guard.is_some() {
            return Duration::ZERO;
        }
        let hex = Digest::of_bytes(self.name.as_str().as_bytes()).hex();
        let share = u32::from_str_radix(&hex[..4], 16).unwrap_or(0);
        pause.mul_f64(f64::from(share) / 65_536.0)
    }

    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    /// The wall clock's time of a moment in the past.
    fn when(&self, at: Duration) -> Timestamp {
        Lasting::new(self.now().saturating_sub(at)).before(self.shared.clock.now())
    }

    fn tell(&self, event: Event) {
        self.shared.telling.tell(event);
    }

    /// Says something once, until something else is said.
    fn warn(&mut self, message: String) {
        if self.said.as_ref() != Some(&message) {
            self.tell(Event::Warning { component: self.name.clone(), message: message.clone() });
            self.said = Some(message);
        }
    }

    fn sample_in(&self, number: usize, pause: Duration) {
        let Asked::Probe(probe) = &self.asked[number] else { return };
        let (probe, clock): (Arc<dyn Probe>, _) = (Arc::clone(probe), Arc::clone(&self.shared.clock));
        let patience = self.shared.settings.patience;
        let sampled = async move {
            clock.sleep(pause).await;
            let sample = within(&*clock, patience.as_duration(), probe.sample()).await;
            let late = || Sample::unknown(format!("the probe did not answer within {patience}"));
            Woken::Sampled(number, sample.unwrap_or_else(late))
        };
        self.waits.push(sampled.boxed());
    }

    fn look_in(&self, pause: Duration) {
        let (shared, name) = (self.shared.clone(), self.name.clone());
        let hasten = Arc::clone(&self.hasten);
        let looked = async move {
            tokio::select! {
                () = shared.clock.sleep(pause) => {}
                () = hasten.notified() => {}
            }
            let at = shared.clock.monotonic();
            let observed = async { shared.engines.engine(&name).await?.observe(&name).await };
            Woken::Looked(at, observed.await)
        };
        self.waits.push(looked.boxed());
    }

    fn sampled(&mut self, number: usize, sample: &Sample) {
        let now = self.now();
        // A source whose clock is ahead has just begun.
        let ago = sample.since.map(|since| self.shared.clock.now().duration_since(since));
        let ago = ago.map(|ago| Duration::try_from(ago).unwrap_or_default());
        self.vigil.fed(number, now, sample, ago);
        self.sample_in(number, self.pauses[number]);
        self.judge(now);
    }

    fn looked(&mut self, at: Duration, observed: Result<Observation<SnapshotRecord>>) {
        let now = self.now();
        let pause = self.shared.settings.look_every.as_duration();
        self.look_in(if self.troubles.is_empty() { pause } else { pause.min(CLOSELY) });
        let settled = observed.as_ref().is_ok_and(|observed| {
            observed.heading.is_none() && observed.phase == Phase::Settled && !observed.lagging
        });
        let sample = match &observed {
            Ok(observed) => sample_of(observed),
            Err(error) => Sample::unknown(error.message()),
        };
        match observed {
            Err(error) => self.warn(format!("it cannot be looked at: {error}")),
            Ok(observed) => {
                let runs = observed.heading.as_ref().or(observed.settled.known());
                if let Some(runs) = runs
                    && self.vigil.looked(at, &runs.info, &observed.token)
                {
                    self.another_version();
                }
            }
        }
        for number in 0..self.asked.len() {
            if let Asked::Driver = self.asked[number] {
                self.vigil.fed(number, now, &sample, None);
            }
        }
        self.judge(now);
        if settled {
            self.promote(now);
            if self.guard.is_none() {
                self.keep_usual(now, self.shared.settings.soak.as_duration());
            }
        }
    }

    fn another_version(&mut self) {
        let Some(deployed) = self.vigil.deployed() else { return };
        let (label, by) = (deployed.info.label(), deployed.by);
        if deployed.not_before.is_some() {
            self.shared.board.change(&self.name, |standing| standing.changed = Some(by));
        }
        self.tell(Event::Deployed { component: self.name.clone(), label });
        self.not_before = Duration::ZERO;
        (self.promoted, self.kept, self.overdue) = (None, None, false);
        self.ask_usual();
        self.close_incident();
    }

    /// What is to be done now.
    fn judge(&mut self, now: Duration) {
        let since = self.vigil.troubled();
        let troubles: Vec<_> = self.vigil.troubles().map(str::to_owned).collect();
        if troubles != self.troubles {
            let (began, over) = (self.troubles.is_empty(), troubles.is_empty());
            if began {
                // What runs now is what is to blame, or somebody is putting it right.
                self.hasten.notify_one();
                let triggers = troubles.clone();
                self.tell(Event::Troubled { component: self.name.clone(), triggers });
            }
            if over {
                self.tell(Event::Quiet { component: self.name.clone() });
                (self.not_before, self.overdue) = (Duration::ZERO, false);
                self.close_incident();
            }
            self.troubles.clone_from(&troubles);
            self.shared.board.change(&self.name, |standing| {
                (standing.troubles, standing.since) = (troubles, since);
            });
        }
        let Some(fired) = self.vigil.fired() else { return };
        self.tell_overdue(now, fired.since, fired.severity.deadline());
        let Some(deployed) = self.vigil.deployed().filter(|_| !self.responding && now >= self.not_before)
        else {
            return;
        };
        let alarm = Alarm {
            component: self.name.clone(),
            deployed: deployed.clone(),
            lasted: Lasting::new(now.saturating_sub(fired.since)),
            since: self.when(fired.since),
            fired_at: self.when(now),
            deployed_at: deployed.not_before.map(|_| self.when(deployed.by)),
            samples: self.plots(),
            fired,
        };
        self.responding = true;
        let shared = self.shared.clone();
        self.waits.push(async move { Woken::Responded(respond(&shared, &alarm).await) }.boxed());
    }

    fn tell_overdue(&mut self, now: Duration, since: Duration, deadline: Option<Lasting>) {
        let over = deadline.is_some_and(|deadline| now.saturating_sub(since) > deadline.as_duration());
        if let Some(incident) = self.incident.clone().filter(|_| over && !self.overdue) {
            self.overdue = true;
            self.tell(Event::Overdue { incident });
        }
    }

    fn plots(&self) -> Vec<Plot> {
        let plot = |(trigger, seen): (&crate::Trigger, _)| {
            let points = Iterator::map(seen, |seen: &crate::vigil::Seen| {
                Point::new(self.when(seen.at), seen.bad, seen.value)
            });
            Plot::new(trigger.name(), trigger.rule().clone(), points.collect())
        };
        self.vigil.seen().map(|(trigger, seen)| plot((trigger, seen))).collect()
    }

    fn responded(&mut self, response: Result<Response>) {
        self.responding = false;
        let now = self.now();
        // What runs may be something else by now.
        self.hasten.notify_one();
        self.not_before = match response {
            Err(error) => {
                self.warn(format!("it is bad, and nothing could be done about it: {error}"));
                if !error.is_transient() {
                    self.end_with(|| Guarded::Unknown(error.to_string()));
                }
                now + SOON
            }
            Ok(Response::Moved) => now + MOVED,
            Ok(Response::UnderWay(pause)) => now + pause.as_duration(),
            Ok(Response::Decided(incident, report)) => {
                self.incident = Some(incident.clone());
                let again = match (incident.verdict(), report) {
                    (_, Some(report)) => {
                        self.end_with(|| match report.state {
                            State::Refused => Guarded::NotActedOn(incident),
                            _ => Guarded::RolledBack(incident, report),
                        });
                        AGAIN
                    }
                    (Some(Verdict::Wait(pause)), None) => pause.as_duration(),
                    (Some(Verdict::Act), None) => SOON,
                    _ => {
                        self.end_with(|| Guarded::NotActedOn(incident));
                        AGAIN
                    }
                };
                now + again
            }
        };
        // It may have ended while it was being dealt with.
        if self.troubles.is_empty() {
            self.close_incident();
        }
    }

    /// That it is over is worth a record; that the record cannot be written is not worth more than a word.
    fn close_incident(&mut self) {
        let Some(incident) = self.incident.take() else { return };
        let (incidents, at) = (self.shared.incidents.clone(), self.shared.clock.now());
        let (telling, name) = (self.shared.telling.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Err(error) = incidents.over(&incident, at).await {
                let message = format!("that it is over could not be written down: {error}");
                telling.tell(Event::Warning { component: name, message });
            }
        });
    }
}

/// What a look tells of a deploy.
fn sample_of(observed: &Observation<SnapshotRecord>) -> Sample {
    match (&observed.reverted, &observed.phase) {
        (Some(why), _) | (None, Phase::Failed(why)) => Sample::bad(why.clone()),
        (None, Phase::Settled) => Sample::ok("settled"),
        (None, Phase::Progressing(what)) => Sample::unknown(format!("on its way: {what}")),
        (None, Phase::Paused(what)) => Sample::unknown(format!("paused: {what}")),
        // A phase that a later version adds.
        (None, _) => Sample::unknown("nobody knows"),
    }
}
