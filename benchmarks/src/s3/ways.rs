//! The ways back, and how each is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::proxy::{Fault, Faults, Proxy, Rule};

use super::bucket::{ARCHIVE, Bed, Bucket};
use super::calls::Calls;
use super::release::Releases;
use super::store::S3;
use crate::{Result, Scale, site, tools};

/// What each request is held for.
pub(crate) const LATENCY: Duration = Duration::from_millis(30);
/// How many objects `rollback` copies at a time.
pub(crate) const AT_A_TIME: usize = 32;

/// A way back to the good release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Ours,
    Urgent,
    Runbook,
    Sync,
    Copy,
    Rclone,
    RcloneTuned,
    Restore,
    Bare,
}

/// The first two are ours; the last is no way back, but what any of them waits for at least.
pub(crate) const WAYS: [Way; 9] = [
    Way::Ours,
    Way::Urgent,
    Way::Runbook,
    Way::Sync,
    Way::Copy,
    Way::Rclone,
    Way::RcloneTuned,
    Way::Restore,
    Way::Bare,
];

/// Which bucket it is gone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What is live has a prefix of its own.
    Prefix,
    /// What is live is the whole bucket, but for the archive.
    Whole,
    /// Versions are kept, and there is no archive.
    Versioned,
}

/// What one time took.
#[derive(Debug)]
pub(crate) struct Took {
    pub(crate) all: Duration,
    /// Until the first and the last copy were answered, if anything was copied.
    pub(crate) copied: Option<(Duration, Duration)>,
    pub(crate) calls: Calls,
    /// What the command ended with, if not well.
    pub(crate) code: Option<i32>,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "rollback run",
            Self::Urgent => "rollback run --urgent",
            Self::Runbook => "aws s3 sync --delete, the runbook's: the site beside its archive",
            Self::Sync => "aws s3 sync --delete, the site in live/",
            Self::Copy => "aws s3 cp --recursive",
            Self::Rclone => "rclone sync --checksum",
            Self::RcloneTuned => "rclone sync --checksum --fast-list, 32 at a time",
            Self::Restore => "s3-pit-restore",
            Self::Bare => "the copies alone, 32 at a time",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Urgent)
    }

    pub(crate) fn place(self) -> Place {
        match self {
            Self::Runbook => Place::Whole,
            Self::Restore => Place::Versioned,
            _ => Place::Prefix,
        }
    }

    /// What it needs, if that is here.
    pub(crate) fn program(self) -> Result<Option<PathBuf>> {
        Ok(match self {
            Self::Ours | Self::Urgent | Self::Bare => Some(site::binary()?),
            Self::Runbook | Self::Sync | Self::Copy => tools::find("aws"),
            Self::Rclone | Self::RcloneTuned => tools::find("rclone"),
            Self::Restore => tools::find("s3-pit-restore"),
        })
    }

    fn arguments(self, bucket: &Bucket<'_>) -> Vec<String> {
        let Bucket { name, live, .. } = bucket;
        let archived = format!("{name}/{ARCHIVE}v1/");
        let from_to = |scheme: &str| [format!("{scheme}{archived}"), format!("{scheme}{name}/{live}")];
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Self::Urgent => [Self::Ours.arguments(bucket), words("--urgent")].concat(),
            Self::Ours | Self::Bare => {
                words("run web --to version=v1 --yes --no-quarantine --quiet --reason slow")
            }
            Self::Runbook | Self::Sync => {
                [words("s3 sync"), from_to("s3://").into(), words("--delete")].concat()
            }
            Self::Copy => [words("s3 cp --recursive"), from_to("s3://").into()].concat(),
            Self::Rclone => [words("sync --checksum"), from_to("s3:").into()].concat(),
            Self::RcloneTuned => {
                let tuned = words("sync --checksum --fast-list --transfers 32 --checkers 32");
                [tuned, from_to("s3:").into()].concat()
            }
            Self::Restore => {
                let at = bucket.good_at.map(|at| at.to_string()).unwrap_or_default();
                words(&format!("-b {name} -B {name} -p {live} -t {at}"))
            }
        }
    }

    /// Goes it, in a bucket whose bad release is live.
    pub(crate) fn go(
        self,
        bed: &Bed,
        bucket: &Bucket<'_>,
        releases: &Releases,
        scale: &Scale,
    ) -> Result<Took> {
        let proxy = Proxy::http(("127.0.0.1", bed.port()))?;
        proxy.faults(Faults::none().rule(Rule::new(Fault::delay(LATENCY))));
        let folder = tempfile::tempdir_in(scale.folder())?;
        let program = self.program()?.ok_or("it is not installed")?;
        let began = SystemClock.monotonic();
        let code = match self {
            Self::Bare => bare(bed, bucket, releases, &proxy).map(|()| None)?,
            _ => self.run(&program, bed, bucket, folder.path(), &proxy)?,
        };
        let all = SystemClock.monotonic().saturating_sub(began);
        let calls = Calls::of(&proxy.log());
        let since = |at: Duration| at.saturating_sub(began);
        let copied = calls.copies.map(|(first, last)| (since(first), since(last)));
        Ok(Took { all, copied, calls, code })
    }

    /// What the command ends with, if not well.
    fn run(
        self,
        program: &Path,
        bed: &Bed,
        bucket: &Bucket<'_>,
        folder: &Path,
        proxy: &Proxy,
    ) -> Result<Option<i32>> {
        if self.is_ours() {
            let settings = format!(
                "[components.web]\ndriver = \"s3-frontend\"\nbucket = {:?}\nlive = {:?}\npath_style = true\n",
                bucket.name, bucket.live
            );
            std::fs::write(folder.join("rollback.toml"), settings)?;
        }
        let told = folder.join("told");
        let file = std::fs::File::create(&told)?;
        let mut command = Command::new(program);
        command.args(self.arguments(bucket)).current_dir(folder);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = environment(&mut command, bed, proxy).status()?;
        if status.success() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        let end: Vec<_> = text.lines().rev().take(10).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        if self.is_ours() {
            return Err(format!("{}: {}", self.name(), end.join("\n")).into());
        }
        eprintln!("{} ended with {status}:\n{}", self.name(), end.join("\n"));
        Ok(Some(status.code().unwrap_or(-1)))
    }
}

