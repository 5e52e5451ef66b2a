//! etcd, the API server and the controllers, as processes.

use std::path::Path;
use std::process::Command;

use super::access::{ADMIN, Access};
use super::assets::Assets;
use crate::servers::{Launch, Ready, Server, StartError};

/// Runs etcd, and removes the folder of the control plane when it ends, by whatever means. $1: the folder; then its command.
const ETCD: &str = r#"
folder=$1
shift
trap 'kill -s TERM "$etcd" 2>/dev/null' TERM INT HUP
"$@" &
etcd=$!
wait "$etcd"
wait "$etcd" 2>/dev/null
rm -rf -- "$folder"
"#;

/// What is asked of them is not held back, and what belongs to a cloud or to real nodes does not run.
const CONTROLLERS: &str = "*,-nodelifecycle,-nodeipam,-cloud-node-lifecycle,-route,-service";

pub(super) fn start_etcd(test: &str, assets: &Assets, access: &Access) -> Result<Server, StartError> {
    let folder = access.folder();
    let launch = Launch::new("etcd", |port| {
        let (here, anywhere) = (format!("http://127.0.0.1:{port}"), "http://127.0.0.1:0");
        let mut command = Command::new("/bin/sh");
        // It runs there all the same.
        if cfg!(target_arch = "aarch64") {
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        command.args(["-c", ETCD, "etcd"]).arg(folder).arg(assets.etcd());
        command.arg("--data-dir").arg(folder.join(format!("etcd-{port}")));
        command.args(["--listen-client-urls", &here, "--advertise-client-urls", &here]);
        command.args(["--listen-peer-urls", anywhere, "--initial-advertise-peer-urls", anywhere]);
        command.args(["--initial-cluster", &format!("default={anywhere}")]);
        command
    });
    launch.ready(Ready::Get("/health".to_owned())).start(test)
}

pub(super) fn start_api_server(
    test: &str,
    assets: &Assets,
    access: &Access,
    etcd: &Server,
    port: Option<u16>,
) -> Result<Server, StartError> {
    // Another name is another log.
    let name = if port.is_some() { "kube-apiserver-again" } else { "kube-apiserver" };
    let launch = Launch::new(name, |port| api_server(assets, access, &etcd.url(), port));
    match port {
        Some(port) => launch.on(port).start(test),
        None => launch.start(test),
    }
}

/// The command of an API server at `port`.
fn api_server(assets: &Assets, access: &Access, etcd: &str, port: u16) -> Command {
    let mut command = Command::new(assets.api_server());
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    command.arg(format!("--etcd-servers={etcd}"));
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
    ]);
    command.arg(format!("--secure-port={port}"));
    // Nodes are asked for logs, and their names are known to nobody.
    command.arg("--kubelet-preferred-address-types=InternalIP");
    command.arg(option("cert-dir", &access.certificates()));
    command.arg(option("token-auth-file", &access.tokens_file()));
    command.args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"]);
    command.arg("--service-account-issuer=https://kubernetes.default.svc");
    command.arg(option("service-account-key-file", &access.public_key()));
    command.arg(option("service-account-signing-key-file", &access.private_key()));
    command
}

pub(super) fn start_controllers(
    test: &str,
    assets: &Assets,
    access: &Access,
    api_server: &Server,
) -> crate::Result<Server> {
    let kubeconfig = access.kubeconfig(ADMIN, api_server.port())?;
    let launch = Launch::new("kube-controller-manager", |port| {
        let mut command = Command::new(assets.controllers());
        let mut option = |name: &str, path: &Path| {
            command.arg(format!("--{name}={}", path.display()));
        };
        for name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            option(name, &kubeconfig);
        }
        option("service-account-private-key-file", &access.private_key());
        option("root-ca-file", &access.certificate());
        option("cert-dir", &access.certificates().join("controllers"));
        command.args([
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            &format!("--controllers={CONTROLLERS}"),
        ]);
        command.args([
            format!("--secure-port={port}"),
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ]);
        // It would listen without TLS and on all addresses; later versions do not know the option.
        if assets.minor < 24 {
            command.arg("--port=0");
        }
        command
    });
    Ok(launch.start(test)?)
}
