//! The driver for sites in S3 against the conformance kit: with an archive on both emulators, with versions only, and behind a
//! distribution that points to a release.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudfront::types as cloudfront;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use futures_util::future::try_join_all;
use rollback_aws_support::Session;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_s3_frontend::SiteConfig;
use rollback_driver_s3_frontend::names::{Bucket, DistributionId, Prefix};
use rollback_testkit::driver::{Fault, FaultLine, Fixture, Release, main_of, suite};
use rollback_tests::pause;
use rollback_tests::proxy::Fault::Answer as Answered;
use rollback_tests::proxy::{Answer, Faults, Proxy, Rule};
use rollback_tests::servers::{Account, Ministack, Moto, StartError};

struct World {
    session: Session,
    client: Client,
    bucket: String,
    past: Past,
    /// What points to a release, where nothing is copied.
    distribution: Option<Distribution>,
    /// What makes up for a fault of the server.
    _proxy: Option<Proxy>,
    line: FaultLine,
    deploys: AtomicU64,
}

/// Where releases that do not run any more are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    Archive,
    /// Only in the versions of what is served.
    Versions,
    /// In an archive that is served from.
    Pointer,
}

struct Distribution {
    client: aws_sdk_cloudfront::Client,
    id: String,
}

impl Distribution {
    async fn create(session: &Session, bucket: &str) -> Result<Self> {
        let client = aws_sdk_cloudfront::Client::from_conf(
            aws_sdk_cloudfront::config::Builder::from(session.sending()).build(),
        );
        let config = site_at(bucket, "")?;
        let made = client.create_distribution().distribution_config(config).send().await.map_err(failed)?;
        let id = made.distribution().map(|made| made.id().to_owned());
        Ok(Self { client, id: id.ok_or_else(|| failed("no distribution"))? })
    }

    /// As a pipeline releases: nothing but the path is changed.
    async fn point_to(&self, bucket: &str, path: &str) -> Result<()> {
        let now = self.client.get_distribution_config().id(&self.id).send().await.map_err(failed)?;
        let put = self.client.update_distribution().id(&self.id).set_if_match(now.e_tag().map(str::to_owned));
        put.distribution_config(site_at(bucket, path)?).send().await.map(drop).map_err(failed)
    }
}

/// A distribution that serves what is below a path of a bucket.
fn site_at(bucket: &str, path: &str) -> Result<cloudfront::DistributionConfig> {
    let origin = cloudfront::Origin::builder()
        .id("site")
        .domain_name(format!("{bucket}.s3.us-east-1.amazonaws.com"))
        .origin_path(path)
        .s3_origin_config(cloudfront::S3OriginConfig::builder().origin_access_identity("").build())
        .build()
        .map_err(failed)?;
    let origins = cloudfront::Origins::builder().quantity(1).items(origin).build().map_err(failed)?;
    let behaviour = cloudfront::DefaultCacheBehavior::builder()
        .target_origin_id("site")
        .viewer_protocol_policy(cloudfront::ViewerProtocolPolicy::AllowAll)
        .build()
        .map_err(failed)?;
    let config = cloudfront::DistributionConfig::builder()
        .caller_reference(bucket)
        .origins(origins)
        .default_root_object("index.html")
        .default_cache_behavior(behaviour)
        .comment("the site")
        .enabled(true);
    config.build().map_err(failed)
}

