//! Images out of nothing but a static program, as a registry takes them: layers, a configuration and a manifest.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Result;

/// An older version that is good too, which the registry has and no host ever ran.
pub const OLDER: &str = "v0";
/// The version that is good: it answers 200 with its name, and is healthy.
pub const GOOD: &str = "v1";
/// The version that is bad: it answers 500 with its name, and yet is healthy for Docker.
pub const BAD: &str = "v2";
/// The version whose program ends a moment after its start, with exit code 1.
pub const CRASHING: &str = "crashing";
/// The version that answers 200 and whose health check fails.
pub const SICK: &str = "sick";
/// As [`BAD`], and it ignores that it is asked to end.
pub const STUBBORN: &str = "stubborn";

/// What images there are: repositories and their tags.
pub(super) const ALL: [(&str, &[&str]); 2] =
    [("backend", &[OLDER, GOOD, BAD, CRASHING, SICK, STUBBORN]), ("cache", &[GOOD, STUBBORN])];

/// What the programs of busybox are called in an image.
const PROGRAMS: [&str; 8] = ["sh", "bash", "cat", "date", "env", "nc", "sleep", "wget"];

/// One connection for each request. `/ready` is what the health check asks for.
const SERVE: &str = r#"#!/bin/sh
read -r method path protocol
while read -r line && [ "${#line}" -gt 1 ]; do :; done
status='200 OK' body=$VERSION
case $VERSION:$path in
    sick:/ready) status='503 Service Unavailable' ;;
    *:/ready) ;;
    v2:* | stubborn:*) status='500 Internal Server Error' ;;
    *:/greeting) body=$GREETING ;;
    *:/healthz | *:/version | *:/api/items/ | *:/) ;;
    *) status='404 Not Found' ;;
esac
printf 'HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "$status" "${#body}" "$body"
"#;

/// Takes a moment until it serves, as programs do.
const START: &str = r#"#!/bin/sh
case $VERSION in stubborn) trap '' TERM ;; *) trap 'exit 0' TERM ;; esac
sleep 0.3
if [ "$VERSION" = crashing ]; then
    echo 'there is no configuration' >&2
    exit 1
fi
# As many may wait for it as there are letters.
nc -llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll -p 8000 -e /bin/serve &
while :; do wait; done
"#;

/// `python manage.py migrate`, as runbooks say it: what ran is written down where the host sees it.
const PYTHON: &str = r#"#!/bin/sh
sleep 0.1
echo "$VERSION $*" >>/data/ran
echo "ran $*"
"#;

/// An image as a registry keeps it.
pub(super) struct Image {
    /// Layers and the configuration, by their digest.
    pub(super) blobs: Vec<Blob>,
    pub(super) manifest: Vec<u8>,
    /// The digest of the manifest: `repository@sha256:…`.
    pub(super) digest: String,
    /// The digest of the configuration, which is what Docker calls the image's id.
    pub(super) id: String,
}

/// Some bytes and their digest.
#[derive(Clone)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

/// A layer, packed, and the digest that it has unpacked.
#[derive(Clone)]
pub(super) struct Layer {
    packed: Blob,
    unpacked: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }

    fn described(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "size": self.bytes.len(), "digest": self.digest })
    }
}

fn digest(bytes: &[u8]) -> String {
    let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{sum}")
}

/// What all images begin with: busybox, under the names of its programs.
pub(super) fn base(busybox: &Path) -> Result<Layer> {
    layer(|folder| {
        let programs = folder.join("bin");
        fs::create_dir(&programs)?;
        fs::copy(busybox, programs.join("busybox"))?;
        fs::set_permissions(programs.join("busybox"), fs::Permissions::from_mode(0o755))?;
        for program in PROGRAMS {
            symlink("busybox", programs.join(program))?;
        }
        Ok(())
    })
}

/// The image of one version. The same files are the same image, whenever it is made.
pub(super) fn make(base: &Layer, repository: &str, version: &str) -> Result<Image> {
    let own = layer(|folder| {
        fs::create_dir(folder.join("bin"))?;
        for (name, text) in [("start", START), ("bin/serve", SERVE), ("bin/python", PYTHON)] {
            fs::write(folder.join(name), text)?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?;
        }
        fs::write(folder.join("version"), format!("{repository} {version}"))?;
        Ok(())
    })?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let settings = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["PATH=/bin", format!("VERSION={version}")], "Entrypoint": ["/start"] },
        "rootfs": { "type": "layers", "diff_ids": [base.unpacked, own.unpacked] },
        "history": [{ "created_by": "busybox" }, { "created_by": version }],
    });
    let settings = Blob::new(settings.to_string().into_bytes());
    let media = |kind| format!("application/vnd.docker.{kind}");
    let packed = media("image.rootfs.diff.tar.gzip");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media("distribution.manifest.v2+json"),
        "config": settings.described(&media("container.image.v1+json")),
        "layers": [base.packed.described(&packed), own.packed.described(&packed)],
    });
    let manifest = manifest.to_string().into_bytes();
    let (digest, id) = (digest(&manifest), settings.digest.clone());
    Ok(Image { blobs: vec![base.packed.clone(), own.packed, settings], manifest, digest, id })
}

fn layer(fill: impl FnOnce(&Path) -> Result<()>) -> Result<Layer> {
    let folder = tempfile::tempdir()?;
    let (files, archive) = (folder.path().join("files"), folder.path().join("tar"));
    fs::create_dir(&files)?;
    fill(&files)?;
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--file",
    ]);
    output(tar.arg(&archive).arg("--directory").arg(&files).arg("."))?;
    // Without a name and a time.
    let packed = output(Command::new("gzip").args(["--no-name", "--fast", "--stdout"]).arg(&archive))?;
    Ok(Layer { packed: Blob::new(packed), unpacked: digest(&fs::read(&archive)?) })
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let ran = command.stdin(Stdio::null()).output()?;
    if ran.status.success() {
        return Ok(ran.stdout);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&ran.stderr)).into())
}
