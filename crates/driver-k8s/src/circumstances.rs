//! What was going on around a workload when it was looked at. No part of any identity.

use rollback_core::Identity;
use serde::{Deserialize, Serialize};

/// How a workload was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct Circumstances {
    /// The UID of the workload: another one of the same name is not it.
    pub uid: String,
    /// Its rollouts are paused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Its pods are replaced only when somebody deletes them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub on_delete: bool,
    /// All its pods are stopped before new ones are started.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recreates: bool,
    /// Pods below this number are held back.
    #[serde(skip_serializing_if = "is_zero")]
    pub partition: u64,
    /// How many replicas there should be.
    pub replicas: u64,
    /// What controls the workload itself, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Pods that an OrderedReady StatefulSet waits for before it replaces them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unready: Vec<Blocking>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A pod that is not ready, in a StatefulSet that waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocking {
    /// Its name.
    pub pod: String,
    /// Its UID: the next one of this name is another.
    pub uid: String,
    /// What it runs.
    pub identity: Identity,
    /// What is wrong with it.
    pub why: String,
    /// Whether it will not become ready by waiting.
    pub certain: bool,
}
