use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_cli::StoreOpener;
use rollback_core::name::SystemEntropy;
use rollback_core::store::{Condition, Key, MemoryStore, Records};
use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Digest, Result, Store};
use serde_json::{Value, json};

use crate::common::Bench;

const CONFIGURATION: &str = "store = \"mine:\"\nlease = \"1s\"\n[components.web]\ndriver = \"toy\"\n";

/// `store = "mine:"`: memory that the test can reach into.
#[derive(Debug, Clone)]
struct Mine(MemoryStore);

#[async_trait]
impl StoreOpener for Mine {
    fn scheme(&self) -> &'static str {
        "mine"
    }

    async fn open(&self, _: &str, _: &Path) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// A bench whose component somebody else holds.
async fn held() -> (Bench, Records, Key) {
    let store = MemoryStore::new();
    let mut bench = Bench::new(CONFIGURATION);
    bench.app = bench.app.store(Mine(store.clone()));
    let records = Records::new(Arc::new(store), Arc::new(SystemClock), Arc::new(SystemEntropy));
    let segment = Digest::of_bytes(b"toy:web").hex()[..32].to_owned();
    let key = Key::new(format!("heads/{segment}")).unwrap();
    beat(&records, &key, 1).await;
    (bench, records, key)
}

async fn beat(records: &Records, key: &Key, number: u64) {
    let head = json!({
        "holder": { "user": "ana", "host": "desk-7", "pid": 4711 },
        "owner": "0123456789ab", "epoch": 4, "beat": number, "ttl": "1s",
        "run": "019aa3f0-0000-7000-8000-000000000001", "open": [],
        "since": "2026-11-21T03:00:00Z", "beat_at": "2026-11-21T03:04:00Z",
    });
    records.put(key, &head, &Condition::Any).await.unwrap();
}

#[tokio::test]
async fn a_silent_holder_is_shown_and_loses_its_lease_when_somebody_agrees() {
    let (bench, records, key) = held().await;
    let refused = bench.run("unlock web").await;
    assert_eq!(refused.code, 3, "{}", refused.err);
    for words in
        ["ana@desk-7", "4711", "019aa3f0-0000-7000-8000-000000000001", "2026-11-21T03:04:00Z", "silent"]
    {
        assert!(refused.out.contains(words), "{words}: {}", refused.out);
    }
    assert!(refused.err.contains("add --yes"), "{}", refused.err);
    let typed = bench.with("unlock web", Some("n\n")).await;
    assert!(typed.code == 3 && typed.err.contains("nobody agreed"), "{}", typed.err);

    let done = bench.with("unlock web --by ben", Some("y\n")).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("next: rollback resume 019aa3f0-0000-7000-8000-000000000001"), "{}", done.out);
    let head = records.get::<Value>(&key).await.unwrap().unwrap().value;
    assert_eq!((&head["holder"], &head["epoch"]), (&Value::Null, &5.into()), "fenced, not deleted");
    assert_eq!(head["taken_by"], "ben");
    assert_eq!(bench.run("unlock web").await.out, "web: nobody holds it\n");
}

#[tokio::test]
async fn a_holder_at_work_is_kept_unless_that_is_forced() {
    let (bench, records, key) = held().await;
    let beating = tokio::spawn({
        let (records, key) = (records.clone(), key.clone());
        async move {
            for number in 2.. {
                SystemClock.sleep(Duration::from_millis(50)).await;
                // What was taken away is not written over: this stands for a holder that obeys its head.
                let head = records.get::<Value>(&key).await.unwrap().unwrap();
                if head.value["holder"].is_null() {
                    return;
                }
                beat(&records, &key, number).await;
            }
        }
    });
    let refused = bench.run("unlock web --yes").await;
    assert_eq!(refused.code, 3, "{}", refused.out);
    assert!(
        refused.out.contains("at work") && refused.err.contains("--force"),
        "{}{}",
        refused.out,
        refused.err
    );
    let document = bench.run("unlock web --yes --output json").await.json();
    assert_eq!(document["components"][0]["holding"]["sign"], "beating");
    assert_eq!(document["components"][0]["taken"], false);
    let forced = bench.run("unlock web --yes --force --output json").await;
    assert_eq!(forced.code, 0, "{}", forced.out);
    assert_eq!(forced.json()["components"][0]["taken"], true);
    beating.await.unwrap();
}
