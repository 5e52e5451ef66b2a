//! The application in a bucket, and what stands before it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::pause;

use super::app;
use super::relay::{Answer, Relay, forward, port_of, signed};
use super::shop::{Emulator, Made, Shop, told};
use super::visitor::Pace;

/// How many objects are written between two visits.
pub(crate) const AT_A_TIME: usize = 16;

/// Longer than `quiet` in the configuration of what is in no archive.
const APART: Duration = Duration::from_millis(1_300);

/// With release v1 in the archive, and v2 live as an upload leaves it that deletes what is not its own.
pub(crate) async fn archived() -> Made<Shop> {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    put(&shop, "versions/v1/", &app::files(1, app::MANY)).await?;
    put(&shop, "live/", &app::files(2, app::MANY)).await?;
    Ok(shop)
}

/// With a small v2 live, and nothing else.
pub(crate) async fn small() -> Made<Shop> {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    put(&shop, "live/", &app::files(2, app::FEW)).await?;
    Ok(shop)
}

/// Without an archive, in a bucket that keeps versions: v1 was live at the time that is told, then v2.
pub(crate) async fn versioned() -> Made<(Shop, String)> {
    let shop = Shop::empty(Emulator::Ministack, "live/")?;
    keep_versions(&shop).await?;
    let (old, new) = (app::files(1, app::MANY), app::files(2, app::MANY));
    put(&shop, "live/", &old).await?;
    let between = between();
    put(&shop, "live/", &new).await?;
    remove(&shop, old.keys().filter(|key| !new.contains_key(*key))).await?;
    Ok((shop, between))
}

async fn keep_versions(shop: &Shop) -> Made<()> {
    let kept = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = shop.s3.put_bucket_versioning().bucket(&shop.bucket).versioning_configuration(kept);
    put.send().await.map(drop).map_err(told)
}

/// Lets some time pass, and says which time lies in the middle of it: servers tell whole seconds.
fn between() -> String {
    pause(APART);
    let now = SystemClock.now().to_string();
    pause(APART);
    now
}

/// Removes what is live under these names.
pub(crate) async fn remove(shop: &Shop, names: impl Iterator<Item = &String>) -> Made<()> {
    for name in names {
        shop.remove(&format!("live/{name}")).await?;
    }
    Ok(())
}

pub(crate) async fn put(shop: &Shop, prefix: &str, files: &BTreeMap<String, String>) -> Made<()> {
    let put = async |(name, body): (&String, &String)| shop.put(&format!("{prefix}{name}"), body).await;
    stream::iter(files).map(put).buffer_unordered(AT_A_TIME).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// What browsers speak to: the bucket's own web server, as it were.
pub(crate) fn front(shop: &Shop) -> Made<Relay> {
    let (port, headers) = (port_of(&shop.account), signed(&shop.account, "s3"));
    let folder = format!("/{}/live/", shop.bucket);
    let relay = Relay::start(move |asked| {
        let name = asked.path.trim_start_matches('/');
        let name = if name.is_empty() { "index.html" } else { name };
        forward(port, "GET", &format!("{folder}{name}"), &headers, b"")
    })?;
    Ok(relay)
}

/// What the command speaks to: S3 in which copies take their time. After every few writes, and before and after a page,
/// the others wait until somebody has visited the site as it is then.
pub(crate) fn slow_writes(shop: &Shop, pace: Pace) -> Made<Relay> {
    let (port, folder, written) =
        (port_of(&shop.account), format!("/{}/live/", shop.bucket), Mutex::new(0_usize));
    let told = |error: Box<dyn std::error::Error + Send + Sync>| std::io::Error::other(error);
    let relay = Relay::start(move |asked| {
        let pass = || forward(port, &asked.method, &asked.path, &asked.headers, &asked.body);
        let writes = !["GET", "HEAD"].contains(&asked.method.as_str()) && asked.path.starts_with(&folder);
        if !writes {
            return pass();
        }
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        *written += 1;
        let alone = !asked.path.contains("/assets/");
        if alone {
            pace.visit().map_err(told)?;
        }
        let answer: Answer = pass()?;
        if alone || written.is_multiple_of(AT_A_TIME) {
            pace.visit().map_err(told)?;
        }
        Ok(answer)
    })?;
    Ok(relay)
}
