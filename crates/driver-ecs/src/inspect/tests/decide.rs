use rollback_core::target::Severity::{Blocker, Info, Warning};
use rollback_core::{Digest, Reading};
use serde_json::json;

use super::super::images::{ImageId, questions};
use super::super::lifecycle::Storage;
use super::super::scaling::{Scaling, resource_id};
use super::super::secrets::{Reference, SecretFacts, SecretId, SecretState, presence};
use super::super::{AutoRollback, decide};
use super::{at, codes, described, found, image_facts, look, now, pushed, quiet, state};
use crate::fixtures::{self, REPOSITORY, SERVICE, revision, snapshot};
use crate::look::CodeDeployInfo;
use crate::{CodeDeployGroup, Coupled, Registration};

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

/// Revision 41 with the digest that it ran, and what the registry says.
fn images(
    ran: Option<&str>,
    change: impl Fn(&mut super::super::ImageFacts),
) -> rollback_core::target::Inspection {
    let mut to = snapshot(41, "v1");
    to.digests.extend(ran.map(|of| ("web".to_owned(), Digest::of_bytes(of.as_bytes()))));
    let question = questions(&to).remove(0);
    let digest = ran.map_or_else(|| "sha256:x".to_owned(), |of| Digest::of_bytes(of.as_bytes()).to_string());
    let mut facts = image_facts(question, Reading::Known(pushed(&digest, &["v1"], 10)));
    if ran.is_some() {
        facts.tagged = facts.found.clone();
    }
    change(&mut facts);
    let described = described(json!({}));
    let facts = super::super::Facts { images: vec![facts], ..quiet() };
    decide(&facts, &look(&described), &described, None, &to)
}

#[test]
fn an_image_is_asked_for_as_ecs_would_pull_it() {
    let mut to = snapshot(41, "v1");
    let question = questions(&to).remove(0);
    assert_eq!((question.id(), question.moved_id()), (ImageId::Tag("v1".to_owned()), None));
    assert_eq!(question.artifact, format!("{REPOSITORY}:v1"));
    let ran = Digest::of_bytes(b"v1");
    to.digests.insert("web".to_owned(), ran);
    let question = questions(&to).remove(0);
    assert_eq!(question.id(), ImageId::Digest(ran.to_string()));
    assert_eq!(question.moved_id(), Some(ImageId::Tag("v1".to_owned())));
    assert_eq!(question.artifact, format!("{REPOSITORY}@{ran}"));
    // A digest that is written decides, whatever the tag beside it names.
    let pinned = state(json!({}), json!({ "image": format!("{REPOSITORY}:v1@{ran}") }));
    assert_eq!(
        (questions(&pinned)[0].id(), questions(&pinned)[0].moved_id()),
        (ImageId::Digest(ran.to_string()), None)
    );
    let untagged = state(json!({}), json!({ "image": REPOSITORY }));
    assert_eq!(questions(&untagged)[0].id(), ImageId::Tag("latest".to_owned()));
}

#[test]
fn every_artifact_of_the_destination_is_told_of_by_its_name() {
    use rollback_core::Snapshot as _;
    let inspection = images(Some("v1"), |_| {});
    let wanted = {
        let mut to = snapshot(41, "v1");
        to.digests.insert("web".to_owned(), Digest::of_bytes(b"v1"));
        to.info().artifacts
    };
    let image = &inspection.artifacts[0];
    assert!(wanted.contains(&image.artifact), "{image:?}");
    assert_eq!(image.presence, Reading::Known(None));
    assert_eq!(codes(&inspection.findings), []);
}

