//! What `docker inspect` says, field by field as it is asked for.
//!
//! Only what is needed is asked for: the environment of a container may hold secrets, and so may labels of others.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::image::ImageRef;
use crate::names::Service;

/// A container of a project.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) service: Service,
    /// The id of the image that it was made from.
    pub(crate) image: Digest,
    /// How that was called then.
    pub(crate) reference: Option<ImageRef>,
    pub(crate) state: State,
    /// How often docker started it again by itself.
    pub(crate) restarts: u64,
    /// Whether its health check passed when it was run for this look, or one before.
    pub(crate) passed: bool,
    /// What compose noted when it made it.
    pub(crate) made_by: MadeBy,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct State {
    pub(crate) status: String,
    pub(crate) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(crate) out_of_memory: bool,
    /// Why it could not be started.
    pub(crate) error: String,
    pub(crate) started_at: String,
    pub(crate) health: Option<Health>,
}

/// What its health check says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) failing_streak: u64,
}

/// What compose noted in labels: how the project was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MadeBy {
    pub(crate) version: String,
    pub(crate) directory: String,
    pub(crate) files: Vec<String>,
    pub(crate) env_file: Option<String>,
}

/// An image on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: Digest,
    pub(crate) tags: Vec<ImageRef>,
    /// The same image as registries have it.
    pub(crate) digests: Vec<ImageRef>,
    pub(crate) built: Option<Timestamp>,
    /// When a tag was moved to it on this host, as each deploy does that pulls a tag.
    pub(crate) tagged: Option<Timestamp>,
}

/// One line of the container script.
#[derive(Deserialize)]
struct ContainerLine(
    String,
    String,
    String,
    Option<String>,
    State,
    u64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// The format that a [`ContainerLine`] is read from, after the id of its image. Labels that are not there are null.
pub(crate) const CONTAINER: &str = r#"{{.Image}} {{.Config.Image}} [{{json .Id}},{{json .Name}},{{json .Image}},{{json .Config.Image}},{{json .State}},{{json .RestartCount}},{{json (index .Config.Labels "com.docker.compose.service")}},{{json (index .Config.Labels "com.docker.compose.oneoff")}},{{json (index .Config.Labels "com.docker.compose.version")}},{{json (index .Config.Labels "com.docker.compose.project.working_dir")}},{{json (index .Config.Labels "com.docker.compose.project.config_files")}},{{json (index .Config.Labels "com.docker.compose.project.environment_file")}}]"#;

/// The format that an image line is read from.
pub(crate) const IMAGE: &str = "[{{json .Id}},{{json .RepoTags}},{{json .RepoDigests}},{{json .Created}},{{json .Metadata.LastTagTime}}]";

impl Container {
    /// A container that compose made for a service; nothing for one that was run once.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let ContainerLine(
            id,
            name,
            image,
            reference,
            state,
            restarts,
            service,
            oneoff,
            version,
            directory,
            files,
            env_file,
        ) = parsed(line)?;
        if oneoff.is_some_and(|oneoff| oneoff.eq_ignore_ascii_case("true")) {
            return None;
        }
        let files = files.unwrap_or_default();
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        Some(Self {
            id,
            name: name.trim_start_matches('/').to_owned(),
            service: Service::new(service?).ok()?,
            image: image.parse().ok()?,
            reference: reference.and_then(|text| text.parse().ok()),
            state,
            restarts,
            passed: false,
            made_by: MadeBy {
                version: version.unwrap_or_default(),
                directory: directory.unwrap_or_default(),
                files: files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
                env_file: text(env_file),
            },
        })
    }

    pub(crate) fn runs(&self) -> bool {
        self.state.status == "running"
    }

    /// Runs, and its health check does not say otherwise.
    pub(crate) fn is_ready(&self) -> bool {
        self.runs()
            && self.state.health.as_ref().is_none_or(|health| match health.status.as_str() {
                // One that passes is all that docker wants as well.
                "starting" => self.passed,
                "healthy" | "none" | "" => true,
                _ => false,
            })
    }
}

impl Image {
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (id, tags, digests, built, tagged): (
            String,
            Option<Vec<String>>,
            Option<Vec<String>>,
            Value,
            Value,
        ) = parsed(line)?;
        let refs = |all: Option<Vec<String>>| -> Vec<ImageRef> {
            // `<none>:<none>` is what old daemons write where there is nothing.
            all.unwrap_or_default().iter().filter_map(|text| text.parse().ok()).collect()
        };
        // Builds that are to be the same each time are dated to the beginning of time, and what was never tagged to the year one.
        let time =
            |value: &Value| value.as_str()?.parse::<Timestamp>().ok().filter(|at| at.as_second() > 86_400);
        let (built, tagged) = (time(&built), time(&tagged));
        Some(Self { id: id.parse().ok()?, tags: refs(tags), digests: refs(digests), built, tagged })
    }
}

fn parsed<T: DeserializeOwned>(line: &str) -> Option<T> {
    let read = serde_json::from_str(line);
    read.inspect_err(|error| tracing::warn!(%error, "a line of docker's answer was left out")).ok()
}

/// Images by their ids.
pub(crate) type Images = BTreeMap<Digest, Image>;

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A container's line as docker writes it.
    pub(crate) fn line(service: &str, image: &str, reference: &str, state: &Value, restarts: u64) -> String {
        json!([
            format!("id-{service}"),
            format!("/shop-{service}-1"),
            Digest::of_bytes(image.as_bytes()),
            reference,
            state,
            restarts,
            service,
            "False",
            "2.26.1",
            "/srv/shop",
            "/srv/shop/compose.yaml,/srv/shop/prod.yaml",
            null
        ])
        .to_string()
    }

    #[test]
    fn a_container_is_read_with_how_it_was_deployed() {
        let state = json!({ "Status": "running", "StartedAt": "2026-11-22T04:00:00.5Z", "Health": { "Status": "starting", "FailingStreak": 0, "Log": [] } });
        let container = Container::read(&line("web", "v1", "127.0.0.1:5000/web:latest", &state, 2)).unwrap();
        assert_eq!((container.name.as_str(), container.service.as_str()), ("shop-web-1", "web"));
        assert_eq!(container.reference.as_ref().unwrap().tag(), Some("latest"));
        assert_eq!(container.made_by.files, ["/srv/shop/compose.yaml", "/srv/shop/prod.yaml"]);
        assert_eq!((container.restarts, container.runs(), container.is_ready()), (2, true, false));
    }

    #[test]
    fn what_was_run_once_and_what_cannot_be_read_is_left_out() {
        let once = line("web", "v1", "web", &json!({}), 0).replace("\"False\"", "\"True\"");
        assert_eq!(Container::read(&once), None);
        assert_eq!(Container::read("{}"), None);
        assert_eq!(Container::read(&line("we b", "v1", "web", &json!({}), 0)), None);
    }

    #[test]
    fn an_image_has_the_names_that_can_be_read() {
        let digest = Digest::of_bytes(b"m");
        let text = json!([
            Digest::of_bytes(b"v1"),
            ["web:v1", "<none>:<none>"],
            [format!("web@{digest}")],
            "2026-11-22T04:00:00.123456789Z",
            "2026-11-22T05:00:00Z"
        ]);
        let image = Image::read(&text.to_string()).unwrap();
        assert_eq!((image.tags.len(), image.digests[0].digest()), (1, Some(digest)));
        let epoch =
            json!([Digest::of_bytes(b"v1"), null, null, "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]);
        assert_eq!(Image::read(&epoch.to_string()).unwrap().built, None);
    }
}
