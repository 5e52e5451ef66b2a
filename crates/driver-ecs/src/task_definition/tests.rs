use std::collections::BTreeMap;

use proptest::prelude::*;
use rollback_core::target::Shown;
use rollback_core::{Digest, ErrorKind};
use serde_json::{Value, json};

use super::*;

const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web";

fn described(revision: u32) -> Value {
    json!({
        "taskDefinition": {
            "taskDefinitionArn": format!("{ARN}:{revision}"),
            "family": "web",
            "revision": revision,
            "status": "ACTIVE",
            "registeredAt": 1_795_255_200.5,
            "registeredBy": "arn:aws:iam::123456789012:user/ci",
            "compatibilities": ["EC2", "FARGATE"],
            "requiresAttributes": [{ "name": "com.amazonaws.ecs.capability.logging-driver.awslogs" }],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "volumes": [{ "name": "b" }, { "name": "a", "host": {} }],
            "containerDefinitions": [
                {
                    "name": "web",
                    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:abc123d",
                    "essential": true,
                    "command": ["serve", "--password=in-a-command"],
                    "environment": [{ "name": "LOG_LEVEL", "value": "info" }, { "name": "API_KEY", "value": "s3cr3t-value" }],
                    "secrets": [{ "name": "DB", "valueFrom": "arn:aws:ssm:eu-west-1:123456789012:parameter/db" }],
                    "portMappings": [{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }, { "containerPort": 81 }],
                    "logConfiguration": { "logDriver": "splunk", "options": { "splunk-token": "a-token" } },
                    "dockerLabels": { "image": "a-label-value" },
                    "aFieldOfTomorrow": { "deep": ["kept"] },
                },
                { "name": "proxy", "image": "envoy:1", "essential": false },
            ],
        },
        "tags": [{ "key": "team", "value": "shop" }, { "key": "aws:cloudformation:stack-name", "value": "web" }],
    })
}

fn key() -> FingerprintKey {
    FingerprintKey::public(crate::NAME, "123456789012")
}

fn parsed(value: Value) -> TaskDefinition {
    TaskDefinition::parse(value).unwrap()
}

fn identity(value: Value) -> rollback_core::Identity {
    parsed(value).redacted(&key()).unwrap().identity(&BTreeMap::new()).unwrap()
}

fn container(value: &mut Value) -> &mut Value {
    &mut value["taskDefinition"]["containerDefinitions"][0]
}

#[test]
fn registering_again_changes_nothing() {
    let first = described(41);
    let mut again = described(42);
    let body = &mut again["taskDefinition"];
    body["status"] = json!("INACTIVE");
    body["deregisteredAt"] = json!(1_795_255_999);
    body["registeredBy"] = json!("arn:aws:iam::123456789012:user/other");
    body["compatibilities"] = json!(["FARGATE"]);
    body["requiresAttributes"] = Value::Null;
    again["tags"] = json!([]);
    assert_eq!(identity(first.clone()), identity(again));
    // What is sent to register it is read back as the same.
    let mut back = parsed(first.clone()).for_registering();
    back["taskDefinitionArn"] = json!(format!("{ARN}:43"));
    back.as_object_mut().unwrap().remove("tags");
    assert_eq!(identity(first), identity(json!({ "taskDefinition": back })));
}

#[test]
fn noise_and_order_that_mean_nothing_do_not_count() {
    let plain = identity(described(1));
    let mut noisy = described(1);
    let body = &mut noisy["taskDefinition"];
    body["placementConstraints"] = json!([]);
    body["pidMode"] = Value::Null;
    body["volumes"] = json!([{ "name": "a" }, { "name": "b", "host": { "sourcePath": null } }]);
    body["containerDefinitions"].as_array_mut().unwrap().reverse();
    let web = &mut body["containerDefinitions"][1];
    web["environment"].as_array_mut().unwrap().reverse();
    web["portMappings"] = json!([{ "containerPort": 81, "protocol": "tcp" }, { "containerPort": 80 }]);
    web["mountPoints"] = json!([]);
    web["cpu"] = json!(0);
    assert_eq!(plain, identity(noisy));
}

#[test]
fn everything_else_counts() {
    let plain = identity(described(1));
    let changes: [fn(&mut Value); 10] = [
        |v| v["taskDefinition"]["memory"] = json!("1024"),
        |v| v["taskDefinition"]["networkMode"] = json!("bridge"),
        |v| container(v)["image"] = json!("web:other"),
        |v| container(v)["environment"][1]["value"] = json!("another"),
        |v| container(v)["environment"][1]["name"] = json!("API_KEY_2"),
        |v| container(v)["command"].as_array_mut().unwrap().reverse(),
        |v| {
            container(v)["secrets"][0]["valueFrom"] =
                json!("arn:aws:ssm:eu-west-1:123456789012:parameter/db:2");
        },
        |v| container(v)["aFieldOfTomorrow"]["deep"] = json!(["changed"]),
        |v| container(v)["environment"].as_array_mut().unwrap().push(json!({ "name": "EMPTY", "value": "" })),
        |v| container(v)["logConfiguration"]["options"]["splunk-token"] = json!("b-token"),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = described(1);
        change(&mut changed);
        assert_ne!(plain, identity(changed), "change {index}");
    }
}

