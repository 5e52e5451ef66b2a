//! The handle to everything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::calls::{Call, Outcome};
use crate::faults::{Does, Injection};
use crate::limits::Limits;
use crate::protocol::{Answer, Asked, Fault, Reply, Request};
use crate::world::{Followed, Held, World};
use crate::{code_deploy, ecr, ecs, elb, others, sts};

/// The longest that [`Cloud::settle`] lets pass.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// One account in one region. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Cloud {
    world: Arc<Mutex<World>>,
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl Cloud {
    /// Account `123456789012` in `eu-west-1`.
    #[must_use]
    pub fn new() -> Self {
        Self::of("123456789012", "eu-west-1")
    }

    /// Of another account or region.
    #[must_use]
    pub fn of(account: &str, region: &str) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(account, region))) }
    }

    /// The world, to look at and to change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logical time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world().now()
    }

    /// Lets logical time pass.
    pub fn tick(&self, by: Duration) {
        self.world().advance(by);
    }

    /// Lets so much logical time pass at each call that comes in: so code that only asks and waits sees progress.
    pub fn advance_per_call(&self, by: Duration) {
        self.world().advance_per_call = by;
    }

    /// Has the logical time follow a clock, such as the one of the code under test: what it tells is how much time has
    /// passed since some moment, and it is asked at each call.
    pub fn follow(&self, clock: impl Fn() -> Duration + Send + Sync + 'static) {
        let seen = clock();
        self.world().followed = Some(Followed { clock: Box::new(clock), seen });
    }

    /// Lets time pass until nothing moves by itself, for four hours at most; whether it came to rest.
    pub fn settle(&self) -> bool {
        let mut world = self.world();
        let step = Duration::from_secs(1);
        let mut passed = Duration::ZERO;
        while world.moves() && passed < LONGEST {
            world.advance(step);
            passed += step;
        }
        !world.moves()
    }

    /// Injects a fault.
    pub fn inject(&self, injection: Injection) {
        self.world().faults.add(injection);
    }

    /// Takes all faults back.
    pub fn no_faults(&self) {
        self.world().faults.clear();
    }

    /// Does the calls that [`Does::Delays`] holds, in the order in which they came and before this ends, whether or not
    /// those who sent them still wait. Takes back the injections of it.
    pub fn release(&self) {
        let held = {
            let mut world = self.world();
            world.faults.release();
            std::mem::take(&mut world.held)
        };
        for Held { request, waiting } in held {
            // Who sent it may have gone: a request that is late is done all the same.
            let _ = waiting.send(self.call(&request));
        }
    }

    /// Refuses calls that come faster than AWS documents, by the logical clock.
    pub fn limit_rates(&self, limit: bool) {
        self.world().limits = limit.then(Limits::default);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How often an operation was called, whatever came of it.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.world().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    /// Asks in JSON, without HTTP and past faults, limits and records: for setting up.
    ///
    /// # Errors
    /// With the service's error.
    pub fn ask(&self, service: &str, operation: &str, input: &Value) -> Result<Value, Fault> {
        dispatch(&mut self.world(), service, operation, input)
    }

    /// Answers a request.
    #[must_use]
    pub fn call(&self, request: &Request) -> Reply {
        self.take(request).unwrap_or(Reply::Delayed)
    }

    /// Answers a request, or tells where the answer comes once it is released.
    pub(crate) fn take(&self, request: &Request) -> Result<Reply, oneshot::Receiver<Reply>> {
        let mut world = self.world();
        world.catch_up();
        let id = world.uuid();
        let reply = match request.understand() {
            Ok(asked) => answer(&mut world, &asked, &id),
            Err((protocol, fault)) => Reply::Answered(Answer::refused(protocol, "", &id, world.now, &fault)),
        };
        if !matches!(reply, Reply::Delayed) {
            return Ok(reply);
        }
        let (waiting, released) = oneshot::channel();
        world.held.push(Held { request: request.clone(), waiting });
        Err(released)
    }
}

fn answer(world: &mut World, asked: &Asked, id: &str) -> Reply {
    let struck = world.faults.strike(&asked.service, &asked.operation);
    let (outcome, reply) = match struck {
        Some(Does::LosesRequest) => (Outcome::RequestLost, Reply::Closed),
        Some(Does::Delays) => (Outcome::Held, Reply::Delayed),
        Some(Does::Hangs) => (Outcome::Held, Reply::Hanging),
        Some(Does::LosesAnswer) => match dispatch(world, &asked.service, &asked.operation, &asked.input) {
            Ok(_) => (Outcome::AnswerLost, Reply::Closed),
            Err(fault) => (Outcome::Refused(fault.code().to_owned()), Reply::Closed),
        },
        other => match result(world, asked, other) {
            Ok(output) => (Outcome::Answered, Reply::Answered(Answer::done(asked, id, world.now, &output))),
            Err(fault) => {
                let answer = Answer::refused(asked.protocol, &asked.service, id, world.now, &fault);
                (Outcome::Refused(fault.code().to_owned()), Reply::Answered(answer))
            }
        },
    };
    let (service, operation) = (asked.service.clone(), asked.operation.clone());
    let (region, input) = (asked.region.clone(), asked.input.clone());
    world.calls.push(Call { service, region, operation, at: world.now, input, outcome });
    reply
}

fn result(world: &mut World, asked: &Asked, struck: Option<Does>) -> Result<Value, Fault> {
    let now = world.now;
    if world.limits.as_mut().is_some_and(|limits| !limits.pass(&asked.service, &asked.operation, now)) {
        return Err(Fault::throttled(asked));
    }
    match struck {
        Some(Does::Throttles) => Err(Fault::throttled(asked)),
        Some(Does::Denies) => Err(Fault::denied(&world.account, asked)),
        Some(Does::Expires) => Err(Fault::expired(asked)),
        Some(Does::Breaks) => Err(Fault::broken(asked)),
        Some(Does::Refuses(fault)) => Err(fault),
        _ => dispatch(world, &asked.service, &asked.operation, &asked.input),
    }
}

fn dispatch(world: &mut World, service: &str, op: &str, input: &Value) -> Result<Value, Fault> {
    match service {
        "ecs" => ecs::handle(world, op, input),
        "codedeploy" => code_deploy::handle(world, op, input),
        "elasticloadbalancing" => elb::handle(world, op, input),
        "ecr" => ecr::handle(world, op, input),
        "sts" => sts::handle(world, op, input),
        _ => others::handle(world, service, op, input),
    }
}
