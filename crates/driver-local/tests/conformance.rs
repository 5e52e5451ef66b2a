//! The driver against the conformance kit, on real folders and processes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_local::LocalConfig;
use rollback_testkit::driver::{Fault, FaultLine, Fixture, Release, main_of, suite};
use tempfile::TempDir;

/// What a service manager would do: end the old process, start one in the release that is current now.
const RESTART: &str = r#"
cd "$(dirname "$0")"
if [ -f pid ]; then kill "$(cat pid)"; fi
home=$PWD
cd -P current
sleep 300 </dev/null >/dev/null 2>&1 &
echo $! >"$home/pid.new"
mv "$home/pid.new" "$home/pid"
"#;

/// A site with up to three releases, served as files or by a process.
struct Site {
    home: TempDir,
    line: FaultLine,
    service: bool,
    deploys: AtomicU64,
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Other, "arrange the site", error.to_string())
}

fn folder(release: Release) -> String {
    format!("v{}", release.number())
}

impl Site {
    fn new(service: bool) -> Result<Self> {
        let home = tempfile::tempdir().map_err(failed)?;
        fs::write(home.path().join("restart.sh"), RESTART).map_err(failed)?;
        Ok(Self { home, line: FaultLine::default(), service, deploys: AtomicU64::new(0) })
    }

    /// Unpacks a release, as a pipeline does once.
    fn unpack(&self, release: Release) -> std::io::Result<()> {
        let place = self.home.path().join("releases").join(folder(release));
        if place.exists() {
            return Ok(());
        }
        fs::create_dir_all(place.join("assets"))?;
        fs::write(place.join("index.html"), format!("<h1>release {}</h1>", release.number()))?;
        fs::write(place.join("assets/app.js"), "the same in all of them")
    }

    fn target_at(&self, home: &Path) -> Result<Arc<dyn DynTarget>> {
        let config = LocalConfig::new(home.join("releases"));
        let config = match self.service {
            true => config.restart(self.restart()).pid_file(home.join("pid")),
            false => config,
        };
        Ok(self.line.wrap(config.connect()?))
    }

    fn restart(&self) -> Vec<String> {
        vec!["sh".to_owned(), self.home.path().join("restart.sh").display().to_string()]
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.home.path().join("pid")) {
            // Gone already, or ended now.
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

/// What deploy scripts do: a fresh symlink, renamed over the old one.
fn point(home: &Path, to: &str) -> std::io::Result<()> {
    let fresh = home.join("fresh");
    symlink(Path::new("releases").join(to), &fresh)?;
    fs::rename(&fresh, home.join("current"))
}

#[async_trait]
impl Fixture for Site {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        self.target_at(self.home.path())
    }

    // Through a symlink to the folder above.
    async fn alias(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        let other = self.home.path().join("other-way");
        symlink(self.home.path(), &other).map_err(failed)?;
        self.target_at(&other).map(Some)
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        self.unpack(release).and_then(|()| point(self.home.path(), &folder(release))).map_err(failed)?;
        if self.service {
            let restart = self.restart();
            Command::new(&restart[0]).args(&restart[1..]).status().map_err(failed)?;
        }
        Ok(())
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        if let Fault::RemoveArtifact(release) = fault {
            fs::remove_dir_all(self.home.path().join("releases").join(folder(release))).map_err(failed)?;
            return Ok(true);
        }
        if fault == Fault::RestartPart && self.service {
            let restart = self.restart();
            Command::new(&restart[0]).args(&restart[1..]).status().map_err(failed)?;
            return Ok(true);
        }
        // A rename is done when the call returns: there is no line on which a request could be late.
        if matches!(fault, Fault::Delay | Fault::Deliver) {
            return Ok(false);
        }
        self.line.inject(fault).await
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.deploys.load(Ordering::Relaxed) + self.line.landed()))
    }
}

fn main() -> ExitCode {
    let files = suite("files", async || Site::new(false));
    let service = suite("service", async || Site::new(true));
    main_of([files, service])
}