#[test]
fn nothing_is_lost_when_it_is_registered_again() {
    let request = parsed(described(42)).for_registering();
    let field = |name: &str| request.get(name).is_some();
    for read_only in READ_ONLY {
        assert!(!field(read_only), "{read_only}");
    }
    let original = described(42);
    assert_eq!(request["containerDefinitions"], original["taskDefinition"]["containerDefinitions"]);
    assert_eq!(request["tags"], json!([{ "key": "team", "value": "shop" }]));
    assert_eq!(request["family"], "web");
}

#[test]
fn values_that_may_be_secret_stay_out() {
    let definition = parsed(described(1)).redacted(&key()).unwrap();
    let mut earlier = described(2);
    container(&mut earlier)["environment"][1]["value"] = json!("s3cr3t-value-2");
    let diff = parsed(earlier).redacted(&key()).unwrap().diff(&definition);
    let everything = format!(
        "{} {definition:?} {diff:?} {:?}",
        serde_json::to_string(&definition).unwrap(),
        parsed(described(1))
    );
    for secret in ["s3cr3t", "in-a-command", "a-token", "a-label-value", "kept"] {
        assert!(!everything.contains(secret), "{secret}");
    }
    for shown in ["LOG_LEVEL", "parameter/db", "abc123d", "splunk-token"] {
        assert!(everything.contains(shown), "{shown}");
    }
}

#[test]
fn the_diff_names_things_as_people_do() {
    let from = described(2);
    let mut to = described(1);
    to["taskDefinition"]["memory"] = json!("1024");
    to["taskDefinition"]["volumes"].as_array_mut().unwrap().pop();
    let web = container(&mut to);
    web["image"] = json!("web:v1");
    web["environment"] = json!([{ "name": "LOG_LEVEL", "value": "debug" }]);
    let redacted = |value| parsed(value).redacted(&key()).unwrap();
    let (from, to) = (redacted(from), redacted(to));
    let diff = from.diff(&to);
    let paths: Vec<_> = diff.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "containers.web.env.API_KEY",
            "containers.web.env.LOG_LEVEL",
            "containers.web.image",
            "memory",
            "volumes.a"
        ]
    );
    assert_eq!((&diff[0].from, &diff[0].to), (&Some(Shown::Redacted), &None));
    assert_eq!((&diff[1].from, &diff[1].to), (&Some(Shown::Redacted), &Some(Shown::Redacted)));
    assert_eq!(diff[2].to, Some(Shown::Plain("web:v1".into())));
    assert!(from.diff(&from).is_empty());
    // Another key: that the values could not be compared is said once.
    let other =
        parsed(described(2)).redacted(&FingerprintKey::secret(crate::NAME, &[7; 32]).unwrap()).unwrap();
    let paths: Vec<_> = from.diff(&other).into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["values"]);
}

#[test]
fn variants_change_one_container() {
    let now = parsed(described(42));
    let image = "web:v1".parse().unwrap();
    let other = now.with_image("web", &image).unwrap();
    let containers = other.redacted(&key()).unwrap().containers();
    assert_eq!(containers.iter().find(|c| c.name == "web").unwrap().image, image);
    assert_eq!(containers.iter().find(|c| c.name == "proxy").unwrap().image, "envoy:1".parse().unwrap());

    let mut earlier = described(7);
    let web = container(&mut earlier);
    web["environment"] = json!([{ "name": "OLD", "value": "1" }]);
    web.as_object_mut().unwrap().remove("secrets");
    let mixed = now.with_environment_of("web", &parsed(earlier)).unwrap().for_registering();
    let web = &mixed["containerDefinitions"][0];
    assert_eq!(web["environment"], json!([{ "name": "OLD", "value": "1" }]));
    assert_eq!(web.get("secrets"), None);
    assert_eq!(web["image"], described(42)["taskDefinition"]["containerDefinitions"][0]["image"]);

    let error = now.with_image("wbe", &image).unwrap_err();
    assert_eq!(
        (error.kind(), error.next_step()),
        (ErrorKind::NotFound, Some("its containers are: web, proxy"))
    );
}

