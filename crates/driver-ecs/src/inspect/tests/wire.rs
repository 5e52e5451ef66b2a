//! The client against the double, over HTTP.

use rollback_core::{Digest, Reading, Snapshot as _};
use serde_json::{Value, json};

use super::bed::{bed, codes, presence};
use super::state;
use crate::CodeDeployGroup;
use crate::fixtures::{PARAMETER, REPOSITORY, revision, snapshot};

#[tokio::test]
async fn all_that_the_destination_needs_is_there() {
    let bed = bed().await.with_all();
    let mut to = snapshot(41, "v1");
    to.digests.insert("web".to_owned(), bed.push("v1"));
    let inspection = bed.inspect(&to, json!({})).await;
    for artifact in &to.info().artifacts {
        assert_eq!(presence(&inspection, &artifact.name), Reading::Known(()), "{artifact:?}");
    }
    assert_eq!(inspection.artifacts.len(), to.info().artifacts.len());
    assert!(codes(&inspection).is_empty(), "{:?}", inspection.findings);
    // Values are asked for nowhere, and kept nowhere.
    assert!(!format!("{inspection:?}").contains("s3cr3t"));
    let calls = bed.cloud.calls();
    let parameters = calls.iter().find(|call| call.operation == "GetParameters").unwrap();
    assert_eq!(parameters.input["WithDecryption"], json!(false));
    assert_eq!(bed.cloud.count("DescribeImages"), 1, "digest and tag go in one call");
}

#[tokio::test]
async fn the_revision_is_read_as_it_is_now() {
    let bed = bed().await.with_all();
    bed.ask("ecs", "DeregisterTaskDefinition", json!({ "taskDefinition": revision(41) }));
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    assert_eq!(codes(&inspection), ["revision-inactive", "image-by-tag"]);
    let mut deleted = snapshot(41, "v1");
    deleted.task_definition = revision(99);
    assert_eq!(codes(&bed.inspect(&deleted, json!({})).await), ["revision-gone", "image-by-tag"]);
}

#[tokio::test]
async fn a_moved_tag_is_seen_and_the_image_that_ran_still_found() {
    let bed = bed().await.with_all();
    let mut to = snapshot(41, "v1");
    to.digests.insert("web".to_owned(), bed.push("v1"));
    let other = bed.push("v2");
    bed.cloud.world().images.tag(format!("{REPOSITORY}:v1"), other.to_string());
    let inspection = bed.inspect(&to, json!({})).await;
    assert_eq!(codes(&inspection), ["image-moved"]);
    assert_eq!(presence(&inspection, &to.info().artifacts[0].name), Reading::Known(()));
    assert!(inspection.findings.iter().any(|found| found.message.contains(&other.to_string())));
}

#[tokio::test]
async fn an_image_inside_an_index_is_the_same_image() {
    let bed = bed().await.with_all();
    let mut to = snapshot(41, "v1");
    let ran = bed.push("v1");
    to.digests.insert("web".to_owned(), ran);
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": ran }] }).to_string();
    let media = "application/vnd.oci.image.index.v1+json";
    bed.ask("ecr", "PutImage", json!({ "repositoryName": "web", "imageTag": "v1", "imageManifest": index, "imageManifestMediaType": media }));
    let inspection = bed.inspect(&to, json!({})).await;
    assert!(codes(&inspection).is_empty(), "{:?}", inspection.findings);
    let other = json!({ "manifests": [] }).to_string();
    bed.ask("ecr", "PutImage", json!({ "repositoryName": "web", "imageTag": "v1", "imageManifest": other, "imageManifestMediaType": media }));
    assert_eq!(codes(&bed.inspect(&to, json!({})).await), ["image-moved"]);
}

