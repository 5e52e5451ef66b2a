//! What drivers answer, in words for the messages of cases.

use rollback_core::target::Proof;
use rollback_core::{Landing, Result};

/// A landing in few words.
pub(super) fn said(landing: &Landing) -> String {
    match landing {
        Landing::Applied(receipt) if receipt.presumed => "applied, presumed".to_owned(),
        Landing::Applied(_) => "applied".to_owned(),
        Landing::NotApplied { why } => format!("not applied ({why})"),
        Landing::Running { what } => format!("running ({what})"),
        Landing::Failed { why } => format!("landed and failed ({why})"),
        Landing::Superseded { by } => format!("superseded (by {by})"),
        Landing::Unknown { why } => format!("unknown ({why})"),
        other => format!("{other:?}"),
    }
}

/// What `apply` answered in few words.
pub(super) fn answered(answer: &Result<Landing>) -> String {
    match answer {
        Ok(landing) => said(landing),
        Err(error) => format!(
            "error {:?} with effect {:?}{}: {}",
            error.kind(),
            error.effect(),
            if error.is_transient() { ", transient" } else { "" },
            error.message()
        ),
    }
}

/// What speaks against a proof.
pub(super) fn against(proof: &Proof) -> String {
    match proof {
        Proof::Proven => "nothing speaks against it".to_owned(),
        Proof::NotProven { against, .. } => against.join("; "),
    }
}
