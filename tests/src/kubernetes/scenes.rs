//! How `kubectl rollout undo` fails those who use it, each as a scene that another tool can be put into.
//!
//! ```no_run
//! # use rollback_tests::kubernetes::{ControlPlane, scenes::Scene};
//! # fn demo(plane: &ControlPlane) -> rollback_tests::Result<()> {
//! for scene in Scene::all() {
//!     let space = plane.namespace()?;
//!     scene.prepare(&space)?; // web is now at a bad release
//!     scene.undo(&space)?; // by kubectl; or by whatever is to be compared with it
//!     assert_eq!(scene.facts(&space)?, scene.by_kubectl()); // scene.wanted(), if it is better
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What needs controllers that stand still is [`deploy_behind_the_controllers`].

use serde_json::{Value, json};

use super::{ControlPlane, Frozen, Space, manifest};
use crate::{Ran, Result};

/// What all scenes are about.
pub const NAME: &str = "web";

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scene {
    /// The release before the bad one is bad too.
    PreviousIsBad,
    /// The bad release was restarted, so it is its own predecessor.
    RestartedBad,
    /// Somebody annotated the Deployment after the release that is gone back to.
    AnnotatedSince,
    /// What deploys owns the image by server-side apply.
    ServerSideApply,
    /// What deploys removed a variable by client-side apply.
    ClientSideApply,
    /// The bad pod of a StatefulSet keeps the good one from being made.
    OrderedReady,
}

impl Scene {
    /// All of them.
    #[must_use]
    pub fn all() -> [Self; 6] {
        use Scene::{
            AnnotatedSince, ClientSideApply, OrderedReady, PreviousIsBad, RestartedBad, ServerSideApply,
        };
        [PreviousIsBad, RestartedBad, AnnotatedSince, ServerSideApply, ClientSideApply, OrderedReady]
    }

    /// What it is called, for a case about it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreviousIsBad => "previous_is_bad",
            Self::RestartedBad => "restarted_bad",
            Self::AnnotatedSince => "annotated_since",
            Self::ServerSideApply => "server_side_apply",
            Self::ClientSideApply => "client_side_apply",
            Self::OrderedReady => "ordered_ready",
        }
    }

    /// Of which kind it is.
    #[must_use]
    pub fn resource(self) -> &'static str {
        if self == Self::OrderedReady { "statefulsets" } else { "deployments" }
    }

    /// Makes it, up to the bad release.
    ///
    /// # Errors
    ///
    /// When something does not come to be as it must.
    pub fn prepare(self, space: &Space<'_>) -> Result<()> {
        match self {
            Self::PreviousIsBad => deploy(space, &["v1", "bad1", "bad2"]),
            Self::RestartedBad => {
                deploy(space, &["v1", "bad"])?;
                space.kubectl(&["rollout", "restart", "deployment/web"])?.expect(0);
                seen(space, "deployments")
            }
            Self::AnnotatedSince => {
                deploy(space, &["v1", "bad"])?;
                let team = json!({ "metadata": { "annotations": { "team": "payments" } } });
                space.patch("deployments", NAME, &team)?;
                Ok(())
            }
            Self::ServerSideApply => {
                for version in ["v1", "bad"] {
                    apply_server_side(space, version)?.expect(0);
                    seen(space, "deployments")?;
                }
                Ok(())
            }
            Self::ClientSideApply => {
                apply(space, "v1", true)?.expect(0);
                seen(space, "deployments")?;
                apply(space, "bad", false)?.expect(0);
                seen(space, "deployments")
            }
            Self::OrderedReady => {
                space.create(&manifest::stateful_set(NAME, "v1", 2))?;
                space.until_rolled_out("statefulsets", NAME)?;
                space.set_image("statefulsets", NAME, "bad")?;
                space.until_waiting(NAME, "CrashLoopBackOff")?;
                Ok(())
            }
        }
    }

    /// Goes back with kubectl, as runbooks do.
    ///
    /// # Errors
    ///
    /// When there is no kubectl.
    pub fn undo(self, space: &Space<'_>) -> Result<Ran> {
        space.kubectl(&["rollout", "undo", &format!("{}/{NAME}", self.resource())])
    }

    /// What came of it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn facts(self, space: &Space<'_>) -> Result<Value> {
        seen(space, self.resource())?;
        let version = space.version(self.resource(), NAME)?;
        Ok(match self {
            Self::PreviousIsBad | Self::RestartedBad => json!({ "version": version }),
            Self::AnnotatedSince => {
                let web = space.get("deployments", NAME)?;
                json!({ "version": version, "team": web["metadata"]["annotations"]["team"] })
            }
            Self::ServerSideApply => {
                let next = apply_server_side(space, "v3")?;
                json!({ "version": version, "the next apply": if next.code == Some(0) { "goes" } else { "conflicts" } })
            }
            Self::ClientSideApply => {
                apply(space, "v3", false)?.expect(0);
                let container = &space.get("deployments", NAME)?["spec"]["template"]["spec"]["containers"][0];
                json!({ "version": version, "DEBUG after the next apply": container["env"].is_array() })
            }
            Self::OrderedReady => json!({ "version": version, "stuck": is_stuck(space)? }),
        })
    }

    /// What comes of it with kubectl.
    #[must_use]
    pub fn by_kubectl(self) -> Value {
        match self {
            Self::PreviousIsBad => json!({ "version": "bad1" }),
            Self::RestartedBad => json!({ "version": "bad" }),
            Self::AnnotatedSince => json!({ "version": "v1", "team": null }),
            Self::ServerSideApply => json!({ "version": "v1", "the next apply": "conflicts" }),
            Self::ClientSideApply => json!({ "version": "v1", "DEBUG after the next apply": true }),
            Self::OrderedReady => json!({ "version": "v1", "stuck": true }),
        }
    }

    /// What people want to come of it.
    #[must_use]
    pub fn wanted(self) -> Value {
        match self {
            Self::PreviousIsBad | Self::RestartedBad => json!({ "version": "v1" }),
            Self::AnnotatedSince => json!({ "version": "v1", "team": "payments" }),
            Self::ServerSideApply => json!({ "version": "v1", "the next apply": "goes" }),
            Self::ClientSideApply => json!({ "version": "v1", "DEBUG after the next apply": false }),
            Self::OrderedReady => json!({ "version": "v1", "stuck": false }),
        }
    }
}

