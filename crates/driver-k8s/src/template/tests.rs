use serde_json::json;

use super::*;

fn key() -> FingerprintKey {
    FingerprintKey::public(crate::NAME, "ns-uid")
}

fn written() -> Value {
    json!({
        "metadata": { "labels": { "app": "web" }, "creationTimestamp": null },
        "spec": { "containers": [{
            "name": "web", "image": "r/web:v1", "command": ["serve", "--token=hunter2"],
            "env": [{ "name": "PASSWORD", "value": "hunter2" }, { "name": "EMPTY", "value": "" }],
            "readinessProbe": { "httpGet": { "port": 80, "httpHeaders": [{ "name": "X", "value": "hunter2" }] } },
            "ports": [{ "containerPort": 80 }],
        }], "volumes": [{ "name": "tmp" }] },
    })
}

/// As a newer API server would have filled it in.
fn filled() -> Value {
    let mut filled = written();
    filled["metadata"]["labels"]["pod-template-hash"] = json!("abc");
    filled["$patch"] = json!("replace");
    let spec = filled["spec"].as_object_mut().unwrap();
    spec.insert("dnsPolicy".into(), json!("ClusterFirst"));
    spec.insert("restartPolicy".into(), json!("Always"));
    spec.insert("schedulerName".into(), json!("default-scheduler"));
    spec.insert("securityContext".into(), json!({}));
    spec.insert("terminationGracePeriodSeconds".into(), json!(30));
    spec.insert("volumes".into(), json!([{ "name": "tmp", "emptyDir": {} }]));
    let container = filled["spec"]["containers"][0].as_object_mut().unwrap();
    container.insert("resources".into(), json!({ "limits": {} }));
    container.insert("imagePullPolicy".into(), json!("IfNotPresent"));
    container.insert("terminationMessagePath".into(), json!("/dev/termination-log"));
    container.insert("terminationMessagePolicy".into(), json!("File"));
    filled["spec"]["containers"][0]["ports"][0]["protocol"] = json!("TCP");
    filled["spec"]["containers"][0]["env"][1] = json!({ "name": "EMPTY" });
    let probe = &mut filled["spec"]["containers"][0]["readinessProbe"];
    probe["periodSeconds"] = json!(10);
    probe["httpGet"]["path"] = json!("/");
    filled
}

#[test]
fn what_means_the_same_is_the_same() {
    let (one, other) = (Template::of(&written(), &key()), Template::of(&filled(), &key()));
    assert_eq!(one.diff(&other), []);
    assert_eq!(one.identity(), other.identity());
    assert_eq!(Template::exact(&written(), &key()), Template::exact(&filled(), &key()));
}

#[test]
fn what_means_something_else_differs() {
    let one = Template::of(&written(), &key());
    for (pointer, value) in [
        ("/spec/containers/0/image", json!("r/web:v2")),
        ("/spec/containers/0/env/0/value", json!("other")),
        ("/spec/containers/0/command/1", json!("--token=other")),
        ("/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/spec/terminationGracePeriodSeconds", json!(60)),
        ("/spec/containers/0/readinessProbe/httpGet/httpHeaders/0/value", json!("other")),
    ] {
        let mut changed = filled();
        *changed.pointer_mut(pointer).unwrap() = value;
        let other = Template::of(&changed, &key());
        assert_ne!(one.identity(), other.identity(), "{pointer}");
        assert_eq!(one.diff(&other).len(), 1, "{pointer} {:?}", one.diff(&other));
    }
    let selector =
        |selector| json!({ "spec": { "topologySpreadConstraints": [{ "labelSelector": selector }] } });
    let none = json!({ "spec": { "topologySpreadConstraints": [{}] } });
    assert_ne!(Template::of(&selector(json!({})), &key()), Template::of(&none, &key()));
    // An init container that is always restarted is a sidecar: no default.
    let init =
        |policy: Value| json!({ "spec": { "initContainers": [{ "name": "a", "restartPolicy": policy }] } });
    assert_ne!(Template::of(&init(json!("Always")), &key()), Template::of(&init(Value::Null), &key()));
}

#[test]
fn a_restart_is_the_same_content_once_more() {
    let mut restarted = written();
    restarted["metadata"]["annotations"] = json!({ RESTARTED_AT: "2026-11-21T10:00:00Z" });
    assert_eq!(Template::of(&written(), &key()), Template::of(&restarted, &key()));
    assert_ne!(Template::exact(&written(), &key()), Template::exact(&restarted, &key()));
}

#[test]
fn values_never_show_and_cannot_be_put_in() {
    let template = Template::of(&written(), &key());
    assert!(!format!("{template:?}{}", serde_json::to_string(&template).unwrap()).contains("hunter2"));
    template.check().unwrap();
    let mut altered = template.clone();
    altered.body["spec"]["containers"][0]["env"][0]["value"] = json!("in the clear");
    assert!(altered.check().unwrap_err().message().contains("env/value"));
    altered.body = json!({});
    assert!(altered.check().is_err());
}

#[test]
fn images_are_found_and_changed() {
    let one = Template::of(&written(), &key());
    assert_eq!(one.version(None, "shop").unwrap().as_str(), "v1");
    let two = one.with_images(&BTreeMap::from([("web".into(), "r/web:v2".into())]));
    assert_eq!(two.version(Some("web"), "x").unwrap().as_str(), "v2");
    assert_eq!(one.images_to(&two).unwrap(), BTreeMap::from([("web".into(), "r/web:v2".into())]));
    let mut more = written();
    more["spec"]["hostNetwork"] = json!(true);
    assert_eq!(one.images_to(&Template::of(&more, &key())), None);
    let containers = json!({ "spec": { "containers": [{ "name": "a", "image": "a:1" }, { "name": "b", "image": "b:2" }] } });
    let template = Template::of(&containers, &key());
    assert_eq!(template.version(None, "x"), None);
    assert_eq!(template.version(None, "b").unwrap().as_str(), "2");
}

#[test]
fn references_are_found_wherever_they_are() {
    let template = Template::of(
        &json!({ "spec": {
            "serviceAccount": "runner", "imagePullSecrets": [{ "name": "pull" }],
            "containers": [{
                "name": "web", "image": "web:v1", "envFrom": [{ "configMapRef": { "name": "env", "optional": true } }],
                "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } },
                        { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "env", "key": "b" } } }],
            }],
            "volumes": [
                { "name": "c", "configMap": { "name": "conf", "defaultMode": 420 } },
                { "name": "d", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "p", "projected": { "sources": [{ "secret": { "name": "tls", "optional": true } }] } },
            ],
        } }),
        &key(),
    );
    let found: Vec<_> =
        template.references().into_iter().map(|one| (one.kind.name(), one.name, one.optional)).collect();
    let wanted = [
        ("config-map", "conf", false),
        ("config-map", "env", false),
        ("secret", "db", false),
        ("secret", "pull", true),
        ("secret", "tls", true),
        ("service-account", "runner", false),
        ("persistent-volume-claim", "data", false),
    ];
    assert_eq!(found, wanted.map(|(kind, name, optional)| (kind, name.to_owned(), optional)));
}
