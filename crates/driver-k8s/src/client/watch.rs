//! What stirs in a namespace: one watch for each kind of object, shared by all workloads there that are waited for.
//!
//! A watch only says when to look again. When it ends (the API server restarts, the time of the watch is over, nothing happened for
//! long), whoever is waited for next opens another one, though not at once after the last; until then core looks again after a pause, as it
//! does everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Request;
use http::header::ACCEPT;
use jiff::Timestamp;
use kube::core::WatchEvent;
use rollback_core::target::Changes;
use rollback_core::time::{Clock as _, TokioClock};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::{METADATA, Resource};

/// A workload that is waited for.
pub(super) struct Listener {
    /// The workload's own name.
    name: String,
    /// The labels that its pods have, as far as a list of equals says it.
    labels: BTreeMap<String, String>,
    stirs: watch::Sender<()>,
}

impl Listener {
    pub(super) fn new(name: &str, labels: BTreeMap<String, String>) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), labels, stirs: watch::channel(()).0 })
    }

    pub(super) fn changes(&self) -> Changes {
        Changes::from_now_on(&self.stirs.subscribe())
    }

    fn is_meant(&self, of_pods: bool, object: &Metadata) -> bool {
        if of_pods {
            self.labels.iter().all(|(key, value)| object.labels.get(key) == Some(value))
        } else {
            object.name == self.name
        }
    }
}

/// How long after a watch was opened the next one may be. Each tells first what there is, which wakes whoever waits; where watches end
/// at once, looking and opening would go round without a pause.
const AGAIN: Duration = Duration::from_secs(5);

/// The watches of one connection.
#[derive(Clone)]
pub(crate) struct Watches {
    all: Arc<Mutex<BTreeMap<Place, Open>>>,
    clock: TokioClock,
}

impl Default for Watches {
    fn default() -> Self {
        Self { all: Arc::default(), clock: TokioClock::starting_at(Timestamp::UNIX_EPOCH) }
    }
}

/// What is watched: objects of one kind in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    namespace: String,
    plural: &'static str,
}

type Listeners = Arc<Mutex<Vec<Weak<Listener>>>>;

struct Open {
    listeners: Listeners,
    task: JoinHandle<()>,
    /// When, on the clock of all.
    since: Duration,
    /// The caller may not: asking once more with each look would help nobody.
    denied: Arc<AtomicBool>,
}

impl Open {
    fn is_of_use(&self, now: Duration) -> bool {
        let is_new = now.saturating_sub(self.since) < AGAIN;
        !self.task.is_finished() || is_new || self.denied.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.all).keys()).finish()
    }
}

impl Watches {
    /// Has a listener told what happens to objects of one kind. A watch that is open already is shared.
    pub(super) fn listen(
        &self,
        client: &kube::Client,
        namespace: &str,
        resource: Resource,
        listener: &Arc<Listener>,
    ) {
        let place = Place { namespace: namespace.to_owned(), plural: resource.plural };
        let now = self.clock.monotonic();
        let mut all = lock(&self.all);
        let open = all.get(&place).filter(|open| open.is_of_use(now));
        let listeners = open.map_or_else(Listeners::default, |open| Arc::clone(&open.listeners));
        {
            let mut listeners = lock(&listeners);
            listeners.retain(|one| one.strong_count() > 0);
            if !listeners.iter().any(|one| one.as_ptr() == Arc::as_ptr(listener)) {
                listeners.push(Arc::downgrade(listener));
            }
        }
        if open.is_none() {
            let (told, denied) = (Arc::clone(&listeners), Arc::default());
            let refused = Arc::clone(&denied);
            let task = tokio::spawn(follow(client.clone(), place.clone(), resource, told, refused));
            all.insert(place, Open { listeners, task, since: now, denied });
        }
    }
}

/// What of an object says whose it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Partial {
    metadata: Metadata,
}

/// Follows a watch to its end.
async fn follow(
    client: kube::Client,
    place: Place,
    resource: Resource,
    listeners: Listeners,
    denied: Arc<AtomicBool>,
) {
    // Without a version to begin at, what is there now comes first: nothing falls between a look and its watch.
    let uri = format!("{}?watch=true", resource.path(Some(&place.namespace), None));
    let Ok(request) = Request::get(uri).header(ACCEPT, METADATA).body(Vec::new()) else { return };
    let events = match client.request_events::<Partial>(request).await {
        Ok(events) => events,
        Err(error) => {
            tracing::debug!(%error, ?place, "not watched: looked at after pauses");
            let refused = matches!(&error, kube::Error::Api(status) if status.code == 403);
            denied.store(refused, Ordering::Relaxed);
            return;
        }
    };
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)) => {
                if !tell(&listeners, resource.plural == "pods", &object.metadata) {
                    return;
                }
            }
            Ok(WatchEvent::Bookmark(_)) => {}
            Ok(WatchEvent::Error(_)) | Err(_) => return,
        }
    }
}

/// Whether anybody listens still.
fn tell(listeners: &Listeners, of_pods: bool, object: &Metadata) -> bool {
    let mut listeners = lock(listeners);
    listeners.retain(|one| one.strong_count() > 0);
    for listener in listeners.iter().filter_map(Weak::upgrade) {
        if listener.is_meant(of_pods, object) {
            listener.stirs.send_replace(());
        }
    }
    !listeners.is_empty()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_those_are_told_whose_object_it_is() {
        let web = Listener::new("web", labels(&[("app", "web")]));
        let api = Listener::new("api", labels(&[("app", "api")]));
        let listeners = Listeners::default();
        lock(&listeners).extend([Arc::downgrade(&web), Arc::downgrade(&api)]);
        let mut told = [web.stirs.subscribe(), api.stirs.subscribe()];
        let mut stirred = || {
            told.each_mut().map(|one| {
                let stirred = one.has_changed().unwrap();
                one.mark_unchanged();
                stirred
            })
        };
        let pod = Metadata { name: "web-1".into(), labels: labels(&[("app", "web"), ("hash", "1")]) };
        assert!(tell(&listeners, true, &pod));
        assert_eq!(stirred(), [true, false]);
        let deployment = Metadata { name: "api".into(), labels: BTreeMap::new() };
        assert!(tell(&listeners, false, &deployment));
        assert_eq!(stirred(), [false, true]);
    }

    #[test]
    fn a_watch_that_nobody_listens_to_ends() {
        let listeners = Listeners::default();
        let web = Listener::new("web", BTreeMap::new());
        lock(&listeners).push(Arc::downgrade(&web));
        drop(web);
        assert!(!tell(&listeners, true, &Metadata::default()));
    }
}
