//! One connection for all who mean the same host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rollback_core::Result;

use super::{Connection, Inner};
use crate::names::Host;
use crate::settings::SshSettings;

/// The connections of a process: components on the same host, reached in the same way, share one.
///
/// ```
/// use rollback_ssh_support::{Connections, Host, SshSettings};
/// let (host, settings) = (Host::new("web-1")?, SshSettings::new());
/// let web = Connections::shared().to(&host, &settings)?;
/// let jobs = Connections::shared().to(&host, &settings)?;
/// assert!(web.is_same(&jobs));
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<(Host, SshSettings), Weak<Inner>>>,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Connections> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    /// The connection to this host, as long as somebody holds it; else a new one, which is not open yet.
    ///
    /// # Errors
    ///
    /// As [`SshSettings::check`].
    pub fn to(&self, host: &Host, settings: &SshSettings) -> Result<Connection> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let way = (host.clone(), settings.clone());
        if let Some(inner) = open.get(&way).and_then(Weak::upgrade) {
            return Ok(Connection(inner));
        }
        let connection = Connection::new(host.clone(), settings.clone())?;
        open.retain(|_, inner| inner.strong_count() > 0);
        open.insert(way, Arc::downgrade(&connection.0));
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_host_reached_in_the_same_way_is_one_connection() {
        let connections = Connections::new();
        let host = |name: &str| Host::new(name).unwrap();
        let (web, plain) = (host("web"), SshSettings::new());
        let first = connections.to(&web, &plain).unwrap();
        assert!(first.is_same(&connections.to(&web, &plain).unwrap()));
        assert!(!first.is_same(&connections.to(&host("db"), &plain).unwrap()));
        assert!(!first.is_same(&connections.to(&web, &plain.clone().port(2222)).unwrap()));
        assert!(connections.to(&web, &plain.clone().port(0)).is_err());
        drop(first);
        let again = connections.to(&web, &plain).unwrap();
        assert_eq!(connections.open.lock().unwrap().len(), 1, "{again:?}");
    }
}
