//! What the end-to-end tests stand on: a site in a folder of its own, real processes, and a look at the world.
//!
//! Start with `tests/README.md`. Everything here is bounded: whatever is waited for, a test ends with a message within a minute or two.

pub mod automatic;
pub mod browser;
pub mod ecs_bed;
pub mod hosts;
pub mod kubernetes;
pub mod operators;
mod process;
pub mod proxy;
mod random;
pub mod servers;
mod site;
mod tree;
mod watch;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};

pub use self::process::{Ran, Running, alive, signal};
pub use self::random::Random;
pub use self::site::{Binaries, Site};
pub use self::tree::Tree;
pub use self::watch::{Release, Watch};

/// Whatever went wrong, for tests and test binaries.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The longest that anything is waited for.
pub const LIMIT: Duration = Duration::from_secs(90);

/// What a rollback of a site in S3 asks for at the most, beside the pages of both lists twice and two calls for each object that differs: who it is;
/// whether the bucket keeps versions; one byte of what is to be copied; what is in its own folder; what an earlier rollback left, before the first write
/// and after the last; what this one leaves, which is the manifest, the mark and what it keeps; and for each of three lists one request
/// more than there are pages.
pub const CALLS_BESIDE: usize = 12;

/// The binaries of this package. Only its integration tests can say where they are.
#[macro_export]
macro_rules! binaries {
    () => {
        $crate::Binaries {
            rollback: env!("CARGO_BIN_EXE_e2e-rollback"),
            held: env!("CARGO_BIN_EXE_e2e-held"),
            service: env!("CARGO_BIN_EXE_e2e-service"),
        }
    };
}

/// Lets others run for about that long.
pub fn pause(duration: Duration) {
    std::thread::park_timeout(duration);
}

/// Looks until `look` finds something.
///
/// # Errors
///
/// When it finds nothing within [`LIMIT`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let began = SystemClock.monotonic();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if SystemClock.monotonic().saturating_sub(began) > LIMIT {
            return Err(format!("waited for {what} in vain").into());
        }
        pause(Duration::from_millis(2));
    }
}

/// Appends to a file.
///
/// # Errors
///
/// What the file system says.
pub fn append(file: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