#[test]
fn a_moved_tag_is_told_to_the_strategies() {
    let moved = images(Some("v1"), |facts| facts.tagged = Reading::Known(pushed("sha256:other", &["v1"], 1)));
    assert_eq!(codes(&moved.findings), [("image-moved", Warning)]);
    assert!(moved.findings[0].message.contains("pushed at 2026-11-20T10:00:00Z"), "{:?}", moved.findings);
    let taken_away = images(Some("v1"), |facts| facts.tagged = Reading::Absent);
    assert_eq!(codes(&taken_away.findings), [("image-moved", Warning)]);
    let inside = images(Some("v1"), |facts| {
        facts.tagged = Reading::Known(pushed("sha256:index", &["v1"], 1));
        facts.same_index = true;
    });
    assert_eq!(codes(&inside.findings), []);
    let unread = images(Some("v1"), |facts| facts.tagged = Reading::Unknown("denied".to_owned()));
    assert_eq!(codes(&unread.findings), [("image-details-unknown", Info)]);
}

#[test]
fn a_missing_image_lists_the_tags_that_are_there() {
    let listing: Vec<_> =
        (0..12).map(|n| pushed(&format!("sha256:{n}"), &[&format!("b{n}")], 20 - n)).collect();
    let missing = images(None, |facts| {
        facts.found = Reading::Absent;
        facts.others = Reading::Known(listing.clone());
    });
    assert_eq!(missing.artifacts[0].presence, Reading::Absent);
    assert_eq!(codes(&missing.findings), [("image-tags", Info), ("image-by-tag", Info)]);
    let message = &missing.findings[0].message;
    assert!(message.contains("b11 (2026-11-12T10:00:00Z), b10") && !message.contains("b1 "), "{message}");
    let gone = images(None, |facts| facts.found = Reading::Absent);
    assert!(gone.findings[0].message.contains("no repository web"));
}

#[test]
fn when_an_image_goes_is_in_its_presence_or_said() {
    let policy = |kind: &str, number: u32, action: serde_json::Value| {
        let rule = json!({ "rulePriority": 1, "selection": { "tagStatus": "any", "countType": kind, "countUnit": "days", "countNumber": number }, "action": action });
        Reading::Known(json!({ "rules": [rule] }).to_string())
    };
    let expire = || json!({ "type": "expire" });
    let dated = images(Some("v1"), |facts| facts.policy = policy("sinceImagePushed", 14, expire()));
    assert_eq!(dated.artifacts[0].presence, Reading::Known(Some(at("2026-11-25T10:00:00Z"))));
    let archived = images(Some("v1"), |facts| {
        facts.policy =
            policy("sinceImagePulled", 14, json!({ "type": "transition", "targetStorageClass": "archive" }))
    });
    assert_eq!(
        (codes(&archived.findings), &archived.artifacts[0].presence),
        (vec![("image-will-be-archived", Warning)], &Reading::Known(None))
    );
    let counted = |kept| {
        images(Some("v1"), |facts| {
            facts.policy = policy("imageCountMoreThan", kept, expire());
            facts.others = Reading::Known(facts.found.known().cloned().into_iter().collect());
            assert!(facts.needs_listing());
        })
    };
    assert_eq!(codes(&counted(3).findings), [("image-expires-soon", Warning)]);
    assert_eq!(codes(&counted(30).findings), [("image-expires-by-count", Info)]);
    let odd = images(Some("v1"), |facts| facts.policy = Reading::Known("moonrise".to_owned()));
    assert_eq!(codes(&odd.findings), [("image-details-unknown", Info)]);
    let archive = images(Some("v1"), |facts| {
        let Reading::Known(mut image) = facts.found.clone() else { panic!() };
        image.storage = Storage::Archived;
        facts.found = Reading::Known(image);
    });
    assert_eq!(codes(&archive.findings), [("image-archived", Blocker)]);
    assert_eq!(archive.artifacts[0].presence, Reading::Known(None));
    assert_eq!(look(&described(json!({}))).at, Some(now()));
}

