//! A service in the double, and the command with a configuration for it.

use std::process::Command;
use std::time::Duration;

use rollback_scripted_aws::{Cloud, Fault, Server, ServiceView};
use rollback_tests::{Binaries, Ran, Result, Running};
use serde_json::{Value, json};

const BINARIES: Binaries = rollback_tests::binaries!();
/// What lets a rollout get to its end within a few looks of the command, each of which is some calls.
const PER_CALL: Duration = Duration::from_secs(2);

/// A cluster `prod` with the family `web`, and a folder with `rollback.toml`.
pub(crate) struct Bed {
    pub(crate) cloud: Cloud,
    folder: tempfile::TempDir,
    /// What the command has in its environment beside `PATH`.
    variables: Vec<(&'static str, String)>,
    server: Server,
    // Last: the server's task lives in it.
    _runtime: tokio::runtime::Runtime,
}

/// The service as it was, to be compared with what it is.
pub(crate) struct Before {
    view: Option<ServiceView>,
    definitions: Value,
}

/// The image of a release.
pub(crate) fn image(release: u32) -> String {
    format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v{release}")
}

/// What the double refuses in setting up.
#[expect(clippy::needless_pass_by_value, reason = "errors are handed over to be mapped")]
pub(crate) fn told(fault: Fault) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: {}", fault.code(), fault.message()).into()
}

/// Whether an operation changes something.
pub(crate) fn changes(operation: &str) -> bool {
    !["Describe", "List", "Get", "BatchGet"].iter().any(|looks| operation.starts_with(looks))
}

impl Bed {
    /// An empty cluster.
    pub(crate) fn empty() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let cloud = Cloud::new();
        cloud.cluster("prod");
        let server = runtime.block_on(cloud.serve())?;
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("home");
        std::fs::create_dir(&home)?;
        let variables = vec![
            ("HOME", home.display().to_string()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "not a secret".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        let bed = Self { cloud, folder, variables, server, _runtime: runtime };
        bed.configure("")?;
        Ok(bed)
    }

    /// Two releases, of which the second runs on two tasks.
    pub(crate) fn with_two(configuration: &Value) -> Result<Self> {
        let bed = Self::empty()?;
        bed.register(1)?;
        bed.register(2)?;
        bed.cloud.create_service("prod", "web", "web:1", 2, configuration).map_err(told)?;
        bed.deploy(2)?;
        bed.cloud.settle();
        // As with AWS: the looks of people do not come in the same second as the deployment.
        bed.cloud.tick(Duration::from_secs(60));
        bed.cloud.advance_per_call(PER_CALL);
        Ok(bed)
    }

    /// Registers a release whose image is in the registry.
    pub(crate) fn register(&self, release: u32) -> Result<String> {
        let image = image(release);
        let digest = self.cloud.world().images.digest(&image);
        self.cloud.world().images.tag(&image, digest);
        self.cloud.register("web", &image).map_err(told)
    }

    /// Sets the service to a release, as somebody who deploys does.
    pub(crate) fn deploy(&self, release: u32) -> Result<()> {
        self.cloud.deploy("prod", "web", &format!("web:{release}")).map(drop).map_err(told)
    }

    /// Asks the double, past faults and records.
    pub(crate) fn ask(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        self.cloud.ask(service, operation, input).map_err(told)
    }

    /// Writes a configuration with these settings of the component beside the usual ones, and whatever tables follow them.
    pub(crate) fn configure(&self, more: &str) -> Result<()> {
        self.configure_as(&format!("cluster = \"prod\"\nservice = \"web\"\n{more}"))
    }

    /// The same without cluster and service.
    pub(crate) fn configure_as(&self, settings: &str) -> Result<()> {
        let url = self.server.url();
        // A region of its own takes the place of the usual one.
        let region = if settings.contains("region") { "" } else { "region = \"eu-west-1\"\n" };
        let text =
            format!("[components.web]\ndriver = \"ecs\"\nendpoint_url = \"{url}\"\n{region}{settings}\n");
        Ok(std::fs::write(self.folder.path().join("rollback.toml"), text)?)
    }

    /// Sets a variable of the command's environment; an empty one is taken away.
    pub(crate) fn variable(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.variables.push((name, value.to_owned()));
        }
    }

    /// Starts the command. Words are separated by spaces.
    pub(crate) fn start(&self, line: &str) -> Result<Running> {
        let mut command = Command::new(BINARIES.rollback);
        command.args(line.split_whitespace()).current_dir(self.folder.path()).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Running::start(command)
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, line: &str) -> Result<Ran> {
        self.start(line)?.end()
    }

    /// What there is now, and no calls so far.
    pub(crate) fn before(&self) -> Result<Before> {
        self.cloud.forget_calls();
        let view = self.cloud.service("prod", "web");
        let definitions = self.ask("ecs", "ListTaskDefinitions", &json!({ "status": "ACTIVE" }))?;
        Ok(Before { view, definitions })
    }

    /// Fails if anything was sent that changes something, or anything is not what it was.
    #[track_caller]
    pub(crate) fn unchanged(&self, before: &Before) -> Result<()> {
        let sent: Vec<_> =
            self.cloud.calls().into_iter().map(|call| call.operation).filter(|call| changes(call)).collect();
        assert!(sent.is_empty(), "it sent {sent:?}");
        let after = self.ask("ecs", "ListTaskDefinitions", &json!({ "status": "ACTIVE" }))?;
        assert_eq!(after, before.definitions);
        let now = self.cloud.service("prod", "web");
        assert_eq!(
            now.as_ref().map(|web| &web.task_definition),
            before.view.as_ref().map(|web| &web.task_definition)
        );
        assert_eq!(now.as_ref().map(|web| web.desired), before.view.as_ref().map(|web| web.desired));
        Ok(())
    }

    /// Runs the command, which must end with `code`, say each of `texts` and what to do next, and change nothing.
    #[track_caller]
    pub(crate) fn refuses(&self, line: &str, code: i32, texts: &[&str]) -> Result<Ran> {
        let before = self.before()?;
        let ran = self.run(line)?;
        assert_eq!(ran.code, Some(code), "{line}: {ran}");
        let said = format!("{}\n{}", ran.out, ran.err);
        for text in texts {
            assert!(said.contains(text), "{line}: {text:?} is not said: {ran}");
        }
        let advised = ["next", "TO CHOOSE IT", "nothing that it could be put back to is known"];
        let advised = advised.iter().any(|advice| said.contains(advice));
        assert!(advised, "{line}: it does not say what to do: {ran}");
        assert!(!said.contains("panicked") && !said.contains("not a secret"), "{line}: {ran}");
        self.unchanged(&before)?;
        Ok(ran)
    }

    /// What the healthy tasks run.
    pub(crate) fn healthy(&self) -> Vec<String> {
        let web = self.cloud.service("prod", "web");
        web.iter().flat_map(|web| web.healthy()).map(str::to_owned).collect()
    }

    /// The calls so far, as `ecs:UpdateService`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.cloud.calls().iter().map(|call| format!("{}:{}", call.service, call.operation)).collect()
    }

    /// The calls so far that change something, as `ecs:UpdateService`.
    pub(crate) fn sent(&self) -> Vec<String> {
        let sent = self.cloud.calls().into_iter().filter(|call| changes(&call.operation));
        sent.map(|call| format!("{}:{}", call.service, call.operation)).collect()
    }
}
