//! A private registry, with the images of all versions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::images::{self, Blob, Image};
use crate::Result;
use crate::proxy::Proxy;
use crate::servers::{Launch, Ready, Server, StartError, http, static_busybox};

/// How hosts call the registry: as an account's in ECR is called. They reach it by way of an HTTP proxy of theirs.
pub const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// The user, as with ECR.
pub const USER: &str = "AWS";
/// Its password: what `aws ecr get-login-password` would say.
pub const PASSWORD: &str = "a-password-for-tests";

/// The user and the hash of the password, which the registry wants from bcrypt.
const HTPASSWD: &str = "AWS:$2y$05$abcdefghijklmnopqrstuuBLXRD1do2sv2yeOR4KP05rNE/mCs5mW\n";
/// Both of them, in base64.
const AUTHORIZATION: &str = "Authorization: Basic QVdTOmEtcGFzc3dvcmQtZm9yLXRlc3Rz\r\n";
const MANIFEST: &str = "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n";

/// The registry of a bed.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    front: Proxy,
    pushed: BTreeMap<(String, String), Pushed>,
    /// Held while a host pulls `latest`: it is one tag for all of them.
    latest: Mutex<()>,
}

/// What is known of an image that was pushed.
#[derive(Debug)]
struct Pushed {
    manifest: Vec<u8>,
    digest: String,
    id: String,
}

impl Registry {
    /// Starts it with all images. Its settings are put into `folder`; what is pushed stays in memory.
    pub(super) fn start(test: &str, folder: &Path) -> Result<Self, StartError> {
        let program = super::machine::program("registry")?;
        let busybox = static_busybox()?;
        let failed = |error: &dyn std::fmt::Display| StartError::Failed(format!("no registry: {error}"));
        let settings = settings(folder).map_err(|error| failed(&error))?;
        let launch = Launch::new("registry", |port| {
            let mut command = Command::new(&program);
            command.arg("serve").arg(&settings).env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"));
            command
        });
        let server = launch.ready(Ready::Get("/".to_owned())).start(test)?;
        let front = Proxy::http(("127.0.0.1", server.port())).map_err(|error| failed(&error))?;
        let mut registry = Self { server, front, pushed: BTreeMap::new(), latest: Mutex::new(()) };
        registry.fill(&busybox).map_err(|error| failed(&error))?;
        Ok(registry)
    }

    fn fill(&mut self, busybox: &Path) -> Result<()> {
        let base = images::base(busybox)?;
        for (repository, versions) in images::ALL {
            for version in versions {
                let image = images::make(&base, repository, version)?;
                self.push(repository, version, image)?;
            }
        }
        self.tag("backend", images::GOOD, "latest")
    }

    /// What hosts call a repository: `123456789012.dkr.ecr.us-east-1.amazonaws.com/backend`.
    #[must_use]
    pub fn repository(&self, name: &str) -> String {
        format!("{REGISTRY}/{name}")
    }

    /// The digest of a version: `sha256:…`, for `repository@digest`.
    ///
    /// # Errors
    ///
    /// When there is no such version.
    pub fn digest(&self, repository: &str, version: &str) -> Result<String> {
        Ok(self.known(repository, version)?.digest.clone())
    }

    /// The manifest of a version, as the registry hands it out.
    ///
    /// # Errors
    ///
    /// When there is no such version.
    pub fn manifest(&self, repository: &str, version: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.known(repository, version)?.manifest).into_owned())
    }

    /// The id that Docker gives an image of this version, `sha256:…`: what `docker inspect -f '{{.Image}}'` says of its containers.
    ///
    /// # Errors
    ///
    /// When there is no such version.
    pub fn image_id(&self, repository: &str, version: &str) -> Result<String> {
        Ok(self.known(repository, version)?.id.clone())
    }

    /// Points a tag to a version, as a pipeline does with `latest`.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the registry does not take it.
    pub fn tag(&self, repository: &str, version: &str, tag: &str) -> Result<()> {
        let manifest = &self.known(repository, version)?.manifest;
        self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), MANIFEST, manifest).map(drop)
    }

    /// Points `latest` of the backend to a version, and does something while it stays there.
    pub(super) fn with_latest<T>(&self, version: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let _held = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        self.tag("backend", version, "latest")?;
        act()
    }

    /// Deletes a version with all its tags, as a lifecycle policy does.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the registry does not do it.
    pub fn delete(&self, repository: &str, version: &str) -> Result<()> {
        let digest = &self.known(repository, version)?.digest;
        self.ask("DELETE", &format!("/v2/{repository}/manifests/{digest}"), "", b"").map(drop)
    }

    /// Puts a version back that was deleted.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the registry does not take it.
    pub fn restore(&self, repository: &str, version: &str) -> Result<()> {
        self.tag(repository, version, version)
    }

    /// What all hosts reach it through: `down()` stops it for them, and rules make single requests fail. It is an HTTP proxy for any
    /// host, too.
    #[must_use]
    pub fn front(&self) -> &Proxy {
        &self.front
    }

    /// The process.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    fn known(&self, repository: &str, version: &str) -> Result<&Pushed> {
        let known = self.pushed.get(&(repository.to_owned(), version.to_owned()));
        known.ok_or_else(|| format!("there is no image {repository}:{version}").into())
    }

    fn push(&mut self, repository: &str, version: &str, image: Image) -> Result<()> {
        for blob in &image.blobs {
            self.upload(repository, blob)?;
        }
        let path = format!("/v2/{repository}/manifests/{version}");
        self.ask("PUT", &path, MANIFEST, &image.manifest)?;
        let Image { manifest, digest, id, .. } = image;
        let key = (repository.to_owned(), version.to_owned());
        self.pushed.insert(key, Pushed { manifest, digest, id });
        Ok(())
    }

    fn upload(&self, repository: &str, blob: &Blob) -> Result<()> {
        let Blob { digest, bytes } = blob;
        if self.ask("HEAD", &format!("/v2/{repository}/blobs/{digest}"), "", b"").is_ok() {
            return Ok(());
        }
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"")?;
        let place = begun.header("Location").ok_or("the registry says no place for an upload")?;
        let place = place.strip_prefix(&self.server.url()).unwrap_or(place);
        let path = format!("{place}&digest={digest}");
        self.ask("PUT", &path, "Content-Type: application/octet-stream\r\n", bytes).map(drop)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<http::Answer> {
        let headers = format!("{AUTHORIZATION}{headers}");
        let answer = http::request(self.server.port(), method, path, &headers, body)?;
        if answer.is_good() {
            return Ok(answer);
        }
        Err(format!("{method} {path}: {}: {}", answer.status, answer.body.trim()).into())
    }
}

fn settings(folder: &Path) -> std::io::Result<std::path::PathBuf> {
    let (settings, passwords) = (folder.join("registry.json"), folder.join("htpasswd"));
    fs::write(&passwords, HTPASSWD)?;
    // JSON is YAML.
    let text = serde_json::json!({
        "version": 0.1,
        "log": { "level": "info" },
        "storage": { "inmemory": {}, "delete": { "enabled": true }, "maintenance": { "uploadpurging": { "enabled": false } } },
        "http": { "addr": "127.0.0.1:0" },
        "auth": { "htpasswd": { "realm": "ecr", "path": passwords } },
    });
    fs::write(&settings, text.to_string())?;
    Ok(settings)
}
