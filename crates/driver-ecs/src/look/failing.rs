//! A rollout whose tasks end as fast as they are started, which nobody but us gives up.

use std::time::Duration;

use rollback_core::time::Lasting;

use super::{Deployment, Look, Task, reasons};

/// What has run for so long is no part of a crash loop.
const STEADY: Lasting = Lasting::new(Duration::from_secs(60));

/// Whether so many tasks failed that ECS's circuit breaker would have given up, were it on: half of those that are wanted, at
/// least 3 and at most 200, one after the other
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>).
pub(super) fn keeps_failing(look: &Look, primary: &Deployment) -> bool {
    let threshold = primary.desired_count.max(look.service.desired_count).div_ceil(2).clamp(3, 200);
    let guarded = look.service.deployment_configuration.deployment_circuit_breaker.enable;
    !guarded && failed(look, primary) >= threshold
}

/// How many tasks of a deployment failed one after the other.
///
/// ECS's own count begins again with each task that reaches `RUNNING`
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html>), so that a container that ends a moment after it
/// was started never counts. Tasks that ended are counted as well, therefore, as long as none has run for a while.
pub(super) fn failed(look: &Look, primary: &Deployment) -> u32 {
    let told = if primary.running_count == 0 { primary.failed_tasks } else { 0 };
    told.max(crashed(look, primary))
}

fn crashed(look: &Look, primary: &Deployment) -> u32 {
    let Some(now) = look.at else { return 0 };
    let of_it = |task: &&Task| task.task_definition == primary.task_definition;
    let long_ago = STEADY.before(now);
    let steady = |task: &Task| task.started_at.is_some_and(|started| started <= long_ago);
    if look.running().filter(of_it).any(steady) {
        return 0;
    }
    let by_itself = |task: &&Task| {
        matches!(task.stop_code.as_deref(), Some("EssentialContainerExited" | "TaskFailedToStart"))
    };
    let lost = reasons::lost(look).into_iter().filter(of_it).filter(by_itself).count();
    u32::try_from(lost).unwrap_or(u32::MAX)
}
