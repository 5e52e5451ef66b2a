//! The kit on the toy driver: a sound one passes, and each broken one is caught by the rule that it breaks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::Clock;
use rollback_core::{DynTarget, Envelope, Result, SnapshotRecord};
use rollback_testkit::driver::{Case, Fault, Fixture, Release, Suite, cases, suite};
use rollback_testkit::sim::{
    Change, Flaw, ManualClock, Request, Settings, ToySnapshot, ToyTarget, Trouble, Way, World,
};

const SECRET: &str = "hunter2";

/// A world of its own, on a clock that only moves when a case waits.
struct Toy {
    world: World,
    clock: Arc<ManualClock>,
    flaw: Option<Flaw>,
    /// Whether there is a secret and a past: snapshots of an older schema.
    long_lived: bool,
    /// The schema of those.
    oldest: &'static str,
}

impl Toy {
    fn new(settings: Settings, flaw: Option<Flaw>) -> Self {
        let clock = Arc::new(ManualClock::new());
        Self {
            world: World::new(settings, Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            flaw,
            long_lived: false,
            oldest: "toy-release/0",
        }
    }

    fn long_lived(self) -> Self {
        Self { long_lived: true, ..self }
    }
}

#[async_trait]
impl Fixture for Toy {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        let target = ToyTarget::new("web", self.world.clone());
        let target = if self.long_lived { target.secret(SECRET) } else { target };
        Ok(match self.flaw {
            Some(flaw) => target.flawed(flaw).erase(),
            None => target.erase(),
        })
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.clock.advance(Duration::from_secs(60));
        self.world.deploy(release.number(), "a pipeline")?;
        self.clock.advance(Duration::from_secs(600));
        Ok(())
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        let settings = self.world.settings();
        match fault {
            Fault::Refuse => self.world.trouble([Trouble::Refuse]),
            Fault::LoseRequest => self.world.trouble([Trouble::LoseRequest]),
            Fault::LoseAnswer => self.world.trouble([Trouble::LoseAnswer]),
            Fault::Delay if !settings.lag.is_zero() => self.world.trouble([Trouble::Delay(None)]),
            Fault::Deliver => self.world.deliver(),
            Fault::StopHalfway if settings.parts > 1 => self.world.trouble([Trouble::Pass, Trouble::Refuse]),
            Fault::RemoveArtifact(release) => self.world.remove(release.number()),
            Fault::ScaleToZero => self.world.scale(0),
            Fault::MixParts(release) if settings.parts > 1 => {
                self.world.send(Request {
                    change: Change::Part { part: 0, release: release.number() },
                    key: None,
                    step: None,
                    expected: None,
                    by: "a colleague".to_owned(),
                    repeatable: false,
                })?;
            }
            Fault::Begin(release) if !settings.rollout.is_zero() => {
                self.world.deploy(release.number(), "a pipeline")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.world.landed().len() as u64))
    }

    async fn older_snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        if !self.long_lived {
            return Ok(Vec::new());
        }
        let mut record = SnapshotRecord::seal(&ToySnapshot::of(1))?;
        record.document =
            Envelope { schema: self.oldest.to_owned(), body: serde_json::json!({ "release": 1 }) };
        Ok(vec![record])
    }

    fn secrets(&self) -> Vec<String> {
        if self.long_lived { vec![SECRET.to_owned()] } else { Vec::new() }
    }

    async fn pause(&self) {
        self.clock.advance(Duration::from_secs(1));
    }
}

fn toy(settings: Settings, flaw: Option<Flaw>) -> Suite {
    suite("toy", async move || Ok(Toy::new(settings, flaw)))
}

fn one() -> Settings {
    Settings::default()
}

fn three() -> Settings {
    one().parts(3)
}

fn rolling() -> Settings {
    three().rollout(Duration::from_secs(20)).lag(Duration::from_secs(5))
}

fn passes(settings: Settings) {
    let results = toy(settings, None).check();
    assert_eq!(results.failures(), [].into(), "{settings:?}");
}

#[test]
fn a_sound_driver_passes_in_every_configuration() {
    for base in [one(), three(), rolling()] {
        for (refuses, keeps) in [(false, false), (true, false), (false, true), (true, true)] {
            for way in [Way::Switch, Way::PartByPart, Way::Sync, Way::SwitchOrParts] {
                for restarts in [false, true] {
                    passes(base.refuses_stale_writers(refuses).keeps_keys(keeps).way(way).restarts(restarts));
                }
            }
        }
    }
}

/// A toy with a secret and snapshots of an older schema.
fn long_lived(settings: Settings, flaw: Option<Flaw>) -> Suite {
    suite("toy", async move || Ok(Toy::new(settings, flaw).long_lived()))
}

