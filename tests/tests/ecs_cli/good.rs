//! Rollbacks that go well, from the first look to the proof.

use rollback_scripted_aws::{Behaviour, Does, Injection};
use rollback_tests::Result;
use serde_json::json;

use crate::bed::{Bed, image};

#[test]
fn a_release_is_rolled_back_and_proven() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    let history = bed.run("history web --output json")?.expect(0);
    assert!(history.out.contains("v1") && history.out.contains("v2"), "{history}");
    let before = bed.before()?;
    let plan = bed.run("plan web --to previous")?.expect(0);
    for text in [
        "1 (v1)",
        "2 (v2)",
        "update-service",
        "move service web to web:1",
        "the newest earlier version that ran",
    ] {
        assert!(plan.out.contains(text), "{text}: {plan}");
    }
    bed.run("check")?.expect(0);
    bed.unchanged(&before)?;

    let ran = bed.run("run web --to previous --yes --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.healthy(), ["web:1", "web:1"]);
    assert_eq!(bed.sent(), ["ecs:UpdateService"]);
    // Neither a count nor force: what was not asked for stays as it is.
    let calls = bed.cloud.calls();
    let sent = calls.iter().find(|call| call.operation == "UpdateService").ok_or("none was sent")?;
    let fields: Vec<_> =
        sent.input.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["cluster", "service", "taskDefinition"]);

    bed.cloud.forget_calls();
    let again = bed.run("run web --to version=v1 --yes --output json")?.expect(0);
    assert_eq!(again.json()["state"], "already-there", "{again}");
    assert!(bed.sent().is_empty());
    Ok(())
}

#[test]
fn a_saved_plan_is_applied_by_its_digest() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    let made = bed.run("plan web --to revision=1 -o plan.json --output json")?.expect(0);
    let digest = made.json()["plan"]["digest"].as_str().map(str::to_owned).ok_or("no digest")?;
    let ran = bed.run(&format!("apply plan.json --digest {digest} --yes --output json"))?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.healthy(), ["web:1", "web:1"]);
    Ok(())
}

#[test]
fn last_good_is_what_somebody_called_good() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.run("record web --good")?.expect(0);
    bed.register(3)?;
    bed.deploy(3)?;
    bed.cloud.settle();
    let ran = bed.run("run web --yes --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    Ok(())
}

#[test]
fn a_crashing_release_is_left_in_the_middle_of_its_rollout() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.register(3)?;
    bed.cloud.behave(&image(3), Behaviour::Crash);
    bed.deploy(3)?;
    bed.cloud.tick(std::time::Duration::from_secs(15));
    let status = bed.run("status")?.expect(0);
    assert!(status.out.contains("ended with 1"), "ECS's reason is not told: {status}");
    let ran = bed.run("run web --to previous --yes --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    assert_eq!(bed.sent(), ["ecs:StopServiceDeployment"], "the way of ECS itself is the fastest");
    Ok(())
}

#[test]
fn an_answer_that_is_lost_is_not_asked_for_by_sending_again() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.inject(Injection::new("ecs", "UpdateService", Does::LosesAnswer).times(1));
    let ran = bed.run("run web --to previous --yes --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.sent(), ["ecs:UpdateService"]);
    assert_eq!(bed.healthy(), ["web:1", "web:1"]);
    Ok(())
}

#[test]
fn a_registry_that_may_not_be_asked_is_a_finding_and_no_refusal() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.inject(Injection::new("ecr", "*", Does::Denies));
    let plan = bed.run("plan web --to previous")?.expect(0);
    assert!(plan.out.contains("ecr:DescribeImages"), "the missing action is not named: {plan}");
    bed.run("run web --to previous --yes")?.expect(0);
    assert_eq!(bed.healthy(), ["web:1", "web:1"]);
    Ok(())
}

#[test]
fn an_urgent_run_sends_before_it_looks_at_the_registry() -> Result<()> {
    let bed = Bed::with_two(&json!({}))?;
    bed.cloud.forget_calls();
    let ran = bed.run("run web --to previous --yes --urgent --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    let calls = bed.calls();
    let at = |name: &str| calls.iter().position(|call| call == name);
    let (sent, registry) = (at("ecs:UpdateService"), at("ecr:DescribeImages"));
    assert!(registry.is_some(), "the registry is asked all the same: {calls:?}");
    let before = &calls[..sent.ok_or("none was sent")?];
    assert!(before.len() <= 12, "looks that could wait: {before:?}");
    assert_eq!(bed.healthy(), ["web:1", "web:1"]);
    Ok(())
}
