//! What an environment demands before and while something is rolled back in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::EnvironmentName;
use crate::time::Lasting;

/// The rules of one environment. A plan carries a copy, so that what was approved is what is enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// The phrase that must be typed before the first effect: `ROLLBACK-PROD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// The account or cluster that every target must be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_account: Option<String>,
    /// Whether a reason must be given.
    pub require_reason: bool,
    /// What may happen without a person.
    pub automatic: Automatic,
    /// When nothing automatic may happen; a person is only warned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeWindow>,
    /// Whom to call when a run is stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Whether all operators work on this one machine, so that a machine-local store will do.
    pub single_operator: bool,
    /// How long a plan may be applied.
    pub plan_expires_after: Lasting,
    /// For how long what was proven is watched, and must stay well, before it counts as restored; left out: not at all.
    ///
    /// Something that crashes a few seconds after it was ready has passed every look until then. Components that come after do
    /// not wait for it; what a rollback tidies up does, and so does the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Lasting>,
}

impl Environment {
    /// An environment that asks for nothing but a reason.
    #[must_use]
    pub fn new(name: EnvironmentName) -> Self {
        Self {
            name,
            confirm: None,
            expect_account: None,
            require_reason: true,
            automatic: Automatic::Propose,
            freeze: Vec::new(),
            contacts: Vec::new(),
            single_operator: false,
            plan_expires_after: Lasting::from_secs(3_600),
            soak: None,
        }
    }

    /// Demands this phrase.
    #[must_use]
    pub fn confirm(mut self, phrase: impl Into<String>) -> Self {
        self.confirm = Some(phrase.into());
        self
    }

    /// Demands this account.
    #[must_use]
    pub fn expect_account(mut self, account: impl Into<String>) -> Self {
        self.expect_account = Some(account.into());
        self
    }

    /// Sets whether a reason must be given.
    #[must_use]
    pub fn require_reason(mut self, require: bool) -> Self {
        self.require_reason = require;
        self
    }

    /// Sets what may happen without a person.
    #[must_use]
    pub fn automatic(mut self, automatic: Automatic) -> Self {
        self.automatic = automatic;
        self
    }

    /// Adds a freeze window.
    #[must_use]
    pub fn freeze(mut self, window: FreezeWindow) -> Self {
        self.freeze.push(window);
        self
    }

    /// Adds somebody to call.
    #[must_use]
    pub fn contact(mut self, contact: impl Into<String>) -> Self {
        self.contacts.push(contact.into());
        self
    }

    /// Declares that all operators work on this one machine.
    #[must_use]
    pub fn single_operator(mut self, single: bool) -> Self {
        self.single_operator = single;
        self
    }

    /// Sets how long a plan may be applied.
    #[must_use]
    pub fn plan_expires_after(mut self, expiry: Lasting) -> Self {
        self.plan_expires_after = expiry;
        self
    }

    /// Sets for how long what was proven must stay well.
    #[must_use]
    pub fn soak(mut self, soak: Lasting) -> Self {
        self.soak = Some(soak);
        self
    }

    /// The freeze window that holds `at`, if one does.
    #[must_use]
    pub fn frozen(&self, at: Timestamp) -> Option<&FreezeWindow> {
        self.freeze.iter().find(|window| window.from <= at && at < window.to)
    }
}

/// What may happen without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Automatic {
    /// Roll back.
    Act,
    /// Make a plan and tell people.
    Propose,
    /// Nothing.
    Off,
}

/// A time in which nothing automatic may happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeWindow {
    /// From then on.
    pub from: Timestamp,
    /// Until just before then.
    pub to: Timestamp,
    /// Why.
    pub reason: String,
}
