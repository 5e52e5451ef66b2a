//! A thread with a runtime, so that tests can ask the API server without being async, and a watch over a collection.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use hyper::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::WatchEvent;
use kube::{Client, Config};
use rollback_core::time::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{LIMIT, Result};

/// How long it waits after the API server could not be asked.
const AGAIN: Duration = Duration::from_millis(50);

/// Runs what it is given until it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    handle: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("kubernetes-bed".to_owned());
        let thread = thread.spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Runs it there, and waits for what comes of it.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = channel();
        self.handle.spawn(async move {
            // Whoever waited may have given up.
            let _ = sender.send(work.await);
        });
        receiver.recv_timeout(LIMIT).map_err(|_| "the API server does not answer".into())
    }

    /// Leaves it running there.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(work).abort_handle()
    }

    /// What there is in a collection, again each time that it changes.
    pub(super) fn follow(&self, api: &Api, path: &str, query: &str) -> Following {
        let (sender, seen) = channel();
        let (api, path, query) = (api.clone(), path.to_owned(), query.to_owned());
        let task = self.spawn(async move {
            let mut all: Vec<Value> = Vec::new();
            watch(&api, &path, &query, |change| {
                change.apply(&mut all);
                match sender.send(all.clone()) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })
            .await;
        });
        Following { seen, task }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

/// A collection that is followed as long as this is kept.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) seen: Receiver<Vec<Value>>,
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The API server, for the runtime that it is made in.
#[derive(Clone)]
pub(super) struct Api(Client);

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Api").finish_non_exhaustive()
    }
}

impl Api {
    pub(super) async fn by(kubeconfig: &Path) -> Result<Self> {
        Ok(Self(client(kubeconfig).await?))
    }

    /// Sends a request, and gives what was answered.
    pub(super) async fn ask(&self, method: &str, path: &str, content: &str, body: Vec<u8>) -> Result<Value> {
        let request =
            Request::builder().method(method).uri(path).header("content-type", content).body(body)?;
        Ok(self.0.request(request).await?)
    }

    /// Whether it takes requests.
    pub(super) async fn is_ready(&self) -> bool {
        let Ok(request) = Request::get("/readyz").body(Vec::new()) else { return false };
        matches!(self.0.request_text(request).await, Ok(text) if text == "ok")
    }
}

/// A client for the runtime that it is made in.
///
/// # Errors
///
/// When the kubeconfig cannot be read.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let mut config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default())
            .await?;
    // It is on this machine, whatever the environment says of proxies.
    config.proxy_url = None;
    // Nothing is sent twice behind a test's back: by default 429, 503 and 504 are tried again, fifteen times.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// What became of a collection.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// This is all that there is.
    All(Vec<Value>),
    /// This one is there now, or is different.
    Set(Value),
    /// This one is gone.
    Gone(Value),
}

impl Change {
    fn apply(self, all: &mut Vec<Value>) {
        match self {
            Self::All(objects) => *all = objects,
            Self::Set(object) => match all.iter_mut().find(|other| uid(other) == uid(&object)) {
                Some(other) => *other = object,
                None => all.push(object),
            },
            Self::Gone(object) => all.retain(|other| uid(other) != uid(&object)),
        }
    }
}

/// What an object is, whatever it is called.
pub(super) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// Tells of a collection until it is told to stop. What cannot be asked is asked again.
pub(super) async fn watch(
    api: &Api,
    path: &str,
    query: &str,
    mut each: impl FnMut(Change) -> ControlFlow<()>,
) {
    loop {
        let Ok(list) = api.ask("GET", &format!("{path}?{query}"), "application/json", Vec::new()).await
        else {
            SystemClock.sleep(AGAIN).await;
            continue;
        };
        let mut version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let objects = list["items"].as_array().cloned().unwrap_or_default();
        if each(Change::All(objects)).is_break() {
            return;
        }
        // Until it may not go on from where it was.
        while let ControlFlow::Continue(()) = changes(api, path, query, &mut version, &mut each).await {
            SystemClock.sleep(AGAIN).await;
        }
        if version.is_empty() {
            return;
        }
        SystemClock.sleep(AGAIN).await;
    }
}

/// Tells of changes after `version`, until the API server ends it. Breaks when all has to be listed again; with an empty version
/// when nobody listens any more.
async fn changes(
    api: &Api,
    path: &str,
    query: &str,
    version: &mut String,
    each: &mut impl FnMut(Change) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let uri = format!("{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}&{query}");
    let Ok(request) = Request::get(uri).body(Vec::new()) else { return ControlFlow::Break(()) };
    let Ok(events) = api.0.request_events::<Value>(request).await else { return ControlFlow::Break(()) };
    let mut events = std::pin::pin!(events);
    while let Some(Ok(event)) = events.next().await {
        let (object, made): (Value, fn(Value) -> Change) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, Change::Set),
            WatchEvent::Deleted(object) => (object, Change::Gone),
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(_) => return ControlFlow::Break(()),
        };
        if let Some(seen) = object["metadata"]["resourceVersion"].as_str() {
            seen.clone_into(version);
        }
        if each(made(object)).is_break() {
            version.clear();
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}
