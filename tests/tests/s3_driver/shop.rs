//! A site with two releases, the second of which is live and bad, and the command with a configuration for it.

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use rollback_aws_support::Session;
use rollback_testkit::harness::Failure;
use rollback_tests::proxy::{Answer, Fault, Faults, Proxy, Rule};
use rollback_tests::servers::{Account, Ministack, Moto, need};
use rollback_tests::{Binaries, Ran, Site};

use super::relay::{Relay, completed};

const BINARIES: Binaries = rollback_tests::binaries!();

pub(crate) type Made<T> = Result<T, Failure>;

pub(crate) struct Shop {
    pub(crate) site: Site,
    pub(crate) proxy: Proxy,
    pub(crate) s3: Client,
    pub(crate) bucket: String,
    pub(crate) live: &'static str,
    pub(crate) account: Account,
    pub(crate) emulator: Emulator,
    /// What makes up for a fault of moto's.
    relay: Option<Relay>,
}

/// What plays S3.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Emulator {
    Ministack,
    /// It tells whole seconds, as S3 does.
    Moto,
}

impl Emulator {
    fn account(self) -> Made<Account> {
        Ok(match self {
            Self::Ministack => need(Ministack::shared())?.account(),
            Self::Moto => need(Moto::shared())?.account()?,
        })
    }
}

/// Any error of the SDK, in its own words.
pub(crate) fn told(error: impl std::fmt::Debug) -> Failure {
    Failure::new(format!("{error:?}"))
}

fn client(account: &Account) -> Client {
    let token = account.token().map(str::to_owned);
    let credentials = Credentials::new(account.key(), account.secret(), token, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(account.region()))
        .endpoint_url(account.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    let session = Session::from_sdk_config(config.build());
    let config = aws_sdk_s3::config::Builder::from(session.sending()).force_path_style(true);
    Client::from_conf(config.build())
}

/// As uploads guess it.
pub(crate) fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        _ => "text/plain",
    }
}

/// What a release is made of: a page as long as that of every other one, an asset of its own, and one that they share.
pub(crate) fn files(release: u32) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("index.html".to_owned(), format!("<script src=assets/app.{release}.js></script>")),
        (format!("assets/app.{release}.js"), format!("console.log({release})")),
        ("assets/logo.svg".to_owned(), "<svg/>".to_owned()),
    ])
}

impl Shop {
    /// With releases v1 and v2, of which v2 is live.
    pub(crate) async fn new() -> Made<Self> {
        Self::at("live/").await
    }

    pub(crate) async fn at(live: &'static str) -> Made<Self> {
        let shop = Self::empty(Emulator::Ministack, live)?;
        for release in [1, 2] {
            shop.archive(release).await?;
        }
        shop.deploy(1).await?;
        shop.deploy(2).await?;
        Ok(shop)
    }

    /// With nothing in its bucket.
    pub(crate) fn empty(emulator: Emulator, live: &'static str) -> Made<Self> {
        let account = emulator.account()?;
        let bucket = format!("site-{}", account.id());
        account.make_bucket(&bucket)?;
        let port = account.endpoint().rsplit(':').next().unwrap_or_default().parse::<u16>().map_err(told)?;
        let proxy = Proxy::http(("127.0.0.1", port)).map_err(told)?;
        let site = Site::plain(BINARIES)?.with_environment(account.behind(proxy.port()).environment());
        let shop = Self { site, proxy, s3: client(&account), bucket, live, account, emulator, relay: None };
        shop.configure(&shop.bucket, "")?;
        Ok(shop)
    }

    /// Where whatever has more bytes than one part is copied in parts of so many bytes.
    pub(crate) fn copying_in_parts(mut self, bytes: usize) -> Made<Self> {
        let mut variables = self.account.behind(self.proxy.port()).environment();
        variables.push(("E2E_S3_PART", bytes.to_string()));
        self.site = self.site.with_environment(variables);
        if matches!(self.emulator, Emulator::Moto) {
            self.relay = Some(completed(&self.account.behind(self.proxy.port())).map_err(told)?);
        }
        self.configure(&self.bucket, "")?;
        self.faults(Faults::none());
        Ok(self)
    }

    pub(crate) fn configure(&self, bucket: &str, more: &str) -> Made<()> {
        let live = self.live;
        let endpoint = self.relay.as_ref().map(|relay| format!("endpoint_url = {:?}\n", relay.url()));
        let endpoint = endpoint.unwrap_or_default();
        Ok(self.site.write_configuration(&format!(
            "[components.web]\ndriver = \"s3-frontend\"\nbucket = {bucket:?}\nlive = {live:?}\npath_style = true\n{endpoint}{more}"
        ))?)
    }

