//! One machine of the test `operators`, told by its environment what to do.

use rollback_tests::Result;
use rollback_tests::operators::{Machine, Settings};

fn main() -> Result<()> {
    let machine = Machine::new(Settings::of_this_process()?)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(machine.work())
}
