use rollback_core::Reading;
use rollback_core::target::Severity::{Blocker, Info, Warning};
use serde_json::json;

use super::super::scaling::{Scaling, resource_id};
use super::super::{AutoRollback, decide};
use super::{at, codes, described, found, look, quiet, state};
use crate::fixtures::{self, snapshot};
use crate::look::CodeDeployInfo;
use crate::{CodeDeployGroup, Coupled, Registration};

#[test]
fn what_could_not_be_read_of_the_service_is_told_before_it_is_missed() {
    let described = described(json!({}));
    let mut look = look(&described);
    let denied = || Reading::Unknown("ecs:… is denied".to_owned());
    look.healthy_targets = Reading::Unknown("elasticloadbalancing:… is denied".to_owned());
    (look.tasks, look.deployments) = (Reading::Unknown("ecs:ListTasks is denied".to_owned()), denied());
    let found = decide(&quiet(), &look, &described, None, &snapshot(41, "v1")).findings;
    let told = [("tasks-unknown", Warning), ("deployments-unknown", Warning), ("targets-unknown", Warning)];
    assert_eq!(codes(&found)[..3], told);
    assert!(found[0].message.contains("ecs:ListTasks is denied"), "{found:?}");
    // Of a service that CodeDeploy moves, ECS has no deployments to tell.
    look.service.deployment_controller.kind = "CODE_DEPLOY".to_owned();
    let found = decide(&quiet(), &look, &described, None, &snapshot(41, "v1")).findings;
    assert!(!codes(&found).iter().any(|(code, _)| *code == "deployments-unknown"), "{found:?}");
}

#[test]
fn a_healthy_service_has_nothing_to_be_told() {
    let found = found(&quiet(), json!({}));
    assert_eq!(codes(&found), [], "{found:?}");
}

#[test]
fn room_for_the_second_copy() {
    let of = |desired: u32, least: u32, most: u32| {
        let config = json!({ "minimumHealthyPercent": least, "maximumPercent": most, "deploymentCircuitBreaker": { "enable": true } });
        found(&quiet(), json!({ "desiredCount": desired, "deploymentConfiguration": config }))
    };
    assert_eq!(codes(&of(4, 100, 200)), []);
    assert_eq!(codes(&of(4, 100, 150)), []);
    assert_eq!(codes(&of(4, 50, 200)), [("capacity-falls", Info)]);
    assert_eq!(codes(&of(4, 0, 200)), [("downtime", Warning)]);
    assert_eq!(codes(&of(4, 50, 100)), [("stops-first", Warning)]);
    assert_eq!(codes(&of(4, 0, 100)), [("downtime", Warning)]);
    assert_eq!(codes(&of(4, 100, 100)), [("no-room-to-replace", Warning)]);
    // One and a half tasks are one, and two thirds of one are one.
    assert_eq!(codes(&of(1, 67, 150)), [("no-room-to-replace", Warning)]);
    assert_eq!(codes(&of(0, 100, 100)), []);
    assert!(of(4, 50, 100)[0].message.contains("as few as 2"));
}

