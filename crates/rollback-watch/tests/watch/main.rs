//! The watcher and the guard over a simulated world, in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod guard;
mod town;
mod watcher;
