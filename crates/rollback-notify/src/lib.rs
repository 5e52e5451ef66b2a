//! Telling people of rollbacks, and writing down what happened.
#![doc = include_str!("../README.md")]

mod clean;
mod github;
mod http;
pub mod incident;
mod notice;
mod notifier;
mod secret;
pub mod signature;
mod sink;
mod slack;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(feature = "sns")]
mod sns;
pub mod stats;
mod webhook;

pub use self::github::GithubSinks;
pub use self::incident::Incident;
pub use self::notice::{Kind, Moved, NOTICE_SCHEMA, Notice, Seen, Version};
pub use self::notifier::{Delivery, Notifier, Policy, Undelivered};
pub use self::secret::Setup;
pub use self::sink::{Sink, SinkFactory, SinkRegistry, SinkSpec, Subscription};
pub use self::slack::SlackSinks;
#[cfg(feature = "smtp")]
pub use self::smtp::SmtpSinks;
#[cfg(feature = "sns")]
pub use self::sns::{Format as SnsFormat, SnsSink, SnsSinks};
pub use self::webhook::{ID_HEADER, KIND_HEADER, WebhookSinks};

/// All kinds of sinks in this crate.
#[must_use]
pub fn registry() -> SinkRegistry {
    let registry = SinkRegistry::new().with(WebhookSinks).with(SlackSinks).with(GithubSinks);
    #[cfg(feature = "smtp")]
    let registry = registry.with(SmtpSinks);
    #[cfg(feature = "sns")]
    let registry = registry.with(SnsSinks);
    registry
}
