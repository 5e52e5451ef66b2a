//! The driver against the conformance kit, on the scripted double of ECS.

mod support;

use std::process::ExitCode;

use rollback_testkit::driver::{main_of, suite};

use self::support::blue_green;
use self::support::world::World;

fn main() -> ExitCode {
    main_of([
        suite("rolling", World::rolling),
        suite("breaker", World::breaker),
        suite("code-deploy", blue_green::World::new),
        suite("code-deploy-keeping", blue_green::World::keeping),
    ])
}
