use jiff::SignedDuration;
use proptest::prelude::*;
use rollback_aws_support::ecr::{Storage, StoredImage};
use serde_json::{Value, json};

use super::super::lifecycle::{Fate, Policy};
use super::{now, pushed};

fn rule(priority: i64, selection: Value) -> Value {
    let mut rule = json!({ "rulePriority": priority, "action": { "type": "expire" } });
    rule["selection"] = selection;
    rule
}

fn fate(rules: &[Value], image: &StoredImage, all: &[StoredImage]) -> Fate {
    Policy::read(&json!({ "rules": rules }).to_string()).unwrap().fate(image, Ok(all), Some(now()))
}

fn in_days(days: i64) -> jiff::Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

fn pushed_rule(tags: Value, days: u64) -> Value {
    let mut selection = tags;
    selection["countType"] = json!("sinceImagePushed");
    selection["countUnit"] = json!("days");
    selection["countNumber"] = json!(days);
    selection
}

#[test]
fn age_decides_by_push_or_by_pull() {
    let mut image = pushed("sha256:a", &["v1"], 10);
    let by_push = rule(1, pushed_rule(json!({ "tagStatus": "any" }), 14));
    assert_eq!(fate(std::slice::from_ref(&by_push), &image, &[]), Fate::Removed(in_days(4)));
    let mut by_pull = by_push;
    by_pull["selection"]["countType"] = json!("sinceImagePulled");
    // Never pulled: its push counts.
    assert_eq!(fate(std::slice::from_ref(&by_pull), &image, &[]), Fate::Removed(in_days(4)));
    image.pulled_at = Some(in_days(-1));
    assert_eq!(fate(std::slice::from_ref(&by_pull), &image, &[]), Fate::Removed(in_days(13)));
    by_pull["action"] = json!({ "type": "transition", "targetStorageClass": "archive" });
    assert_eq!(fate(&[by_pull], &image, &[]), Fate::Archived(in_days(13)));
}

#[test]
fn what_is_due_goes_now() {
    let image = pushed("sha256:a", &[], 100);
    let rules = [rule(1, pushed_rule(json!({ "tagStatus": "untagged" }), 14))];
    assert_eq!(fate(&rules, &image, &[]), Fate::Removed(now()));
    assert_eq!(fate(&rules, &pushed("sha256:a", &["v1"], 100), &[]), Fate::Stays);
}

#[test]
fn the_first_rule_whose_tags_fit_decides_alone() {
    let image = pushed("sha256:a", &["prod-1"], 10);
    let keeps = rule(1, pushed_rule(json!({ "tagStatus": "tagged", "tagPrefixList": ["prod"] }), 365));
    let takes = rule(2, pushed_rule(json!({ "tagStatus": "any" }), 1));
    // The order in which they are written does not count.
    assert_eq!(fate(&[takes.clone(), keeps.clone()], &image, &[]), Fate::Removed(in_days(355)));
    assert_eq!(fate(&[takes, keeps], &pushed("sha256:b", &["dev-1"], 10), &[]), Fate::Removed(now()));
}

#[test]
fn every_pattern_has_to_fit_one_of_the_tags() {
    let rules = |patterns: &[&str]| {
        [rule(1, pushed_rule(json!({ "tagStatus": "tagged", "tagPatternList": patterns }), 14))]
    };
    let image = pushed("sha256:a", &["prod-1", "eu"], 10);
    assert_eq!(fate(&rules(&["prod*", "e*"]), &image, &[]), Fate::Removed(in_days(4)));
    assert_eq!(fate(&rules(&["prod*", "us"]), &image, &[]), Fate::Stays);
    assert_eq!(fate(&rules(&["*-1*"]), &image, &[]), Fate::Removed(in_days(4)));
    assert_eq!(fate(&rules(&["prod"]), &image, &[]), Fate::Stays);
}

#[test]
fn counting_says_how_many_pushes_are_left() {
    let all: Vec<_> = (0..6).map(|n| pushed(&format!("sha256:{n}"), &["v"], n)).collect();
    let count = |kept: usize| {
        [rule(
            1,
            json!({ "tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": kept }),
        )]
    };
    // Two are newer than the third: of five that are kept, three more pushes push it out.
    assert_eq!(fate(&count(5), &all[2], &all), Fate::After { pushes: 3, archived: false });
    assert_eq!(fate(&count(3), &all[2], &all), Fate::After { pushes: 1, archived: false });
    assert_eq!(fate(&count(2), &all[2], &all), Fate::Removed(now()));
    let unknown = Policy::read(&json!({ "rules": count(5) }).to_string()).unwrap();
    assert!(
        matches!(unknown.fate(&all[2], Err("denied"), None), Fate::Unknown(why) if why.contains("denied"))
    );
    assert!(unknown.needs_listing(&all[2]) && !unknown.needs_listing(&pushed("sha256:x", &["w"], 1)));
}

