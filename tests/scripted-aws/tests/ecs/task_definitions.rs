//! Task definitions.

use rollback_scripted_aws::Cloud;
use serde_json::{Value, json};

use crate::support::{ask, refused};

fn definition() -> Value {
    json!({
        "family": "web",
        "networkMode": "awsvpc",
        "fieldOfTomorrow": { "deep": [1, { "er": true }] },
        "containerDefinitions": [{
            "name": "web", "image": "registry/app:1", "memory": 64,
            "portMappings": [{ "containerPort": 8080 }],
            "anotherOne": "kept",
        }],
        "tags": [{ "key": "team", "value": "shop" }],
    })
}

#[test]
fn every_field_is_kept_and_defaults_are_filled_in() {
    let cloud = Cloud::new();
    ask(&cloud, "RegisterTaskDefinition", &definition());
    let described =
        ask(&cloud, "DescribeTaskDefinition", &json!({ "taskDefinition": "web:1", "include": ["TAGS"] }));
    let body = &described["taskDefinition"];
    assert_eq!(body["fieldOfTomorrow"], definition()["fieldOfTomorrow"]);
    assert_eq!(body["containerDefinitions"][0]["anotherOne"], "kept");
    let port = json!({ "containerPort": 8080, "hostPort": 8080, "protocol": "tcp" });
    assert_eq!(body["containerDefinitions"][0]["portMappings"][0], port);
    assert_eq!(body["containerDefinitions"][0]["essential"], true);
    assert_eq!((&body["revision"], &body["status"]), (&json!(1), &json!("ACTIVE")));
    assert!(body["registeredAt"].is_number());
    assert!(body.get("tags").is_none());
    assert_eq!(described["tags"], definition()["tags"]);
    let without = ask(&cloud, "DescribeTaskDefinition", &json!({ "taskDefinition": "web" }));
    assert!(without.get("tags").is_none());
}

#[test]
fn what_is_described_can_be_registered_again_and_is_the_same() {
    let cloud = Cloud::new();
    ask(&cloud, "RegisterTaskDefinition", &definition());
    let first =
        ask(&cloud, "DescribeTaskDefinition", &json!({ "taskDefinition": "web:1" }))["taskDefinition"].take();
    let second = ask(&cloud, "RegisterTaskDefinition", &first)["taskDefinition"].take();
    assert_eq!(second["revision"], 2);
    for field in ["containerDefinitions", "volumes", "placementConstraints", "networkMode", "fieldOfTomorrow"]
    {
        assert_eq!(first[field], second[field], "{field}");
    }
}

#[test]
fn an_inactive_one_is_described_but_not_listed() {
    let cloud = Cloud::new();
    ask(&cloud, "RegisterTaskDefinition", &definition());
    ask(&cloud, "RegisterTaskDefinition", &definition());
    ask(&cloud, "DeregisterTaskDefinition", &json!({ "taskDefinition": "web:2" }));
    let described = |name: &str| {
        ask(&cloud, "DescribeTaskDefinition", &json!({ "taskDefinition": name }))["taskDefinition"].take()
    };
    assert_eq!(described("web:2")["status"], "INACTIVE");
    assert!(described("web:2")["deregisteredAt"].is_number());
    assert_eq!(described("web")["revision"], 1, "a family is its latest ACTIVE one");
    let listed = |status: &str| {
        let answer = ask(&cloud, "ListTaskDefinitions", &json!({ "familyPrefix": "web", "status": status }));
        answer["taskDefinitionArns"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((listed("ACTIVE"), listed("INACTIVE")), (1, 1));
    let missing = refused(&cloud, "DescribeTaskDefinition", &json!({ "taskDefinition": "web:9" }));
    assert_eq!(
        (missing.code(), missing.message()),
        ("ClientException", "Unable to describe task definition.")
    );
}

#[test]
fn lists_are_of_one_family_sorted_and_paged() {
    let cloud = Cloud::new();
    for _ in 0..12 {
        cloud.register("web", "registry/app:1").expect("it is valid");
    }
    cloud.register("web-other", "registry/app:1").expect("it is valid");
    let page = |input: Value| ask(&cloud, "ListTaskDefinitions", &input);
    let first = page(json!({ "familyPrefix": "web", "sort": "DESC", "maxResults": 5 }));
    let arns = first["taskDefinitionArns"].as_array().expect("a list");
    assert_eq!(arns.len(), 5);
    assert_eq!(arns[0], "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:12");
    let rest = page(json!({ "familyPrefix": "web", "sort": "DESC", "nextToken": first["nextToken"] }));
    assert_eq!(rest["taskDefinitionArns"].as_array().map(Vec::len), Some(7));
    assert!(rest.get("nextToken").is_none());
    let fault = refused(&cloud, "ListTaskDefinitions", &json!({ "maxResults": 101 }));
    assert_eq!(fault.code(), "InvalidParameterException");
}
