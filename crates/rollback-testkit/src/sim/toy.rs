//! The toy driver: a complete driver over a simulated [`World`], small enough to read in one sitting.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rollback_core::target::{Health, HistoryEntry, HistoryQuery, Inspection, Phase};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Bound, Capabilities, DynTarget, Effect, Error, ErrorKind, Evidence, Goal, Incarnation,
    Landing, Observation, PartState, Reading, Receipt, Result, Target, TargetId, TargetInfo, Token,
};

use super::Way;
use super::flaw::{Flaw, Lax};
use super::forms::{ToyAction, ToySnapshot};
use super::strategy::{Common, PartByPart, SwitchAll, SyncAll};
use super::world::{Change, Picture, Request, World};

/// What may happen between the driver's comparing and its sending: a stall that no lock prevents.
#[async_trait]
pub trait Gap: Send + Sync + 'static {
    /// Lets it happen.
    async fn pass(&self);
}

/// The toy driver's target.
#[derive(Clone)]
pub struct ToyTarget {
    name: String,
    pub(super) world: World,
    by: String,
    pub(super) flaw: Option<Flaw>,
    gap: Option<Arc<dyn Gap>>,
    pub(super) secret: Option<String>,
    /// What is deployed beside it, for a flaw.
    pub(super) beside: Option<World>,
    /// What the last look showed, for a flaw.
    seen: Arc<Mutex<Option<Picture>>>,
}

impl ToyTarget {
    /// A handle onto `world`.
    pub fn new(name: impl Into<String>, world: World) -> Self {
        let by = "driver".to_owned();
        Self {
            name: name.into(),
            world,
            by,
            flaw: None,
            gap: None,
            secret: None,
            beside: None,
            seen: Arc::default(),
        }
    }

