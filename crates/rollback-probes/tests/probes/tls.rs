//! The `tls` probe where there is no certificate to be read. What it says of certificates is tested beside it, at a chosen time.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{Behaviour, Server, refusal, sample};

/// A CA file, so that nothing depends on what the machine trusts.
fn ca_file() -> tempfile::NamedTempFile {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
    file
}

async fn look_at(address: &str) -> rollback_core::probe::Sample {
    let ca = ca_file();
    let seen =
        sample(json!({ "kind": "tls", "address": address, "ca_file": ca.path(), "timeout": "2s" })).await;
    assert!(!seen.ok && seen.metrics.is_empty(), "{seen:?}");
    seen
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not_ok() {
    // Speaks first, as SSH and SMTP do.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let seen = look_at(&address).await;
    assert!(seen.known, "{seen:?}");
    assert!(seen.detail.ends_with("it answers, but does not speak TLS"), "{}", seen.detail);
}

#[tokio::test]
async fn a_server_that_goes_away_is_not_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let seen = look_at(&address).await;
    assert!(seen.known, "{seen:?}");
    assert!(seen.detail.contains("it went away"), "{}", seen.detail);
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_timeout() {
    let server = Server::start(Behaviour::SendThenHang(Vec::new())).await;
    let (address, ca) = (server.url("").replace("http://", ""), ca_file());
    let seen =
        sample(json!({ "kind": "tls", "address": address, "ca_file": ca.path(), "timeout": "50ms" })).await;
    assert!(seen.known && !seen.ok, "{seen:?}");
    assert!(seen.detail.ends_with("no certificate within 50ms"), "{}", seen.detail);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_known_and_not_ok() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let seen = look_at(&address).await;
    assert!(seen.known, "{seen:?}");
    assert!(seen.detail.to_lowercase().contains("connection refused"), "{}", seen.detail);
}

#[tokio::test]
async fn nobody_knows_of_a_name_that_cannot_be_looked_up() {
    // RFC 2606 keeps `.invalid` free of hosts.
    let seen = look_at("no-such-host.invalid:443").await;
    assert!(!seen.known, "{seen:?}");
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let ca = ca_file();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let with = |more: Value| {
        let mut settings = json!({ "kind": "tls", "address": "shop.test:443", "ca_file": ca.path() });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    for (settings, says) in [
        (with(json!({ "adress": "a:1" })), "did you mean \"address\"?"),
        (with(json!({ "address": "shop.test" })), "has no port"),
        (with(json!({ "address": "a_b..c:443" })), "not a name that a certificate can have"),
        (with(json!({ "server_name": "shop test" })), "not a name that a certificate can have"),
        (with(json!({ "min_days": -1 })), "invalid value"),
        (with(json!({ "timeout": "0s" })), "a timeout of nothing"),
        (with(json!({ "ca_file": "/no/such/file" })), "/no/such/file"),
        (with(json!({ "ca_file": empty.path() })), "there is no certificate in it"),
    ] {
        let text = refusal(settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
    }
}
