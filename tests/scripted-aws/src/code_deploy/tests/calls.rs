//! The calls: what they answer and what they refuse.

use serde_json::{Value, json};

use super::{bed, code, creation, spec};
use crate::Fault;

fn ids(answer: &Value) -> Vec<&str> {
    answer["deployments"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

#[test]
fn a_deployment_tells_no_content_of_its_revision() {
    let bed = bed().with_group();
    let mut asked = creation(&spec(&bed.new));
    asked["description"] = json!("release 42");
    let id = bed.ask("CreateDeployment", &asked).unwrap()["deploymentId"].as_str().unwrap().to_owned();
    let info = bed.info(&id);
    let sha256 = info["revision"]["appSpecContent"]["sha256"].as_str().unwrap();
    assert_eq!(
        info["revision"],
        json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": sha256 } })
    );
    assert_eq!((sha256.len(), &info["description"]), (64, &json!("release 42")));
    assert_eq!(info["createTime"], json!(bed.cloud.now().as_second() as f64));
    assert_eq!((&info["creator"], &info["computePlatform"]), (&json!("user"), &json!("ECS")));
    assert_eq!(info["loadBalancerInfo"], bed.asked_group()["loadBalancerInfo"]);
    let revision = json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": sha256 } });
    let told = bed
        .ask("GetApplicationRevision", json!({ "applicationName": "shop", "revision": revision }))
        .unwrap();
    assert_eq!(told["revision"]["appSpecContent"]["content"], json!(spec(&bed.new)));
    assert_eq!(told["revisionInfo"]["deploymentGroups"], json!(["web"]));
    let other = json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": "0" } });
    let told = bed.ask("GetApplicationRevision", json!({ "applicationName": "shop", "revision": other }));
    assert_eq!(code(told), "RevisionDoesNotExistException");
}

#[test]
fn a_group_runs_one_deployment_at_a_time() {
    let bed = bed().with_group();
    let first = bed.deploy(&bed.new);
    let fault = bed.ask("CreateDeployment", creation(&spec(&bed.new))).unwrap_err();
    assert_eq!(fault.code(), "DeploymentLimitExceededException");
    let said = format!("The Deployment Group 'web' already has an active Deployment '{first}'");
    assert_eq!(fault.message(), said);
    bed.until_status(&first, "Succeeded");
    assert_ne!(bed.deploy(&bed.new), first, "saying the same again deploys again");
}

#[test]
fn creations_that_cannot_be_are_refused() {
    let bed = bed().with_group();
    let with = |key: &str, value: Value| -> Result<Value, Fault> {
        let mut asked = creation(&spec(&bed.new));
        asked[key] = value;
        bed.ask("CreateDeployment", asked)
    };
    assert_eq!(code(with("applicationName", Value::Null)), "ApplicationNameRequiredException");
    assert_eq!(code(with("applicationName", json!("x"))), "ApplicationDoesNotExistException");
    assert_eq!(code(with("deploymentGroupName", Value::Null)), "DeploymentGroupNameRequiredException");
    assert_eq!(code(with("deploymentGroupName", json!("x"))), "DeploymentGroupDoesNotExistException");
    assert_eq!(code(with("deploymentConfigName", json!("x"))), "DeploymentConfigDoesNotExistException");
    assert_eq!(code(with("revision", Value::Null)), "RevisionRequiredException");
    let service = spec(&bed.new);
    for content in [
        "",
        "version: 0.0",
        "{}",
        &service.replace("AWS::ECS::Service", "AWS::Lambda::Function"),
        &service.replace("\"ContainerPort\":80", "\"ContainerPort\":0"),
        &service.replace("arn:", "urn:"),
    ] {
        assert_eq!(
            code(bed.ask("CreateDeployment", creation(content))),
            "InvalidRevisionException",
            "{content}"
        );
    }
    let mut lied = creation(&service);
    lied["revision"]["appSpecContent"]["sha256"] = json!("0");
    assert_eq!(code(bed.ask("CreateDeployment", lied)), "InvalidRevisionException");
    assert_eq!(bed.ask("ListDeployments", json!({})).unwrap(), json!({ "deployments": [] }));
}

#[test]
fn only_a_service_that_code_deploy_moves_can_be_deployed() {
    let bed = bed();
    bed.group(json!({ "ecsServices": [{ "clusterName": "prod", "serviceName": "gone" }] }));
    let asked = creation(&spec(&bed.new));
    assert_eq!(code(bed.ask("CreateDeployment", &asked)), "InvalidECSServiceException");
    let native =
        json!({ "cluster": "prod", "serviceName": "gone", "taskDefinition": bed.old, "desiredCount": 1 });
    bed.cloud.ask("ecs", "CreateService", &native).unwrap();
    assert_eq!(code(bed.ask("CreateDeployment", &asked)), "InvalidECSServiceException");
}

#[test]
fn deployments_are_listed_newest_first_by_state_time_and_page() {
    let bed = bed().with_group();
    let first = bed.deploy(&bed.new);
    bed.until_status(&first, "Succeeded");
    let from = bed.cloud.now().as_second() as f64;
    let second = bed.deploy(&bed.old);
    bed.pass(2);
    let list = |input: Value| bed.ask("ListDeployments", input).unwrap();
    let of = json!({ "applicationName": "shop", "deploymentGroupName": "web" });
    assert_eq!(ids(&list(of.clone())), [second.as_str(), first.as_str()]);
    assert_eq!(ids(&list(json!({ "includeOnlyStatuses": ["InProgress", "Queued"] }))), [second.as_str()]);
    assert_eq!(ids(&list(json!({ "includeOnlyStatuses": ["Ready"] }))), Vec::<&str>::new());
    assert_eq!(ids(&list(json!({ "createTimeRange": { "start": from } }))), [second.as_str()]);
    assert_eq!(ids(&list(json!({ "createTimeRange": { "end": from - 1.0 } }))), [first.as_str()]);
    bed.cloud.world().deployments_per_page(1);
    let page = list(of.clone());
    assert_eq!(ids(&page), [second.as_str()]);
    let mut next = of;
    next["nextToken"] = page["nextToken"].clone();
    let page = list(next);
    assert_eq!((ids(&page), page.get("nextToken")), (vec![first.as_str()], None));
    let refused = |input: Value| code(bed.ask("ListDeployments", input));
    assert_eq!(refused(json!({ "deploymentGroupName": "web" })), "ApplicationNameRequiredException");
    assert_eq!(refused(json!({ "applicationName": "shop" })), "DeploymentGroupNameRequiredException");
    assert_eq!(
        refused(json!({ "includeOnlyStatuses": ["In Progress"] })),
        "InvalidDeploymentStatusException"
    );
    assert_eq!(
        refused(json!({ "createTimeRange": { "start": 2.0, "end": 1.0 } })),
        "InvalidTimeRangeException"
    );
    assert_eq!(refused(json!({ "nextToken": "x" })), "InvalidNextTokenException");
}

#[test]
fn deployments_are_looked_up_one_by_one_and_in_batches() {
    let bed = bed().with_group();
    let id = bed.deploy(&bed.new);
    let get = |id: Value| code(bed.ask("GetDeployment", json!({ "deploymentId": id })));
    assert_eq!(get(Value::Null), "DeploymentIdRequiredException");
    assert_eq!(get(json!("x")), "InvalidDeploymentIdException");
    assert_eq!(get(json!("d-000000000")), "DeploymentDoesNotExistException");
    let told = bed.ask("BatchGetDeployments", json!({ "deploymentIds": [id, "d-000000000"] })).unwrap();
    assert_eq!(told["deploymentsInfo"], json!([bed.info(&id)]));
    let many = json!({ "deploymentIds": vec![id.clone(); 26] });
    assert_eq!(code(bed.ask("BatchGetDeployments", many)), "BatchLimitExceededException");
    bed.until_status(&id, "InProgress");
    let told = bed.ask("ListDeploymentTargets", json!({ "deploymentId": id })).unwrap();
    assert_eq!(told["targetIds"], json!(["prod:web"]));
    let other = json!({ "deploymentId": id, "targetId": "prod:api" });
    assert_eq!(code(bed.ask("GetDeploymentTarget", other)), "DeploymentTargetDoesNotExistException");
}

#[test]
fn groups_tell_what_they_were_made_with_and_what_came_of_them() {
    let bed = bed().with_group();
    let of = json!({ "applicationName": "shop", "deploymentGroupName": "web" });
    let get = || bed.ask("GetDeploymentGroup", &of).unwrap()["deploymentGroupInfo"].take();
    let (asked, told) = (bed.asked_group(), get());
    for (key, value) in asked.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    assert_eq!((&told["computePlatform"], told.get("lastAttemptedDeployment")), (&json!("ECS"), None));
    let id = bed.deploy(&bed.new);
    assert_eq!(get()["lastAttemptedDeployment"]["status"], "Created");
    bed.until_status(&id, "Succeeded");
    assert_eq!(get()["lastSuccessfulDeployment"]["deploymentId"], json!(id));
    let batch = json!({ "applicationName": "shop", "deploymentGroupNames": ["web", "x"] });
    let told = bed.ask("BatchGetDeploymentGroups", batch).unwrap();
    assert_eq!(told["deploymentGroupsInfo"], json!([get()]));
    assert_eq!(bed.ask("ListApplications", json!({})).unwrap(), json!({ "applications": ["shop"] }));
    let told = bed.ask("ListDeploymentGroups", json!({ "applicationName": "shop" })).unwrap();
    assert_eq!(told, json!({ "applicationName": "shop", "deploymentGroups": ["web"] }));
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let bed = bed();
    let with = |key: &str, value: Value| {
        let mut asked = bed.asked_group();
        asked[key] = value;
        code(bed.ask("CreateDeploymentGroup", asked))
    };
    assert_eq!(with("serviceRoleArn", Value::Null), "RoleRequiredException");
    assert_eq!(with("deploymentConfigName", json!("x")), "DeploymentConfigDoesNotExistException");
    let in_place = json!({ "deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL" });
    assert_eq!(with("deploymentStyle", in_place), "InvalidDeploymentStyleException");
    assert_eq!(with("ecsServices", json!([])), "InvalidECSServiceException");
    assert_eq!(with("loadBalancerInfo", Value::Null), "InvalidLoadBalancerInfoException");
    let mut pair = bed.asked_group()["loadBalancerInfo"].take();
    pair["targetGroupPairInfoList"][0]["targetGroups"][1]["name"] = json!("red");
    assert_eq!(with("loadBalancerInfo", pair), "InvalidTargetGroupPairException");
    bed.group(json!({}));
    assert_eq!(with("deploymentConfigName", Value::Null), "DeploymentGroupAlreadyExistsException");
    let again = bed.ask("CreateApplication", json!({ "applicationName": "shop" }));
    assert_eq!(code(again), "ApplicationAlreadyExistsException");
}
