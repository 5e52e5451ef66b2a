//! E-mail, to a small server on this machine.

use std::sync::{Arc, Mutex};

use rollback_core::ErrorKind;
use rollback_notify::{Setup, SinkSpec, Subscription};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::http::notice;

const PASSWORD: &str = "hunter2-hunter2";

/// What a mail server is like.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    starttls: bool,
    tls: bool,
    /// What it says to a recipient.
    recipient: Option<&'static str>,
    /// What it says to a login.
    login: Option<&'static str>,
}

/// A mail server; it ends with the runtime.
struct Mail {
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Mail {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move { connection(stream, manner, &log).await });
            }
        });
        Self { port, lines }
    }

    fn heard(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

/// The certificate is for tests only: whoever signed it is trusted nowhere else, and its key was thrown away.
fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn connection(stream: TcpStream, manner: Manner, log: &Mutex<Vec<String>>) {
    if manner.tls {
        let Ok(stream) = acceptor().accept(stream).await else { return };
        talk(stream, manner, log, true).await;
        return;
    }
    let Some(stream) = talk(stream, manner, log, true).await else { return };
    let Ok(stream) = acceptor().accept(stream).await else { return };
    log.lock().unwrap().push("(encrypted)".to_owned());
    talk(stream, Manner { starttls: false, ..manner }, log, false).await;
}

/// Until the connection is to be encrypted, which gives it back, or ends.
async fn talk<S>(stream: S, manner: Manner, log: &Mutex<Vec<String>>, greet: bool) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    if greet {
        stream.write_all(b"220 mail\r\n").await.ok()?;
    }
    let mut text = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        log.lock().unwrap().push(line.clone());
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "." if text => "250 taken",
            _ if text => continue,
            "EHLO" if manner.starttls => "250-mail\r\n250 STARTTLS",
            "EHLO" => "250-mail\r\n250 AUTH PLAIN",
            "STARTTLS" => "220 go",
            "AUTH" => manner.login.unwrap_or("235 welcome"),
            "RCPT" => manner.recipient.unwrap_or("250 ok"),
            "DATA" => "354 go",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        text = word == "DATA" || (text && word != ".");
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        if word == "STARTTLS" {
            return Some(stream.into_inner());
        }
    }
}

fn sink(mail: &Mail, more: &Value) -> Subscription {
    let mut spec = json!({
        "kind": "smtp", "host": "localhost", "port": mail.port, "user": "rollback", "password_env": "PASSWORD",
        "from": "Rollback <rollback@example.com>", "to": ["ops@example.com", "On call <oncall@example.com>"],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let spec: SinkSpec = serde_json::from_value(spec).unwrap();
    let setup = Setup::default().variables(|name| (name == "PASSWORD").then(|| PASSWORD.to_owned()));
    rollback_notify::registry().build(&spec, &setup).unwrap()
}

fn trusting() -> Value {
    json!({ "ca_file": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notify/tls/authority.pem") })
}

#[tokio::test]
async fn a_message_is_sent() {
    let mail = Mail::start(Manner::default()).await;
    let sink = sink(&mail, &json!({ "security": "none" }));
    sink.sink.send(&notice()).await.unwrap();
    let heard = mail.heard();
    for line in [
        "MAIL FROM:<rollback@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<oncall@example.com>",
        "Message-ID: <run-7-failed.rollback@example.com>",
        "Auto-Submitted: auto-generated",
        "Subject: [prod] Rollback not done",
        "Issue: HTTP 503 for 2m",
    ] {
        assert!(heard.contains(line), "{line} in {heard}");
    }
}

#[tokio::test]
async fn nothing_is_said_before_the_connection_is_encrypted() {
    for manner in [Manner { starttls: true, ..Manner::default() }, Manner { tls: true, ..Manner::default() }]
    {
        let mail = Mail::start(manner).await;
        let mut more = trusting();
        more["security"] = json!(if manner.tls { "tls" } else { "starttls" });
        sink(&mail, &more).sink.send(&notice()).await.unwrap();
        let heard = mail.heard();
        assert!(heard.contains("Issue: HTTP 503 for 2m"), "{heard}");
        if manner.starttls {
            let (before, after) = heard.split_once("(encrypted)").unwrap();
            assert!(
                !before.contains("AUTH") && !before.contains("MAIL") && after.contains("AUTH"),
                "{heard}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_gets_no_password() {
    let mail = Mail::start(Manner::default()).await;
    let error = sink(&mail, &trusting()).sink.send(&notice()).await.unwrap_err();
    assert!(!mail.heard().contains("AUTH"), "{}", mail.heard());
    assert!(!error.is_transient() && error.next_step().is_some(), "{error}");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_password() {
    let mail = Mail::start(Manner { tls: true, ..Manner::default() }).await;
    // The authority of the test is unknown to the system.
    sink(&mail, &json!({ "security": "tls" })).sink.send(&notice()).await.unwrap_err();
    assert_eq!(mail.heard(), "");
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_does_not() {
    for (recipient, login, kind, transient) in [
        (Some("450 later"), None, ErrorKind::Unavailable, true),
        (Some("550 nobody of that name"), None, ErrorKind::Invalid, false),
        (None, Some("535 wrong password hunter2-hunter2"), ErrorKind::Denied, false),
    ] {
        let mail = Mail::start(Manner { recipient, login, ..Manner::default() }).await;
        let subscription = sink(&mail, &json!({ "security": "none" }));
        let error = subscription.sink.send(&notice()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
        let shown = format!("{error} {error:?} {subscription:?} {:?}", error.to_record());
        assert!(shown.contains("smtp (localhost)") && !shown.contains(PASSWORD), "{shown}");
    }
    let nobody = Mail { port: 1, lines: Arc::default() };
    let error = sink(&nobody, &json!({ "security": "none" })).sink.send(&notice()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[test]
fn wrong_settings_say_what_to_write() {
    let setup = Setup::default().variables(|_| Some(PASSWORD.to_owned()));
    for (more, told) in [
        (json!({ "security": "none", "host": "mail.example.com" }), "everybody on the way"),
        (json!({ "to": [] }), "it goes to nobody"),
        (json!({ "to": ["ops"] }), "is no address"),
        (json!({ "user": "x" }), "go together"),
        (json!({ "ca_file": "/no/such" }), "/no/such"),
    ] {
        let mut spec =
            json!({ "kind": "smtp", "host": "localhost", "from": "a@example.com", "to": ["b@example.com"] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec: SinkSpec = serde_json::from_value(spec).unwrap();
        let error = rollback_notify::registry().build(&spec, &setup).unwrap_err();
        assert!(error.to_string().contains(told) && error.next_step().is_some(), "{more}: {error}");
    }
}
