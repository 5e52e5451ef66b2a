//! A store as one process sees it: slow, sometimes failing, sometimes losing answers. Never lying.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, StoreInfo, StoreVersion, Versioned};
use rollback_core::time::Clock;
use rollback_core::{Effect, Error, ErrorKind, Result, Store};

use super::process::Process;
use super::random::Random;

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
}

/// A store as one process sees it. What it stores and what it answers keeps the store contract.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    process: Process,
    clock: Arc<dyn Clock>,
    weather: Weather,
    random: Mutex<Random>,
}

impl FaultStore {
    /// `inner` as `process` sees it in this weather.
    pub fn new(
        inner: Arc<dyn Store>,
        process: Process,
        clock: Arc<dyn Clock>,
        weather: Weather,
        random: Random,
    ) -> Self {
        Self { inner, process, clock, weather, random: Mutex::new(random) }
    }

    /// One number in a hundred, and a latency.
    fn draw(&self) -> (u64, u64) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (random.within(0..100), random.within(0..self.weather.latency + 1))
    }

    /// The way there.
    async fn send(&self, what: &str) -> Result<()> {
        self.process.step(what).await;
        let (luck, latency) = self.draw();
        self.clock.sleep(std::time::Duration::from_millis(latency)).await;
        if luck < self.weather.refused {
            let error = Error::new(ErrorKind::Unavailable, "reach the store", "the connection was refused");
            return Err(error.next("try again"));
        }
        Ok(())
    }

    /// The way back.
    async fn answer<T>(&self, what: &str, answer: Result<T>) -> Result<T> {
        self.process.step(what).await;
        let (luck, latency) = self.draw();
        self.clock.sleep(std::time::Duration::from_millis(latency)).await;
        if luck < self.weather.lost {
            return Err(Error::new(ErrorKind::Timeout, "reach the store", "no answer came")
                .with_effect(Effect::Unknown));
        }
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultStore {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        self.send(&format!("get {key}")).await?;
        let answer = self.inner.get(key).await;
        self.answer("got", answer).await
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        self.send(&format!("put {key} if {condition:?}")).await?;
        let answer = self.inner.put(key, value, condition).await;
        let what = if matches!(answer, Ok(Put::Stored(_))) { "stored" } else { "not stored" };
        self.answer(what, answer).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.send(&format!("list {prefix}")).await?;
        let answer = self.inner.list(prefix, after, limit).await;
        self.answer("listed", answer).await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        self.send(&format!("delete {key}")).await?;
        let answer = self.inner.delete(key, version).await;
        self.answer("deleted", answer).await
    }
}
