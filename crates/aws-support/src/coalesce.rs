//! Look-ups of single things, sent as batched calls.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use rollback_core::time::Clock;
use rollback_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::{Semaphore, oneshot};

/// How many calls of one batcher are under way at once.
const UNDER_WAY: usize = 4;

type Answer<V> = Result<Option<V>>;
type Waiting<K, V> = HashMap<K, Vec<oneshot::Sender<Answer<V>>>>;
type Make<G, K, V> = Box<dyn Fn(&G) -> Batcher<K, V> + Send + Sync>;
type Fetch<K, V> = Box<dyn Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>>> + Send + Sync>;

/// Gathers look-ups that come close together into one call: `DescribeServices` takes ten services.
///
/// - A call goes out when it is full, or when the window after its first key has passed. At most four are under way:
///   where a pacer or the network holds those up, the next ones are the fuller for it.
/// - **An answer is never older than its question**: whoever asks after a call went out waits for the next one, so a
///   look after a change cannot see what was before.
/// - A key that the answer does not have is `None` for its own waiters.
/// - A call that is refused as a whole (denied, invalid, not found) is made again key by key: one bad name does not
///   fail its neighbours. Other errors go to all who wait.
/// - The call runs in a task of its own. A waiter that is dropped, the first one too, takes nothing from the others; keys
///   that nobody waits for any more are left out.
///
/// Cheap to clone; clones are one and the same. Only for calls that change nothing.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use rollback_aws_support::Batcher;
/// use rollback_core::time::SystemClock;
///
/// # async fn example() -> rollback_core::Result<()> {
/// let lengths = Batcher::new(Arc::new(SystemClock), 10, Duration::from_millis(5), |names: Vec<String>| async move {
///     // One call for up to ten names.
///     Ok(names.into_iter().filter(|name| name != "gone").map(|name| (name.clone(), name.len())).collect())
/// });
/// let (web, gone) = tokio::join!(lengths.get("web".to_owned()), lengths.get("gone".to_owned()));
/// assert_eq!((web?, gone?), (Some(3), None));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct Batcher<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    clock: Arc<dyn Clock>,
    size: usize,
    window: Duration,
    fetch: Fetch<K, V>,
    open: Mutex<Open<K, V>>,
    line: Semaphore,
}

/// The call that still takes keys.
struct Open<K, V> {
    number: u64,
    waiting: Waiting<K, V>,
}

impl<K, V> Batcher<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Calls `fetch` with at most `size` different keys (at least one), a `window` after the first of them at the latest.
    ///
    /// `fetch` answers with what it found. It may pace itself; it must end, as an SDK's call does by its timeouts.
    pub fn new<F, R>(clock: Arc<dyn Clock>, size: usize, window: Duration, fetch: F) -> Self
    where
        F: Fn(Vec<K>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<HashMap<K, V>>> + Send + 'static,
    {
        let fetch: Fetch<K, V> = Box::new(move |keys| Box::pin(fetch(keys)));
        let open = Mutex::new(Open { number: 0, waiting: HashMap::new() });
        Self {
            inner: Arc::new(Inner {
                clock,
                size: size.max(1),
                window,
                fetch,
                open,
                line: Semaphore::new(UNDER_WAY),
            }),
        }
    }

    /// Looks up one key. `None` when the answer does not have it. Call it inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// What `fetch` failed with, for everybody in the same call.
    pub async fn get(&self, key: K) -> Result<Option<V>> {
        let answer = self.join(key);
        answer.await.unwrap_or_else(|_| {
            let found = "the task that asked for several things at once ended without an answer";
            Err(Error::new(ErrorKind::Other, "look it up", found).transient(true))
        })
    }

    fn join(&self, key: K) -> oneshot::Receiver<Answer<V>> {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.inner.open();
        let first = open.waiting.is_empty();
        open.waiting.entry(key).or_default().push(sender);
        if open.waiting.len() >= self.inner.size {
            let batch = open.close();
            drop(open);
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                // It is never closed.
                let _turn = inner.line.acquire().await;
                inner.send(batch).await;
            });
        } else if first {
            let (inner, number) = (Arc::clone(&self.inner), open.number);
            drop(open);
            tokio::spawn(async move {
                inner.clock.sleep(inner.window).await;
                let _turn = inner.line.acquire().await;
                let batch = inner.open().close_if(number);
                inner.send(batch).await;
            });
        }
        receiver
    }
}

