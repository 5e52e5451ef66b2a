//! Ctrl-C and its relatives, while a run is on.

use rollback_core::{Error, ErrorKind, Result};

/// Waits for somebody who wants the run to stop.
///
/// From the moment it is installed the process no longer dies of these signals. A lost terminal (SIGHUP) is no wish
/// to stop: the run goes on to its end, because a dropped connection must not leave a site half changed.
#[derive(Debug)]
pub(crate) struct Stops {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    _hang_up: tokio::signal::unix::Signal,
}

impl Stops {
    #[cfg(unix)]
    pub(crate) fn install() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::new(ErrorKind::Other, "listen for signals", error.to_string()).with_source(error)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            _hang_up: listen(SignalKind::hangup())?,
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn install() -> Result<Self> {
        Ok(Self {})
    }

    /// The next wish to stop.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