#[test]
fn a_digest_that_runs_decides_over_the_tag() {
    let tagged = parsed(described(1)).redacted(&key()).unwrap();
    let (one, two) = (Digest::of_bytes(b"1"), Digest::of_bytes(b"2"));
    let runs = |digest| BTreeMap::from([("web".to_owned(), digest)]);
    assert_ne!(tagged.identity(&runs(one)).unwrap(), tagged.identity(&runs(two)).unwrap());
    let image: ImageRef = tagged.main_container(None).unwrap().image;
    let pinned =
        parsed(described(2)).with_image("web", &image.pinned(one)).unwrap().redacted(&key()).unwrap();
    assert_eq!(pinned.identity(&BTreeMap::new()).unwrap(), tagged.identity(&runs(one)).unwrap());
    let both = format!("{image}@{one}").parse().unwrap();
    let both = parsed(described(3)).with_image("web", &both).unwrap().redacted(&key()).unwrap();
    assert_eq!(both.identity(&BTreeMap::new()).unwrap(), tagged.identity(&runs(one)).unwrap());
}

#[test]
fn the_main_container_is_not_guessed() {
    let mut two = described(1);
    assert_eq!(parsed(two.clone()).redacted(&key()).unwrap().main_container(None).unwrap().name, "web");
    two["taskDefinition"]["containerDefinitions"][1]["essential"] = json!(true);
    let two = parsed(two).redacted(&key()).unwrap();
    assert_eq!(two.main_container(None), None);
    assert_eq!(two.main_container(Some("proxy")).unwrap().name, "proxy");
    assert_eq!(two.main_container(Some("nobody")), None);
}

#[test]
fn hostile_answers_are_refused() {
    let mut deep = json!("x");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: [(&str, Change); 9] = [
        ("no object", Box::new(|v| *v = json!([]))),
        ("no arn", Box::new(|v| v["taskDefinition"]["taskDefinitionArn"] = Value::Null)),
        ("another family", Box::new(|v| v["taskDefinition"]["family"] = json!("web-other"))),
        ("no containers", Box::new(|v| v["taskDefinition"]["containerDefinitions"] = json!([]))),
        ("no image", Box::new(|v| container(v)["image"] = Value::Null)),
        ("a hostile image", Box::new(|v| container(v)["image"] = json!("web:\u{202e}"))),
        ("twice one name", Box::new(|v| container(v)["name"] = json!("proxy"))),
        ("too large", Box::new(|v| container(v)["command"] = json!(["x".repeat(LARGEST)]))),
        ("too deep", Box::new(move |v| container(v)["command"] = deep.clone())),
    ];
    for (what, change) in changes {
        let mut value = described(1);
        change(&mut value);
        assert!(TaskDefinition::parse(value).is_err(), "{what}");
    }
}

#[test]
fn a_stored_form_with_a_value_in_clear_is_refused() {
    let definition = parsed(described(1)).redacted(&key()).unwrap();
    let stored = serde_json::to_value(&definition).unwrap();
    assert_eq!(serde_json::from_value::<Definition>(stored.clone()).unwrap(), definition);
    let mut altered = stored.clone();
    altered["body"]["containerDefinitions"][1]["environment"][0]["value"] = json!("in the clear");
    assert!(serde_json::from_value::<Definition>(altered).is_err());
    let mut more = stored;
    more["extra"] = json!(1);
    assert!(serde_json::from_value::<Definition>(more).is_err());
}

proptest! {
    /// Whatever order variables and ports come in, the identity is the same; whatever a value is, it does not show.
    #[test]
    fn order_never_counts_and_values_never_show(
        mut env in proptest::collection::btree_map("[A-Z]{1,6}", "[a-z]{12,20}", 0..8).prop_map(|m| m.into_iter().collect::<Vec<_>>()),
        turn in 0usize..8,
    ) {
        let with = |env: &[(String, String)]| {
            let mut value = described(1);
            container(&mut value)["environment"] =
                env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
            value
        };
        let before = identity(with(&env));
        let definition = parsed(with(&env)).redacted(&key()).unwrap();
        let stored = serde_json::to_string(&definition).unwrap();
        for (_, value) in &env {
            prop_assert!(!stored.contains(value.as_str()));
        }
        prop_assert_eq!(serde_json::from_str::<Definition>(&stored).unwrap(), definition);
        if !env.is_empty() {
            let middle = turn % env.len();
            env.rotate_left(middle);
        }
        prop_assert_eq!(before, identity(with(&env)));
    }

    /// No JSON makes the parser panic, and what it takes can be registered again.
    #[test]
    fn any_json_is_parsed_or_refused(text in "[\\[\\]{}\":,a-z0-9 ]{0,120}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let mut hostile = described(1);
            container(&mut hostile)["aFieldOfTomorrow"] = value.clone();
            if let Ok(definition) = TaskDefinition::parse(hostile) {
                prop_assert!(definition.redacted(&key()).is_ok());
            }
            let _ = TaskDefinition::parse(value);
        }
    }
}