impl<V: Clone + Send + Sync + 'static> Batcher<(), V> {
    /// For one thing: those who ask together get one answer.
    pub fn single<F, R>(clock: Arc<dyn Clock>, window: Duration, fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<V>> + Send + 'static,
    {
        // There is one key, so only the window ends the gathering.
        Self::new(clock, 2, window, move |_| {
            let answer = fetch();
            async move { Ok(HashMap::from([((), answer.await?)])) }
        })
    }
}

impl<K, V> Inner<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone,
{
    fn open(&self) -> MutexGuard<'_, Open<K, V>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, mut batch: Waiting<K, V>) {
        batch.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        if batch.is_empty() {
            return;
        }
        match (self.fetch)(batch.keys().cloned().collect()).await {
            Err(error) if batch.len() > 1 && is_refusal(&error) => {
                join_all(batch.into_iter().map(|(key, senders)| self.alone(key, senders))).await;
            }
            answer => {
                for (key, senders) in batch {
                    tell(senders, &key, &answer);
                }
            }
        }
    }

    async fn alone(&self, key: K, senders: Vec<oneshot::Sender<Answer<V>>>) {
        let answer = (self.fetch)(vec![key.clone()]).await;
        tell(senders, &key, &answer);
    }
}

impl<K, V> Open<K, V> {
    fn close(&mut self) -> Waiting<K, V> {
        self.number += 1;
        std::mem::take(&mut self.waiting)
    }

    /// Nothing when that call was full before its window had passed.
    fn close_if(&mut self, number: u64) -> Waiting<K, V> {
        if self.number == number { self.close() } else { HashMap::new() }
    }
}

/// Whether the whole call may have been refused for one of its keys.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound)
}

fn tell<K: Eq + Hash, V: Clone>(
    senders: Vec<oneshot::Sender<Answer<V>>>,
    key: &K,
    answer: &Result<HashMap<K, V>>,
) {
    for sender in senders {
        let own = match answer {
            Ok(found) => Ok(found.get(key).cloned()),
            Err(error) => Err(copy(error)),
        };
        // Whoever does not wait any more does not need it.
        let _ = sender.send(own);
    }
}

/// The same error for another waiter. Causes are not copied: they are in the text where they matter.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.operation(), error.message())
        .transient(error.is_transient())
        .with_effect(Effect::None);
    match error.next_step() {
        Some(next) => copy.next(next),
        None => copy,
    }
}

impl<K, V> Clone for Batcher<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, V> fmt::Debug for Batcher<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("size", &self.inner.size)
            .field("window", &self.inner.window)
            .finish_non_exhaustive()
    }
}

/// A [`Batcher`] for each group of keys that may share a call: services share one only within a cluster.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use rollback_aws_support::{Batcher, Batchers};
/// use rollback_core::time::SystemClock;
///
/// let services: Batchers<String, String, u32> = Batchers::new(|cluster: &String| {
///     let cluster = cluster.clone();
///     Batcher::new(Arc::new(SystemClock), 10, Duration::from_millis(5), move |names: Vec<String>| {
///         let cluster = cluster.clone();
///         async move { Ok(HashMap::from([(cluster, names.len() as u32)])) }
///     })
/// });
/// let prod = services.of(&"prod".to_owned());
/// # let _ = prod;
/// ```
pub struct Batchers<G, K, V> {
    make: Make<G, K, V>,
    made: Mutex<HashMap<G, Batcher<K, V>>>,
}

impl<G: Clone + Eq + Hash, K, V> Batchers<G, K, V> {
    /// Calls `make` once for each group.
    pub fn new(make: impl Fn(&G) -> Batcher<K, V> + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), made: Mutex::default() }
    }

    /// The batcher of one group.
    pub fn of(&self, group: &G) -> Batcher<K, V> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(group.clone()).or_insert_with(|| (self.make)(group)).clone()
    }
}

impl<G, K, V> fmt::Debug for Batchers<G, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batchers").finish_non_exhaustive()
    }
}