#[tokio::test]
async fn a_missing_tag_lists_those_that_are_there() {
    let bed = bed().await.with_all();
    let inspection = bed.inspect(&snapshot(41, "v9"), json!({})).await;
    assert_eq!(presence(&inspection, &format!("{REPOSITORY}:v9")), Reading::Absent);
    let tags = inspection.findings.iter().find(|found| found.code == "image-tags").unwrap();
    assert!(tags.message.contains("v1 (2026-01-05T09:00:00Z)"), "{tags:?}");
}

#[tokio::test]
async fn no_repository_means_no_image() {
    let bed = bed().await;
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    assert_eq!(presence(&inspection, &format!("{REPOSITORY}:v1")), Reading::Absent);
    assert_eq!(presence(&inspection, PARAMETER), Reading::Absent);
}

#[tokio::test]
async fn what_would_be_fetched_from_elsewhere_is_not_missing() {
    let bed = bed().await.with_all();
    let rule = json!({ "ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io" });
    bed.ask("ecr", "CreatePullThroughCacheRule", rule);
    let host = REPOSITORY.strip_suffix("/web").unwrap();
    let (cached, near) = (format!("{host}/hub/nginx:1"), format!("{host}/hubs/nginx:1"));
    let inspection = bed.inspect(&state(json!({}), json!({ "image": cached })), json!({})).await;
    assert!(
        matches!(presence(&inspection, &cached), Reading::Unknown(why) if why.contains("registry-1.docker.io"))
    );
    let inspection = bed.inspect(&state(json!({}), json!({ "image": near })), json!({})).await;
    assert_eq!(presence(&inspection, &near), Reading::Absent);
}

#[tokio::test]
async fn whoever_may_only_pull_learns_whether_it_is_there() {
    let bed = bed().await.with_all();
    bed.denies("ecr", "DescribeImages");
    bed.denies("ecr", "GetLifecyclePolicy");
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    assert_eq!(presence(&inspection, &format!("{REPOSITORY}:v1")), Reading::Known(()));
    let unknown = inspection.findings.iter().find(|found| found.code == "image-details-unknown").unwrap();
    assert!(unknown.message.contains("ecr:GetLifecyclePolicy"), "{unknown:?}");
    let inspection = bed.inspect(&snapshot(41, "v9"), json!({})).await;
    assert_eq!(presence(&inspection, &format!("{REPOSITORY}:v9")), Reading::Absent);
    // Another failure than that it is not there says no such thing.
    let archived =
        json!({ "repositoryName": "web", "imageId": { "imageTag": "v1" }, "targetStorageClass": "ARCHIVE" });
    bed.ask("ecr", "UpdateImageStorageClass", archived);
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    let presence = presence(&inspection, &format!("{REPOSITORY}:v1"));
    assert!(matches!(&presence, Reading::Unknown(why) if why.contains("ImageInaccessible")), "{presence:?}");
}

