//! Bad inputs: each gets a clear error with the next step and its documented exit code, and nothing is changed.

use std::time::Duration;

use rollback_scripted_aws::{Behaviour, Does, Injection};
use rollback_tests::Result;
use serde_json::json;

use crate::bed::{Bed, image, told};

/// Each look and each change, none of which may change anything.
const RUN: &str = "run web --to previous --yes";

#[test]
fn no_such_cluster() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.configure_as("cluster = \"prdo\"\nservice = \"web\"")?;
    for line in ["history web", "plan web --to previous", RUN] {
        bed.refuses(line, 1, &["there is no cluster prdo", "aws ecs list-clusters"])?;
    }
    Ok(())
}

#[test]
fn no_such_service() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.configure_as("cluster = \"prod\"\nservice = \"wbe\"")?;
    for line in ["history web", "plan web --to previous", RUN] {
        bed.refuses(line, 1, &["cluster prod has no such service", "aws ecs list-services --cluster prod"])?;
    }
    Ok(())
}

#[test]
fn no_such_version_or_revision_names_those_that_are() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.refuses(
        "run web --to version=v9 --yes",
        1,
        &["has tag v9", "newest first: v2 (2026-01-05T09:00:00Z), v1 ("],
    )?;
    bed.refuses("run web --to revision=9 --yes", 1, &["there is no revision 9", "2 (v2), 1 (v1)"])?;
    bed.refuses("run web --to revision=one --yes", 1, &["there is no revision one"])?;
    bed.refuses("run web --to as-of=2020-01-01T00:00:00Z --yes", 1, &["nothing is known to have run"])?;
    Ok(())
}

#[test]
fn nothing_has_earned_being_good() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.refuses("run web --yes", 3, &["no version has earned being called good yet"])?;
    Ok(())
}

#[test]
fn the_family_is_gone() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    let gone = rollback_scripted_aws::Fault::new("ClientException", "Unable to describe task definition.");
    bed.cloud.inject(Injection::new("ecs", "DescribeTaskDefinition", Does::Refuses(gone)));
    bed.refuses(RUN, 3, &["what runs now is not known", "web:2 could not be read"])?;
    bed.refuses("run web --to revision=1 --yes", 1, &["there is no revision 1"])?;
    Ok(())
}

#[test]
fn an_image_that_is_gone_names_the_tags_that_are_there() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    let digest = bed.cloud.world().images.digest(&image(1));
    let gone = json!({ "repositoryName": "web", "imageIds": [{ "imageDigest": digest }] });
    bed.ask("ecr", "BatchDeleteImage", &gone)?;
    bed.refuses(RUN, 3, &["does not exist", "has these tags, newest first: v2"])?;
    bed.refuses("check", 9, &["does not exist"])?;
    Ok(())
}

#[test]
fn what_is_denied_is_named() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    for operation in ["DescribeServices", "ListTaskDefinitions", "DescribeTaskDefinition"] {
        bed.cloud.no_faults();
        bed.cloud.inject(Injection::new("ecs", operation, Does::Denies));
        let action = format!("allow ecs:{operation}");
        bed.refuses("history web", 1, &[&action, "assumed-role/deployer"])?;
    }
    // A plan needs less than a history: what it could not see is said.
    for operation in ["ListTasks", "DescribeTasks", "ListServiceDeployments", "DescribeServiceRevisions"] {
        bed.cloud.no_faults();
        bed.cloud.inject(Injection::new("ecs", operation, Does::Denies));
        let before = bed.before()?;
        let ran = bed.run("plan web --to revision=1 --explain")?;
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(&format!("ecs:{operation}")), "{operation} is not named: {ran}");
        bed.unchanged(&before)?;
    }
    Ok(())
}

#[test]
fn a_change_that_is_denied_changes_nothing() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.inject(Injection::new("ecs", "UpdateService", Does::Denies));
    bed.cloud.forget_calls();
    let ran = bed.run(RUN)?.expect(4);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("ecs:UpdateService") && said.contains("assumed-role/deployer"), "{ran}");
    assert!(said.contains("allow ecs:UpdateService"), "the next step is not told: {ran}");
    assert_eq!(bed.sent(), ["ecs:UpdateService"], "once, and not again");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    Ok(())
}

#[test]
fn credentials_that_have_expired() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    for service in ["sts", "ecs"] {
        bed.cloud.no_faults();
        bed.cloud.inject(Injection::new(service, "*", Does::Expires));
        for line in ["plan web --to previous", RUN] {
            bed.refuses(line, 1, &["the credentials have expired"])?;
        }
    }
    Ok(())
}

#[test]
fn no_credentials_at_all() -> Result<()> {
    let mut bed = Bed::with_two(&json!({}))?;
    bed.variable("AWS_ACCESS_KEY_ID", "");
    bed.variable("AWS_SECRET_ACCESS_KEY", "");
    bed.refuses(RUN, 1, &["credentials"])?;
    assert!(bed.cloud.calls().is_empty(), "nobody was asked");
    bed.configure("profile = \"nobody\"")?;
    bed.refuses(RUN, 1, &["nobody"])?;
    assert!(bed.cloud.calls().is_empty(), "nobody was asked");
    Ok(())
}

#[test]
fn the_wrong_region() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/prod";
    bed.configure_as(&format!("cluster = \"{cluster}\"\nservice = \"web\""))?;
    bed.refuses(RUN, 2, &["us-east-1", "eu-west-1", "set region to that of the cluster"])?;
    assert!(bed.cloud.calls().is_empty(), "nobody was asked");
    // By its name alone the region cannot be told: there it is not, and that is what AWS answers.
    let gone = rollback_scripted_aws::Fault::new("ClusterNotFoundException", "Cluster not found.");
    bed.cloud.inject(Injection::new("ecs", "*", Does::Refuses(gone)));
    bed.configure("region = \"us-east-1\"")?;
    bed.refuses(RUN, 1, &["there is no cluster prod", "this account and region"])?;
    Ok(())
}

