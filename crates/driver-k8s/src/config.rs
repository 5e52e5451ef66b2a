//! What a person configures.

use std::fmt;
use std::path::PathBuf;

use rollback_core::registry::{read_known_settings, wrong_setting};
use rollback_core::{ComponentName, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::is_name;
use crate::workload::Kind;

/// The configuration of one workload.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_driver_k8s::{K8sConfig, Kind};
/// let config = serde_json::json!({ "kind": "deployment", "name": "web", "namespace": "shop", "context": "prod" });
/// let config = K8sConfig::read(&ComponentName::new("web")?, &config)?;
/// assert_eq!(config.kind, Kind::Deployment);
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct K8sConfig {
    /// what it is: deployment, statefulset or daemonset
    pub kind: Kind,
    /// what it is called
    pub name: String,
    /// the namespace; left out, that of the context
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// the context of the kubeconfig; left out, its current one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// the path of the kubeconfig; left out, `$KUBECONFIG` or `~/.kube/config`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// use the service account of the pod that this runs in, and no kubeconfig
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_cluster: bool,
    /// the address that the API server must have: another one is refused before anything is asked
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// the UID that the namespace must have, as `kubectl get namespace NAME -o jsonpath={.metadata.uid}` prints it: another cluster
    /// is refused, whatever it is called
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// the container whose image tag is the version; left out, kubectl's default container or the only one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// whether a Deployment that is paused may be resumed by the request that puts it back; left out, it is refused
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume_paused: bool,
    /// whether tools that apply manifests are told of the rollback once it is proven: who owns which field, and kubectl's last manifest;
    /// left out, plans only say what their next apply would do
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tell_appliers: bool,
    /// whether the last lines that a crashing container wrote are part of the reason why a rollback failed, and so of reports; left
    /// out, they are
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub show_logs: bool,
    /// whether registries are asked for images that nobody is known to have, with the pull secrets of the pods; left out, they are not
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask_registries: bool,
    /// the secret key of the digests that stand for values, sixteen characters at least; the same for everybody who operates the
    /// workload. Write it as `${NAME}`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_key: Option<String>,
}

impl K8sConfig {
    /// A workload of the current context's namespace.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            namespace: None,
            context: None,
            kubeconfig: None,
            in_cluster: false,
            server: None,
            namespace_uid: None,
            container: None,
            resume_paused: false,
            tell_appliers: false,
            show_logs: true,
            ask_registries: false,
            fingerprint_key: None,
        }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Reads and checks settings. Nothing is asked of a cluster.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](rollback_core::ErrorKind::Invalid) with the setting that does not fit and what to write instead.
    pub fn read(component: &ComponentName, config: &Value) -> Result<Self> {
        let read = Self::read_unchecked(component, config)?;
        read.check()?;
        Ok(read)
    }

    /// Reads settings and looks at none of them.
    pub(crate) fn read_unchecked(component: &ComponentName, config: &Value) -> Result<Self> {
        let schema = Self::schema();
        read_known_settings(component, config, &schema)
    }

    /// Looks at the form of each setting. Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn check(&self) -> Result<()> {
        if !is_name(&self.name) {
            return Err(wrong_setting(
                "name",
                &self.name,
                "is no name that Kubernetes takes",
                "write it like web",
            ));
        }
        self.check_common()
    }

    /// Looks at the form of everything but the name: what the workloads of a selection have in common.
    pub(crate) fn check_common(&self) -> Result<()> {
        if let Some(namespace) = self.namespace.as_deref().filter(|namespace| !is_name(namespace)) {
            return Err(wrong_setting(
                "namespace",
                namespace,
                "is no namespace's name",
                "write it like shop",
            ));
        }
        if let Some(container) = self.container.as_deref().filter(|container| !is_name(container)) {
            return Err(wrong_setting(
                "container",
                container,
                "is no container's name",
                "write it as in the pod template",
            ));
        }
        if self.in_cluster && (self.context.is_some() || self.kubeconfig.is_some()) {
            let next = "leave out either `in_cluster`, or `context` and `kubeconfig`";
            return Err(wrong_setting(
                "in_cluster",
                "true",
                "goes without a kubeconfig, and one is given",
                next,
            ));
        }
        if let Some(server) = self.server.as_deref().filter(|server| !is_address(server)) {
            return Err(wrong_setting(
                "server",
                server,
                "is no address",
                "write it as in the kubeconfig, like https://10.0.0.1:6443",
            ));
        }
        if let Some(uid) = self.namespace_uid.as_deref().filter(|uid| !is_uid(uid)) {
            let next = "print it: kubectl get namespace NAME -o jsonpath={.metadata.uid}";
            return Err(wrong_setting("namespace_uid", uid, "is no UID", next));
        }
        let key = self.fingerprint_key.as_ref();
        key.map_or(Ok(()), |key| {
            rollback_core::fingerprint::FingerprintKey::secret(crate::NAME, key.as_bytes()).map(drop)
        })
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("title".to_owned(), Value::from("k8s"));
            schema.remove("description");
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        schema
    }
}

impl fmt::Debug for K8sConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("K8sConfig")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("context", &self.context)
            .field("in_cluster", &self.in_cluster)
            .finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn is_address(text: &str) -> bool {
    let uri = text.parse::<http::Uri>();
    // An address with a user in it is a secret in a setting that is printed.
    uri.is_ok_and(|uri| {
        uri.scheme().is_some() && uri.authority().is_some_and(|one| !one.as_str().contains('@'))
    })
}

fn is_uid(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use rollback_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<K8sConfig> {
        K8sConfig::read(&ComponentName::new("web").unwrap(), config)
    }

    fn full() -> Value {
        json!({
            "kind": "statefulset", "name": "db", "namespace": "shop", "context": "prod", "kubeconfig": "/etc/kubeconfig",
            "server": "https://10.0.0.1:6443", "namespace_uid": "0c5f7e0a-0000-4000-8000-000000000001", "container": "db",
            "resume_paused": true, "tell_appliers": true, "show_logs": false, "ask_registries": true, "fingerprint_key": "not for anybody's eyes",
        })
    }

    #[test]
    fn every_setting_is_read_and_known_to_the_schema() {
        let config = read(&full()).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), full());
        let schema = K8sConfig::schema();
        let known: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(known.len(), full().as_object().unwrap().len() + 1);
        assert_eq!(schema["additionalProperties"], json!(false));
        assert!(!format!("{config:?}").contains("anybody"));
        let inside = read(&json!({ "kind": "daemonset", "name": "agent", "in_cluster": true })).unwrap();
        assert!(inside.in_cluster && inside.namespace.is_none());
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused_with_advice() {
        for (key, value) in [
            ("kind", json!("pod")),
            ("name", json!("../web")),
            ("name", json!(7)),
            ("namespace", json!("Shop")),
            ("container", json!("a b")),
            ("in_cluster", json!(true)),
            ("server", json!("prod")),
            ("server", json!("https://me:secret@host")),
            ("namespace_uid", json!("a/b")),
            ("fingerprint_key", json!("short")),
            ("naem", json!("x")),
        ] {
            let mut config = full();
            config[key] = value.clone();
            let error = read(&config).expect_err(key);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key} {value}");
            assert!(error.next_step().is_some(), "{error}");
        }
    }
}
