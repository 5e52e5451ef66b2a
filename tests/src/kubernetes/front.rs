//! A way to the API server on which things go wrong.
//!
//! Clients speak TLS with it, as with the API server, whose certificate it shows. In the middle, where [`Proxy`] is, nothing
//! is encrypted; behind it everything is again.

use std::io;
use std::path::PathBuf;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::ControlPlane;
use super::tls::Tls;
use crate::Result;
use crate::proxy::Proxy;

/// A front of a control plane, with a fault proxy in it. It ends when it is dropped.
#[derive(Debug)]
pub struct Front<'a> {
    plane: &'a ControlPlane,
    proxy: Proxy,
    port: u16,
    tasks: [AbortHandle; 2],
}

impl<'a> Front<'a> {
    pub(super) fn start(plane: &'a ControlPlane) -> Result<Self> {
        let tls = Tls::of(&plane.access)?;
        let (near, far) = (listener()?, listener()?);
        let (port, behind) = (near.local_addr()?.port(), far.local_addr()?.port());
        let proxy = Proxy::http(("127.0.0.1", behind))?;
        let (front, server) = (proxy.port(), plane.port());
        let (accepting, asking) = (tls.clone(), tls);
        let decrypt =
            plane.worker.spawn(accept(near, move |stream| decrypt(accepting.clone(), stream, front)));
        let encrypt = plane.worker.spawn(accept(far, move |stream| encrypt(asking.clone(), stream, server)));
        Ok(Self { plane, proxy, port, tasks: [decrypt, encrypt] })
    }

    /// What goes wrong is for this to say; it also tells what passed.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// A kubeconfig file for somebody whom the control plane knows, by this way.
    ///
    /// # Errors
    ///
    /// When there is nobody of that name.
    pub fn kubeconfig(&self, who: &str) -> Result<PathBuf> {
        self.plane.access.kubeconfig(who, self.port)
    }
}

impl Drop for Front<'_> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// On any port of this machine.
pub(super) fn listener() -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept<F>(listener: std::net::TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => panic!("nobody can be let in to the control plane: {error}"),
    };
    // Connections end with it.
    let mut serving = tokio::task::JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            serving.spawn(serve(stream));
        }
    }
}

/// From a client to the proxy. What the proxy resets is reset for the client too.
async fn decrypt(tls: Tls, stream: TcpStream, proxy: u16) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut near = tls.accept(stream).await?;
    let mut far = TcpStream::connect(("127.0.0.1", proxy)).await?;
    far.set_nodelay(true)?;
    let ended = copy_bidirectional(&mut near, &mut far).await;
    if ended.is_err() {
        near.get_ref().0.set_zero_linger()?;
    }
    ended.map(drop)
}

/// From the proxy to the API server.
async fn encrypt(tls: Tls, mut near: TcpStream, server: u16) -> io::Result<()> {
    near.set_nodelay(true)?;
    let mut far = tls.connect(server).await?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}
