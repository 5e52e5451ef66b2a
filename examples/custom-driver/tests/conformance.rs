//! The driver against the conformance kit: each case has a flag service of its own, on a port of its own.

#[expect(dead_code, reason = "other programs use the rest")]
mod flags;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_custom_driver::{FlagClient, connect};
use rollback_testkit::driver::{Fault, Fixture, Release, suite};

use self::flags::{Flags, Trouble};

const SECRET: &str = "swordfish-4711";

struct Service {
    flags: Flags,
    port: u16,
}

impl Service {
    async fn start() -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::new(ErrorKind::Other, "start the service", error.to_string());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let flags = Flags::new(&["v1", "v2", "v3"], Some(SECRET));
        let router = flags.router();
        // It ends with the runtime, that is, with the case.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { flags, port })
    }
}

fn value(release: Release) -> String {
    format!("v{}", release.number())
}

#[async_trait]
impl Fixture for Service {
    // A new client each time, as a second process would have it.
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        let url = format!("http://127.0.0.1:{}", self.port);
        Ok(connect(FlagClient::new(&url, "checkout", Some(SECRET))?))
    }

    // The same service by another address: what a colleague's configuration says.
    async fn alias(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        let url = format!("http://localhost:{}/", self.port);
        Ok(Some(connect(FlagClient::new(&url, "checkout", Some(SECRET))?)))
    }

    // Not through the driver: what somebody does in the service's web page.
    async fn deploy(&self, release: Release) -> Result<()> {
        self.flags.set(&value(release));
        Ok(())
    }

    // The service itself goes wrong, so that the driver's reading of its answers is tested as well. A backend that
    // cannot be made to fail is wrapped in the kit's `FaultLine` instead.
    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::Refuse => self.flags.trouble(Trouble::Refuse),
            Fault::LoseRequest => self.flags.trouble(Trouble::LoseRequest),
            Fault::LoseAnswer => self.flags.trouble(Trouble::LoseAnswer),
            Fault::Delay => self.flags.trouble(Trouble::Delay),
            Fault::Deliver => self.flags.deliver(),
            Fault::RemoveArtifact(release) => self.flags.retire(&value(release)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.flags.writes()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

fn main() -> ExitCode {
    suite("flag", Service::start).main()
}
