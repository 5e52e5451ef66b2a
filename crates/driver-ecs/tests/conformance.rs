//! The driver against the conformance kit, on the scripted double of ECS.

#[path = "support/blue_green.rs"]
mod blue_green;
#[path = "support/stage.rs"]
mod stage;
mod support;
#[path = "support/world.rs"]
mod world;

use std::process::ExitCode;

use rollback_testkit::driver::{main_of, suite};

use self::world::World;

fn main() -> ExitCode {
    main_of([
        suite("rolling", World::rolling),
        suite("breaker", World::breaker),
        suite("code-deploy", blue_green::World::new),
        suite("code-deploy-keeping", blue_green::World::keeping),
    ])
}
