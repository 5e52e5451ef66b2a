//! What ECS does by itself, before and while we do something.

use rollback_scripted_aws::Behaviour;
use rollback_tests::Result;
use serde_json::{Value, json};

use crate::bed::{Bed, image};

fn breaker(rollback: bool) -> Value {
    json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": rollback } })
}

const REASON: &str = "circuit breaker threshold was exceeded";

/// Here ecs-deploy says "Deployment successful": ECS is stable again, on something else.
#[test]
fn a_native_rollback_in_our_run_is_no_success() -> Result<()> {
    let bed = Bed::with_two(&breaker(true))?;
    bed.cloud.behave(&image(1), Behaviour::Crash);
    let ran = bed.run("run web --to previous --yes --output json")?.expect(4);
    let document = ran.json();
    assert_eq!(document["state"], "failed-restored", "{ran}");
    assert!(ran.out.contains(REASON), "ECS's own reason is not told: {ran}");
    assert!(ran.out.contains("ended with 1"), "nor why the tasks ended: {ran}");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    assert_eq!(bed.sent(), ["ecs:UpdateService"]);
    let shown = bed.run("status")?.expect(0);
    assert!(shown.out.contains("2 (v2)"), "what runs is not told: {shown}");
    Ok(())
}

#[test]
fn the_same_in_words_for_people() -> Result<()> {
    let bed = Bed::with_two(&breaker(true))?;
    bed.cloud.behave(&image(1), Behaviour::Crash);
    let ran = bed.run("run web --to previous --yes")?.expect(4);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains(REASON), "{ran}");
    assert!(!said.contains("uccess"), "nothing here was a success: {ran}");
    Ok(())
}

#[test]
fn a_native_rollback_before_our_run_is_told() -> Result<()> {
    let bed = Bed::with_two(&breaker(true))?;
    bed.register(3)?;
    bed.cloud.behave(&image(3), Behaviour::Crash);
    bed.deploy(3)?;
    bed.cloud.settle();
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    let before = bed.before()?;
    let plan = bed.run("plan web --to previous")?.expect(0);
    for text in
        ["ECS rolled web:3 back to web:2 by itself", REASON, "`previous` would go back further", "1 (v1)"]
    {
        assert!(plan.out.contains(text), "{text}: {plan}");
    }
    let history = bed.run("history web")?.expect(0);
    assert!(history.out.contains("failed"), "{history}");
    bed.unchanged(&before)?;
    Ok(())
}

#[test]
fn a_breaker_without_rollback_leaves_something_to_be_left() -> Result<()> {
    let bed = Bed::with_two(&breaker(false))?;
    bed.register(3)?;
    bed.cloud.behave(&image(3), Behaviour::Crash);
    bed.deploy(3)?;
    bed.cloud.settle();
    let status = bed.run("status")?.expect(0);
    assert!(status.out.contains("web:3"), "what it is set to is not told: {status}");
    let ran = bed.run("run web --to previous --yes --output json")?.expect(0);
    assert_eq!(ran.json()["state"], "restored", "{ran}");
    assert_eq!(bed.healthy(), ["web:2", "web:2"]);
    Ok(())
}
