use std::path::PathBuf;
use std::sync::Arc;

use rollback_core::store::Store;
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, TargetId};
use rollback_store_object::BucketOptions;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::servers::Account;

/// How long a lease is good without a beat: short, so that takeovers do not take long, and far longer than any effect.
pub const TTL: Lasting = Lasting::from_secs(4);

/// What a machine is to do, handed over in the environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The machine's name.
    pub machine: String,
    /// The folder with the logs of the targets, and of what machines tell.
    pub world: PathBuf,
    /// The store: `s3://bucket/folder`.
    pub store: String,
    /// The variables to open it with, as this machine reaches it: emulators' only, no secrets.
    pub variables: Vec<(String, String)>,
    /// The same for looking at heads when something is done to a target: never disturbed.
    pub witness: Vec<(String, String)>,
    /// What chance begins with.
    pub seed: u64,
    /// How many runs to apply.
    pub runs: u64,
    /// How many to work on at once.
    pub at_once: usize,
    /// How many targets there are.
    pub targets: usize,
    /// What is broken on purpose, and must be noticed.
    pub flaw: Option<Flaw>,
}

/// Something that would let two act on one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Flaw {
    /// The store takes every write, whatever its condition.
    IgnoresConditions,
    /// Holders on the other machine count as dead at once.
    TakesLivingForDead,
}

/// The environment variable that holds [`Settings`].
const VARIABLE: &str = "ROLLBACK_OPERATORS";

impl Settings {
    /// The settings of this process.
    ///
    /// # Errors
    ///
    /// When there are none that can be read.
    pub fn of_this_process() -> Result<Self> {
        Ok(serde_json::from_str(&std::env::var(VARIABLE)?)?)
    }

    /// The variable to set for a process that shall have these settings.
    ///
    /// # Errors
    ///
    /// Never: they can be written as JSON.
    pub fn to_variable(&self) -> Result<(&'static str, String)> {
        Ok((VARIABLE, serde_json::to_string(self)?))
    }

    /// The variables for an account.
    #[must_use]
    pub fn variables_of(account: &Account) -> Vec<(String, String)> {
        account.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The store, opened with `variables`.
    ///
    /// # Errors
    ///
    /// When they are wrong.
    pub fn open(&self, variables: &[(String, String)]) -> Result<Arc<dyn Store>> {
        let variables = variables.to_vec();
        let find =
            move |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Ok(Arc::new(BucketOptions::new().variables(find).open(&self.store)?))
    }

    /// The components, by number.
    ///
    /// # Errors
    ///
    /// Never: the names are good ones.
    pub fn component(number: usize) -> Result<ComponentName> {
        Ok(ComponentName::new(format!("c{number:02}"))?)
    }

    /// The target of a component.
    ///
    /// # Errors
    ///
    /// Never: the ids are good ones.
    pub fn target_id(component: &ComponentName) -> rollback_core::Result<TargetId> {
        TargetId::new(format!("toy/{component}"))
    }
}