/// How long nothing is written between two deploys.
const QUIET: Duration = Duration::from_millis(500);

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
    async fn at(account: Account, past: Past) -> Result<Self> {
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
        let distribution = match past {
            Past::Pointer => Some(Distribution::create(&session, &bucket).await?),
            Past::Archive | Past::Versions => None,
        };
        let world = Self { session, client, bucket, past, distribution, _proxy: None, line, deploys };
        if past == Past::Versions {
            world.keep_versions().await?;
        }
        Ok(world)
    }

    /// moto says whether a bucket keeps versions with an element that is not the one S3 says it with, which no SDK for Rust reads.
    async fn on_moto(account: &Account) -> Result<Self> {
        let port = account.endpoint().rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let proxy = Proxy::http(("127.0.0.1", port.ok_or_else(|| failed("no port"))?)).map_err(failed)?;
        let off = Answer::new(200).body("application/xml", "<VersioningConfiguration/>");
        proxy.faults(Faults::none().rule(Rule::new(Answered(off)).method("GET").path("/*?versioning*")));
        let world = Self::at(account.behind(proxy.port()), Past::Archive).await?;
        Ok(Self { _proxy: Some(proxy), ..world })
    }

    async fn keep_versions(&self) -> Result<()> {
        let kept = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let put = self.client.put_bucket_versioning().bucket(&self.bucket).versioning_configuration(kept);
        put.send().await.map(drop).map_err(failed)
    }

    /// Removes for good whatever is not served any more.
    async fn remove_old_versions(&self) -> Result<()> {
        let listed = self.client.list_object_versions().bucket(&self.bucket).prefix("live/").send().await;
        let listed = listed.map_err(failed)?;
        for version in listed.versions().iter().filter(|version| version.is_latest() != Some(true)) {
            let removed = self.client.delete_object().bucket(&self.bucket);
            let removed = removed.set_key(version.key().map(str::to_owned));
            let removed = removed.set_version_id(version.version_id().map(str::to_owned)).send().await;
            removed.map_err(failed)?;
        }
        Ok(())
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
        match &self.distribution {
            None => config.live = Prefix::new("live/")?,
            Some(distribution) => {
                config.distribution = Some(DistributionId::new(distribution.id.clone())?);
                (config.pointer, config.check_pages) = (true, false);
            }
        }
        config.path_style = true;
        config.quiet = QUIET.into();
        Ok(self.line.wrap(config.build(&self.session)?.erase()))
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        let files = files(release);
        if self.past == Past::Versions {
            pause(QUIET * 3 / 2);
        }
        // All at once: with a busy server in between, one after the other could look like two deploys.
        let mut puts = Vec::new();
        for (name, body) in &files {
            if self.past != Past::Versions {
                puts.push(self.put(format!("versions/v{}/{name}", release.number()), body));
            }
            if self.past != Past::Pointer {
                puts.push(self.put(format!("live/{name}"), body));
            }
        }
        try_join_all(puts).await?;
        if let Some(distribution) = &self.distribution {
            let path = format!("/versions/v{}", release.number());
            return distribution.point_to(&self.bucket, &path).await;
        }
        for key in self.keys("live/").await? {
            if !files.contains_key(key.trim_start_matches("live/")) {
                self.remove(key).await?;
            }
        }
        Ok(())
    }

    /// Another site of the same bucket, with the same keys.
    async fn neighbour(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        for release in [Release::One, Release::Two] {
            for (name, body) in files(release) {
                self.put(format!("other/{name}"), &body).await?;
            }
        }
        let mut config = SiteConfig::new(Bucket::new(self.bucket.clone())?);
        (config.live, config.path_style) = (Prefix::new("other/")?, true);
        Ok(Some(config.build(&self.session)?.erase()))
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::RemoveArtifact(_) if self.past == Past::Versions => {
                self.remove_old_versions().await?;
                Ok(true)
            }
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
    let on_ministack =
        |past| async move || World::at(Ministack::shared().map_err(failed)?.account(), past).await;
    let on_moto = async || World::on_moto(&Moto::shared().map_err(failed)?.account().map_err(failed)?).await;
    main_of([
        suite("ministack", on_ministack(Past::Archive)).missing(missing(Ministack::shared())),
        suite("moto", on_moto).missing(missing(Moto::shared())),
        suite("versions", on_ministack(Past::Versions)).missing(missing(Ministack::shared())),
        suite("pointer", on_ministack(Past::Pointer)).missing(missing(Ministack::shared())),
    ])
}
