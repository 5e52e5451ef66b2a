//! The real control plane of Kubernetes: etcd, the API server and the controllers, with nodes that are played.
//!
//! ```no_run
//! use rollback_testkit::harness::CaseResult;
//! use rollback_tests::kubernetes::{ControlPlane, manifest};
//! use rollback_tests::servers::need;
//!
//! async fn a_case() -> CaseResult {
//!     let plane = need(ControlPlane::shared())?; // one for all cases, a namespace for each
//!     let space = plane.namespace()?;
//!     space.create(&manifest::deployment("web", "v1", 2))?;
//!     space.until_rolled_out("deployments", "web")?;
//!     space.set_image("deployments", "web", "bad")?; // crashes; or "v2", "nopull", "slow", "decay": see `Fate`
//!     space.until_waiting("web", "CrashLoopBackOff")?;
//!     space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0); // the real kubectl
//!     space.until_rolled_out("deployments", "web")?;
//!     let client = plane.client().await?; // for this runtime; or plane.kubeconfig("admin")
//!     Ok(())
//! }
//! ```
//!
//! `tests/install-servers kubernetes` builds it, or `KUBEBUILDER_ASSETS` names a folder with one. No container runs: a small kubelet
//! makes three nodes, binds pods and tells of containers what their image says. Requests and waiting are done by a thread of
//! the control plane, so tests need not be async.

mod access;
mod assets;
mod front;
mod kubectl;
mod kubelet;
pub mod manifest;
mod processes;
pub mod scenes;
mod space;
mod tls;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use kube::Client;
use serde_json::{Value, json};

use self::access::{ADMIN, Access};
use self::assets::Assets;
pub use self::front::Front;
pub use self::kubelet::{DECAY, EXIT_CODE, Fate, LAST_WORDS, SLOW};
use self::kubelet::{Kubelet, Registry};
pub use self::space::Space;
use self::tls::Tls;
pub use self::worker::client;
use self::worker::{Api, Worker};
use crate::servers::{Server, StartError};
use crate::{Result, until};

/// How many nodes there are.
pub const NODES: usize = 3;

/// A control plane, which ends with this.
#[derive(Debug)]
pub struct ControlPlane {
    // In this order they end: nobody asks for what is no longer there.
    worker: Worker,
    controllers: Server,
    api_server: Server,
    etcd: Server,
    admin: Api,
    registry: Arc<Registry>,
    access: Access,
    assets: Assets,
    test: String,
}

