//! Application Auto Scaling, which may change the count while a rollback is on its way.

use rollback_core::Reading;
use rollback_core::target::Finding;
use serde_json::{Map, Value};

use crate::circumstances::Controller;
use crate::look::Look;

/// The scaling of a service's desired count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scaling {
    pub(crate) least: i32,
    pub(crate) most: i32,
    /// Nothing scales: in, out and by schedule are suspended.
    pub(crate) suspended: bool,
}

/// What Application Auto Scaling calls the service: `service/prod/web`.
pub(crate) fn resource_id(look: &Look, described: &Map<String, Value>) -> Option<String> {
    let resource = look.service.arn.resource();
    if resource.split('/').count() == 3 {
        return Some(resource.to_owned());
    }
    // An ARN of the old form does not name the cluster.
    let service = resource.rsplit('/').next()?;
    let cluster = described.get("clusterArn")?.as_str()?.rsplit('/').next()?;
    Some(format!("service/{cluster}/{service}"))
}

pub(super) fn findings(look: &Look, scaling: &Reading<Scaling>) -> Option<Finding> {
    let scaling = match scaling {
        Reading::Known(scaling) => scaling,
        Reading::Absent => return None,
        Reading::Unknown(why) => {
            let what = format!("whether autoscaling changes the count could not be read: {why}");
            return Some(Finding::info("autoscaling-unknown", what));
        }
    };
    let (desired, least, most) = (look.service.desired_count, scaling.least, scaling.most);
    if scaling.suspended {
        let what = format!(
            "autoscaling between {least} and {most} is suspended: the count stays at {desired} until somebody resumes it"
        );
        return Some(Finding::info("autoscaling-suspended", what));
    }
    let outside = !(i64::from(least)..=i64::from(most)).contains(&i64::from(desired));
    if outside {
        let what = format!(
            "{desired} tasks are wanted, and autoscaling keeps {least} to {most}: they may change during the rollback"
        );
        return Some(
            Finding::warning("autoscaling-at-odds", what)
                .next("suspend scaling for the rollback, or correct its limits"),
        );
    }
    let what = format!("autoscaling may change the count between {least} and {most} during the rollback");
    Some(if look.circumstances().controller == Controller::CodeDeploy {
        Finding::warning(
            "autoscaling-active",
            format!("{what}, and a deployment of CodeDeploy may fail over it"),
        )
        .next("suspend scaling until the rollback is through")
    } else {
        Finding::info("autoscaling-active", format!("{what}; the rollback itself sends no count"))
    })
}
