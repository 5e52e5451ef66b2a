//! What is sent to each provider, and what its answers mean: against a server that answers by script.

#![cfg(all(feature = "aws", feature = "gcp", feature = "azure"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, Store as _};
use rollback_core::{Effect, ErrorKind};
use rollback_store_object::{BucketOptions, BucketStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Script = Arc<Mutex<VecDeque<String>>>;

/// Answers one request after the other and keeps the heads of all.
struct Server {
    port: u16,
    script: Script,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, heads) = (Script::default(), Arc::<Mutex<Vec<String>>>::default());
        let (answers, kept) = (script.clone(), heads.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), kept.clone()));
            }
        });
        Self { port, script, heads }
    }

    fn answers(&self, answers: &[String]) {
        self.heads.lock().unwrap().clear();
        *self.script.lock().unwrap() = answers.iter().cloned().collect();
    }

    /// The heads of the requests since, one line for each header, in lower case.
    fn sent(&self) -> Vec<String> {
        assert!(self.script.lock().unwrap().is_empty(), "not all answers were asked for");
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Script, heads: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < end + 4 + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the body is cut off");
    }
    // Google's client escapes all of a name.
    heads.lock().unwrap().push(head.replace("%2f", "/").replace("%2e", ".").replace("%2d", "-"));
    let answer = script.lock().unwrap().pop_front().expect("a request that was not expected");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Last-Modified: Sat, 21 Nov 2026 15:00:00 GMT\r\n{headers}\r\n{body}"
    )
}

fn refused(status: u16, code: &str) -> String {
    answer(status, "", &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"))
}

/// One provider: its URL, where it looks for settings, what a condition is called, and how it answers.
struct Provider {
    url: &'static str,
    settings: fn(u16) -> Vec<(&'static str, String)>,
    create: &'static str,
    update: fn(&str) -> String,
    /// Headers of an answer with this version.
    version: fn(&str) -> String,
    exists: (u16, &'static str),
    changed: (u16, &'static str),
    no_object: &'static str,
    no_bucket: &'static str,
}

const PROVIDERS: [Provider; 3] = [
    Provider {
        url: "s3://bucket/prod",
        settings: |port| {
            vec![
                ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
                ("AWS_ACCESS_KEY_ID", "id".into()),
                ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ]
        },
        create: "if-none-match: *",
        update: |version| format!("if-match: \"{version}\""),
        version: |version| format!("ETag: \"{version}\"\r\n"),
        exists: (412, "PreconditionFailed"),
        changed: (412, "PreconditionFailed"),
        no_object: "NoSuchKey",
        no_bucket: "NoSuchBucket",
    },
    Provider {
        url: "gs://bucket/prod",
        settings: |port| {
            // Of the form of a key file; this one says that no login is needed.
            let key = r#"{"gcs_base_url":"unused","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}"#;
            vec![
                ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{port}")),
                ("GOOGLE_SERVICE_ACCOUNT_KEY", key.into()),
            ]
        },
        create: "x-goog-if-generation-match: 0",
        update: |version| format!("x-goog-if-generation-match: {version}"),
        version: |version| format!("ETag: \"a-digest\"\r\nx-goog-generation: {version}\r\n"),
        exists: (412, "PreconditionFailed"),
        changed: (412, "PreconditionFailed"),
        no_object: "NoSuchKey",
        no_bucket: "NoSuchBucket",
    },
    Provider {
        url: "az://account/bucket/prod",
        settings: |port| {
            vec![
                ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{port}")),
                ("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==".into()),
            ]
        },
        create: "if-none-match: *",
        update: |version| format!("if-match: \"{version}\""),
        version: |version| format!("ETag: \"{version}\"\r\n"),
        exists: (409, "BlobAlreadyExists"),
        changed: (412, "ConditionNotMet"),
        no_object: "BlobNotFound",
        no_bucket: "ContainerNotFound",
    },
];

impl Provider {
    fn open(&self, port: u16) -> BucketStore {
        let settings = (self.settings)(port);
        let look_up = move |wanted: &str| {
            settings.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
        };
        BucketOptions::new().variables(look_up).open(self.url).unwrap()
    }

    fn done(&self, version: &str) -> String {
        answer(200, &(self.version)(version), "")
    }

    fn exists(&self) -> String {
        refused(self.exists.0, self.exists.1)
    }

    fn changed(&self) -> String {
        refused(self.changed.0, self.changed.1)
    }

    /// A store that has looked at its server already.
    async fn warm(&self, server: &Server) -> BucketStore {
        let store = self.open(server.port);
        server.answers(&[self.exists(), self.changed(), self.done("1")]);
        store.put(&Key::new("warm/up").unwrap(), b"", &Condition::Any).await.unwrap();
        let sent = server.sent();
        assert!(sent[0].contains(self.create), "{}", sent[0]);
        assert!(sent[0].contains("bucket/prod/.rollback-store.json"), "{}", sent[0]);
        assert!(!sent[2].contains("if-"), "written in any case: {}", sent[2]);
        store
    }
}

fn stored(put: Put) -> rollback_core::store::StoreVersion {
    match put {
        Put::Stored(version) => version,
        Put::Conflict => panic!("a conflict with nobody"),
    }
}

#[tokio::test]
async fn conditions_are_sent_as_each_provider_knows_them() {
    let server = Server::start().await;
    let key = Key::new("heads/web").unwrap();
    for provider in &PROVIDERS {
        let store = provider.warm(&server).await;
        server.answers(&[provider.done("17"), provider.done("18"), provider.changed(), provider.done("19")]);
        let first = stored(store.put(&key, b"1", &Condition::Absent).await.unwrap());
        let second = stored(store.put(&key, b"2", &Condition::Version(first.clone())).await.unwrap());
        let late = store.put(&key, b"late", &Condition::Version(first)).await.unwrap();
        assert_eq!(late, Put::Conflict, "{}", provider.url);
        assert_eq!(store.delete(&key, &second).await.unwrap(), Delete::Gone);
        let sent = server.sent();
        let wanted = [
            provider.create.to_owned(),
            (provider.update)("17"),
            (provider.update)("17"),
            (provider.update)("18"),
        ];
        for (head, wanted) in sent.iter().zip(&wanted) {
            assert!(head.starts_with("put ") && head.contains("bucket/prod/heads/web"), "{head}");
            assert!(head.contains(wanted), "{wanted} is not in {head}");
        }
    }
}

#[tokio::test]
async fn a_tombstone_is_replaced_by_its_version() {
    let server = Server::start().await;
    let key = Key::new("heads/web").unwrap();
    for provider in &PROVIDERS {
        let store = provider.warm(&server).await;
        let tombstone =
            answer(200, &(provider.version)("30"), &format!("rollback-gone/1 {}\n", "a".repeat(32)));
        server.answers(&[provider.exists(), tombstone, provider.done("31")]);
        stored(store.put(&key, b"again", &Condition::Absent).await.unwrap());
        let sent = server.sent();
        assert!(sent[1].starts_with("get "), "{}", sent[1]);
        assert!(sent[2].contains(&(provider.update)("30")), "{}", sent[2]);
    }
}

#[tokio::test]
async fn an_object_that_is_not_there_is_not_a_bucket_that_is_not_there() {
    let server = Server::start().await;
    let key = Key::new("heads/web").unwrap();
    for provider in &PROVIDERS {
        let store = provider.warm(&server).await;
        server.answers(&[refused(404, provider.no_object)]);
        assert_eq!(store.get(&key).await.unwrap(), None, "{}", provider.url);
        let gone = || refused(404, provider.no_bucket);
        server.answers(&[gone(), gone(), gone()]);
        let get = store.get(&key).await.unwrap_err();
        let list = store.list(&KeyPrefix::new("heads").unwrap(), None, 1).await.unwrap_err();
        let put = store.put(&key, b"", &Condition::Absent).await.unwrap_err();
        for error in [get, list, put] {
            assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None), "{error}");
            assert!(error.to_string().contains("bucket"), "{error}");
        }
    }
}

#[tokio::test]
async fn who_finds_no_credentials_is_told_how_to_get_some() {
    // A port where nobody listens stands for the metadata service of a machine.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = move |name: &str| match name {
        "AWS_REGION" => Some("eu-central-1".to_owned()),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Some(format!("http://{nobody}")),
        _ => None,
    };
    let store = BucketOptions::new().variables(settings).open("s3://bucket/prod").unwrap();
    let key = Key::new("heads/web").unwrap();
    let put = store.put(&key, b"", &Condition::Absent).await.unwrap_err();
    let get = store.get(&key).await.unwrap_err();
    for error in [put, get] {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::None), "{error}");
        assert!(error.to_string().contains("export-credentials"), "{error}");
    }
}

