//! Sockets in the network of a machine.

use std::io;
use std::os::fd::OwnedFd;

/// Moves this thread into another network namespace, for good: what it connects to or listens on is there from now on.
#[cfg(target_os = "linux")]
pub(crate) fn enter(network: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsFd as _;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn enter(_network: &OwnedFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What `make` makes in that network.
pub(super) fn within<T: Send>(
    network: &OwnedFd,
    make: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(network)?;
            make()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    })
}