/// v1, v2, and then a bad release that the controllers have not seen: kubectl goes back to v1, and v2 was meant. The controllers go on
/// when what it gives is dropped. The control plane must be the test's own.
///
/// # Errors
///
/// When something does not come to be as it must.
pub fn deploy_behind_the_controllers(plane: &ControlPlane, space: &Space<'_>) -> Result<Frozen> {
    deploy(space, &["v1", "v2"])?;
    let frozen = plane.freeze_controllers()?;
    space.set_image("deployments", NAME, "bad")?;
    Ok(frozen)
}

/// Deploys versions one after the other. A good one is waited for until it runs, a bad one until the controllers have seen it.
///
/// # Errors
///
/// When that does not come.
pub fn deploy(space: &Space<'_>, versions: &[&str]) -> Result<()> {
    for (number, version) in versions.iter().enumerate() {
        if number == 0 {
            space.create(&manifest::deployment(NAME, version, 2))?;
        } else {
            space.set_image("deployments", NAME, version)?;
        }
        if version.starts_with('v') {
            space.until_rolled_out("deployments", NAME)?;
        }
        seen(space, "deployments")?;
    }
    Ok(())
}

/// Waits until the controllers have seen what is wanted, and made a revision of it.
///
/// # Errors
///
/// When that does not come.
pub fn seen(space: &Space<'_>, resource: &str) -> Result<()> {
    let seen = |web: &Value| web["status"]["observedGeneration"] == web["metadata"]["generation"];
    space.until_one("the controllers", resource, NAME, seen)?;
    Ok(())
}

/// `kubectl apply --server-side`, by what deploys.
///
/// # Errors
///
/// When there is no kubectl.
pub fn apply_server_side(space: &Space<'_>, version: &str) -> Result<Ran> {
    let file = written(space, &manifest::deployment(NAME, version, 2))?;
    space.kubectl(&["apply", "--server-side", "--field-manager=ci", "--filename", &file])
}

/// `kubectl apply`, by what deploys, with the variable DEBUG or without it.
///
/// # Errors
///
/// When there is no kubectl.
pub fn apply(space: &Space<'_>, version: &str, debug: bool) -> Result<Ran> {
    let mut deployment = manifest::deployment(NAME, version, 2);
    if debug {
        let variables = json!([{ "name": "DEBUG", "value": "1" }]);
        deployment["spec"]["template"]["spec"]["containers"][0]["env"] = variables;
    }
    space.kubectl(&["apply", "--filename", &written(space, &deployment)?])
}

fn written(space: &Space<'_>, object: &Value) -> Result<String> {
    let path = space.plane().folder().join(format!("{}.json", space.name()));
    std::fs::write(&path, object.to_string())?;
    Ok(path.display().to_string())
}

/// Whether a bad pod is still there after one more time that it was started, or all pods came back before that.
fn is_stuck(space: &Space<'_>) -> Result<bool> {
    let restarts =
        |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
    let bad = |pod: &&Value| {
        pod["spec"]["containers"][0]["image"].as_str().is_some_and(|image| image.contains(":bad"))
    };
    let now: u64 = space.list("pods")?.iter().filter(bad).map(restarts).sum();
    let pods = space.until("the pods to be back, or to crash again", "pods", |pods| {
        let bad: Vec<&Value> = pods.iter().filter(bad).collect();
        let ready = |pod: &Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        (bad.is_empty() && pods.len() == 2 && pods.iter().all(ready))
            || bad.iter().any(|pod| restarts(pod) > now)
    })?;
    Ok(pods.iter().any(|pod| bad(&pod)))
}