    pub(crate) async fn put(&self, key: &str, body: &str) -> Made<()> {
        let kind = content_type(key);
        let body = ByteStream::from(body.as_bytes().to_vec());
        let put = self.s3.put_object().bucket(&self.bucket).key(key).content_type(kind).body(body);
        put.send().await.map(drop).map_err(told)
    }

    pub(crate) async fn put_in_parts(&self, key: &str, body: &str) -> Made<()> {
        let begun =
            self.s3.create_multipart_upload().bucket(&self.bucket).key(key).send().await.map_err(told)?;
        let id = begun.upload_id().unwrap_or_default();
        let body = ByteStream::from(body.as_bytes().to_vec());
        let part =
            self.s3.upload_part().bucket(&self.bucket).key(key).upload_id(id).part_number(1).body(body);
        let sent = part.send().await.map_err(told)?;
        let part = CompletedPart::builder().part_number(1).set_e_tag(sent.e_tag().map(str::to_owned)).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let whole = self.s3.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        whole.multipart_upload(parts).send().await.map(drop).map_err(told)
    }

    /// Keeps a release in the archive.
    pub(crate) async fn archive(&self, release: u32) -> Made<()> {
        for (name, body) in files(release) {
            self.put(&format!("versions/v{release}/{name}"), &body).await?;
        }
        Ok(())
    }

    /// What a pipeline does: everything of the release is put there, and what it has not is removed.
    pub(crate) async fn deploy(&self, release: u32) -> Made<()> {
        self.deploy_files(&files(release)).await
    }

    pub(crate) async fn deploy_files(&self, files: &BTreeMap<String, String>) -> Made<()> {
        for (name, body) in files {
            self.put(&format!("{}{name}", self.live), body).await?;
        }
        for key in self.served().await?.into_keys().filter(|key| !files.contains_key(key)) {
            self.remove(&format!("{}{key}", self.live)).await?;
        }
        Ok(())
    }

    pub(crate) async fn remove(&self, key: &str) -> Made<()> {
        let removed = self.s3.delete_object().bucket(&self.bucket).key(key).send().await;
        removed.map(drop).map_err(told)
    }

    pub(crate) async fn body(&self, key: &str) -> Made<String> {
        let got = self.s3.get_object().bucket(&self.bucket).key(key).send().await.map_err(told)?;
        let bytes = got.body.collect().await.map_err(told)?.to_vec();
        String::from_utf8(bytes).map_err(told)
    }

    /// Everything below a prefix, with its content.
    pub(crate) async fn below(&self, prefix: &str) -> Made<BTreeMap<String, String>> {
        let listed = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await;
        let listed = listed.map_err(told)?;
        let mut found = BTreeMap::new();
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            found.insert(key[prefix.len()..].to_owned(), self.body(key).await?);
        }
        Ok(found)
    }

    /// What is served.
    pub(crate) async fn served(&self) -> Made<BTreeMap<String, String>> {
        let mut served = self.below(self.live).await?;
        served.retain(|key, _| !key.starts_with("versions/") && !key.starts_with(".rollback/"));
        Ok(served)
    }

    /// These, and on moto what makes up for a fault of its own: it answers with an element that is not the one S3 answers with, which no
    /// SDK for Rust reads.
    pub(crate) fn faults(&self, mut faults: Faults) {
        if matches!(self.emulator, Emulator::Moto) {
            let kept = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
            let answer = Fault::Answer(Answer::new(200).body("application/xml", kept));
            faults = faults.rule(Rule::new(answer).method("GET").path("/*?versioning*"));
        }
        self.proxy.faults(faults);
    }

    /// Which keys were written through the command, oldest first.
    pub(crate) fn written(&self) -> Vec<String> {
        let beginning = format!("/{}/", self.bucket);
        let log = self.proxy.log();
        let writes = log.iter().filter(|one| one.method != "GET" && one.method != "HEAD");
        let paths = writes.filter_map(|one| one.path.split('?').next()?.strip_prefix(&beginning));
        paths.filter(|path| !path.starts_with(".rollback/")).map(str::to_owned).collect()
    }

    pub(crate) fn run(&self, line: &str) -> Made<Ran> {
        Ok(self.site.run(line)?)
    }

    /// Goes back to release v1, which must end with `code`.
    pub(crate) fn back(&self, code: i32) -> Made<Ran> {
        let ran = self.run("run web --to version=v1 --yes --no-quarantine --reason bad")?;
        Ok(ran.expect(code))
    }
}
