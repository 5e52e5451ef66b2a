//! The contract, the planner and the crash-safe engine of rollback.
#![doc = include_str!("../README.md")]

pub mod action;
mod anticipates;
mod checked_text;
pub mod condition;
pub mod contents;
pub mod digest;
pub mod document;
pub mod engine;
pub mod environment;
pub mod erased;
pub mod error;
pub mod fingerprint;
pub mod foreign;
mod graph;
mod journal;
pub mod layer;
pub mod lease;
pub mod ledger;
pub mod name;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod registry;
mod remembers;
pub mod report;
pub mod request;
pub mod snapshot;
pub mod store;
pub mod strategy;
pub mod target;
mod tidies;
pub mod time;

pub use self::action::{Action, ActionContext, ActionKind, Landing, Receipt, Step};
pub use self::anticipates::Anticipates;
pub use self::contents::{Contents, KeepsContents};
pub use self::digest::Digest;
pub use self::document::{Document, Envelope};
pub use self::engine::{Approval, Engine, EngineBuilder};
pub use self::environment::Environment;
pub use self::erased::{Bound, Considered, DynTarget};
pub use self::error::{Effect, Error, ErrorKind, ErrorRecord, Result};
pub use self::name::{
    ComponentName, EnvironmentName, IdempotencyKey, Incarnation, PartId, Revision, RunId, StepId, TargetId,
    Token, Version,
};
pub use self::plan::{Plan, Planned};
pub use self::registry::{Driver, DriverRegistry};
pub use self::remembers::{Occasion, Remembers};
pub use self::report::{Report, State};
pub use self::request::{Destination, OnFailure, Request};
pub use self::snapshot::{Artifact, Identity, Snapshot, SnapshotInfo, SnapshotRecord};
pub use self::store::Store;
pub use self::strategy::{Decision, Proposal, Risk, Strategy, View};
pub use self::target::{
    Capabilities, Evidence, Finding, Goal, Observation, PartState, Reading, Target, TargetInfo,
};
pub use self::tidies::{Leftovers, Tidies, Tidying};
