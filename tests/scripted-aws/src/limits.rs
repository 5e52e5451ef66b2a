//! Rate limits: token buckets in logical time.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Name, burst, refill per second, operations: the table "Request Token Bucket Sizes and Refill Rates" of the ECS API
/// reference, <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>. Written down here once more,
/// so that a mistake in the code under test is not repeated.
const ECS: &[(&str, u32, f64, &[&str])] = &[
    ("cluster read", 50, 20.0, &["DescribeClusters", "ListClusters"]),
    ("task definition modify", 20, 1.0, &["DeregisterTaskDefinition", "RegisterTaskDefinition"]),
    (
        "task definition read",
        50,
        20.0,
        &["DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"],
    ),
    ("task definition deletion", 5, 1.0, &["DeleteTaskDefinitions"]),
    ("cluster resource modify", 100, 40.0, &["RunTask", "StartTask", "StopTask"]),
    ("cluster resource read", 100, 20.0, &["DescribeTasks", "ListTasks"]),
    ("service modify", 50, 5.0, &["CreateService", "DeleteService", "UpdateService"]),
    ("service read", 100, 20.0, &["DescribeServices", "ListServices"]),
    ("service deployment", 50, 20.0, &["DescribeServiceDeployments", "ListServiceDeployments"]),
    ("service revision", 50, 20.0, &["DescribeServiceRevisions"]),
];

/// Sums of fractions are never exact: what is a token but for that is one.
const ALMOST: f64 = 1.0 - 1e-6;

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// The buckets of one account in one region.
#[derive(Default)]
pub(crate) struct Limits(BTreeMap<&'static str, Bucket>);

impl Limits {
    /// Whether a call may pass now. What the table does not have always may.
    pub(crate) fn pass(&mut self, service: &str, operation: &str, now: Timestamp) -> bool {
        let row = ECS.iter().filter(|_| service == "ecs").find(|row| row.3.contains(&operation));
        let Some(&(name, burst, per_second, _)) = row else { return true };
        let burst = f64::from(burst);
        let bucket = self.0.entry(name).or_insert(Bucket { tokens: burst, at: now });
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * per_second).min(burst);
        bucket.at = now;
        if bucket.tokens < ALMOST {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}