#[tokio::test]
async fn an_archived_image_cannot_be_pulled() {
    let bed = bed().await.with_all();
    let archived =
        json!({ "repositoryName": "web", "imageId": { "imageTag": "v1" }, "targetStorageClass": "ARCHIVE" });
    bed.ask("ecr", "UpdateImageStorageClass", archived);
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    assert_eq!(codes(&inspection), ["image-archived", "image-by-tag"]);
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_refuses_nothing() {
    let bed = bed().await.with_all();
    for service in ["ecr", "ssm", "monitoring", "application-autoscaling", "ecs", "codedeploy"] {
        bed.denies(service, "*");
    }
    let alarms = json!({ "deploymentConfiguration": { "alarms": { "alarmNames": ["5xx"], "enable": true }, "deploymentCircuitBreaker": { "enable": true } } });
    let mut to = snapshot(41, "v1");
    to.registration = crate::Registration::Unknown;
    let inspection = bed.inspect(&to, alarms).await;
    for (artifact, permission) in
        [(format!("{REPOSITORY}:v1"), "ecr:DescribeImages"), (PARAMETER.to_owned(), "ssm:GetParameters")]
    {
        assert!(
            matches!(presence(&inspection, &artifact), Reading::Unknown(why) if why.contains(permission)),
            "{artifact}"
        );
    }
    for (code, permission) in [
        ("alarms-unknown", "cloudwatch:DescribeAlarms"),
        ("autoscaling-unknown", "application-autoscaling:DescribeScalableTargets"),
        ("revision-unknown", "ecs:DescribeTaskDefinition"),
    ] {
        let found = inspection.findings.iter().find(|found| found.code == code).unwrap();
        assert!(found.message.contains(permission), "{found:?}");
    }
    assert!(
        inspection.findings.iter().all(|found| found.severity < rollback_core::target::Severity::Blocker)
    );
    let group = CodeDeployGroup::new("shop", "web", "web", 80);
    let auto = bed.surroundings.auto_rollback(&group).await;
    assert!(matches!(auto, Reading::Unknown(why) if why.contains("codedeploy:GetDeploymentGroup")));
}

#[tokio::test]
async fn whether_code_deploy_rolls_back_by_itself_is_read() {
    let bed = bed().await.with_all();
    let listener = {
        let mut world = bed.cloud.world();
        let balancer = world.create_load_balancer("shop");
        let (blue, _green) = (world.create_target_group("blue"), world.create_target_group("green"));
        world.create_listener(&balancer, 443, &[(&blue, 1)])
    };
    let group = json!({
        "applicationName": "shop", "deploymentGroupName": "web",
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "serviceRoleArn": "arn:aws:iam::123456789012:role/code-deploy",
        "autoRollbackConfiguration": { "enabled": true, "events": ["DEPLOYMENT_FAILURE"] },
        "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
        "blueGreenDeploymentConfiguration": {
            "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 5 },
            "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
        },
        "ecsServices": [{ "clusterName": "prod", "serviceName": "web" }],
        "loadBalancerInfo": { "targetGroupPairInfoList": [{
            "targetGroups": [{ "name": "blue" }, { "name": "green" }],
            "prodTrafficRoute": { "listenerArns": [listener] },
        }] },
    });
    bed.ask(
        "codedeploy",
        "CreateApplication",
        json!({ "applicationName": "shop", "computePlatform": "ECS" }),
    );
    bed.ask("codedeploy", "CreateDeploymentGroup", group);
    let group = CodeDeployGroup::new("shop", "web", "web", 80);
    let auto = bed.surroundings.auto_rollback(&group).await;
    assert_eq!(auto.known().map(|auto| (auto.enabled, auto.events.len())), Some((true, 1)), "{auto:?}");
}

#[tokio::test]
async fn alarms_and_scaling_are_read() {
    let bed = bed().await.with_all();
    for (operation, name, state) in [("PutMetricAlarm", "5xx", "ALARM"), ("PutCompositeAlarm", "all", "OK")] {
        bed.ask("monitoring", operation, json!({ "AlarmName": name }));
        bed.ask("monitoring", "SetAlarmState", json!({ "AlarmName": name, "StateValue": state }));
    }
    let target = json!({ "ServiceNamespace": "ecs", "ResourceId": "service/prod/web", "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 6, "MaxCapacity": 9 });
    bed.ask("application-autoscaling", "RegisterScalableTarget", target);
    let alarms = json!({ "alarmNames": ["5xx", "all", "gone"], "enable": true });
    let config = json!({ "deploymentConfiguration": { "alarms": alarms, "deploymentCircuitBreaker": { "enable": true } } });
    let inspection = bed.inspect(&snapshot(41, "v1"), config).await;
    let expected = ["image-by-tag", "alarm-firing", "alarm-missing", "autoscaling-at-odds"];
    assert_eq!(codes(&inspection), expected, "{:?}", inspection.findings);
    // The composite alarm is found too.
    assert!(inspection.findings[2].message.ends_with(": gone"), "{:?}", inspection.findings);
}

#[tokio::test]
async fn secrets_are_found_with_their_stages() {
    let bed = bed().await.with_all();
    let arn = bed.ask("secretsmanager", "CreateSecret", json!({ "Name": "db" }))["ARN"]
        .as_str()
        .unwrap()
        .to_owned();
    let reference = |suffix: &str| format!("{arn}{suffix}");
    let secrets = |names: &[&str]| {
        let secrets: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, suffix)| json!({ "name": format!("S{n}"), "valueFrom": reference(suffix) }))
            .collect();
        state(json!({}), json!({ "secrets": secrets }))
    };
    let to = secrets(&["", ":password::", "::AWSPREVIOUS:", ":::unknown"]);
    let inspection = bed.inspect(&to, json!({})).await;
    assert_eq!(presence(&inspection, &reference("")), Reading::Known(()));
    assert_eq!(presence(&inspection, &reference(":password::")), Reading::Known(()));
    assert_eq!(presence(&inspection, &reference("::AWSPREVIOUS:")), Reading::Absent);
    assert!(matches!(presence(&inspection, &reference(":::unknown")), Reading::Unknown(_)));
    assert_eq!(bed.cloud.count("DescribeSecret"), 1, "one secret, one call");
    bed.ask("secretsmanager", "DeleteSecret", json!({ "SecretId": arn }));
    let inspection = bed.inspect(&secrets(&[""]), json!({})).await;
    assert_eq!(presence(&inspection, &reference("")), Reading::Absent);
    assert!(codes(&inspection).contains(&"secret-unusable"));
}

#[tokio::test]
async fn an_image_elsewhere_is_asked_for_where_it_is() {
    let bed = bed().await.with_all();
    let host = "999999999999.dkr.ecr.us-east-1.amazonaws.com";
    bed.cloud.world().images.tag(format!("{host}/web:v1"), Digest::of_bytes(b"far").to_string());
    let far = format!("{host}/web:v1");
    let inspection = bed.inspect(&state(json!({}), json!({ "image": far })), json!({})).await;
    assert_eq!(presence(&inspection, &far), Reading::Known(()));
    let calls = bed.cloud.calls();
    let call = calls.iter().find(|call| call.operation == "DescribeImages").unwrap();
    assert_eq!(
        (call.input["registryId"].as_str(), call.region.as_str()),
        (Some("999999999999"), "us-east-1")
    );
    for (image, why) in [
        ("docker.io/library/nginx:1", "only registries of ECR"),
        ("nginx", "only registries of ECR"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/web:v1", "partition aws-cn"),
    ] {
        bed.cloud.forget_calls();
        let inspection = bed.inspect(&state(json!({}), json!({ "image": image })), json!({})).await;
        assert!(
            matches!(presence(&inspection, image), Reading::Unknown(said) if said.contains(why)),
            "{image}"
        );
        assert_eq!(bed.cloud.count("DescribeImages"), 0);
    }
}

#[tokio::test]
async fn a_lifecycle_policy_dates_the_image() {
    let bed = bed().await.with_all();
    let rule = |kind: &str| json!({ "rulePriority": 1, "selection": { "tagStatus": "any", "countType": kind, "countUnit": "days", "countNumber": 500 }, "action": { "type": "expire" } });
    let put = |rule: Value| {
        let text = json!({ "rules": [rule] }).to_string();
        bed.ask("ecr", "PutLifecyclePolicy", json!({ "repositoryName": "web", "lifecyclePolicyText": text }));
    };
    put(rule("sinceImagePushed"));
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    let until = inspection.artifacts[0].presence.known().copied().flatten();
    assert_eq!(until, "2027-05-20T09:00:00Z".parse().ok());
    put(rule("imageCountMoreThan"));
    let inspection = bed.inspect(&snapshot(41, "v1"), json!({})).await;
    assert_eq!(codes(&inspection), ["image-expires-by-count", "image-by-tag"]);
}