#[test]
fn the_wrong_account_is_refused_before_anything_is_read() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.configure("[environments.prod]\nexpect_account = \"999999999999\"\nrequire_reason = false")?;
    for (line, code) in [
        (RUN, 3),
        ("plan web --to previous", 3),
        ("history web", 3),
        ("record web --good", 3),
        ("check", 9),
        ("status", 3),
    ] {
        let before = bed.before()?;
        let ran = bed.run(line)?;
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains("123456789012") && said.contains("999999999999"), "{line}: {ran}");
        assert_eq!(bed.calls(), ["sts:GetCallerIdentity"], "{line}");
        assert_eq!(ran.code, Some(code), "{line}: {ran}");
        bed.unchanged(&before)?;
    }
    let cluster = "arn:aws:ecs:eu-west-1:999999999999:cluster/prod";
    bed.configure_as(&format!("cluster = \"{cluster}\"\nservice = \"web\""))?;
    bed.refuses(RUN, 3, &["999999999999", "these credentials are of 123456789012"])?;
    assert_eq!(bed.calls(), ["sts:GetCallerIdentity"]);
    Ok(())
}

#[test]
fn a_deployment_that_somebody_began_after_the_plan() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.run("plan web --to previous -o plan.json")?.expect(0);
    bed.register(3)?;
    bed.deploy(3)?;
    bed.refuses("apply plan.json --yes", 3, &["changed since the plan was made", "make a new plan"])?;
    assert_eq!(bed.cloud.service("prod", "web").map(|web| web.task_definition), Some("web:3".to_owned()));
    Ok(())
}

#[test]
fn a_second_deployment_beside_one_of_code_deploy() -> Result<()> {
    let bed = Bed::empty()?;
    for release in 1..=3 {
        bed.register(release)?;
    }
    let made = bed.cloud.create_blue_green("prod", "web", "web:1", 2, &json!({})).map_err(told)?;
    bed.cloud.deploy_blue_green(&made, "web:2").map_err(told)?;
    bed.cloud.settle();
    let moving = bed.cloud.deploy_blue_green(&made, "web:3").map_err(told)?;
    bed.cloud.tick(Duration::from_secs(8));
    // Not where CodeDeploy would go back to.
    bed.refuses("run web --to revision=1 --yes", 3, &[&moving, "a group runs one at a time"])?;
    Ok(())
}

#[test]
fn a_service_that_is_being_deleted_and_one_that_is() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.advance_per_call(Duration::ZERO);
    let delete = json!({ "cluster": "prod", "service": "web", "force": true });
    bed.ask("ecs", "DeleteService", &delete)?;
    assert_eq!(bed.cloud.service("prod", "web").map(|web| web.status), Some("DRAINING".to_owned()));
    bed.refuses("run web --to revision=1 --yes", 3, &["the service is being deleted"])?;
    bed.refuses(RUN, 3, &["the service is being deleted"])?;
    bed.refuses("check --to revision=1", 9, &["the service is being deleted"])?;
    bed.cloud.settle();
    assert_eq!(bed.cloud.service("prod", "web").map(|web| web.status), Some("INACTIVE".to_owned()));
    bed.refuses("run web --to revision=1 --yes", 3, &["was deleted"])?;
    bed.refuses(RUN, 3, &["was deleted"])?;
    Ok(())
}

#[test]
fn throttling_throughout() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.inject(Injection::new("ecs", "*", Does::Throttles));
    bed.refuses(RUN, 1, &["ThrottlingException"])?;
    Ok(())
}

#[test]
fn failing_throughout() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    for service in ["sts", "ecs"] {
        bed.cloud.no_faults();
        bed.cloud.inject(Injection::new(service, "*", Does::Breaks));
        bed.refuses(RUN, 1, &["HTTP 500"])?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_meant() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    for (settings, texts) in [
        ("service = \"web\"", &["cluster"][..]),
        ("cluster = \"prod\"\nservice = \"web/x\"", &["service", "web/x"]),
        ("cluster = \"prod\"\nservice = 7", &["service"]),
        ("clutser = \"prod\"\nservice = \"web\"", &["clutser", "cluster"]),
        ("cluster = \"prod\"\nservice = \"web\"\nregion = \"Europe\"", &["region"]),
        ("cluster = \"prod\"\nservice = \"web\"\nrole_arn = \"admin\"", &["role_arn"]),
        ("cluster = \"prod\"\nservice = \"web\"\ncodedeploy = { application = \"a\" }", &["codedeploy"]),
        ("cluster = \"prod\"\nservice = \"web\"\nfingerprint_key = \"short\"", &["fingerprint"]),
    ] {
        bed.configure_as(settings)?;
        for line in ["plan web --to previous", RUN] {
            bed.refuses(line, 2, texts)?;
        }
        assert!(bed.cloud.calls().is_empty(), "nobody was asked: {settings}");
    }
    Ok(())
}

/// Not an error: the destination's tasks do not start, and nobody goes back by himself.
#[test]
fn a_destination_that_does_not_start() -> Result<()> {
    let bed = Bed::with_two(&json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } }))?;
    bed.cloud.behave(&image(1), Behaviour::Crash);
    let ran = bed.run("run web --to previous --yes --on-failure back --output json")?.expect(4);
    assert_eq!(ran.json()["state"], "failed-restored", "{ran}");
    assert!(ran.out.contains("ended with 1"), "ECS's reason is not told: {ran}");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    Ok(())
}
