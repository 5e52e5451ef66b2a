//! Automatic rollback switched off, and on again: `rollback auto off --until …`.

use jiff::Timestamp;
use rollback_core::store::{Condition, Key, KeyPrefix, Records, Written};
use rollback_core::{ComponentName, EnvironmentName, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A switch that stands on off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Off {
    /// For which component; `None` = the whole environment.
    pub component: Option<ComponentName>,
    /// Until when; `None` = until somebody switches it on.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who switched it off.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Off {
    /// Whether it still says off.
    #[must_use]
    pub fn is_off(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The switches of one environment. Everybody who shares the store sees the same.
#[derive(Debug, Clone)]
pub struct Switches {
    records: Records,
    prefix: KeyPrefix,
}

impl Switches {
    /// The switches of `environment`.
    ///
    /// # Errors
    ///
    /// Never for parsed names; keys are checked all the same.
    pub fn new(records: Records, environment: &EnvironmentName) -> Result<Self> {
        // Names of environments and components hold nothing that keys do not.
        let prefix = KeyPrefix::new(&format!("automatic/{environment}"))?;
        Ok(Self { records, prefix })
    }

    fn key(&self, component: Option<&ComponentName>) -> Result<Key> {
        // No component is called so: their names begin with a letter or digit.
        self.prefix.key(component.map_or("_all", ComponentName::as_str))
    }

    /// Switches automatic rollback off.
    ///
    /// # Errors
    ///
    /// The store's; [`ErrorKind::Invalid`] for a time that is over.
    pub async fn off(
        &self,
        component: Option<ComponentName>,
        until: Option<Timestamp>,
        reason: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<Off> {
        if let Some(until) = until.filter(|until| *until <= at) {
            let error =
                Error::new(ErrorKind::Invalid, "switch it off", format!("{until:.0} is over already"));
            return Err(error.next("name a later time, or a duration: --until 2h"));
        }
        let key = self.key(component.as_ref())?;
        let off = Off { component, until, reason: reason.to_owned(), by: by.to_owned(), at };
        match self.records.put(&key, &off, &Condition::Any).await? {
            Written::Stored(_) => Ok(off),
            Written::Conflict => Err(Error::new(ErrorKind::Conflict, "switch it off", "somebody was first")
                .transient(true)
                .next("try again")),
        }
    }

    /// Switches it on again. Whether it was off.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn on(&self, component: Option<&ComponentName>) -> Result<bool> {
        let key = self.key(component)?;
        match self.records.get::<Off>(&key).await? {
            Some(record) => self.records.delete(&key, &record.version).await,
            None => Ok(false),
        }
    }

    /// What is off now.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn all(&self, now: Timestamp) -> Result<Vec<Off>> {
        let keys = self.records.keys(&self.prefix).await?;
        let found = self.records.get_all::<Off>(&keys).await?;
        let found = found.into_iter().flatten().map(|record| record.value);
        Ok(found.filter(|off| off.is_off(now)).collect())
    }

    /// What keeps a component from being rolled back automatically, if anything does.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn of(&self, component: &ComponentName, now: Timestamp) -> Result<Option<Off>> {
        let keys = [self.key(None)?, self.key(Some(component))?];
        let found = self.records.get_all::<Off>(&keys).await?;
        Ok(found.into_iter().flatten().map(|record| record.value).find(|off| off.is_off(now)))
    }
}