/// A URL, the variables that are set, and the kind and text of the refusal.
type Refusal = (&'static str, &'static [(&'static str, &'static str)], ErrorKind, &'static str);

#[test]
fn what_cannot_work_is_refused_when_it_is_opened() {
    const CREDENTIALS: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let cases: [Refusal; 8] = [
        ("s3://bucket", CREDENTIALS, ErrorKind::Invalid, "AWS_REGION"),
        (
            "s3://bucket",
            &[("AWS_PROFILE", "prod"), ("AWS_REGION", "x")],
            ErrorKind::Denied,
            "export-credentials",
        ),
        (
            "s3://bucket",
            &[("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "x")],
            ErrorKind::Denied,
            "no credentials",
        ),
        ("s3://bucket", &[("AWS_ENDPOINT_URL", "http://10.1.2.3")], ErrorKind::Invalid, "AWS_ALLOW_HTTP"),
        ("s3://bucket", &[("AWS_ENDPOINT_URL", "https://u:hunter2@host")], ErrorKind::Invalid, "a user"),
        ("s3://bucket", &[("AWS_ENDPOINT_URL", "ftp://host")], ErrorKind::Invalid, "neither https nor http"),
        ("s3://bucket", &[("AWS_REGION", "x.evil.example/")], ErrorKind::Invalid, "not a region"),
        (
            "gs://bucket",
            &[("GOOGLE_SERVICE_ACCOUNT_KEY", "hunter2")],
            ErrorKind::Invalid,
            "GOOGLE_SERVICE_ACCOUNT_KEY",
        ),
    ];
    for (url, variables, kind, text) in cases {
        let known: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let look_up =
            move |wanted: &str| known.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let error = BucketOptions::new().variables(look_up).open(url).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let told = format!("{error} {error:?}");
        assert!(told.contains(text), "{text}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