impl ControlPlane {
    /// One of its own. `test` names the folder of its logs.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start(test: &str) -> Result<Self, StartError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let assets = Assets::find()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("rollback-kubernetes-{}-{number}", std::process::id()));
        let failed =
            |what: &str, error: &dyn std::fmt::Display| StartError::Failed(format!("{what}: {error}"));
        let access = Access::make(folder).map_err(|error| failed("no folder for a control plane", &error))?;
        let worker = Worker::start().map_err(|error| failed("no thread for a control plane", &error))?;
        let etcd = processes::start_etcd(test, &assets, &access)?;
        let mut api_server = processes::start_api_server(test, &assets, &access, &etcd, None)?;
        let admin = until_ready(&worker, &access, &mut api_server)
            .map_err(|error| failed("kube-apiserver", &error))?;
        let controllers = processes::start_controllers(test, &assets, &access, &api_server);
        let controllers = controllers.map_err(|error| failed("kube-controller-manager", &error))?;
        let registry = Arc::new(Registry::default());
        let nodes = run_nodes(&worker, &access, &admin, &registry);
        nodes.map_err(|error| failed("no nodes", &error))?;
        Ok(Self {
            worker,
            controllers,
            api_server,
            etcd,
            admin,
            registry,
            access,
            assets,
            test: test.to_owned(),
        })
    }

    /// The one that all tests of this process share. It starts when it is first asked for and ends with the process.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn shared() -> Result<&'static Self, StartError> {
        static SHARED: OnceLock<Result<ControlPlane, StartError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&crate::servers::this_test())).as_ref().map_err(Clone::clone)
    }

    /// A namespace that nobody else uses, in which pods can be made.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn namespace(&self) -> Result<Space<'_>> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Space::make(self, format!("shop-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The second number of its version: 20 in v1.20.2.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.assets.minor
    }

    /// The port of the API server on 127.0.0.1, where it speaks TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.api_server.port()
    }

    /// A kubeconfig file for `admin`, who may do everything, or for `operator`, `viewer` or `nobody`, who may do what roles let
    /// them. It is gone when the control plane is.
    ///
    /// # Errors
    ///
    /// When there is nobody of that name.
    pub fn kubeconfig(&self, who: &str) -> Result<PathBuf> {
        self.access.kubeconfig(who, self.port())
    }

    /// A kubeconfig file with a token that the API server does not know: it may have known it once.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn expired_kubeconfig(&self) -> Result<PathBuf> {
        self.access.kubeconfig_with("expired", "4b1d0000-0000-4000-8000-000000000000", self.port())
    }

    /// A client of the administrator for the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig(ADMIN)?).await
    }

    /// Asks the API server as the administrator. Patches are JSON merge patches.
    ///
    /// # Errors
    ///
    /// When it refuses, with its words.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (api, method, path) = (self.admin.clone(), method.to_owned(), path.to_owned());
        self.worker.run(async move { api.ask(&method, &path, content, body).await })?
    }

    /// Moves a tag to another image: pods that start from now on run another digest.
    pub fn push(&self, version: &str) {
        self.registry.push(&manifest::image(version));
    }

    /// The image of a version as containers that run it name it, by digest, in `imageID`.
    #[must_use]
    pub fn image_id(&self, version: &str) -> String {
        self.registry.id(&manifest::image(version))
    }

    /// Stops the controllers until what it gives is dropped: nothing that is asked of them happens meanwhile. Not on a control
    /// plane that tests share.
    ///
    /// # Errors
    ///
    /// When they cannot be stopped.
    pub fn freeze_controllers(&self) -> Result<Frozen> {
        let pid = self.controllers.pid();
        crate::signal(pid, "STOP")?;
        Ok(Frozen { pid })
    }

    /// A way to it on which things go wrong when they are told to.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub fn front(&self) -> Result<Front<'_>> {
        Front::start(self)
    }

    /// Ends the API server, and all connections with it, and starts it again on the same port: what an upgrade of it looks like.
    /// Not on a control plane that tests share.
    ///
    /// # Errors
    ///
    /// When it does not start again.
    pub fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.end();
        let port = Some(self.api_server.port());
        self.api_server =
            processes::start_api_server(&self.test, &self.assets, &self.access, &self.etcd, port)?;
        until_ready(&self.worker, &self.access, &mut self.api_server)?;
        Ok(())
    }

    /// The processes: etcd, the API server, the controllers.
    #[must_use]
    pub fn servers(&self) -> [&Server; 3] {
        [&self.etcd, &self.api_server, &self.controllers]
    }

    /// The folder with what it is started with.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.access.folder()
    }
}

/// Controllers that stand still.
#[derive(Debug)]
#[must_use = "they go on when it is dropped"]
pub struct Frozen {
    pid: u32,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // If they have ended, there is nothing to go on.
        let _ = crate::signal(self.pid, "CONT");
    }
}

/// Makes nodes, and lets them run.
fn run_nodes(worker: &Worker, access: &Access, admin: &Api, registry: &Arc<Registry>) -> Result<()> {
    let (tls, listener) = (Tls::of(access)?, front::listener()?);
    let port = listener.local_addr()?.port();
    let kubelet = worker.run(Kubelet::register(admin.clone(), Arc::clone(registry), NODES, port))??;
    worker.spawn(kubelet::serve(listener, tls, kubelet.logs()));
    worker.spawn(kubelet.run());
    Ok(())
}

/// Waits until the API server takes requests: it listens before it does.
fn until_ready(worker: &Worker, access: &Access, server: &mut Server) -> Result<Api> {
    let kubeconfig = access.kubeconfig(ADMIN, server.port())?;
    let api = worker.run(async move { Api::by(&kubeconfig).await })??;
    let found = until("the API server to be ready", || {
        if !server.runs() {
            return Some(Err(format!("it ended:\n{}", server.written())));
        }
        let api = api.clone();
        matches!(worker.run(async move { api.is_ready().await }), Ok(true)).then_some(Ok(()))
    });
    found.map_err(|error| format!("{error}:\n{}", server.written()))??;
    Ok(api)
}

/// The path of a collection in a namespace: `deployments` in `shop`. Version 1.20 has disruption budgets elsewhere.
fn collection(minor: u32, namespace: &str, resource: &str) -> String {
    let group = match resource {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "controllerrevisions" => {
            "apis/apps/v1"
        }
        "jobs" => "apis/batch/v1",
        "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
        "horizontalpodautoscalers" => "apis/autoscaling/v1",
        "poddisruptionbudgets" if minor < 21 => "apis/policy/v1beta1",
        "poddisruptionbudgets" => "apis/policy/v1",
        _ => "api/v1",
    };
    format!("/{group}/namespaces/{namespace}/{resource}")
}

/// A namespace as it is made.
fn namespace_named(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}
