//! The command line of compose: as the project was deployed, by whichever compose deployed it.

use std::collections::BTreeMap;
use std::time::Duration;

use rollback_core::time::Lasting;
use rollback_core::{Error, ErrorKind, Result};
use rollback_ssh_support::{Command, RemotePath};

use crate::config::Deployed;
use crate::image::ServiceImage;
use crate::look::HostLook;
use crate::names::{Project, Service};

const PINNED_UP: &str = include_str!("pinned_up.sh");
const RETAGGED_UP: &str = include_str!("retagged_up.sh");
const WHOLE: &str = include_str!("whole.sh");

/// Which compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `docker-compose`, in Python.
    V1,
    /// `docker compose`, the plugin.
    V2,
}

/// How a project is deployed on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compose {
    project: Project,
    flavour: Flavour,
    directory: RemotePath,
    files: Vec<String>,
    env_file: Option<String>,
    stop_timeout: Option<Lasting>,
    pin: RemotePath,
}

impl Compose {
    /// As the settings say, else as the newest container was made.
    pub(crate) fn of(project: &Project, settings: &Deployed, look: &HostLook) -> Result<Self> {
        let untold = |what: &str| {
            let message = format!("{}: no container says {what}", look.host);
            Error::new(ErrorKind::Unsupported, "run compose", message)
                .next("set `directory` and `files` as the project is deployed with")
        };
        let made = look.deployed_by();
        let flavour = match (settings.compose_v1, made) {
            (Some(true), _) => Flavour::V1,
            (None, Some(made)) if made.version.starts_with("1.") => Flavour::V1,
            _ => Flavour::V2,
        };
        let directory = match (&settings.directory, made) {
            (Some(directory), _) => directory.clone(),
            (None, Some(made)) => RemotePath::new(made.directory.as_str())
                .map_err(|_| untold("in which folder it was deployed"))?,
            (None, None) => return Err(untold("in which folder it was deployed")),
        };
        let pin = look.home.join(&format!(".local/state/rollback/pins/{project}.yaml"))?;
        let mut files = match (settings.files.as_slice(), made) {
            ([], Some(made)) => made.files.clone(),
            (files, _) => files.to_vec(),
        };
        // A rollback before this one: its file is replaced, not added to.
        files.retain(|file| file != pin.as_str());
        if files.is_empty() {
            return Err(untold("from which files it was deployed"));
        }
        let env_file = settings.env_file.clone().or_else(|| made.and_then(|made| made.env_file.clone()));
        let stop_timeout = settings.stop_timeout;
        Ok(Self { project: project.clone(), flavour, directory, files, env_file, stop_timeout, pin })
    }

    /// Where the pin is.
    pub(crate) fn pin(&self) -> &RemotePath {
        &self.pin
    }

