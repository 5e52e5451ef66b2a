//! What a seed means: the world, the weather, who does what and when.

use std::time::Duration;

use rollback_core::time::Lasting;
use rollback_core::{Destination, OnFailure, Revision};

use super::fault_store::Weather;
use super::process::{Aimed, Blow, Fuse, Place};
use super::random::Random;
use super::settings::{Settings, Way};

/// The whole script of one simulation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Script {
    /// The world of each component.
    pub worlds: Vec<Settings>,
    /// Whether each component waits for the one before it.
    pub chained: bool,
    /// What the network is like.
    pub weather: Weather,
    /// Who rolls back.
    pub operators: Vec<Operator>,
    /// Who resumes what is open, whether it was cut off or not.
    pub rescuers: Vec<Rescuer>,
    /// What happens to the worlds meanwhile.
    pub mishaps: Vec<Mishap>,
    /// What a gate of each component says, where it has one.
    pub gates: Vec<Option<Mood>>,
    /// For how long what was proven is watched.
    pub soak: Option<Lasting>,
    /// Whether the shared store is gone, so that the one operator breaks the glass.
    pub glass: bool,
    /// How many take up at once what was cut off.
    pub heirs: u32,
}

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mood {
    /// Always that all is well.
    Well,
    /// Never that all is well.
    Ill,
    /// That all is well at every second look.
    Moody,
}

/// Somebody who plans and applies.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Operator {
    /// When they begin.
    pub starts: Duration,
    /// How long they look at the plan before they apply it.
    pub thinks: Duration,
    /// Where to.
    pub destination: Option<Destination>,
    /// What to do when it cannot be reached.
    pub on_failure: OnFailure,
    /// When they press Ctrl-C, counted from their start.
    pub cancels: Option<Duration>,
    /// When their process dies or freezes.
    pub fuse: Fuse,
}

/// Somebody who resumes whatever is open.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rescuer {
    /// When they begin.
    pub starts: Duration,
    /// When their process dies or freezes.
    pub fuse: Fuse,
}

/// Something that happens to a world.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Mishap {
    /// When.
    pub at: Duration,
    /// To the world of which component, counted from 0.
    pub component: usize,
    /// What.
    pub what: Event,
}

/// What can happen to a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody deploys this release by other means.
    Deploy(u32),
    /// What this release is made of is removed.
    Remove(u32),
    /// This release no longer starts on the last part.
    Sicken(u32),
    /// The last part misses so many rollouts, and the control plane takes them for done.
    Deafen(u32),
}

impl Operator {
    /// Somebody who wants what ran before, at once, and whom nothing befalls.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            starts: Duration::ZERO,
            thinks: Duration::ZERO,
            destination: Some(Destination::Previous),
            on_failure: OnFailure::Hold,
            cancels: None,
            fuse: Fuse::default(),
        }
    }
}

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn of(random: &mut Random) -> Self {
        let components = usize::try_from(random.within(1..4)).unwrap_or(1);
        let worlds: Vec<_> = (0..components).map(|_| settings(random)).collect();
        let weather = weather(random);
        let glass = random.chance(6);
        let count = if random.chance(45) && !glass { 2 } else { 1 };
        let operators: Vec<_> = (0..count).map(|_| operator(random)).collect();
        // Nobody may work beside somebody who broke the glass.
        let rescuers = if glass { 0 } else { random.within(0..3) };
        let rescuers = (0..rescuers)
            .map(|_| Rescuer { starts: random.millis(5_000..120_000), fuse: fuse(random, 25) })
            .collect();
        let mishaps = if random.chance(45) { random.within(1..3) } else { 0 };
        let mishaps = (0..mishaps).map(|_| mishap(random, components)).collect();
        let gates = (0..components).map(|_| mood(random)).collect();
        let heirs = match random.within(0..10) {
            0..2 if !glass => 0,
            2..5 if !glass => 2,
            _ => 1,
        };
        let chained = random.chance(30);
        let soak = None;
        let script =
            Self { worlds, chained, weather, operators, rescuers, mishaps, gates, soak, glass, heirs };
        let script = match random.within(0..20) {
            0 if !glass => script.with_ghost(random),
            1 if !glass => script.with_usurper(random),
            _ => script,
        };
        let sweeps = random.chance(40);
        let soak = random.chance(30).then(|| Lasting::new(random.millis(1_000..60_000)));
        Self { worlds: script.worlds.iter().map(|world| world.sweeps(sweeps)).collect(), soak, ..script }
    }

    /// A run is cut off with its request on the way, which lands while the next run works.
    fn with_ghost(mut self, random: &mut Random) -> Self {
        for world in &mut self.worlds {
            *world = world.refuses_stale_writers(false).lag(random.millis(60_000..150_000));
        }
        self.weather = Weather { refused: 0, lost: 0, slow: 0, crawls: 0, late: 80, ..self.weather };
        let blow = match random.chance(50) {
            true => Blow::Dies,
            false => Blow::LosesStore(random.millis(2_000..4_000)),
        };
        let aimed = Some(Aimed { place: Place::Answered, nth: 1, blow });
        let first = Operator { fuse: Fuse { aimed, ..Fuse::default() }, ..Operator::calm() };
        let next = Operator { starts: random.millis(4_000..15_000), ..Operator::calm() };
        self.operators = vec![first, next];
        if random.chance(50) {
            // The next one dies before it could settle anything, and the one after it must still know.
            self.operators[1].fuse.dies_at = Some(random.within(40..100));
            self.operators.push(Operator { starts: random.millis(25_000..45_000), ..Operator::calm() });
        }
        (self.heirs, self.rescuers, self.mishaps) = (0, Vec::new(), Vec::new());
        self
    }

    /// A process freezes while it waits for a slow rollout, and somebody else takes up its run meanwhile.
    fn with_usurper(mut self, random: &mut Random) -> Self {
        for world in &mut self.worlds {
            *world = world.rollout(random.millis(25_000..60_000)).way(Way::Switch);
        }
        let fuse = Fuse {
            freezes_at: Some((random.within(50..120), random.millis(20_000..40_000))),
            ..Fuse::default()
        };
        self.operators = vec![Operator { fuse, ..Operator::calm() }];
        self.rescuers = vec![Rescuer { starts: random.millis(5_000..15_000), fuse: Fuse::default() }];
        self
    }
}