/// The account through the proxy, and nothing else of the machine.
fn environment<'a>(command: &'a mut Command, bed: &Bed, proxy: &Proxy) -> &'a mut Command {
    for name in
        ["ROLLBACK_CONFIG", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "HTTP_PROXY", "http_proxy"]
    {
        command.env_remove(name);
    }
    command.envs(bed.account.behind(proxy.port()).environment());
    command.env("AWS_PAGER", "");
    // Of rclone's kinds of S3, the one that names buckets in the path; it lists and copies as it does with AWS.
    command.envs([
        ("RCLONE_CONFIG", "/dev/null"),
        ("RCLONE_CONFIG_S3_TYPE", "s3"),
        ("RCLONE_CONFIG_S3_PROVIDER", "Minio"),
        ("RCLONE_CONFIG_S3_ENV_AUTH", "true"),
        ("RCLONE_CONFIG_S3_REGION", bed.account.region()),
        ("RCLONE_CONFIG_S3_ENDPOINT", proxy.url().as_str()),
    ])
}

/// Exactly what differs, without a look at anything.
fn bare(bed: &Bed, bucket: &Bucket<'_>, releases: &Releases, proxy: &Proxy) -> Result<()> {
    let copy = |key: &String| bucket.copy(&format!("{ARCHIVE}v1/{key}"), &format!("{}{key}", bucket.live));
    let copies = releases.differing().map(copy).collect();
    let s3 = S3::of(&bed.account, proxy.port());
    bed.runtime.block_on(s3.all(copies, AT_A_TIME)).map(drop)
}
