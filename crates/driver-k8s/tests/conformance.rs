//! The driver against the conformance kit, on the scripted double of the API.

#[path = "support/world.rs"]
mod world;

use std::process::ExitCode;

use rollback_driver_k8s::Kind;
use rollback_testkit::driver::{main_of, suite};

use self::world::World;

fn main() -> ExitCode {
    main_of([
        suite("deployment", async || Ok(World::new(Kind::Deployment))),
        suite("statefulset", async || Ok(World::new(Kind::StatefulSet))),
        suite("daemonset", async || Ok(World::new(Kind::DaemonSet))),
    ])
}