    /// Says who sends, for traces.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = who.into();
        self
    }

    /// Breaks it in one way.
    #[must_use]
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// Sets what may happen between comparing and sending.
    #[must_use]
    pub fn gap(mut self, gap: Arc<dyn Gap>) -> Self {
        self.gap = Some(gap);
        self
    }

    /// Gives it a secret setting, that changes with each release.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Tells it what is deployed beside it. Only a broken one makes use of that.
    #[must_use]
    pub fn beside(mut self, neighbour: World) -> Self {
        self.beside = Some(neighbour);
        self
    }

    /// The target with its strategies, erased.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        let (flaw, way) = (self.flaw, self.world.settings.way);
        let common = Common { restarts: self.world.settings.restarts, sweeps: self.world.settings.sweeps };
        let (lax, tidies) = (flaw == Some(Flaw::AcceptsAnything), self.world.settings.tidies);
        let bound = Bound::new("toy", self);
        let bound = match way {
            Way::Switch => bound.strategy(SwitchAll::new(flaw, common)),
            Way::Batches => bound.strategy(PartByPart { common, batch: 2 }),
            Way::PartByPart => bound.strategy(PartByPart { common, batch: 1 }),
            Way::Sync => bound.strategy(SyncAll { common }),
            Way::SwitchOrParts => {
                bound.strategy(SwitchAll::new(flaw, common)).strategy(PartByPart { common, batch: 1 })
            }
        };
        let bound = bound.keeping_contents().remembering();
        let bound = if tidies { bound.tidying() } else { bound };
        if lax { Arc::new(Lax::new(bound.erase())) } else { bound.erase() }
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn token(&self, picture: &Picture) -> Token {
        match self.flaw {
            Some(Flaw::NoisyToken) => Token::new(format!("{}/{:?}", picture.token, self.world.count_look())),
            Some(Flaw::FrozenToken) => Token::new("toy/1"),
            Some(Flaw::RestlessToken) => {
                let restarts: u64 = picture.parts.iter().map(|part| part.restarts).sum();
                Token::new(format!("{}+{restarts}", picture.token))
            }
            _ => picture.token.clone(),
        }
    }

    pub(super) fn snapshot(&self, picture: &Picture, release: u32) -> ToySnapshot {
        match self.flaw {
            Some(Flaw::OneIdentity) => {
                ToySnapshot { content: "content".to_owned(), ..ToySnapshot::of(release) }
            }
            Some(Flaw::VolatileIdentity) => ToySnapshot {
                content: format!("registered as {}", picture.token),
                ..ToySnapshot::of(release)
            },
            Some(Flaw::UnstoredIdentity) => {
                ToySnapshot { unstored: Some(release), ..ToySnapshot::of(release) }
            }
            _ => ToySnapshot::of(release),
        }
    }

    fn part_state(&self, picture: &Picture, part: &super::world::Part) -> PartState {
        let snapshot = self.snapshot(picture, part.release);
        let frozen = self.has(Flaw::FrozenIncarnation);
        let first = Incarnation::new("the first").ok();
        let state = PartState::verified(part.id.clone(), snapshot.identity().ok())
            .with_incarnation(part.incarnation().filter(|_| !frozen).or(first))
            .with_restarts(part.restarts)
            .with_health(Health::Healthy);
        if self.has(Flaw::CountsNothing) { state } else { state.with_replicas(part.replicas, part.replicas) }
    }

    /// What an action changes, request by request.
    fn changes(&self, picture: &Picture, action: &ToyAction) -> Result<Vec<Change>> {
        Ok(match action {
            ToyAction::Switch { release } => vec![Change::All { release: *release }],
            ToyAction::SwitchPart { part, release } => {
                let Some(index) = picture.parts.iter().position(|found| found.id == *part) else {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        "change a part",
                        format!("there is no {part}"),
                    )
                    .next("plan again"));
                };
                vec![Change::Part { part: index, release: *release }]
            }
            ToyAction::Sync { release } => {
                let release = &self.towards(picture, *release);
                let all = picture.heading.is_some() || self.world.settings.restarts;
                let wanted = |part: &usize| all || picture.parts[*part].release != *release;
                let parts = (0..picture.parts.len()).filter(wanted);
                parts.map(|part| Change::Part { part, release: *release }).collect()
            }
            ToyAction::Sweep { .. } => Vec::new(),
        })
    }

    /// Where bulk work goes.
    fn towards(&self, picture: &Picture, release: u32) -> u32 {
        let ran = self.world.ran();
        let before = ran.iter().rev().map(|(ran, _)| *ran).find(|ran| *ran != picture.settled);
        let done = self.has(Flaw::TogglesBack) && picture.settled == release;
        before.filter(|_| done).unwrap_or(release)
    }

    fn request(&self, cx: &ActionContext, change: Change, expected: Option<Token>) -> Request {
        Request {
            change,
            key: Some(cx.key.clone()),
            step: Some(cx.step.clone()),
            expected,
            by: self.by.clone(),
            repeatable: false,
        }
    }

    async fn send_one(&self, cx: &ActionContext, change: Change, picture: &Picture) -> Result<Landing> {
        if let Some(token) = self.world.mark(&cx.key) {
            return Ok(Landing::Applied(Receipt::default().with_token(token)));
        }
        let mut request = self.request(cx, change, cx.expected.clone());
        match self.flaw {
            Some(Flaw::ClaimsSuccess) => return Ok(Landing::applied()),
            Some(Flaw::Clobbers) => request.expected = None,
            Some(Flaw::SendsTwice) => {
                request.expected = None;
                request.key = None;
            }
            _ if !self.world.settings.refuses_stale_writers => compare(cx, picture)?,
            _ => {}
        }
        if let Some(gap) = &self.gap {
            gap.pass().await;
        }
        let mut sent = self.world.send(request.clone());
        if self.has(Flaw::RetriesByItself) && sent.as_ref().is_err_and(Error::is_transient) {
            sent = self.world.send(Request { key: None, expected: None, ..request });
        }
        let token = sent.map_err(|error| self.told(error))?;
        Ok(Landing::Applied(Receipt::default().with_token(token)))
    }

    /// An error as the driver tells it.
    fn told(&self, error: Error) -> Error {
        match (self.flaw, &self.secret) {
            (Some(Flaw::HidesUnknown), _) => error.with_effect(Effect::None),
            (Some(Flaw::TellsSecretsInErrors), Some(secret)) => {
                let message = format!("{} (sent with password={secret})", error.message());
                Error::new(error.kind(), error.operation(), message).with_effect(error.effect())
            }
            _ => error,
        }
    }

    async fn sweep(&self, cx: &ActionContext, release: u32) -> Result<Landing> {
        if let Some(gap) = &self.gap {
            gap.pass().await;
        }
        self.world.sweep(release, &cx.key, &self.by).map(|()| Landing::applied())
    }

    async fn send_all(&self, cx: &ActionContext, changes: Vec<Change>, picture: &Picture) -> Result<Landing> {
        compare(cx, picture)?;
        let total = changes.len() as u64;
        let mut token = picture.token.clone();
        for (done, change) in (0..).zip(changes) {
            if self.has(Flaw::StopsAfterOne) && done > 0 {
                break;
            }
            if cx.cancel.is_cancelled() && !self.has(Flaw::NeverStops) {
                let effect = if done == 0 { Effect::None } else { Effect::Unknown };
                return Err(
                    Error::new(ErrorKind::Cancelled, "go on", "it was asked to stop").with_effect(effect)
                );
            }
            if let Some(gap) = &self.gap {
                gap.pass().await;
            }
            let request = Request { repeatable: true, ..self.request(cx, change, Some(token.clone())) };
            // Parts that were changed before stay changed: the whole is half done.
            token = self.world.send(request).map_err(|error| match done {
                0 => error,
                _ => error.with_effect(Effect::Unknown),
            })?;
            cx.progress(done + 1, total, "part changed");
        }
        Ok(Landing::Applied(Receipt::default().with_token(token)))
    }
}