#[test]
fn every_case_runs_in_some_configuration() {
    let settings = [rolling(), three().way(Way::Sync), one().keeps_keys(true)];
    let mut results: Vec<_> = settings.map(|settings| toy(settings, None).check()).into();
    results.push(long_lived(one().history(false), None).check());
    for result in &results {
        assert_eq!(result.failures(), [].into());
    }
    let ignored = |name: &&str| results.iter().all(|one| one.ignored().contains_key(name));
    let never: Vec<_> = cases().iter().map(Case::name).filter(ignored).collect();
    assert_eq!(never, [""; 0], "these run in no configuration");
}

#[test]
fn a_secret_that_is_told_is_caught() {
    let rules = long_lived(one(), Some(Flaw::TellsSecrets)).check();
    assert!(rules.failures().contains_key("secrets-stay-out"), "{:?}", rules.failures());
}

#[test]
fn an_older_schema_that_is_not_read_is_caught() {
    let forgotten = || Toy { oldest: "toy-release/00", ..Toy::new(one(), None).long_lived() };
    let rules = suite("toy", async move || Ok(forgotten())).check();
    assert!(rules.failures().contains_key("older-schemas-are-read"), "{:?}", rules.failures());
}

/// The rules that a broken driver was caught by.
fn caught(flaw: Flaw, settings: Settings) -> Vec<&'static str> {
    toy(settings, Some(flaw)).check().failures().into_keys().collect()
}

macro_rules! caught {
    ($($name:ident: $flaw:ident in $settings:expr => $rule:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let rules = caught(Flaw::$flaw, $settings);
                assert!(rules.contains(&$rule), "{:?} was caught by {rules:?}", Flaw::$flaw);
                assert_eq!(toy($settings, None).check().failures(), [].into(), "the sound one must pass");
            }
        )+
    };
}

caught! {
    one_identity_for_everything: OneIdentity in one() => "identity-follows-content";
    an_identity_with_a_volatile_name: VolatileIdentity in one() => "identity-follows-content";
    a_token_of_noise: NoisyToken in one() => "token-is-stable";
    a_token_that_never_changes: FrozenToken in one() => "token-moves-with-deploys";
    a_probe_of_the_postcondition: ProbesPostcondition in one() => "foreign-deploy-supersedes";
    a_probe_that_takes_others_success: ProbesPostcondition in one().keeps_keys(true) => "foreign-success-is-not-mine";
    a_probe_that_forgets: ForgetfulProbe in one() => "probe-after-a-lost-answer";
    a_probe_that_forgets_late_landings: ForgetfulProbe in rolling() => "late-landings-are-found";
    sending_twice: SendsTwice in one() => "same-key-lands-once";
    sending_again_after_a_lost_answer: SendsTwice in one() => "lost-and-resent-lands-once";
    overwriting_others: Clobbers in one().refuses_stale_writers(true) => "stale-writers-are-refused";
    success_without_effect: ClaimsSuccess in one() => "applied-means-landed";
    success_that_is_not_there: ClaimsSuccess in three() => "steps-reach-the-goal";
    proof_of_the_first_part: ProvesOnePart in three() => "mixed-parts-are-not-proven";
    proof_of_nothing: CountsNothing in one() => "nothing-running-is-not-proven";
    an_inspect_that_meddles: MeddlingInspect in one() => "inspect-changes-nothing";
    history_upside_down: OldestFirst in one() => "history-is-newest-first";
    unknown_told_as_none: HidesUnknown in one() => "lost-answers-are-unknown";
    a_strategy_with_moods: ImpureStrategy in one() => "proposals-are-pure";
    steps_in_a_circle: CircularSteps in one() => "steps-form-a-graph";
    a_convergence_of_one_part: StopsAfterOne in three().way(Way::Sync) => "steps-reach-the-goal";
    a_repair_that_repairs_half: StopsAfterOne in three().way(Way::Sync) => "half-done-is-repaired";
    a_convergence_that_never_stops: NeverStops in three().way(Way::Sync) => "cancelled-before-start";
    an_inspect_that_misses_gaps: SeesNoGaps in one() => "missing-artifacts-are-seen";
    an_id_that_shifts: ShiftingId in one() => "info-is-stable";
    settled_before_its_time: SettlesEarly in rolling() => "in-flight-is-not-settled";
    altered_snapshots_accepted: AcceptsAnything in one() => "altered-identity-is-refused";
    exchanged_documents_accepted: AcceptsAnything in one() => "altered-document-is-refused";
    a_history_that_is_made_up: MakesUpHistory in one().history(false) => "no-history-is-empty";
    foreign_schemas_accepted: AcceptsAnything in one() => "unknown-schemas-are-refused";
}

/// A fixture whose world cannot even be made.
struct NoWorld;

#[async_trait]
impl Fixture for NoWorld {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        Err(rollback_core::Error::new(rollback_core::ErrorKind::Unavailable, "connect", "nobody is there"))
    }

    async fn deploy(&self, _release: Release) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_world_that_cannot_be_made_fails_every_case() {
    let results = suite("none", async || Ok(NoWorld)).check();
    assert_eq!(results.failures().len(), cases().len());
}
