use rollback_aws_support::ecr::{ImageId, Storage};
use rollback_core::target::Severity::{Blocker, Info, Warning};
use rollback_core::{Digest, Reading};
use serde_json::json;

use super::super::decide;
use super::super::images::questions;
use super::super::secrets::{Reference, SecretFacts, SecretId, SecretState, presence};
use super::{at, codes, described, image_facts, look, now, pushed, quiet, state};
use crate::fixtures::{REPOSITORY, SERVICE, snapshot};

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
            policy("sinceImagePulled", 14, json!({ "type": "transition", "targetStorageClass": "archive" }));
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
}
