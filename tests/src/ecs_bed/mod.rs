//! ECS that runs: ministack as the control plane and the registry, and a Docker daemon for the tasks.
//!
//! ```no_run
//! use rollback_tests::ecs_bed::{CRASHING, EcsBed};
//! use rollback_tests::servers::need;
//!
//! # fn a_case() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let bed = EcsBed::shared()?;
//! // let bed = need(EcsBed::shared())?; in a case
//! let service = bed.service(1)?; // in an account of its own, already at v1
//! service.deploy(CRASHING)?;
//! service.until_rolled_out("v1")?; // the circuit breaker went back by itself
//! assert_eq!(service.running_images()?, ["v1"]);
//! # Ok(())
//! # }
//! ```
//!
//! Images are named as in ECR, `ACCOUNT.dkr.ecr.us-east-1.amazonaws.com/web:v1`, and the daemon pulls them from ministack, which it
//! reaches through a proxy: digests are those of a registry, and tasks report them. All tasks share the network of the
//! machine, and each service has a port on which one of its running tasks answers with its version.

mod images;
mod service;

use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::json;

pub use self::service::EcsService;
use crate::Result;
use crate::proxy::Proxy;
use crate::servers::{Account, Docker, Ministack, Place, Registries, StartError};

/// The version whose tasks die a moment after their start.
pub const CRASHING: &str = "crashing";
/// The version whose tasks run and answer 404 instead of with their version.
pub const BROKEN: &str = "broken";
/// The version that no registry has.
pub const MISSING: &str = "missing";

/// How many accounts a bed has. The daemon wants to know all registries that it speaks to without TLS when it starts.
const ACCOUNTS: usize = 64;

/// ministack and a Docker daemon, which belong together.
#[derive(Debug)]
pub struct EcsBed {
    // In this order: the daemon ends all containers at once, and ministack then has none to end one by one.
    docker: Docker,
    ministack: Ministack,
    accounts: Mutex<Vec<Account>>,
    _registry: Proxy,
}

impl EcsBed {
    /// One of its own, which ends with it. `test` names the folder of its logs.
    ///
    /// # Errors
    ///
    /// When something is not installed or does not start.
    pub fn start(test: &str) -> Result<Self, StartError> {
        // Before anything is started: without it there are no images.
        crate::servers::static_busybox()?;
        let place = Place::new();
        let ministack = Ministack::start_on(test, &place.host())?;
        let failed = |why: String| StartError::Failed(why);
        let registry = Proxy::http(("127.0.0.1", ministack.server().port()));
        let registry = registry.map_err(|error| failed(format!("no way to the registry: {error}")))?;
        let accounts: Vec<Account> = (0..ACCOUNTS).map(|_| ministack.account()).collect();
        let registries =
            Registries { plain: accounts.iter().map(registry_of).collect(), proxy: Some(registry.url()) };
        let docker = Docker::start(test, &place, &registries)?;
        images::make(docker.engine()).map_err(|error| failed(format!("no images: {error}")))?;
        Ok(Self { docker, ministack, accounts: Mutex::new(accounts), _registry: registry })
    }

    /// The one that all tests of this process share. It starts when it is first asked for and ends with the process.
    ///
    /// # Errors
    ///
    /// When something is not installed or does not start.
    pub fn shared() -> Result<&'static Self, StartError> {
        static SHARED: OnceLock<Result<EcsBed, StartError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&crate::servers::this_test())).as_ref().map_err(Clone::clone)
    }

    /// The Docker daemon.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The control plane.
    #[must_use]
    pub fn ministack(&self) -> &Ministack {
        &self.ministack
    }

    /// `http://127.0.0.1:PORT` of the control plane.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.ministack.server().url()
    }

    /// An account that nobody else uses, with the images of all versions in its registry.
    ///
    /// # Errors
    ///
    /// When there is none left, or images cannot be pushed.
    pub fn account(&self) -> Result<Account> {
        let account = self.accounts.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let account = account.ok_or("this bed has no account left")?;
        service::call(
            &account,
            "ecr",
            "CreateRepository",
            &json!({ "repositoryName": service::REPOSITORY }),
        )?;
        for version in images::VERSIONS {
            let name = service::image(&account, version);
            self.docker.engine().tag(&images::local(version), &name)?;
            self.docker.engine().push(&name)?;
            // Or a task would be started with the image that is here, whatever the registry says.
            self.docker.engine().forget(&name)?;
        }
        Ok(account)
    }

    /// A service of `count` tasks, rolled out at v1, in an account of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn service(&self, count: u32) -> Result<EcsService> {
        EcsService::make(self.account()?, self.docker.engine().clone(), count)
    }
}

/// The host of an account's registry.
fn registry_of(account: &Account) -> String {
    format!("{}.dkr.ecr.{}.amazonaws.com", account.id(), account.region())
}
