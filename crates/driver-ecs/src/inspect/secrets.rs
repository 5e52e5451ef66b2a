//! Secrets and parameters that the destination's containers are given: whether they are there. Their values are never asked for
//! where the API lets us, and never kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_core::target::{Finding, Inspection};
use rollback_core::{Artifact, Reading};

use super::listed;
use crate::arn::Arn;
use crate::look::line;
use crate::snapshot::EcsSnapshot;

/// The stage that is read where a reference names none.
const CURRENT: &str = "AWSCURRENT";

/// What a reference in a task definition means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A secret of Secrets Manager.
    Secret { id: SecretId, stage: Option<String>, version: Option<String> },
    /// A parameter of SSM. Two names where the ARN leaves open which: `parameter/db` is that of `db` and of `/db`.
    Parameter { region: String, names: Vec<String> },
    /// Neither.
    Other(String),
}

/// Which secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SecretId {
    pub(crate) region: String,
    /// Its ARN without what ECS adds, or its name.
    pub(crate) name: String,
}

/// What Secrets Manager says of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretFacts {
    /// When it was marked for deletion: nobody can read it from then on.
    pub(crate) deleted_at: Option<Timestamp>,
    /// The stages by version.
    pub(crate) stages: BTreeMap<String, BTreeSet<String>>,
}

impl Reference {
    /// Reads a reference of a service at `home`. A name without an ARN is that of a parameter, except where ECS takes credentials
    /// for a registry.
    pub(crate) fn read(text: &str, home: &Arn, credentials: bool) -> Self {
        let region = home.region().to_owned();
        let Ok(arn) = text.parse::<Arn>() else {
            return match (text.starts_with("arn:"), credentials) {
                (true, _) => Self::Other("it is no ARN that there could be".to_owned()),
                (false, true) => Self::Secret {
                    id: SecretId { region, name: text.to_owned() },
                    stage: None,
                    version: None,
                },
                (false, false) => Self::Parameter { region, names: vec![text.to_owned()] },
            };
        };
        if arn.partition() != home.partition() {
            return Self::Other(format!("it is in partition {}", arn.partition()));
        }
        match (arn.service(), arn.resource().split_once([':', '/'])) {
            ("secretsmanager", Some(("secret", rest))) => Self::secret(&arn, rest),
            ("ssm", Some(("parameter", rest))) => Self::parameter(&arn, rest, home),
            _ => Self::Other("it is neither a secret nor a parameter".to_owned()),
        }
    }

    /// `name-AbCdEf`, with `:json-key:version-stage:version-id` behind it where ECS is to take a part or an earlier version.
    fn secret(arn: &Arn, rest: &str) -> Self {
        let mut parts = rest.split(':');
        let name = parts.next().unwrap_or_default();
        let _json_key = parts.next();
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (stage, version) = (part(), part());
        let whole = arn.as_str();
        let plain = &whole[..whole.len() - rest.len() + name.len()];
        let id = SecretId { region: arn.region().to_owned(), name: plain.to_owned() };
        Self::Secret { id, stage, version }
    }

    fn parameter(arn: &Arn, rest: &str, home: &Arn) -> Self {
        let names = if arn.account() != home.account() {
            // A parameter that another account shares is only found by its ARN.
            vec![arn.as_str().to_owned()]
        } else if rest.contains('/') {
            vec![format!("/{rest}")]
        } else {
            vec![rest.to_owned(), format!("/{rest}")]
        };
        Self::Parameter { region: arn.region().to_owned(), names }
    }
}

/// What is there for a reference to a secret.
pub(crate) fn presence(
    facts: &SecretFacts,
    stage: Option<&str>,
    version: Option<&str>,
) -> (Reading<()>, Option<String>) {
    if let Some(at) = facts.deleted_at {
        return (Reading::Absent, Some(format!("it was marked for deletion at {at:.0}")));
    }
    match (stage, version) {
        (stage, Some(version)) => match facts.stages.get(version) {
            None => {
                let why =
                    format!("version {} has no stage: Secrets Manager may have removed it", line(version));
                (Reading::Unknown(why), None)
            }
            Some(stages) if stage.is_some_and(|stage| !stages.contains(stage)) => {
                let why = format!(
                    "its version {} is not at stage {}",
                    line(version),
                    line(stage.unwrap_or_default())
                );
                (Reading::Absent, Some(why))
            }
            Some(_) => (Reading::Known(()), None),
        },
        (stage, None) => {
            let stage = stage.unwrap_or(CURRENT);
            if facts.stages.values().any(|stages| stages.contains(stage)) {
                (Reading::Known(()), None)
            } else {
                (Reading::Absent, Some(format!("no version of it is at stage {}", line(stage))))
            }
        }
    }
}

/// What was found out about one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretState {
    pub(crate) presence: Reading<()>,
    /// Why it counts as gone though something of it is there.
    pub(crate) why: Option<String>,
}

/// Adds what the references' states mean.
pub(super) fn inspect(mut inspection: Inspection, states: &BTreeMap<String, SecretState>) -> Inspection {
    let mut why = Vec::new();
    for (name, state) in states {
        let presence = match &state.presence {
            Reading::Known(()) => Reading::Known(None),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(why) => Reading::Unknown(why.clone()),
        };
        inspection = inspection.artifact(Artifact::new("secret", name.clone()), presence);
        why.extend(state.why.as_ref().map(|why| format!("{name}: {why}")));
    }
    if !why.is_empty() {
        let finding =
            Finding::warning("secret-unusable", format!("what a task reads is not usable: {}", listed(&why)));
        inspection = inspection.finding(
            finding.next("restore it (aws secretsmanager restore-secret, update-secret-version-stage), or choose another destination"),
        );
    }
    inspection
}

/// Files with variables that tasks read from S3: nobody asked for them.
pub(super) fn environment_files(to: &EcsSnapshot) -> Option<Finding> {
    let files: Vec<_> = to.definition.environment_files().iter().map(|file| line(file)).collect();
    (!files.is_empty()).then(|| {
        let what = format!("whether these files with variables are there was not asked: {}", listed(&files));
        Finding::info("environment-files-unchecked", what)
    })
}
