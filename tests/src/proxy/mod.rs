//! A proxy that breaks things on purpose: put it between a client and a real server, and say what shall go wrong.
//!
//! ```no_run
//! use rollback_tests::proxy::{Answer, Fault, Faults, Proxy, Rule};
//!
//! # fn demo(upstream: u16) -> rollback_tests::Result<()> {
//! let proxy = Proxy::http(("127.0.0.1", upstream))?;
//! proxy.faults(
//!     Faults::seeded(7)
//!         .rule(Rule::new(Fault::ResetAfter).method("PUT").path("/bucket/heads/*").nth(2))
//!         .rule(Rule::new(Fault::Answer(Answer::s3(503))).chance(0.05)),
//! );
//! // … point any HTTP client at `proxy.url()`, then:
//! proxy.down();
//! proxy.up();
//! println!("{:?} {:?}", proxy.counts(), proxy.log());
//! # Ok(())
//! # }
//! ```
//!
//! It runs in a thread of its own, so it serves async tests and tests that start real processes alike.

mod body;
mod faults;
mod http;
mod log;
mod tcp;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::faults::Deciding;
pub use self::faults::{Answer, Fault, Faults, Rule};
pub use self::log::Exchange;
use self::log::Log;

/// A proxy on a loopback port in front of one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Http { rewrite_host: bool },
    Tcp,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    mode: Mode,
    plan: Mutex<Deciding>,
    log: Mutex<Log>,
    down: AtomicBool,
    frozen: watch::Sender<bool>,
    latency: Mutex<Duration>,
    /// Ends all connections that there are.
    cut: Mutex<CancellationToken>,
    stop: CancellationToken,
}

impl Proxy {
    /// Forwards HTTP/1.1 to `upstream`, which speaks it without TLS. The `Host` header stays as the client wrote it: AWS
    /// signatures cover it. Without faults until [told](Self::faults). A client that uses it as its HTTP proxy reaches
    /// `upstream` whatever host it asks for, and no tunnels.
    ///
    /// # Errors
    ///
    /// When there is no such address or no free port.
    pub fn http(upstream: impl ToSocketAddrs) -> io::Result<Self> {
        Self::start(upstream, Mode::Http { rewrite_host: false })
    }

    /// As [`http`](Self::http), but `Host` names the upstream.
    ///
    /// # Errors
    ///
    /// When there is no such address or no free port.
    pub fn http_rewriting_host(upstream: impl ToSocketAddrs) -> io::Result<Self> {
        Self::start(upstream, Mode::Http { rewrite_host: true })
    }

    /// Forwards bytes to `upstream`, whatever they mean. Rules for methods and paths never match, and a connection counts as
    /// one exchange; see [`Fault`] for what each does to it.
    ///
    /// # Errors
    ///
    /// When there is no such address or no free port.
    pub fn tcp(upstream: impl ToSocketAddrs) -> io::Result<Self> {
        Self::start(upstream, Mode::Tcp)
    }

    /// As [`tcp`](Self::tcp), from a listener to an upstream in another network namespace. A socket belongs to the one in which it was
    /// made: the listener to another than the connections, if need be.
    pub(crate) fn tcp_between(
        listener: TcpListener,
        upstream: impl ToSocketAddrs,
        network: Option<OwnedFd>,
    ) -> io::Result<Self> {
        Self::listen(listener, upstream, Mode::Tcp, network)
    }

    fn start(upstream: impl ToSocketAddrs, mode: Mode) -> io::Result<Self> {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, upstream, mode, None)
    }

    fn listen(
        listener: TcpListener,
        upstream: impl ToSocketAddrs,
        mode: Mode,
        network: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let upstream = upstream.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            mode,
            plan: Mutex::new(Deciding::new(Faults::none())),
            log: Mutex::new(Log::default()),
            down: AtomicBool::new(false),
            frozen: watch::Sender::new(false),
            latency: Mutex::new(Duration::ZERO),
            cut: Mutex::new(CancellationToken::new()),
            stop: CancellationToken::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let accepting = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("fault-proxy".to_owned()).spawn(move || {
            if let Some(network) = network {
                // Without it the connections would reach other servers.
                crate::hosts::enter(&network)
                    .unwrap_or_else(|error| panic!("the fault proxy is elsewhere: {error}"));
            }
            runtime.block_on(accept(listener, accepting));
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port on 127.0.0.1 where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, these faults instead of those before. Rules count anew.
    pub fn faults(&self, faults: Faults) {
        *lock(&self.shared.plan) = Deciding::new(faults);
    }

    /// Cuts all connections, and resets each new one until [`up`](Self::up).
    pub fn down(&self) {
        self.shared.down.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Takes connections again.
    pub fn up(&self) {
        self.shared.down.store(false, Ordering::SeqCst);
    }

    /// Resets all connections that there are.
    pub fn cut(&self) {
        let mut cut = lock(&self.shared.cut);
        cut.cancel();
        *cut = CancellationToken::new();
    }

    /// From now on nothing arrives, on old and new connections, as if the cable were pulled: no side hears of it. For TCP only.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Lets everything arrive again, and what was sent meanwhile.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// From now on everything takes this long in each direction. For TCP only; connecting takes no time.
    pub fn latency(&self, each_way: Duration) {
        *lock(&self.shared.latency) = each_way;
    }

    /// What passed, or did not, oldest first: the last fifty thousand exchanges.
    #[must_use]
    pub fn log(&self) -> Vec<Exchange> {
        lock(&self.shared.log).exchanges()
    }

    /// How often each kind of fault was injected, and `requests` for how many exchanges there were in all.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.log).counts()
    }
}

impl Shared {
    async fn thawed(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
    }

    fn latency(&self) -> Duration {
        *lock(&self.latency)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes connections until the proxy is dropped; what they still do ends with the runtime.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => panic!("the fault proxy cannot listen: {error}"),
    };
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(&shared)));
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // In this order: `down` sets its mark before it cuts.
    let cut = lock(&shared.cut).clone();
    let stream = wire::Wire::new(stream);
    if shared.down.load(Ordering::SeqCst) {
        stream.end().reset();
        return;
    }
    match shared.mode {
        Mode::Http { rewrite_host } => http::connection(stream, shared, cut, rewrite_host).await,
        Mode::Tcp => tcp::connection(stream, shared, cut).await,
    }
}
