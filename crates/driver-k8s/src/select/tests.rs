use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::client::Body;

use super::*;

fn component() -> ComponentName {
    ComponentName::new("shop").unwrap()
}

fn config() -> Value {
    json!({ "kind": "deployment", "selector": "part-of=shop", "namespace": "shop", "resume_paused": true })
}

fn read(config: &Value) -> Result<Selection> {
    Selection::read(&component(), config)
}

#[test]
fn a_selection_has_the_settings_of_one_workload_but_its_name() {
    let selection = read(&config()).unwrap();
    assert_eq!(selection.kinds, [Kind::Deployment]);
    assert!(selection.common.resume_paused);
    let several = json!({ "kinds": ["statefulset", "deployment", "statefulset"], "selector": "a" });
    assert_eq!(read(&several).unwrap().kinds, [Kind::Deployment, Kind::StatefulSet]);
}

#[test]
fn what_cannot_be_meant_is_refused_with_advice() {
    for (key, value) in [
        ("selector", json!("")),
        ("selector", json!("a=b&limit=1")),
        ("selector", json!(7)),
        ("name", json!("web")),
        ("kinds", json!(["deployment"])),
        ("kind", json!("pod")),
        ("kind", Value::Null),
        ("namespace", json!("../x")),
        ("fingerprint_key", json!("short")),
        ("naem", json!("x")),
    ] {
        let mut config = config();
        config[key] = value.clone();
        if value.is_null() {
            config.as_object_mut().unwrap().remove(key);
        }
        let error = read(&config).err().unwrap_or_else(|| panic!("{key} {value} was taken"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{key} {value}");
        assert!(error.next_step().is_some(), "{error}");
    }
    for config in [json!({ "kinds": [], "selector": "a" }), json!({ "kinds": ["deployment"] })] {
        assert_eq!(read(&config).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn the_name_of_a_part_says_which_workload_it_is() {
    let driver = K8sDriver::default();
    let part = |config: &Value, part: &str| driver.part(&component(), config.clone(), part);
    let web = part(&config(), "web").unwrap();
    assert_eq!(
        web,
        json!({ "kind": "deployment", "name": "web", "namespace": "shop", "resume_paused": true })
    );
    assert!(K8sConfig::read(&component(), &web).is_ok());
    let several = json!({ "kinds": ["deployment", "statefulset"], "selector": "a" });
    // Two workloads of one name are two parts.
    assert_eq!(part(&several, "deployment.web").unwrap(), json!({ "kind": "deployment", "name": "web" }));
    assert_eq!(part(&several, "statefulset.web").unwrap(), json!({ "kind": "statefulset", "name": "web" }));
    assert_eq!(part(&several, "statefulset.web.v2").unwrap()["name"], "web.v2");
    for stranger in ["", "../web", "Web", "web."] {
        assert_eq!(part(&config(), stranger).unwrap_err().kind(), ErrorKind::NotFound, "{stranger}");
    }
    for stranger in ["web", "daemonset.web", "deployment.", "deployment./", "Deployment.web"] {
        let error = part(&several, stranger).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{stranger}");
        assert!(error.next_step().unwrap().contains("shop.deployment.NAME"), "{error}");
    }
}

#[test]
fn what_names_a_part_is_what_a_part_is_named() {
    for config in [config(), json!({ "kinds": ["deployment", "daemonset"], "selector": "a" })] {
        let selection = read(&config).unwrap();
        for kind in &selection.kinds {
            let suffix = selection.suffix(*kind, "web.v2");
            assert_eq!(selection.workload(&component(), &suffix).unwrap(), (*kind, "web.v2"));
        }
    }
}

#[test]
fn the_schema_knows_both_forms() {
    let schema = schema();
    let one = K8sConfig::schema();
    assert_eq!(
        schema["properties"].as_object().unwrap().len(),
        one["properties"].as_object().unwrap().len() + 2
    );
    assert_eq!(schema["anyOf"].as_array().unwrap().len(), 3);
    assert_eq!(schema["additionalProperties"], json!(false));
}

/// A client whose API server gives these answers, one after the other, and what it was asked.
fn answering(answers: Vec<Value>) -> (kube::Client, Arc<Mutex<Vec<String>>>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for answer in answers {
            let Some((request, send)) = handle.next_request().await else { return };
            seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        }
    });
    (kube::Client::new(service, "shop"), asked)
}

fn page(names: &[&str], more: &str) -> Value {
    let items: Vec<_> = names.iter().map(|name| json!({ "metadata": { "name": name } })).collect();
    json!({ "items": items, "metadata": { "continue": more } })
}

#[tokio::test]
async fn what_is_selected_is_read_page_by_page() {
    let (client, asked) = answering(vec![page(&["api", "web"], "a/b&c"), page(&["worker"], "")]);
    let labels = read(&config()).unwrap().labels.to_string();
    let names = client::selected(&client, "shop", Kind::Deployment, &labels).await.unwrap();
    assert_eq!(names, ["api", "web", "worker"]);
    let first = "GET /apis/apps/v1/namespaces/shop/deployments?labelSelector=part-of%3Dshop&limit=500";
    assert_eq!(*asked.lock().unwrap(), [first.to_owned(), format!("{first}&continue=a%2Fb%26c")]);
    assert_eq!(crate::selecting(Kind::Deployment).verbs, ["list"]);
}

#[tokio::test]
async fn names_that_would_lead_elsewhere_are_not_taken() {
    let (client, _asked) = answering(vec![page(&["../web"], "")]);
    let error = client::selected(&client, "shop", Kind::Deployment, "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_selection_of_nothing_says_what_was_asked_and_where() {
    let mut config = config();
    config["context"] = json!("prod");
    let error = read(&config).unwrap().nothing("shop");
    assert_eq!(
        error.message(),
        "the selector part-of=shop selects none of the deployments in namespace shop of the context prod"
    );
    assert!(error.next_step().unwrap().contains("kubectl get deployments --namespace shop --show-labels"));
}
