//! Buckets with a site whose bad release is live: how they are filled, and what is in them afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::{Method, StatusCode};
use jiff::Timestamp;
use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::servers::{Account, Ministack, StartError};
use tokio::runtime::Runtime;

use super::release::{File, Files, Releases};
use super::store::{Answer, Ask, S3};
use super::verdict::{Object, Seen};
use crate::Result;

/// Where releases are kept.
pub(crate) const ARCHIVE: &str = "versions/";
/// Over how many connections buckets are filled and looked at.
const AT_A_TIME: usize = 8;
/// S3 tells times in whole seconds.
const A_SECOND_LATER: Duration = Duration::from_millis(1_200);
const VERSIONING: &str = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";

/// The server.
pub(crate) struct Bed {
    pub(crate) runtime: Runtime,
    pub(crate) account: Account,
    /// It ends with this.
    server: Ministack,
    s3: S3,
}

/// A bucket with a site in it.
pub(crate) struct Bucket<'a> {
    bed: &'a Bed,
    pub(crate) name: String,
    /// The prefix of what is served; empty where that is the whole bucket but for the archive.
    pub(crate) live: &'static str,
    /// What is in the archive, with its entity tags.
    archive: BTreeMap<String, String>,
    /// When the good release was live: known where the bucket keeps versions.
    pub(crate) good_at: Option<Timestamp>,
}

impl Bed {
    pub(crate) fn start() -> std::result::Result<Self, StartError> {
        let server = Ministack::start("benchmarks")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| StartError::Failed(error.to_string()))?;
        let account = server.account();
        let s3 = S3::of(&account, server.server().port());
        // ministack loads each of its services with the first request to it, and answers nobody meanwhile. S3's comes with the buckets.
        account
            .query("sts", "Action=GetCallerIdentity&Version=2011-06-15")
            .map_err(|error| StartError::Failed(error.to_string()))?;
        Ok(Self { runtime, account, server, s3 })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.server().port()
    }

    fn all(&self, asks: Vec<Ask>) -> Result<Vec<Answer>> {
        self.runtime.block_on(self.s3.all(asks, AT_A_TIME))
    }

    fn bucket(&self, live: &'static str) -> Result<Bucket<'_>> {
        let name = format!("site-{}", self.account.id());
        self.account.make_bucket(&name)?;
        Ok(Bucket { bed: self, name, live, archive: BTreeMap::new(), good_at: None })
    }

    /// A bucket with both releases in its archive, the good one first, and the bad one live. Commands compare times: nothing in the
    /// archive is younger than what is live.
    pub(crate) fn furnished(&self, releases: &Releases, live: &'static str) -> Result<Bucket<'_>> {
        let mut bucket = self.bucket(live)?;
        bucket.put(&format!("{ARCHIVE}v1/"), &releases.good)?;
        bucket.put(&format!("{ARCHIVE}v2/"), &releases.bad)?;
        bucket.put(live, &releases.bad)?;
        bucket.archive = bucket.listed()?.archive;
        Ok(bucket)
    }

    /// A bucket that keeps versions and has no archive: the good release was deployed, and a second later the bad one over it.
    pub(crate) fn versioned(&self, releases: &Releases) -> Result<Bucket<'_>> {
        let mut bucket = self.bucket("live/")?;
        let path = format!("/{}?versioning", bucket.name);
        self.all(vec![Ask::new(Method::PUT, path).body(VERSIONING)])?;
        bucket.put(bucket.live, &releases.good)?;
        rollback_tests::pause(A_SECOND_LATER);
        bucket.good_at = Some(SystemClock.now());
        rollback_tests::pause(A_SECOND_LATER);
        let seen = bucket.look()?;
        bucket.deploy(&seen, &releases.bad)?;
        Ok(bucket)
    }
}

impl Bucket<'_> {
    fn ask(&self, method: Method, key: &str) -> Ask {
        Ask::new(method, format!("/{}/{key}", self.name))
    }

    /// As a copy inside the bucket.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Ask {
        let source = [("x-amz-copy-source", format!("/{}/{from}", self.name))];
        self.ask(Method::PUT, to).headers(&source)
    }

    fn put<'f>(&self, prefix: &str, files: impl IntoIterator<Item = (&'f String, &'f File)>) -> Result<()> {
        let put = |(key, file): (&String, &File)| {
            self.ask(Method::PUT, &format!("{prefix}{key}")).headers(&file.headers).body(file.body.clone())
        };
        self.bed.all(files.into_iter().map(put).collect()).map(drop)
    }

    /// Puts what differs from `files`, and deletes what is not of them.
    fn deploy(&self, seen: &Seen, files: &Files) -> Result<()> {
        self.put(self.live, files.iter().filter(|(key, file)| !seen.has(key, file)))?;
        let gone = seen.live.keys().filter(|key| !files.contains_key(*key));
        let gone = gone.map(|key| self.ask(Method::DELETE, &format!("{}{key}", self.live)));
        self.bed.all(gone.collect()).map(drop)
    }

    /// Which objects are in it.
    fn listed(&self) -> Result<Seen> {
        let mut seen = Seen::default();
        let listed = self.bed.runtime.block_on(self.bed.s3.list(&self.name))?;
        for (key, tag) in listed {
            if key.starts_with(ARCHIVE) {
                seen.archive.insert(key, tag);
            } else if let Some(key) = key.strip_prefix(self.live).filter(|key| !key.starts_with('.')) {
                seen.live.insert(key.to_owned(), Object::default());
            }
        }
        Ok(seen)
    }

    /// Everything that is in it, read.
    pub(crate) fn look(&self) -> Result<Seen> {
        let mut seen = self.listed()?;
        let gets = seen.live.keys().map(|key| self.ask(Method::GET, &format!("{}{key}", self.live)));
        let answers = self.bed.all(gets.collect())?;
        for (object, answer) in seen.live.values_mut().zip(answers) {
            if answer.status == StatusCode::OK {
                *object = Object { body: answer.body, headers: answer.headers };
            }
        }
        Ok(seen)
    }

    /// How many objects of the archive are gone or others than they were.
    pub(crate) fn archive_lost(&self, seen: &Seen) -> usize {
        self.archive.iter().filter(|(key, tag)| seen.archive.get(*key) != Some(tag)).count()
    }
}
