//! The `rollback` command with a driver that can be held between authorising and sending.
//!
//! `HELD_APPLY=N` holds the N-th request: the file `HELD_MARKER` is written, and the request is sent once the file
//! `HELD_RELEASE` is there. By then the engine has authorised it and looked for the last time. With
//! `HELD_ANSWER=1` it is the answer that is held: the request was sent, and the engine does not know yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::layer::{Around, AroundApply};
use rollback_core::time::{Clock as _, SystemClock};
use rollback_core::{
    ActionContext, Capabilities, ComponentName, Driver, DynTarget, Envelope, Error, ErrorKind, Landing,
    Result,
};
use rollback_driver_local::LocalDriver;
use serde_json::Value;

/// After so long it gives up waiting, so that nothing stays behind a failed test.
const LONGEST: Duration = Duration::from_secs(180);

fn main() -> std::process::ExitCode {
    rollback_cli::App::new().driver(HeldDriver).main()
}

/// The local driver, whose targets can be held.
#[derive(Debug)]
struct HeldDriver;

#[async_trait]
impl Driver for HeldDriver {
    fn name(&self) -> &'static str {
        LocalDriver.name()
    }

    fn summary(&self) -> &'static str {
        "the local driver, held on request"
    }

    fn config_schema(&self) -> Value {
        LocalDriver.config_schema()
    }

    fn capabilities(&self) -> Capabilities {
        LocalDriver.capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let inner = LocalDriver.connect(component, config).await?;
        Ok(Around::wrap(inner, Held::default()))
    }
}

#[derive(Debug, Default)]
struct Held {
    applied: AtomicU32,
}

impl Held {
    async fn hold(&self) -> Result<()> {
        let number = self.applied.load(Ordering::SeqCst);
        if std::env::var("HELD_APPLY").ok().and_then(|text| text.parse().ok()) != Some(number) {
            return Ok(());
        }
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from).unwrap_or_default();
        let failed = |error: std::io::Error| Error::new(ErrorKind::Other, "hold", error.to_string());
        std::fs::write(path("HELD_MARKER"), "").map_err(failed)?;
        let release = path("HELD_RELEASE");
        let began = SystemClock.monotonic();
        while !release.exists() {
            if SystemClock.monotonic().saturating_sub(began) > LONGEST {
                return Err(Error::new(ErrorKind::Timeout, "hold", "nobody let it go"));
            }
            SystemClock.sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

#[async_trait]
impl AroundApply for Held {
    async fn apply(
        &self,
        inner: &Arc<dyn DynTarget>,
        cx: &ActionContext,
        action: &Envelope,
    ) -> Result<Landing> {
        self.applied.fetch_add(1, Ordering::SeqCst);
        let answer = std::env::var_os("HELD_ANSWER").is_some();
        if !answer {
            self.hold().await?;
        }
        let landing = inner.apply(cx, action).await;
        if answer {
            self.hold().await?;
        }
        landing
    }
}