/// Compares right before sending, where the backend would not.
fn compare(cx: &ActionContext, picture: &Picture) -> Result<()> {
    match &cx.expected {
        Some(expected) if *expected != picture.token => {
            Err(Error::new(ErrorKind::Stale, "change the world", "somebody changed it since")
                .next("plan again"))
        }
        _ => Ok(()),
    }
}

/// The count in a token: the toy's tokens have an order.
fn generation(token: &Token) -> Option<u64> {
    token.as_str().rsplit('/').next()?.parse().ok()
}

impl fmt::Debug for ToyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToyTarget")
            .field("name", &self.name)
            .field("by", &self.by)
            .field("flaw", &self.flaw)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Target for ToyTarget {
    type Snapshot = ToySnapshot;
    type Action = ToyAction;

    async fn info(&self) -> Result<TargetInfo> {
        let settings = &self.world.settings;
        let capabilities = Capabilities::default().parts().scales_to_zero().restarts();
        let mut capabilities = if settings.history { capabilities.history() } else { capabilities };
        capabilities.refuses_stale_writers = settings.refuses_stale_writers;
        (capabilities.keeps_keys, capabilities.tidies) = (settings.keeps_keys, settings.tidies);
        capabilities.in_flight = !settings.rollout.is_zero();
        let lag = settings.lag.max(settings.shows_past);
        capabilities.visibility_lag = (!lag.is_zero()).then(|| Lasting::new(lag));
        let id = match self.flaw {
            Some(Flaw::ShiftingId) => format!("toy/{}/{}", self.name, self.world.count_look()),
            Some(Flaw::IdAsTyped) => format!("toy/{}", self.name),
            _ => format!("toy/{}", self.name.to_ascii_lowercase()),
        };
        Ok(TargetInfo::new(TargetId::new(id)?, "simulated").with_capabilities(capabilities))
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<ToySnapshot>> {
        let picture = self.world.shown();
        let eager = picture.heading.filter(|_| self.has(Flaw::SettlesEarly));
        let parts_differ = picture.heading.is_none()
            && picture.parts.iter().any(|part| part.release != picture.parts[0].release);
        let settled = match eager {
            Some(release) => Reading::Known(self.snapshot(&picture, release)),
            None if parts_differ => Reading::Unknown("the parts run different releases".to_owned()),
            None => Reading::Known(self.snapshot(&picture, picture.settled)),
        };
        let lagging = after.and_then(generation) > generation(&picture.token) && !self.has(Flaw::HidesLag);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.clone());
        let mut observation = Observation::settled(settled, self.token(&picture)).lagging(lagging);
        for part in &picture.parts {
            observation = observation.part(self.part_state(&picture, part));
        }
        if self.has(Flaw::ShuffledParts) && self.world.count_look().is_multiple_of(2) {
            observation.parts.reverse();
        }
        if let (Some(release), None) = (picture.heading, eager) {
            let phase = match &picture.failed {
                Some(why) => Phase::Failed(why.clone()),
                None => Phase::Progressing(format!("rolling out r{release}")),
            };
            observation = observation.heading_to(self.snapshot(&picture, release)).in_phase(phase);
        }
        Ok(observation)
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<ToySnapshot>>> {
        Ok(self.ran(query))
    }

    async fn inspect(&self, from: Option<&ToySnapshot>, to: &ToySnapshot) -> Result<Inspection> {
        Ok(self.inspected(from, to))
    }

    async fn apply(&self, cx: &ActionContext, action: &ToyAction) -> Result<Landing> {
        let picture = self.world.look();
        let changes = self.changes(&picture, action)?;
        match (action, changes.first()) {
            (ToyAction::Sync { .. }, _) => self.send_all(cx, changes, &picture).await,
            (ToyAction::Sweep { release }, _) => self.sweep(cx, *release).await,
            (_, Some(change)) => self.send_one(cx, *change, &picture).await,
            (_, None) => Ok(Landing::applied()),
        }
    }

    async fn probe(&self, cx: &ActionContext, action: &ToyAction) -> Result<Landing> {
        let picture = self.world.look();
        let reached = action.holds(&picture);
        let receipt = || Receipt::default().with_token(picture.token.clone());
        let not_applied = |why: &str| Landing::NotApplied { why: why.to_owned() };
        match self.flaw {
            Some(Flaw::ForgetfulProbe) => return Ok(not_applied("nobody saw it")),
            Some(Flaw::ProbesPostcondition) if reached => return Ok(Landing::applied()),
            Some(Flaw::ProbesPostcondition) => return Ok(not_applied("it is not there")),
            _ => {}
        }
        if let Some(token) = self.world.mark(&cx.key) {
            return Ok(Landing::Applied(Receipt::default().with_token(token)));
        }
        if let ToyAction::Sweep { .. } = action {
            let swept = self.world.swept().iter().any(|swept| swept.key == cx.key);
            return Ok(if swept { Landing::applied() } else { not_applied("it is not swept away") });
        }
        if let ToyAction::Sync { .. } = action {
            return Ok(if reached {
                Landing::Applied(receipt())
            } else {
                not_applied("a part is not there")
            });
        }
        Ok(match &cx.expected {
            Some(expected) if *expected == picture.token => not_applied("nothing changed since it was sent"),
            Some(_) if reached && !self.world.settings.keeps_keys => Landing::Applied(receipt().presumed()),
            Some(_) => Landing::Superseded { by: format!("the world is at {}", picture.token) },
            None if self.world.settings.keeps_keys => not_applied("its key is not known"),
            None => Landing::Unknown { why: "nothing tells it from another change".to_owned() },
        })
    }

    async fn prove(&self, _goal: &Goal<ToySnapshot>) -> Result<Evidence> {
        let remembered = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let remembered = remembered.filter(|_| self.has(Flaw::ProvesFromMemory));
        let picture = remembered.unwrap_or_else(|| self.world.look());
        let looked_at = if self.has(Flaw::ProvesOnePart) { 1 } else { picture.parts.len() };
        let mut evidence = Evidence::default().compared(format!("the release on {looked_at} parts"));
        if self.has(Flaw::ShowsNoEvidence) {
            evidence.compared.clear();
        }
        for part in picture.parts.iter().take(looked_at) {
            evidence = evidence.part(self.part_state(&picture, part));
        }
        Ok(evidence)
    }
}
