use std::sync::{Arc, Mutex};

use rollback_core::fingerprint::FingerprintKey;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::Client;
use crate::config::K8sConfig;
use crate::template::Template;
use crate::workload::{Kind, Workload};

/// A registry on this machine that answers as its function says, and keeps what it was asked.
struct Played {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    async fn new(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let (log, own) = (Arc::clone(&asked), host.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer, own) = (Arc::clone(&log), Arc::clone(&answer), own.clone());
                tokio::spawn(async move { serve(stream, &log, |request| answer(&own, request)).await });
            }
        });
        Self { host, asked }
    }

    fn image(&self, tag: &str) -> String {
        format!("{}/shop/web:{tag}", self.host)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request of a connection: its first line and who asks are kept.
async fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>, answer: impl Fn(&str) -> String) {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
    let request = String::from_utf8(read).unwrap();
    let first = request.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    let auth = request.lines().find_map(|line| line.strip_prefix("authorization: "));
    let told = format!("{first}{}", auth.map(|auth| format!(" by {auth}")).unwrap_or_default());
    log.lock().unwrap().push(told.clone());
    let _ = stream.write_all(answer(&told).as_bytes()).await;
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn logins(host: &str) -> Logins {
    let mut logins = Logins::default();
    logins.add(&login_secret(host));
    logins
}

fn login_secret(host: &str) -> Value {
    let auth = serde_json::to_value(k8s_openapi::ByteString(b"me:hunter2".to_vec())).unwrap();
    let config = json!({ "auths": { host: { "auth": auth } } }).to_string();
    let data = serde_json::to_value(k8s_openapi::ByteString(config.into_bytes())).unwrap();
    json!({ "data": { ".dockerconfigjson": data } })
}

fn unknown_manifest(code: &str) -> String {
    answer("404 Not Found", "", &json!({ "errors": [{ "code": code }] }).to_string())
}

fn why(said: Said) -> String {
    match said {
        Said::Unknown(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_open_registry_says_yes_and_no() {
    let open = Played::new(|_, request| match request {
        "HEAD /v2/shop/web/manifests/v1" => answer("200 OK", "", ""),
        "GET /v2/shop/web/manifests/v0" => unknown_manifest("MANIFEST_UNKNOWN"),
        "GET /v2/shop/web/manifests/hidden" => unknown_manifest("NAME_UNKNOWN"),
        request if request.starts_with("HEAD") => answer("404 Not Found", "", ""),
        other => panic!("{other}"),
    })
    .await;
    let none = Logins::default();
    assert_eq!(ask(&open.image("v1"), &none).await, Said::Has);
    assert_eq!(ask(&open.image("v0"), &none).await, Said::HasNot);
    // It may be there for others.
    assert!(why(ask(&open.image("hidden"), &none).await).ends_with("does not show its repository"));
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_login_of_the_registry() {
    let closed = Played::new(|host, request| {
        let realm =
            format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"r\",scope=\"any\"\r\n");
        match request {
            "HEAD /v2/shop/web/manifests/v1" => answer("401 Unauthorized", &realm, ""),
            "HEAD /v2/shop/web/manifests/v1 by Bearer t1" => answer("200 OK", "", ""),
            "HEAD /v2/shop/web/manifests/v1 by Bearer t0" => answer("403 Forbidden", "", ""),
            "GET /token?service=r&scope=repository%3Ashop%2Fweb%3Apull" => {
                answer("200 OK", "", "{\"token\":\"t0\"}")
            }
            other if other.starts_with("GET /token?") => answer("200 OK", "", "{\"access_token\":\"t1\"}"),
            other => panic!("{other}"),
        }
    })
    .await;
    assert_eq!(ask(&closed.image("v1"), &logins(&closed.host)).await, Said::Has);
    let by = closed.asked().into_iter().find(|asked| asked.starts_with("GET /token")).unwrap();
    assert!(by.ends_with(" by Basic bWU6aHVudGVyMg=="), "{by}");
    // Nobody else's login is sent there.
    let said = why(ask(&closed.image("v1"), &logins("other.example")).await);
    assert!(said.ends_with("does not tell without a login"), "{said}");
    assert_eq!(closed.asked().iter().filter(|asked| asked.contains("Basic")).count(), 1);
}

#[tokio::test]
async fn a_login_is_sent_only_where_it_belongs_and_never_in_the_clear() {
    // With the login itself.
    let basic = Played::new(|_, request| match request {
        "HEAD /v2/shop/web/manifests/v1 by Basic bWU6aHVudGVyMg==" => answer("200 OK", "", ""),
        _ => answer("401 Unauthorized", "www-authenticate: Basic realm=\"r\"\r\n", ""),
    })
    .await;
    assert_eq!(ask(&basic.image("v1"), &logins(&basic.host)).await, Said::Has);
    let said = why(ask(&basic.image("v1"), &Logins::default()).await);
    assert!(said.ends_with("does not tell without a login"), "{said}");
    // Where a token is given without TLS somewhere else, none is asked for.
    let far = Played::new(|_, _| {
        answer("401 Unauthorized", "www-authenticate: Bearer realm=\"http://tokens.example/token\"\r\n", "")
    })
    .await;
    let said = why(ask(&far.image("v1"), &logins(&far.host)).await);
    assert!(said.ends_with("does not tell with the pull secret") && !said.contains("hunter2"), "{said}");
    assert_eq!(far.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_is_not_known() {
    for (status, wanted) in [("429 Too Many Requests", "asks to wait"), ("500 Oops", "answered 500")] {
        let failing = Played::new(move |_, _| answer(status, "", "")).await;
        let said = why(ask(&failing.image("v1"), &Logins::default()).await);
        assert!(said.ends_with(wanted), "{said}");
    }
    let said = why(ask("127.0.0.1:1/shop/web:v1", &Logins::default()).await);
    assert_eq!(said, "registry 127.0.0.1:1 does not answer");
}

/// A template with its pull secrets, or with a service account that has some.
fn template(image: &str, more: Value) -> Template {
    let mut spec = more;
    spec["containers"] = json!([{ "name": "web", "image": image }]);
    Template::of(&json!({ "spec": spec }), &FingerprintKey::public(crate::NAME, "ns"))
}

#[tokio::test]
async fn the_pull_secrets_of_the_pods_are_used_and_only_by_choice() {
    let registry = Played::new(|_, request| match request {
        "HEAD /v2/shop/web/manifests/v1 by Basic bWU6aHVudGVyMg==" => answer("200 OK", "", ""),
        _ => answer("401 Unauthorized", "www-authenticate: Basic realm=\"r\"\r\n", ""),
    })
    .await;
    let cluster = rollback_scripted_kubernetes::Cluster::new();
    let mut secret = login_secret(&registry.host);
    secret["kind"] = json!("Secret");
    secret["metadata"] = json!({ "name": "pull" });
    cluster.create("shop", &secret);
    let pull = json!([{ "name": "pull" }]);
    for name in ["web", "default"] {
        cluster.create(
            "shop",
            &json!({ "kind": "ServiceAccount", "metadata": { "name": name }, "imagePullSecrets": pull }),
        );
    }
    let client = |ask: bool| {
        let mut config = K8sConfig::new(Kind::Deployment, "web");
        config.ask_registries = ask;
        let workload = Workload::new(Kind::Deployment, "shop", "web").unwrap();
        Client::new(cluster.client("shop"), workload, &config).unwrap()
    };
    let image = registry.image("v1");
    for more in [json!({ "imagePullSecrets": pull }), json!({ "serviceAccountName": "web" }), json!({})] {
        let said = client(true).ask_registries(&template(&image, more.clone()), &[&image]).await;
        assert_eq!(said, [Some(Said::Has)], "{more}");
    }
    let (asked, read) = (registry.asked().len(), cluster.calls().len());
    assert_eq!(client(false).ask_registries(&template(&image, json!({})), &[&image]).await, [None]);
    assert_eq!((registry.asked().len(), cluster.calls().len()), (asked, read));
    // Who may not read it is not let in, and that is what is said.
    cluster.deny("get secrets");
    let said = client(true).ask_registries(&template(&image, json!({})), &[&image]).await;
    assert!(why(said[0].clone().unwrap()).ends_with("does not tell without a login"));
}

#[test]
fn registries_are_where_docker_says() {
    assert_eq!(address("docker.io"), "https://registry-1.docker.io");
    assert_eq!(address("r.example:5000"), "https://r.example:5000");
    assert_eq!(address("localhost:5000"), "http://localhost:5000");
    assert_eq!(parameter("realm=\"a,b\",service=\"r\"", "service"), Some("r"));
    assert_eq!(parameter("realm=\"a", "realm"), None);
    assert_eq!(parameter("", "realm"), None);
}