#[test]
fn references_are_read_as_ecs_reads_them() {
    let home = SERVICE.parse().unwrap();
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf";
    let of = |stage: Option<&str>, version: Option<&str>| Reference::Secret {
        id: SecretId { region: "eu-west-1".to_owned(), name: secret.to_owned() },
        stage: stage.map(str::to_owned),
        version: version.map(str::to_owned),
    };
    for (suffix, expected) in [
        ("", of(None, None)),
        (":password::", of(None, None)),
        (":password:AWSPREVIOUS:", of(Some("AWSPREVIOUS"), None)),
        (":::9d4c-1", of(None, Some("9d4c-1"))),
        ("::AWSCURRENT:9d4c-1", of(Some("AWSCURRENT"), Some("9d4c-1"))),
    ] {
        assert_eq!(Reference::read(&format!("{secret}{suffix}"), &home, false), expected, "{suffix}");
    }
    let names = |text: &str| match Reference::read(text, &home, false) {
        Reference::Parameter { region, names } => (region, names),
        other => panic!("{other:?}"),
    };
    let ssm = "arn:aws:ssm:eu-west-1:123456789012:parameter";
    assert_eq!(names("db"), ("eu-west-1".to_owned(), vec!["db".to_owned()]));
    assert_eq!(names("/shop/db").1, ["/shop/db"]);
    assert_eq!(names(&format!("{ssm}/shop/db")).1, ["/shop/db"]);
    assert_eq!(names(&format!("{ssm}/db")).1, ["db", "/db"]);
    let shared = "arn:aws:ssm:us-east-1:999999999999:parameter/shop/db";
    assert_eq!(names(shared), ("us-east-1".to_owned(), vec![shared.to_owned()]));
    assert!(
        matches!(Reference::read("registry", &home, true), Reference::Secret { id, .. } if id.name == "registry")
    );
    for odd in [
        "arn:aws:s3:::bucket/key",
        "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/db",
        "arn:",
        "arn:aws:ssm:eu-west-1:123456789012:document/x",
    ] {
        assert!(matches!(Reference::read(odd, &home, false), Reference::Other(_)), "{odd}");
    }
}

#[test]
fn a_secret_needs_the_stage_or_version_that_is_read() {
    let stages = [("new", vec!["AWSCURRENT"]), ("old", vec!["AWSPREVIOUS"])];
    let facts = SecretFacts {
        deleted_at: None,
        stages: stages
            .map(|(id, stages)| (id.to_owned(), stages.into_iter().map(str::to_owned).collect()))
            .into(),
    };
    let of = |stage, version| presence(&facts, stage, version).0;
    assert_eq!(of(None, None), Reading::Known(()));
    assert_eq!(of(Some("AWSPREVIOUS"), None), Reading::Known(()));
    assert_eq!(of(Some("green"), None), Reading::Absent);
    assert_eq!(of(None, Some("old")), Reading::Known(()));
    assert_eq!(of(Some("AWSCURRENT"), Some("old")), Reading::Absent);
    assert!(matches!(of(None, Some("older")), Reading::Unknown(_)));
    let deleted = SecretFacts { deleted_at: Some(now()), ..facts };
    let (reading, why) = presence(&deleted, None, None);
    assert_eq!(reading, Reading::Absent);
    assert!(why.is_some_and(|why| why.contains("2026-11-21T10:00:00Z")));
    assert_eq!(presence(&SecretFacts::default(), None, None).0, Reading::Absent);
}

#[test]
fn files_in_s3_are_named_as_not_asked_for() {
    let described = described(json!({}));
    let file = "arn:aws:s3:::shop/web.env";
    let to = state(json!({}), json!({ "environmentFiles": [{ "type": "s3", "value": file }] }));
    let mut facts = quiet();
    let gone = SecretState { presence: Reading::Absent, why: Some("it was marked for deletion".to_owned()) };
    facts.secrets = [("db".to_owned(), gone)].into();
    let inspection = decide(&facts, &look(&described), &described, None, &to);
    assert_eq!(
        codes(&inspection.findings),
        [("secret-unusable", Warning), ("environment-files-unchecked", Info)]
    );
    assert!(inspection.findings[1].message.contains(file));
    assert_eq!(
        (inspection.artifacts[0].artifact.kind.as_str(), &inspection.artifacts[0].presence),
        ("secret", &Reading::Absent)
    );
    assert_eq!(revision(41), to.task_definition);
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