    /// What people call it.
    pub(crate) fn name(&self) -> &'static str {
        match self.flavour {
            Flavour::V1 => "docker-compose",
            Flavour::V2 => "docker compose",
        }
    }

    /// The folder it runs in.
    pub(crate) fn directory(&self) -> &RemotePath {
        &self.directory
    }

    fn argv(&self, pinned: bool) -> Vec<String> {
        let program: &[&str] = match self.flavour {
            Flavour::V1 => &["docker-compose"],
            Flavour::V2 => &["docker", "compose"],
        };
        let mut argv: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        argv.extend(["--project-name".to_owned(), self.project.to_string()]);
        argv.extend(["--project-directory".to_owned(), self.directory.to_string()]);
        if let Some(env_file) = &self.env_file {
            argv.extend(["--env-file".to_owned(), env_file.clone()]);
        }
        let pin = pinned.then(|| self.pin.to_string());
        for file in self.files.iter().cloned().chain(pin) {
            argv.extend(["--file".to_owned(), file]);
        }
        argv
    }

    /// `up` of some services, each with as many containers as it has: without `--scale` compose would take the file's word for that.
    fn up(&self, pinned: bool, look: &HostLook, services: Option<Vec<&Service>>) -> Vec<String> {
        let mut argv = self.argv(pinned);
        argv.extend(["up", "--detach", "--no-build"].map(str::to_owned));
        if self.flavour == Flavour::V2 {
            // What was seen is what runs: no tag is asked for again.
            argv.extend(["--pull", "never"].map(str::to_owned));
        }
        argv.extend(self.stops_within());
        let Some(services) = services else { return argv };
        argv.push("--no-deps".to_owned());
        for service in &services {
            let count = look.of(service).count();
            if count > 1 {
                argv.extend(["--scale".to_owned(), format!("{service}={count}")]);
            }
        }
        argv.extend(services.into_iter().map(ToString::to_string));
        argv
    }

    /// How long containers have to end, where that is not left to the project.
    fn stops_within(&self) -> impl Iterator<Item = String> {
        let seconds = self.stop_timeout.map(|time| time.as_duration().as_secs().to_string());
        seconds.into_iter().flat_map(|seconds| ["--timeout".to_owned(), seconds])
    }

    fn command(&self, script: &'static str, limit: Duration) -> Command {
        Command::script(script).current_dir(self.directory.clone()).limit(limit)
    }

    /// Pins images and brings their services up.
    pub(crate) fn pinned_up(
        &self,
        look: &HostLook,
        images: &BTreeMap<Service, ServiceImage>,
        limit: Duration,
    ) -> Command {
        self.command(PINNED_UP, limit).args([self.pin.to_string(), self.pin_text(images)]).args(self.up(
            true,
            look,
            Some(images.keys().collect()),
        ))
    }

    /// Moves the tags that containers were made by, and brings their services up.
    pub(crate) fn retagged_up(
        &self,
        look: &HostLook,
        images: &BTreeMap<Service, ServiceImage>,
        limit: Duration,
    ) -> Result<Command> {
        let mut pairs = Vec::new();
        for (service, image) in images {
            let reference = look.of(service).find_map(|container| container.reference.clone());
            let tagged = reference.filter(|reference| reference.digest().is_none()).ok_or_else(|| {
                let message = format!(
                    "{}: the containers of {service} were made by a digest: there is no tag to move",
                    look.host
                );
                Error::new(ErrorKind::Unsupported, "move tags", message).next("use the strategy `pin`")
            })?;
            let tag = tagged.tag().map_or(format!("{tagged}:latest"), |_| tagged.to_string());
            pairs.extend([image.exact(), tag]);
        }
        Ok(self.command(RETAGGED_UP, limit).arg((pairs.len() / 2).to_string()).args(pairs).args(self.up(
            false,
            look,
            Some(images.keys().collect()),
        )))
    }

    /// The whole project down, and up again with pinned images.
    pub(crate) fn whole(
        &self,
        look: &HostLook,
        images: &BTreeMap<Service, ServiceImage>,
        limit: Duration,
    ) -> Command {
        let down: Vec<String> =
            self.argv(true).into_iter().chain(["down".to_owned()]).chain(self.stops_within()).collect();
        self.command(WHOLE, limit)
            .args([self.pin.to_string(), self.pin_text(images), down.len().to_string()])
            .args(down)
            .args(self.up(true, look, None))
    }

    /// A command in one of a service's containers.
    pub(crate) fn exec(&self, service: &Service, run: &[String]) -> Command {
        // What was pinned is what runs: the file that pins it is no matter here.
        let mut argv = self.argv(false).into_iter();
        let program = argv.next().unwrap_or_default();
        let words = ["exec".to_owned(), "-T".to_owned(), service.to_string()];
        Command::new(program)
            .args(argv)
            .args(words)
            .args(run.iter().cloned())
            .current_dir(self.directory.clone())
    }

    /// The rendered configuration without the pin, as text. It may hold secrets.
    pub(crate) fn config(&self) -> Command {
        let mut argv = self.argv(false).into_iter();
        let program = argv.next().unwrap_or_default();
        Command::new(program).args(argv).arg("config").current_dir(self.directory.clone())
    }

    /// The names of the project's services, a line for each.
    pub(crate) fn services(&self) -> Command {
        self.config().arg("--services")
    }

    /// Names and references hold nothing that YAML or compose would read otherwise.
    fn pin_text(&self, images: &BTreeMap<Service, ServiceImage>) -> String {
        let mut text = format!(
            "# Written by rollback, which pins {} with it. The next deploy without this file leaves it.\nservices:\n",
            self.project
        );
        for (service, image) in images {
            text.push_str(&format!("  {service}:\n    image: \"{}\"\n", image.exact()));
        }
        text
    }
}