#[test]
fn what_is_not_understood_is_said_and_hides_nothing() {
    let image = pushed("sha256:a", &["v1"], 10);
    let takes = rule(5, pushed_rule(json!({ "tagStatus": "any" }), 14));
    for odd in [
        json!({ "rulePriority": 1, "selection": { "tagStatus": "any", "countType": "sinceMoonrise", "countNumber": 1 }, "action": { "type": "expire" } }),
        json!({ "rulePriority": 1, "selection": pushed_rule(json!({ "tagStatus": "some" }), 1), "action": { "type": "expire" } }),
        json!({ "rulePriority": 1, "selection": pushed_rule(json!({ "tagStatus": "any" }), 1), "action": { "type": "sing" } }),
        json!({ "rulePriority": 1 }),
        json!("rule"),
    ] {
        let fate = fate(&[odd.clone(), takes.clone()], &image, &[]);
        assert!(matches!(fate, Fate::Unknown(_)), "{odd} {fate:?}");
    }
    // A later one that is not understood does not matter.
    let later = json!({ "rulePriority": 9 });
    assert_eq!(fate(&[takes, later], &image, &[]), Fate::Removed(in_days(4)));
    for text in ["", "[]", "{}", "{\"rules\": 1}", &"x".repeat(100_000)] {
        assert!(Policy::read(text).is_err());
    }
}

#[test]
fn rules_for_the_archive_take_nothing_that_can_be_pulled() {
    let archive = json!({ "tagStatus": "any", "storageClass": "archive", "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 1 });
    assert_eq!(fate(&[rule(1, archive)], &pushed("sha256:a", &["v1"], 10), &[]), Fate::Stays);
}

#[test]
fn an_archived_image_does_not_count_among_the_newer() {
    let mut newer = pushed("sha256:b", &["v2"], 1);
    newer.storage = Storage::Archived;
    let image = pushed("sha256:a", &["v1"], 10);
    let rules = [rule(1, json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 }))];
    assert_eq!(fate(&rules, &image, &[newer, image.clone()]), Fate::After { pushes: 1, archived: false });
}

/// Slow and plain.
fn fits(pattern: &[u8], tag: &[u8]) -> bool {
    match (pattern, tag) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => fits(rest, tag) || !tag.is_empty() && fits(pattern, &tag[1..]),
        ([first, rest @ ..], [one, tag @ ..]) => first == one && fits(rest, tag),
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_fit_as_they_are_read(pattern in "[ab*]{1,7}", tag in "[ab]{0,8}") {
        let rules = [rule(1, pushed_rule(json!({ "tagStatus": "tagged", "tagPatternList": [pattern] }), 14))];
        let taken = fate(&rules, &pushed("sha256:a", &[&tag], 10), &[]) != Fate::Stays;
        prop_assert_eq!(taken, fits(pattern.as_bytes(), tag.as_bytes()));
    }

    /// Simulated: push that many more, and it goes; push one fewer, and it is there.
    #[test]
    fn pushes_left_are_the_pushes_left(newer in 0usize..8, older in 0usize..4, kept in 1usize..12) {
        let image = pushed("sha256:x", &["v"], 100);
        let mut all = vec![image.clone()];
        all.extend((0..newer).map(|n| pushed(&format!("sha256:n{n}"), &["v"], 50)));
        all.extend((0..older).map(|n| pushed(&format!("sha256:o{n}"), &["v"], 200)));
        let rules = [rule(1, json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": kept }))];
        let survives = |all: &[StoredImage]| {
            let mut sorted = all.to_vec();
            sorted.sort_by_key(|image| std::cmp::Reverse(image.pushed_at));
            sorted.iter().take(kept).any(|kept| kept.digest == image.digest)
        };
        match fate(&rules, &image, &all) {
            Fate::Removed(_) => prop_assert!(!survives(&all)),
            Fate::After { pushes, .. } => {
                prop_assert!(survives(&all));
                let push = |n: usize| {
                    let new = (0..n).map(|n| pushed(&format!("sha256:p{n}"), &["v"], 1));
                    survives(&all.iter().cloned().chain(new).collect::<Vec<_>>())
                };
                prop_assert!(push(pushes - 1) && !push(pushes));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_policy_is_read_or_refused(text in "\\PC{0,60}", number in any::<i64>(), days in any::<u64>()) {
        let _ = Policy::read(&text);
        let rules = [rule(number, pushed_rule(json!({ "tagStatus": "any" }), days))];
        let _ = fate(&rules, &pushed("sha256:a", &["v"], 1), &[]);
    }
}
