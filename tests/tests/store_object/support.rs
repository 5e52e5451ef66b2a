//! A bucket of one's own, and stores over it.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::name::SystemEntropy;
use rollback_core::store::{Condition, Key, Put, Records, Store, StoreVersion};
use rollback_core::time::SystemClock;
use rollback_store_object::{BucketOptions, BucketStore};
use rollback_testkit::harness::Failure;
use rollback_tests::proxy::Proxy;
use rollback_tests::servers::{Account, Ministack, need};

pub(crate) const TOKEN: &str = "FwoGZXIvYXdzEJr-a-session-token";
/// Long enough for a busy machine, short enough for tests of what never answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bucket in an account that nobody else uses.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) account: Account,
}

impl Place {
    pub(crate) fn new(account: Account) -> Self {
        Self { account }
    }

    /// The name of its bucket: those of all accounts share one name space.
    pub(crate) fn bucket(&self) -> String {
        format!("state-{}", self.account.id())
    }

    /// A new bucket; ends the case where there is no emulator.
    pub(crate) fn made() -> Result<Self, Failure> {
        let place = Self::new(need(Ministack::shared())?.account());
        place.account.make_bucket(&place.bucket())?;
        Ok(place)
    }

    /// The same bucket through a proxy.
    pub(crate) fn behind(&self, proxy: &Proxy) -> Self {
        Self { account: self.account.behind(proxy.port()) }
    }

    pub(crate) fn open(&self) -> rollback_core::Result<BucketStore> {
        self.patient(PATIENCE)
    }

    pub(crate) fn patient(&self, patience: Duration) -> rollback_core::Result<BucketStore> {
        self.options(patience).open(&format!("s3://{}/shop/prod", self.bucket()))
    }

    pub(crate) fn options(&self, patience: Duration) -> BucketOptions {
        let variables = self.account.environment();
        BucketOptions::new().request_timeout(patience).variables(move |wanted| {
            if wanted == "AWS_SESSION_TOKEN" {
                return Some(TOKEN.to_owned());
            }
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
        })
    }
}

/// A place with a proxy in front, the store behind it, and one that goes past it.
pub(crate) struct Lab {
    pub(crate) proxy: Proxy,
    pub(crate) store: BucketStore,
    pub(crate) direct: BucketStore,
}

impl Lab {
    /// `patience` is how long a request through the proxy may take. The first write is made, so that what follows is
    /// one request for each call.
    pub(crate) async fn new(patience: Duration) -> Result<Self, Failure> {
        let place = Place::made()?;
        let proxy = Proxy::http(("127.0.0.1", port(&place.account)?))?;
        let store = place.behind(&proxy).patient(patience)?;
        let direct = place.open()?;
        for store in [&store, &direct] {
            put(store, "warm/up", b"", Condition::Any).await?;
        }
        Ok(Self { proxy, store, direct })
    }
}

pub(crate) fn port(account: &Account) -> Result<u16, Failure> {
    Ok(account.endpoint().rsplit(':').next().unwrap_or_default().parse::<u16>()?)
}

pub(crate) fn records(store: impl Store) -> Records {
    Records::new(Arc::new(store), Arc::new(SystemClock), Arc::new(SystemEntropy))
}

pub(crate) fn key(text: impl Into<String>) -> rollback_core::Result<Key> {
    Key::new(text)
}

pub(crate) async fn put(
    store: &BucketStore,
    name: &str,
    value: &[u8],
    condition: Condition,
) -> Result<StoreVersion, Failure> {
    match store.put(&key(name)?, value, &condition).await? {
        Put::Stored(version) => Ok(version),
        Put::Conflict => Err(Failure::new(format!("{name}: a conflict with nobody"))),
    }
}
