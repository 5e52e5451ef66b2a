//! The little of a Docker daemon's interface that tests need.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::http;
use crate::Result;

/// A Docker daemon, by its socket.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The image that it was made from, as it was named then.
    pub image: String,
    /// The id of that image.
    pub image_id: String,
    /// The name that it has now, as compose shows it: `app-web-1`.
    pub name: String,
    /// `running`, `exited`, …
    pub state: String,
    /// The same for people, with health where there is a check: `Up 3 seconds (healthy)`.
    pub status: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Makes an image `reference` of the files in `folder`, which starts `entrypoint`.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn import(&self, folder: &Path, reference: &str, entrypoint: &[&str]) -> Result<()> {
        let mut tar = Command::new("tar");
        // The same files are the same image.
        tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
        let tar = tar.arg("--directory").arg(folder).arg(".").stdin(Stdio::null()).output()?;
        if !tar.status.success() {
            return Err(format!("tar: {}", String::from_utf8_lossy(&tar.stderr)).into());
        }
        let (name, tag) = split(reference)?;
        let entrypoint = format!("ENTRYPOINT {}", serde_json::to_string(entrypoint)?);
        let (name, tag, entrypoint) = (http::quoted(name), http::quoted(tag), http::quoted(&entrypoint));
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}&changes={entrypoint}");
        self.done("POST", &path, "Content-Type: application/x-tar\r\n", &tar.stdout)?;
        Ok(())
    }

    /// Gives an image another name.
    ///
    /// # Errors
    ///
    /// When there is no such image.
    pub fn tag(&self, image: &str, reference: &str) -> Result<()> {
        let (name, tag) = split(reference)?;
        let (image, name, tag) = (http::quoted(image), http::quoted(name), http::quoted(tag));
        self.done("POST", &format!("/images/{image}/tag?repo={name}&tag={tag}"), "", b"")?;
        Ok(())
    }

    /// Sends an image to the registry that its name names: the digest that it has there.
    ///
    /// # Errors
    ///
    /// When the registry does not take it.
    pub fn push(&self, reference: &str) -> Result<String> {
        let (name, tag) = split(reference)?;
        let path = format!("/images/{}/push?tag={}", name, http::quoted(tag));
        // Nobody, in base64: registries of emulators let everybody in.
        let told = self.done("POST", &path, "X-Registry-Auth: e30=\r\n", b"")?;
        let digest = told.iter().find_map(|line| line["aux"]["Digest"].as_str());
        digest.map(str::to_owned).ok_or_else(|| format!("{reference}: no digest: {told:?}").into())
    }

    /// Forgets an image's name, and the image with its last name.
    ///
    /// # Errors
    ///
    /// When there is no such image, or it is used.
    pub fn forget(&self, reference: &str) -> Result<()> {
        self.done("DELETE", &format!("/images/{reference}"), "", b"")?;
        Ok(())
    }

    /// All containers, whether they run or not.
    ///
    /// # Errors
    ///
    /// When the daemon does not answer.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let answer = self.request("GET", "/containers/json?all=true", "", b"")?;
        let list: Vec<Value> = serde_json::from_str(&answer)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let container = |value: &Value| Container {
            id: text(&value["Id"]),
            image: text(&value["Image"]),
            image_id: text(&value["ImageID"]),
            name: text(&value["Names"][0]).trim_start_matches('/').to_owned(),
            state: text(&value["State"]),
            status: text(&value["Status"]),
            labels: value["Labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        };
        Ok(list.iter().map(container).collect())
    }

    /// Kills a container, as if its program had died.
    ///
    /// # Errors
    ///
    /// When there is no such container.
    pub fn kill(&self, id: &str) -> Result<()> {
        self.done("POST", &format!("/containers/{id}/kill"), "", b"")?;
        Ok(())
    }

    /// What takes long tells its progress line by line, and failures among them.
    fn done(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Vec<Value>> {
        let answer = self.request(method, path, headers, body)?;
        let told: Vec<Value> = answer.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        match told.iter().find_map(|line| line["error"].as_str()) {
            Some(error) => Err(format!("{method} {path}: {error}").into()),
            None => Ok(told),
        }
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(http::PATIENCE))?;
        stream.set_write_timeout(Some(http::PATIENCE))?;
        let answer = http::exchange(&mut stream, method, path, &format!("Host: docker\r\n{headers}"), body)?;
        match answer.status {
            200..=299 => Ok(answer.body),
            status => Err(format!("{method} {path}: {status}: {}", answer.body.trim()).into()),
        }
    }
}

fn split(reference: &str) -> Result<(&str, &str)> {
    reference.rsplit_once(':').ok_or_else(|| format!("{reference} has no tag").into())
}
