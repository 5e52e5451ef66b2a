//! From settings to a connection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use rollback_core::registry::known;
use rollback_core::{Error, ErrorKind, Result};

use crate::cluster::K8sCluster;
use crate::config::K8sConfig;
use crate::text::line;

/// How long an API server may be silent. A watch that is silent for longer ends, and is opened again when it is needed.
const SILENCE: Duration = Duration::from_secs(45);
const CONNECT: Duration = Duration::from_secs(10);

/// A connection, and where it leads when nothing is said.
#[derive(Clone)]
pub(crate) struct Connection {
    /// What its targets share.
    pub(crate) cluster: K8sCluster,
    pub(crate) namespace: String,
}

/// What decides where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    in_cluster: bool,
}

/// Connections that several targets share: a fleet in one cluster is asked over one.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<BTreeMap<Way, (Connection, String)>>>);

impl Connections {
    /// The connection that settings mean. Nothing is asked of the cluster.
    pub(crate) async fn open(&self, config: &K8sConfig) -> Result<Connection> {
        let way = Way {
            kubeconfig: config.kubeconfig.clone(),
            context: config.context.clone(),
            in_cluster: config.in_cluster,
        };
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&way).cloned();
        let (connection, server) = match found {
            Some(found) => found,
            None => {
                let made = connect(&way).await?;
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(way, made.clone());
                made
            }
        };
        match &config.server {
            Some(wanted) if trimmed(wanted) != trimmed(&server) => {
                let why = format!("the context leads to {server}, and {wanted} is expected");
                Err(Error::new(ErrorKind::Refused, "use the cluster", why)
                    .next("choose the right context, or correct `server`"))
            }
            _ => Ok(connection),
        }
    }
}

fn trimmed(address: &str) -> &str {
    address.trim_end_matches('/')
}

async fn connect(way: &Way) -> Result<(Connection, String)> {
    let mut config = if way.in_cluster {
        kube::Config::incluster().map_err(|error| {
            let why = format!("this runs in no pod with a service account: {}", line(&error.to_string()));
            invalid(why).next("leave out `in_cluster`, and name a `context`")
        })?
    } else {
        from_kubeconfig(way).await?
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Without it, a connection that was idle for a while would seem silent at once.
    config.reset_reader_on_write = true;
    // Only the engine decides to send again.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).map_err(|error| {
        // What is wrong with a certificate or key says nothing of its content.
        invalid(format!("its certificates or credentials cannot be used: {}", line(&error.to_string())))
            .next("check with `kubectl version` in the same context")
    })?;
    Ok((Connection { cluster: K8sCluster::new(client), namespace }, server))
}

async fn from_kubeconfig(way: &Way) -> Result<kube::Config> {
    let read = match &way.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = read.map_err(|error| unreadable(&error))?;
    let contexts: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let all = || contexts.iter().map(String::as_str);
    match &way.context {
        Some(wanted) if all().all(|context| context != wanted) => {
            return Err(Error::new(
                ErrorKind::NotFound,
                "use the kubeconfig",
                format!("it has no context {wanted:?}"),
            )
            .next(known("contexts", wanted, all())));
        }
        None if kubeconfig.current_context.as_deref().is_none_or(str::is_empty) => {
            return Err(invalid("it has no current context, and none is named".to_owned()).next(known(
                "contexts",
                "",
                all(),
            )));
        }
        _ => {}
    }
    let options = KubeConfigOptions { context: way.context.clone(), ..KubeConfigOptions::default() };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unreadable(&error))
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, "use the kubeconfig", why)
}

/// A parser quotes the line that it does not understand, which may be a token.
fn unreadable(error: &KubeconfigError) -> Error {
    match error {
        KubeconfigError::ReadConfig(cause, path) => Error::new(
            ErrorKind::NotFound,
            "use the kubeconfig",
            format!("{} cannot be read: {cause}", path.display()),
        )
        .next("set `kubeconfig` to its path, or `in_cluster` inside a pod"),
        KubeconfigError::Parse(_) => {
            invalid("it is no kubeconfig".to_owned()).next("check it with `kubectl config view`")
        }
        other => invalid(line(&other.to_string())).next("check it with `kubectl config view`"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workload::Kind;

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters:
- { name: one, cluster: { server: "https://127.0.0.1:6443" } }
contexts:
- { name: prod, context: { cluster: one, user: me, namespace: shop } }
- { name: staging, context: { cluster: one, user: me } }
users:
- { name: me, user: { token: hunter2 } }
"#;

    fn config(text: &str) -> (tempfile::TempDir, K8sConfig) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config"), text).unwrap();
        let mut config = K8sConfig::new(Kind::Deployment, "web");
        config.kubeconfig = Some(folder.path().join("config"));
        config.context = Some("prod".into());
        (folder, config)
    }

    #[tokio::test]
    async fn a_context_leads_to_its_server_and_namespace() {
        let (_keep, mut config) = config(KUBECONFIG);
        config.server = Some("https://127.0.0.1:6443/".into());
        let connections = Connections::default();
        assert_eq!(connections.open(&config).await.unwrap().namespace, "shop");
        config.server = Some("https://10.0.0.1:6443".into());
        let Err(error) = connections.open(&config).await else { panic!("another server was taken") };
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.message().contains("127.0.0.1"), "{error}");
    }

    #[tokio::test]
    async fn what_is_missing_is_said_with_what_there_is() {
        let (_keep, mut config) = config(KUBECONFIG);
        let connections = Connections::default();
        let failed = async |config: &K8sConfig| match connections.open(config).await {
            Err(error) => error,
            Ok(_) => panic!("it was taken"),
        };
        config.context = Some("prdo".into());
        let error = failed(&config).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.next_step(), Some("did you mean \"prod\"? the contexts are: prod, staging"));
        config.context = None;
        assert!(failed(&config).await.message().contains("no current context"));
        config.kubeconfig = Some("/nowhere/at/all".into());
        assert_eq!(failed(&config).await.kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_not_quoted() {
        let (_keep, config) = config("users: [token: hunter2");
        let Err(error) = Connections::default().open(&config).await else { panic!("it was taken") };
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
