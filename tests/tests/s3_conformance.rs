//! The driver for sites in S3 against the conformance kit, on both emulators.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use rollback_aws_support::Session;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_s3_frontend::SiteConfig;
use rollback_driver_s3_frontend::names::{Bucket, Prefix};
use rollback_testkit::driver::{Fault, FaultLine, Fixture, Release, main_of, suite};
use rollback_tests::servers::{Account, Ministack, Moto, StartError};

struct World {
    session: Session,
    client: Client,
    bucket: String,
    line: FaultLine,
    deploys: AtomicU64,
}

fn failed(error: impl std::fmt::Debug) -> Error {
    Error::new(ErrorKind::Other, "arrange the site", format!("{error:?}"))
}

/// What a release is made of. Its page is as long as that of every other release, as it was when a sync skipped it.
fn files(release: Release) -> BTreeMap<String, String> {
    let number = release.number();
    BTreeMap::from([
        ("index.html".to_owned(), format!("<script src=assets/app.{number}.js></script>")),
        (format!("assets/app.{number}.js"), format!("console.log({number})")),
        ("logo.svg".to_owned(), "<svg/>".to_owned()),
        (format!("pages/only in {number}+%.html"), "a page of its own".to_owned()),
    ])
}

impl World {
    async fn at(account: Account) -> Result<Self> {
        let credentials = Credentials::new(
            account.key(),
            account.secret(),
            account.token().map(str::to_owned),
            None,
            "test",
        );
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(account.region()))
            .endpoint_url(account.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let session = Session::from_sdk_config(config);
        let client = aws_sdk_s3::config::Builder::from(session.sending()).force_path_style(true).build();
        let (client, bucket) = (Client::from_conf(client), format!("site-{}", account.id()));
        account.make_bucket(&bucket).map_err(failed)?;
        let (line, deploys) = (FaultLine::default(), AtomicU64::new(0));
        Ok(Self { session, client, bucket, line, deploys })
    }

    async fn put(&self, key: String, body: &str) -> Result<()> {
        let body = ByteStream::from(body.as_bytes().to_vec());
        let kind = if key.ends_with(".html") { "text/html" } else { "text/javascript" };
        let put = self.client.put_object().bucket(&self.bucket).key(key).content_type(kind).body(body);
        put.send().await.map(drop).map_err(failed)
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await;
        let listed = listed.map_err(failed)?;
        Ok(listed.contents().iter().filter_map(|object| object.key()).map(str::to_owned).collect())
    }

    async fn remove(&self, key: String) -> Result<()> {
        let removed = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        removed.map(drop).map_err(failed)
    }
}

#[async_trait]
impl Fixture for World {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        let mut config = SiteConfig::new(Bucket::new(self.bucket.clone())?);
        config.live = Prefix::new("live/")?;
        config.path_style = true;
        Ok(self.line.wrap(config.build(&self.session)?.erase()))
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        let files = files(release);
        for (name, body) in &files {
            self.put(format!("versions/v{}/{name}", release.number()), body).await?;
            self.put(format!("live/{name}"), body).await?;
        }
        for key in self.keys("live/").await? {
            if !files.contains_key(key.trim_start_matches("live/")) {
                self.remove(key).await?;
            }
        }
        Ok(())
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::RemoveArtifact(release) => {
                for key in self.keys(&format!("versions/v{}/", release.number())).await? {
                    self.remove(key).await?;
                }
                Ok(true)
            }
            other => self.line.inject(other).await,
        }
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.deploys.load(Ordering::Relaxed) + self.line.landed()))
    }
}

fn missing<T>(server: std::result::Result<T, StartError>) -> Option<String> {
    match server {
        Err(StartError::Missing(why)) => Some(why),
        _ => None,
    }
}

fn main() -> ExitCode {
    let ministack =
        suite("ministack", async || World::at(Ministack::shared().map_err(failed)?.account()).await);
    let moto =
        suite("moto", async || World::at(Moto::shared().map_err(failed)?.account().map_err(failed)?).await);
    main_of([ministack.missing(missing(Ministack::shared())), moto.missing(missing(Moto::shared()))])
}
