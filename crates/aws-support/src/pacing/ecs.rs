//! The limits of the Amazon ECS API, per account and region, as documented in "Request throttling for the Amazon ECS
//! API" (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>, table "Request Token
//! Bucket Sizes and Refill Rates"). The APIs of one row share one bucket.
//!
//! AWS raises these limits on request. A process that is slower than it could be is right all the same.

use super::Quota;

const fn row(name: &'static str, burst: u32, per_second: f64) -> Quota {
    Quota::new("ecs", name, burst, per_second)
}

/// The documented groups with their APIs.
pub const QUOTAS: &[(Quota, &[&str])] = &[
    (
        row("cluster modify", 20, 1.0),
        &[
            "CreateCluster",
            "DeleteCluster",
            "PutClusterCapacityProviders",
            "UpdateCluster",
            "UpdateClusterSettings",
        ],
    ),
    (row("cluster read", 50, 20.0), &["DescribeClusters", "ListClusters"]),
    (row("task definition modify", 20, 1.0), &["DeregisterTaskDefinition", "RegisterTaskDefinition"]),
    (
        row("task definition read", 50, 20.0),
        &["DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"],
    ),
    (row("task definition deletion", 5, 1.0), &["DeleteTaskDefinitions"]),
    (
        row("capacity provider modify", 10, 1.0),
        &["CreateCapacityProvider", "DeleteCapacityProvider", "UpdateCapacityProvider"],
    ),
    (row("capacity provider read", 50, 20.0), &["DescribeCapacityProviders"]),
    (row("tag modify", 20, 10.0), &["TagResource", "UntagResource"]),
    (row("tag read", 50, 20.0), &["ListTagsForResource"]),
    (
        row("setting modify", 10, 1.0),
        &["DeleteAccountSetting", "PutAccountSetting", "PutAccountSettingDefault"],
    ),
    (row("setting read", 50, 20.0), &["ListAccountSettings"]),
    (
        row("cluster resource modify", 100, 40.0),
        &[
            "DeleteAttributes",
            "DeregisterContainerInstance",
            "ExecuteCommand",
            "PutAttributes",
            "RunTask",
            "StartTask",
            "StopTask",
            "UpdateContainerAgent",
            "UpdateContainerInstancesState",
        ],
    ),
    (
        row("cluster resource read", 100, 20.0),
        &[
            "DescribeContainerInstances",
            "DescribeTasks",
            "ListAttributes",
            "ListContainerInstances",
            "ListTasks",
        ],
    ),
    (
        row("agent modify", 200, 120.0),
        &[
            "RegisterContainerInstance",
            "SubmitAttachmentStateChanges",
            "SubmitContainerStateChange",
            "SubmitTaskStateChange",
        ],
    ),
    (row("service modify", 50, 5.0), &["CreateService", "DeleteService", "UpdateService"]),
    (row("service read", 100, 20.0), &["DescribeServices", "ListServices"]),
    (row("service deployment", 50, 20.0), &["DescribeServiceDeployments", "ListServiceDeployments"]),
    (row("service revision", 50, 20.0), &["DescribeServiceRevisions"]),
    (row("task protection", 200, 80.0), &["UpdateTaskProtection", "GetTaskProtection"]),
    (row("cluster service resource read", 10, 1.0), &["ListServicesByNamespace"]),
];

/// For APIs that the table does not have (`StopServiceDeployment`, `ContinueServiceDeployment`, task sets). **A guess**,
/// after "service modify", with a smaller burst; throttle answers correct it.
pub const UNLISTED: Quota = row("not in the table", 20, 5.0);

/// The limit that an API of ECS counts against; [`UNLISTED`] where AWS documents none.
///
/// ```
/// use rollback_aws_support::pacing::ecs;
/// let (look, change) = (ecs::quota("DescribeServices"), ecs::quota("UpdateService"));
/// assert_eq!((look.burst(), look.per_second()), (100, 20.0));
/// assert_eq!((change.burst(), change.per_second()), (50, 5.0));
/// assert_eq!(ecs::quota("StopServiceDeployment"), ecs::UNLISTED);
/// ```
#[must_use]
pub fn quota(operation: &str) -> Quota {
    QUOTAS
        .iter()
        .find(|(_, operations)| operations.contains(&operation))
        .map_or(UNLISTED, |(quota, _)| *quota)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_group_and_no_api_is_there_twice() {
        let names: BTreeSet<_> = QUOTAS.iter().map(|(quota, _)| quota.name()).collect();
        assert_eq!(names.len(), QUOTAS.len());
        let all: Vec<_> = QUOTAS.iter().flat_map(|(_, operations)| operations.iter()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