/// The rendered configuration without the lines that name images: those are what is rolled back.
pub(crate) fn without_images(config: &str) -> String {
    let lines = config.lines().filter(|line| !line.trim_start().starts_with("image:"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use rollback_core::Digest;
    use serde_json::json;

    use super::*;
    use crate::image::Which;
    use crate::look::tests::answer;

    fn web() -> Service {
        Service::new("web").unwrap()
    }

    fn seen(text: &str) -> HostLook {
        HostLook::read("web-1", &[web()], text).unwrap()
    }

    fn deployed(reference: &str) -> String {
        answer("v2", reference, &["m2"], &json!({ "Status": "running", "StartedAt": "2026" }))
    }

    fn images() -> BTreeMap<Service, ServiceImage> {
        let repository = "127.0.0.1:5000/web".parse().unwrap();
        BTreeMap::from([(web(), ServiceImage::new(&repository, Which::Digest(Digest::of_bytes(b"m1"))))])
    }

    fn compose(look: &HostLook) -> Compose {
        Compose::of(&Project::new("shop").unwrap(), &Deployed::default(), look).unwrap()
    }

    fn argv(command: &Command) -> String {
        command.argv().unwrap()[4..].join(" ")
    }

    #[test]
    fn the_services_alone_are_brought_up_by_what_deployed_them() {
        let look = seen(&deployed("127.0.0.1:5000/web:latest"));
        let up = argv(&compose(&look).pinned_up(&look, &images(), Duration::from_secs(1)));
        let pin = "/home/deploy/.local/state/rollback/pins/shop.yaml";
        assert!(up.starts_with(pin), "{up}");
        let wanted = format!(
            "docker compose --project-name shop --project-directory /srv/shop --file /srv/shop/compose.yaml --file /srv/shop/prod.yaml --file {pin} up --detach --no-build --pull never --no-deps web"
        );
        assert!(up.ends_with(&wanted), "{up}");
        assert!(up.contains(&format!("image: \"127.0.0.1:5000/web@{}\"", Digest::of_bytes(b"m1"))), "{up}");
        let first = seen(&deployed("web:latest").replace("2.26.1", "1.29.2"));
        let up = argv(&compose(&first).pinned_up(&first, &images(), Duration::from_secs(1)));
        assert!(up.contains("docker-compose --project-name shop") && !up.contains("--pull"), "{up}");
    }

    #[test]
    fn how_long_containers_have_to_end_may_be_said() {
        let look = seen(&deployed("web:latest"));
        let settings = Deployed { stop_timeout: Some(Lasting::from_secs(0)), ..Deployed::default() };
        let compose = Compose::of(&Project::new("shop").unwrap(), &settings, &look).unwrap();
        let up = argv(&compose.pinned_up(&look, &images(), Duration::from_secs(1)));
        assert!(up.ends_with("--pull never --timeout 0 --no-deps web"), "{up}");
        let whole = argv(&compose.whole(&look, &images(), Duration::from_secs(1)));
        assert!(whole.contains(" down --timeout 0 docker compose "), "{whole}");
    }

    #[test]
    fn what_was_pinned_before_is_pinned_anew_and_scales_are_kept() {
        let text = deployed("web:latest")
            .replace("/srv/shop/prod.yaml", "/home/deploy/.local/state/rollback/pins/shop.yaml");
        let mut look = seen(&text);
        let mut second = look.containers[0].clone();
        second.id = "two".into();
        look.containers.push(second);
        let up = argv(&compose(&look).pinned_up(&look, &images(), Duration::from_secs(1)));
        assert_eq!(up.matches("--file").count(), 2, "{up}");
        assert!(up.ends_with("--no-deps --scale web=2 web"), "{up}");
    }

    #[test]
    fn a_tag_is_moved_if_there_is_one() {
        let look = seen(&deployed("127.0.0.1:5000/web:latest"));
        let moved = argv(&compose(&look).retagged_up(&look, &images(), Duration::from_secs(1)).unwrap());
        let exact = format!(
            "1 127.0.0.1:5000/web@{} 127.0.0.1:5000/web:latest docker compose",
            Digest::of_bytes(b"m1")
        );
        assert!(moved.starts_with(&exact) && !moved.contains("pins"), "{moved}");
        let pinned = seen(&deployed(&format!("127.0.0.1:5000/web@{}", Digest::of_bytes(b"m2"))));
        let error = compose(&pinned).retagged_up(&pinned, &images(), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn who_says_nothing_is_asked_for_settings() {
        let none = seen("host a\nhome /root\ndocker 20\n");
        let project = Project::new("shop").unwrap();
        assert!(Compose::of(&project, &Deployed::default(), &none).is_err());
        let settings = Deployed {
            directory: Some(RemotePath::new("/srv/shop").unwrap()),
            files: vec!["compose.yaml".into()],
            ..Deployed::default()
        };
        assert_eq!(Compose::of(&project, &settings, &none).unwrap().name(), "docker compose");
    }

    #[test]
    fn images_are_no_part_of_the_configuration() {
        let (one, other) = (
            "services:\n  web:\n    image: web:v1\n    ports: []",
            "services:\n  web:\n    image: web:v2\n    ports: []",
        );
        assert_eq!(without_images(one), without_images(other));
        assert_ne!(without_images(one), without_images(&other.replace("[]", "[80]")));
    }
}
