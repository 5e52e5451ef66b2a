//! Automatic rollback: seeing that a deploy is bad, and deciding what is done about it.
//!
//! What judges is pure: samples and facts go in, readings and decisions come out, in whatever time the caller keeps. The [`Watcher`] takes
//! the samples, gathers the facts, and carries out what was decided; a program that embeds it may do all of that itself.
//!
//! - A [`Trigger`] is a rule over the samples of one probe. [`Trigger::feed`] says after each sample whether what is bad has lasted for long
//!   enough, and never counts what nobody knows as bad.
//! - [`Learning`] remembers what numbers were, so that "three times what it was before the deploy" can be told.
//! - [`decide`] weighs what fired against everything that speaks against acting: it was so before, unchanged neighbours fail as well, nothing
//!   good is known, it was tried too often. Every question that was asked is in the [`Decision`], with its answer.
//! - A [`Vigil`] is one component: its triggers, and the deploy that they judge.
//! - A [`Watcher`] watches many components for ever, or [guards](Watcher::guard) a few for some minutes after a deploy. Each [`Incident`] is
//!   remembered with every question; [`Switches`] keep automatic rollback off; [`Usuals`] keep what was usual for the version that was well
//!   last.
//! - [`named`] has the triggers and the limits of verification that runbooks commonly state.
//!
//! ```
//! use std::time::Duration;
//!
//! use rollback_core::condition::Baseline;
//! use rollback_core::probe::Sample;
//! use rollback_watch::{Facts, Reading, Severity, Verdict, decide, named};
//!
//! let mut outage = named::outage();
//! let before = Baseline::default();
//! for second in (0..120).step_by(10) {
//!     let reading = outage.feed(Duration::from_secs(second), &Sample::bad("HTTP 503"), &before);
//!     assert!(matches!(reading, Reading::Pending(_)), "two minutes are not over");
//! }
//! let Reading::Fired(trouble) = outage.feed(Duration::from_secs(120), &Sample::bad("HTTP 503"), &before) else {
//!     panic!("two minutes are over");
//! };
//! assert_eq!(trouble.samples, 13);
//!
//! let facts = Facts { good: Some("v41".to_owned()), ..Facts::fired(outage.severity(), Duration::ZERO) };
//! assert_eq!(decide(&facts).verdict, Verdict::Act);
//! // Where nothing is known to be good, a person is called.
//! assert_eq!(decide(&Facts { good: None, ..facts }).verdict, Verdict::CallSomebody);
//! ```

mod decision;
mod event;
mod incident;
mod learning;
pub mod named;
mod severity;
mod switch;
mod trigger;
mod usual;
mod vigil;
mod watcher;

pub use self::decision::{Answer, Decision, Facts, Mode, Onset, Verdict, decide};
pub use self::event::{Event, Events, Telling};
pub use self::incident::{Decided, Incident, Incidents, Plot, Point};
pub use self::learning::Learning;
pub use self::severity::{Response, Severity};
pub use self::switch::{Off, Switches};
pub use self::trigger::{Reading, Trigger, Trouble};
pub use self::usual::{Usual, Usuals};
pub use self::vigil::{Deployed, Fired, Seen, Vigil};
pub use self::watcher::{Component, Engines, Guarded, Settings, Watcher};