fn mood(random: &mut Random) -> Option<Mood> {
    match random.within(0..12) {
        0 => Some(Mood::Well),
        1 => Some(Mood::Ill),
        2 => Some(Mood::Moody),
        _ => None,
    }
}

fn settings(random: &mut Random) -> Settings {
    let way = match random.within(0..4) {
        0 => Way::Switch,
        1 => Way::PartByPart,
        2 => Way::Sync,
        _ => Way::SwitchOrParts,
    };
    let seconds = |random: &mut Random, percent, most| match random.chance(percent) {
        true => random.millis(200..most),
        false => Duration::ZERO,
    };
    Settings::default()
        .parts(u32::try_from(random.within(1..4)).unwrap_or(1))
        .refuses_stale_writers(random.chance(50))
        .keeps_keys(random.chance(50))
        .rollout(seconds(random, 50, 20_000))
        .lag(lag(random))
        .shows_past(seconds(random, 25, 12_000))
        .way(way)
        .restarts(random.chance(20))
}

/// Often none; sometimes longer than a lease, so that a dead run's request can land in the middle of the next run.
fn lag(random: &mut Random) -> Duration {
    match random.within(0..10) {
        0..5 => Duration::ZERO,
        5..7 => random.millis(200..8_000),
        _ => random.millis(20_000..120_000),
    }
}

fn weather(random: &mut Random) -> Weather {
    let rate = |random: &mut Random| match random.within(0..3) {
        0 => 0,
        1 => 2,
        _ => random.within(3..10),
    };
    let some = |random: &mut Random, seeds, calls| if random.chance(seeds) { calls } else { 0 };
    Weather {
        latency: random.within(0..300),
        refused: rate(random),
        lost: rate(random),
        slow: some(random, 15, 6),
        late: some(random, 30, 40),
        crawls: some(random, 8, 3),
    }
}

/// In `percent` of the cases it dies somewhere, in as many it freezes somewhere.
fn fuse(random: &mut Random, percent: u64) -> Fuse {
    let somewhere = |random: &mut Random| random.within(1..150);
    // Longer than a lease, shorter, or for so long that everything is over when it wakes.
    let lasting = |random: &mut Random| match random.within(0..3) {
        0 => random.millis(1_000..14_000),
        1 => random.millis(16_000..90_000),
        _ => random.millis(300_000..900_000),
    };
    // Some meet their accident where it is worst, and no other.
    if random.chance(percent / 2) {
        let nth = random.within(1..4);
        let (place, blow) = match random.within(0..4) {
            0 => (Place::Authorised, Blow::Freezes(lasting(random))),
            1 => (Place::Sending, Blow::Freezes(lasting(random))),
            2 => (Place::Answered, Blow::Dies),
            _ => (Place::Answered, Blow::LosesStore(random.millis(1_000..6_000))),
        };
        return Fuse { aimed: Some(Aimed { place, nth, blow }), ..Fuse::default() };
    }
    Fuse {
        dies_at: random.chance(percent).then(|| somewhere(random)),
        freezes_at: random.chance(percent).then(|| (somewhere(random), lasting(random))),
        aimed: None,
    }
}

fn operator(random: &mut Random) -> Operator {
    let destination = match random.within(0..10) {
        0..5 => Some(Destination::Previous),
        5..7 => revision(1),
        7 => revision(2),
        8 => Some(Destination::LastGood),
        _ => None,
    };
    Operator {
        starts: random.millis(0..30_000),
        thinks: if random.chance(20) { random.millis(0..20_000) } else { Duration::ZERO },
        destination,
        on_failure: if random.chance(30) { OnFailure::Back } else { OnFailure::Hold },
        cancels: random.chance(10).then(|| random.millis(0..60_000)),
        fuse: fuse(random, 45),
    }
}

fn revision(release: u32) -> Option<Destination> {
    Revision::new(format!("r{release}")).ok().map(Destination::Revision)
}

fn mishap(random: &mut Random, components: usize) -> Mishap {
    let release = |random: &mut Random| u32::try_from(random.within(1..4)).unwrap_or(1);
    let what = match random.within(0..10) {
        0..4 => Event::Deploy(release(random)),
        4..6 => Event::Sicken(1),
        6..8 => Event::Deafen(release(random)),
        _ => Event::Remove(1),
    };
    let component = usize::try_from(random.within(0..components as u64)).unwrap_or(0);
    Mishap { at: random.millis(0..90_000), component, what }
}
