//! The switches of a simulated world.

use std::time::Duration;

/// What a simulated world is like.
///
/// ```
/// use rollback_testkit::sim::{Settings, Way};
/// let settings = Settings::default().parts(3).keeps_keys(true).way(Way::PartByPart);
/// assert_eq!(settings.parts, 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How many parts it has.
    pub parts: u32,
    /// Whether it refuses requests that expect an outdated token.
    pub refuses_stale_writers: bool,
    /// Whether it remembers idempotency keys.
    pub keeps_keys: bool,
    /// How long a rollout takes for each part; zero: at once.
    pub rollout: Duration,
    /// The longest time after which a request that got no answer can still land.
    pub lag: Duration,
    /// For how long looks show the past after a change.
    pub shows_past: Duration,
    /// How the driver changes it.
    pub way: Way,
    /// Whether a restart of every part is wanted, and proven.
    pub restarts: bool,
    /// Whether it remembers what ran.
    pub history: bool,
    /// Whether the driver sweeps away the release that was left, once the other is proven.
    pub sweeps: bool,
    /// Whether rollbacks leave something behind on each part, which the driver tidies up after a grace.
    pub tidies: bool,
}

/// How the toy driver changes the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// One request for everything.
    Switch,
    /// One request for each part.
    PartByPart,
    /// One request for each part, two parts at once.
    Batches,
    /// Bulk work that may be repeated.
    Sync,
    /// One request for everything, with one request for each part as the alternative.
    SwitchOrParts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parts: 1,
            refuses_stale_writers: false,
            keeps_keys: false,
            rollout: Duration::ZERO,
            lag: Duration::ZERO,
            shows_past: Duration::ZERO,
            way: Way::Switch,
            restarts: false,
            history: true,
            sweeps: false,
            tidies: false,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $kind:ty),*) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                #[must_use]
                pub const fn $name(mut self, $name: $kind) -> Self {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}
setters!(
    parts: u32,
    refuses_stale_writers: bool,
    keeps_keys: bool,
    rollout: Duration,
    lag: Duration,
    shows_past: Duration,
    way: Way,
    restarts: bool,
    history: bool,
    sweeps: bool,
    tidies: bool
);
