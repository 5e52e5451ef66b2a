//! A store as one process sees it: slow, sometimes failing, sometimes losing answers. Never lying.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, StoreInfo, StoreVersion, Versioned};
use rollback_core::{Effect, Error, ErrorKind, Result, Store};
use serde_json::Value;

use super::process::Place;
use super::random::Random;
use super::session::Session;

/// How bad a network is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// The longest time that a call takes, in milliseconds.
    pub latency: u64,
    /// In how many of a hundred calls the request is refused or lost on its way there.
    pub refused: u64,
    /// In how many of a hundred calls the answer is lost on its way back.
    pub lost: u64,
    /// In how many of a hundred mutating requests to a target minutes pass before it lands.
    pub slow: u64,
    /// In how many of a hundred it lands a little later than its caller waits, within the lag that its world declares.
    pub late: u64,
    /// In how many of a hundred answers of the store more than half a lease passes.
    pub crawls: u64,
}

/// A store as one session sees it. What it stores and what it answers keeps the store contract.
#[derive(Debug)]
pub struct FaultStore {
    session: Session,
    random: Mutex<Random>,
}

/// What a written head says: the name of its key, its holder's mark if it is held, and whether it authorises.
struct HeadLine {
    head: String,
    owner: Option<String>,
    authorises: bool,
}

fn head_line(key: &Key, value: &[u8]) -> Option<HeadLine> {
    let head = key.as_str().strip_prefix("heads/")?.to_owned();
    let value: Value = serde_json::from_slice(value).ok()?;
    let body = value.get("body")?;
    let held = !body.get("holder")?.is_null();
    let owner = body.get("owner")?.as_str()?.to_owned();
    let authorises = held && !body.get("open")?.as_array()?.is_empty();
    Some(HeadLine { head, owner: held.then_some(owner), authorises })
}

impl FaultStore {
    /// The store of a session as the session sees it.
    #[must_use]
    pub fn new(session: Session, random: Random) -> Self {
        Self { session, random: Mutex::new(random) }
    }

    /// One number in a hundred, and a latency.
    fn draw(&self) -> (u64, Duration) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (random.within(0..100), random.millis(0..self.session.weather.latency + 1))
    }

    /// How much longer than usual an answer takes.
    fn crawl(&self) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match random.chance(self.session.weather.crawls) {
            true => random.millis(8_000..25_000),
            false => Duration::ZERO,
        }
    }

    /// The way there.
    async fn send(&self, what: impl FnOnce() -> String) -> Result<()> {
        self.session.process.step(what).await;
        let (luck, latency) = self.draw();
        self.session.clock.sleep(latency).await;
        if luck < self.session.weather.refused || !self.session.process.reaches_store() {
            let error = Error::new(ErrorKind::Unavailable, "reach the store", "the connection was refused");
            return Err(error.next("try again").with_effect(Effect::None));
        }
        Ok(())
    }

    /// The way back.
    async fn answer<T>(&self, what: &str, answer: Result<T>) -> Result<T> {
        self.session.process.step(|| what.to_owned()).await;
        let (luck, latency) = self.draw();
        self.session.clock.sleep(latency + self.crawl()).await;
        if luck < self.session.weather.lost {
            return Err(Error::new(ErrorKind::Timeout, "reach the store", "no answer came")
                .with_effect(Effect::Unknown));
        }
        answer
    }

    /// Notes in the book what a head says that was written or read just now.
    fn note_head(&self, key: &Key, value: &[u8], written: bool) {
        let Some(line) = head_line(key, value) else { return };
        let (session, book, now) = (&self.session.name, &self.session.book, self.session.clock.monotonic());
        match line.owner {
            owner if written => {
                book.wrote_head(session, &line.head, owner, now);
                if line.authorises {
                    self.session.process.reach(Place::Authorised);
                }
            }
            Some(owner) => book.read_head(session, &line.head, &owner, now),
            None => {}
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultStore {
    fn info(&self) -> StoreInfo {
        self.session.memory.info()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        self.send(|| format!("get {key}")).await?;
        let answer = self.session.memory.get(key).await;
        let answer = self.answer("got", answer).await?;
        if let Some(found) = &answer {
            self.note_head(key, &found.value, false);
        }
        Ok(answer)
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        self.send(|| format!("put {key} if {condition:?}")).await?;
        let answer = self.session.memory.put(key, value, condition).await;
        let stored = matches!(answer, Ok(Put::Stored(_)));
        if stored {
            self.note_head(key, value, true);
        }
        self.answer(if stored { "stored" } else { "not stored" }, answer).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.send(|| format!("list {prefix}")).await?;
        let answer = self.session.memory.list(prefix, after, limit).await;
        self.answer("listed", answer).await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        self.send(|| format!("delete {key}")).await?;
        let answer = self.session.memory.delete(key, version).await;
        self.answer("deleted", answer).await
    }
}
