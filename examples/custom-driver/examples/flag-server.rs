//! A flag service to try the driver on: `cargo run --example flag-server`.

#[expect(dead_code, reason = "only the tests let it go wrong")]
#[path = "../tests/flags/mod.rs"]
mod flags;

use std::io;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(7070), |port| port.parse().map_err(io::Error::other))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let flags = flags::Flags::new(&["v41", "v42"], None);
    flags.set("v41");
    println!("http://{}/flags/checkout is v41", listener.local_addr()?);
    axum::serve(listener, flags.router()).await
}
