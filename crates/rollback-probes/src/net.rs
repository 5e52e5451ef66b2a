//! What the kinds that open connections share.

use std::io;

use rollback_core::Result;
use tokio::net::{TcpStream, lookup_host};

use crate::settings::invalid;

/// Refuses what could never be connected to; whether the name exists is seen when sampling.
pub(crate) fn check_address(kind: &str, example: &str, address: &str) -> Result<()> {
    let wrong =
        |what: &str| Err(invalid(kind, format!("{address:?} {what}")).next(format!("write {example}")));
    let Some((host, port)) = address.rsplit_once(':') else {
        return wrong("has no port");
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong("has no port between 1 and 65535");
    }
    let bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare || host.contains(|c: char| c.is_whitespace() || "/@?".contains(c)) {
        return wrong("is not host:port");
    }
    Ok(())
}

/// Why there is no connection.
pub(crate) enum NotConnected {
    /// The name could not be looked up: nobody was asked.
    Lookup(io::Error),
    /// None of the addresses took it.
    Refused(io::Error),
}

/// Connects to the first of the name's addresses that takes it.
pub(crate) async fn connect(address: &str) -> Result<TcpStream, NotConnected> {
    let found: Vec<_> = lookup_host(address).await.map_err(NotConnected::Lookup)?.collect();
    TcpStream::connect(found.as_slice()).await.map_err(NotConnected::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_is_an_address() {
        for good in ["localhost:80", "127.0.0.1:65535", "[::1]:5432", "db.internal:5432"] {
            assert!(check_address("tcp", "", good).is_ok(), "{good}");
        }
        for bad in
            ["localhost", "localhost:", ":80", "h:0", "h:65536", "::1:80", "http://h:80", "u@h:80", "a b:1"]
        {
            assert!(check_address("tcp", "", bad).is_err(), "{bad}");
        }
    }
}
