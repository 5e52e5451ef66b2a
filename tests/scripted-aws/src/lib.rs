//! A scripted double of the AWS services that the ECS driver talks to, for tests: see the README.
#![doc = include_str!("../README.md")]

mod calls;
mod cloud;
mod code_deploy;
mod ecr;
mod ecs;
mod elb;
mod faults;
mod http;
mod images;
mod limits;
mod login;
mod metrics;
mod others;
pub mod protocol;
mod sts;
mod world;

pub use self::calls::{Call, Outcome};
pub use self::cloud::Cloud;
pub use self::code_deploy::BlueGreen;
pub use self::ecs::{Behaviour, ServiceView, TaskView};
pub use self::elb::{Target, Traffic};
pub use self::faults::{Does, Injection};
pub use self::http::Server;
pub use self::images::Images;
pub use self::protocol::{Answer, Fault, Reply, Request};
pub use self::world::World;