#[test]
fn instances_have_room_of_their_own() {
    assert_eq!(
        codes(&found(&quiet(), json!({ "launchType": "EC2" }))),
        [("instance-capacity-unknown", Info)]
    );
    let of = |provider: &str| {
        found(
            &quiet(),
            json!({ "launchType": null, "capacityProviderStrategy": [{ "capacityProvider": provider }] }),
        )
    };
    assert_eq!(codes(&of("FARGATE_SPOT")), []);
    assert_eq!(codes(&of("instances")), [("instance-capacity-unknown", Info)]);
    let daemon = json!({ "launchType": "EC2", "schedulingStrategy": "DAEMON", "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true } } });
    assert_eq!(codes(&found(&quiet(), daemon)), [("stops-first", Info)]);
}

#[test]
fn ecs_may_act_on_its_own() {
    let breaker = |breaker| json!({ "deploymentConfiguration": { "deploymentCircuitBreaker": breaker } });
    assert_eq!(codes(&found(&quiet(), breaker(json!({ "enable": false })))), [("circuit-breaker-off", Info)]);
    let armed = breaker(json!({ "enable": true, "rollback": true }));
    assert_eq!(codes(&found(&quiet(), armed)), [("native-rollback-armed", Info)]);
}

#[test]
fn alarms_that_fire_are_looked_away_from() {
    let config = |enable| json!({ "deploymentConfiguration": { "alarms": { "alarmNames": ["5xx", "slow", "gone", "fine"], "enable": enable }, "deploymentCircuitBreaker": { "enable": true } } });
    let mut facts = quiet();
    let states = [("5xx", "ALARM"), ("slow", "INSUFFICIENT_DATA"), ("fine", "OK")];
    facts.alarms = Reading::Known(states.map(|(name, state)| (name.to_owned(), state.to_owned())).into());
    let seen = found(&facts, config(true));
    assert_eq!(
        codes(&seen),
        [("alarm-firing", Warning), ("alarm-missing", Warning), ("alarm-without-data", Info)]
    );
    assert!(
        seen[0].message.contains("5xx")
            && seen[1].message.contains("gone")
            && seen[2].message.contains("slow")
    );
    assert_eq!(codes(&found(&facts, config(false))), []);
    facts.alarms = Reading::Unknown("cloudwatch:DescribeAlarms is denied".to_owned());
    let seen = found(&facts, config(true));
    assert_eq!(codes(&seen), [("alarms-unknown", Warning)]);
    assert!(seen[0].message.contains("cloudwatch:DescribeAlarms"));
}

#[test]
fn autoscaling_that_would_fight_is_named() {
    let mut facts = quiet();
    let mut with = |least, most, suspended| {
        facts.scaling = Reading::Known(Scaling { least, most, suspended });
        found(&facts, json!({}))
    };
    assert_eq!(codes(&with(2, 10, false)), [("autoscaling-active", Info)]);
    assert_eq!(codes(&with(5, 10, false)), [("autoscaling-at-odds", Warning)]);
    assert_eq!(codes(&with(1, 3, false)), [("autoscaling-at-odds", Warning)]);
    assert_eq!(codes(&with(5, 10, true)), [("autoscaling-suspended", Info)]);
    facts.scaling = Reading::Known(Scaling { least: 2, most: 10, suspended: false });
    facts.auto_rollback =
        Reading::Known(AutoRollback { enabled: true, events: vec!["DEPLOYMENT_FAILURE".to_owned()] });
    let seen = found(&facts, json!({ "deploymentController": { "type": "CODE_DEPLOY" } }));
    assert_eq!(codes(&seen), [("codedeploy-auto-rollback", Info), ("autoscaling-active", Warning)]);
    assert!(seen[0].message.contains("DEPLOYMENT_FAILURE"));
}

#[test]
fn scaling_names_the_service_by_its_cluster() {
    let old = described(json!({ "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/web" }));
    assert_eq!(resource_id(&look(&old), &old).as_deref(), Some("service/prod/web"));
    let new = described(json!({}));
    assert_eq!(resource_id(&look(&new), &new).as_deref(), Some("service/prod/web"));
}

#[test]
fn a_deployment_of_code_deploy_is_stuck_after_half_an_hour() {
    let described = described(json!({ "deploymentController": { "type": "CODE_DEPLOY" } }));
    let codes_since = |since: &str, status: &str| {
        let mut look = look(&described);
        look.group = Some(CodeDeployGroup::new("shop", "web", "web", 80));
        let info = CodeDeployInfo {
            deployment_id: "d-1".to_owned(),
            status: status.to_owned(),
            create_time: Some(at(since)),
            ..CodeDeployInfo::default()
        };
        look.code_deploy = Reading::Known(vec![info]);
        let mut facts = quiet();
        facts.auto_rollback = Reading::Known(AutoRollback::default());
        let found = decide(&facts, &look, &described, None, &snapshot(41, "v1")).findings;
        found.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(codes_since("2026-11-21T09:30:00Z", "InProgress"), ["codedeploy-no-auto-rollback"]);
    assert_eq!(
        codes_since("2026-11-21T09:29:59Z", "Ready"),
        ["codedeploy-no-auto-rollback", "codedeploy-stuck"]
    );
    assert_eq!(codes_since("2026-11-21T08:00:00Z", "Succeeded"), ["codedeploy-no-auto-rollback"]);
}

#[test]
fn whoever_declares_the_service_is_named() {
    let owner = |tags: &[(&str, &str)]| {
        let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let found = found(&quiet(), json!({ "tags": tags }));
        assert!(
            found
                .iter()
                .all(|finding| (finding.code.as_str(), finding.severity) == ("will-be-undone", Warning))
        );
        found.first().map(|finding| finding.message.clone())
    };
    for (tags, named) in [
        (&[("aws:cloudformation:stack-name", "shop-web")][..], "CloudFormation stack shop-web"),
        (
            &[
                ("aws:cloudformation:stack-name", "s"),
                ("copilot-application", "shop"),
                ("copilot-service", "web"),
            ],
            "AWS Copilot (application shop, service web)",
        ),
        (&[("ManagedBy", "terraform")], "terraform"),
        (&[("managed-by", "Terraform Cloud")], "Terraform Cloud"),
        (&[("Terraform", "true")], "Terraform"),
        (&[("pulumi:project", "shop")], "Pulumi project shop"),
    ] {
        assert!(owner(tags).is_some_and(|message| message.contains(named)), "{named}");
    }
    for tags in [
        &[][..],
        &[("team", "shop")],
        &[("managed-by", "ada")],
        &[("terraform", "false")],
        &[("created-by", "")],
    ] {
        assert_eq!(owner(tags), None, "{tags:?}");
    }
    let hostile = owner(&[("managed-by", "terraform\u{1b}[2J\u{202e}")]).unwrap();
    assert!(!hostile.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn a_revision_that_cannot_be_used_is_told_to_the_strategies() {
    let mut facts = quiet();
    for (registration, expected) in [
        (Reading::Known(Registration::Inactive), vec![("revision-inactive", Warning)]),
        (Reading::Known(Registration::DeleteInProgress), vec![("revision-inactive", Warning)]),
        (Reading::Absent, vec![("revision-gone", Blocker)]),
        (Reading::Unknown("denied".to_owned()), vec![]),
    ] {
        facts.registration = registration;
        assert_eq!(codes(&found(&facts, json!({}))), expected);
    }
    let described = described(json!({}));
    let mut to = snapshot(41, "v1");
    to.registration = Registration::Unknown;
    let seen = decide(&facts, &look(&described), &described, None, &to).findings;
    assert_eq!(codes(&seen), [("revision-unknown", Info)]);
}

#[test]
fn roles_of_others_cannot_be_passed() {
    let described = described(json!({}));
    let codes_of = |role: &str, registration| {
        let to = state(json!({ "taskRoleArn": role }), json!({}));
        let mut facts = quiet();
        facts.registration = Reading::Known(registration);
        let found = decide(&facts, &look(&described), &described, None, &to).findings;
        found.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    let ours = "arn:aws:iam::123456789012:role/task";
    assert!(codes_of(ours, Registration::Active).is_empty());
    assert!(codes_of("task", Registration::Active).is_empty());
    assert_eq!(codes_of("arn:aws:iam::999999999999:role/task", Registration::Active), ["role-elsewhere"]);
    assert_eq!(codes_of("arn:aws-cn:iam::123456789012:role/task", Registration::Active), ["role-elsewhere"]);
    assert_eq!(codes_of(ours, Registration::Inactive), ["revision-inactive", "passes-roles"]);
}

#[test]
fn what_is_not_put_back_is_listed_without_values() {
    let described = described(json!({}));
    let (mut from, mut to) = (snapshot(42, "v2"), snapshot(41, "v1"));
    let secret = json!({ "enabled": true, "namespace": "shop", "token": "s3cr3t" });
    from.coupled = Some(
        fixtures::coupled()
            .with("serviceConnectConfiguration", &secret, &fixtures::key())
            .without("targetGroups"),
    );
    to.coupled = Some(Coupled::default());
    let inspection = decide(&quiet(), &look(&described), &described, Some(&from), &to);
    assert_eq!(codes(&inspection.findings), [("coupled-differs", Warning), ("coupled-unread", Info)]);
    assert!(inspection.findings[0].message.contains("platformVersion"));
    let text = serde_json::to_string(&inspection).unwrap();
    assert!(!text.contains("s3cr3t"), "{text}");
    let paths: Vec<_> = inspection.diff.iter().map(|entry| entry.path.as_str()).collect();
    assert!(
        paths.contains(&"service.platformVersion") && paths.contains(&"containers.web.image"),
        "{paths:?}"
    );
    to.coupled = None;
    let inspection = decide(&quiet(), &look(&described), &described, Some(&from), &to);
    assert_eq!(codes(&inspection.findings), [("coupled-unknown", Info)]);
}

#[test]
fn findings_name_ten_things_and_count_the_rest() {
    let names: Vec<_> = (0..30).map(|n| format!("alarm-{n}")).collect();
    let config = json!({ "alarms": { "alarmNames": names, "enable": true }, "deploymentCircuitBreaker": { "enable": true } });
    let mut facts = quiet();
    facts.alarms = Reading::Known([].into());
    let seen = found(&facts, json!({ "deploymentConfiguration": config }));
    assert!(
        seen[0].message.contains("alarm-9 and 20 more") && !seen[0].message.contains("alarm-10"),
        "{seen:?}"
    );
}
