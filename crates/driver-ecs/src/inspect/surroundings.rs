//! What stands around the service: roles, whoever declares it, what belongs to it and is not put back.

use rollback_core::Reading;
use rollback_core::target::{Finding, Inspection};
use serde_json::{Map, Value};

use super::listed;
use crate::look::line;
use crate::snapshot::EcsSnapshot;
use crate::strategy::finding;
use crate::task_definition::Registration;

/// The revision itself: whether services can be moved to it, by what is known now.
pub(super) fn revision(to: &EcsSnapshot, now: &Reading<Registration>) -> Option<Finding> {
    let name = to.task_definition.short();
    let registration = match now {
        // The revision that is named lends its settings.
        _ if to.registration == Registration::Unregistered => to.registration,
        Reading::Known(Registration::Unknown) | Reading::Unknown(_) => to.registration,
        Reading::Known(now) => *now,
        Reading::Absent => {
            return Some(
                Finding::blocker(
                    "revision-gone",
                    format!("{name} was deleted: ECS does not know its content any more"),
                )
                .next("choose another destination: rollback history shows them"),
            );
        }
    };
    match registration {
        Registration::Active => None,
        Registration::Inactive => Some(
            Finding::warning(
                finding::REVISION_INACTIVE,
                format!("{name} is INACTIVE: services cannot be moved to it"),
            )
            .next("its content is registered again as a new revision"),
        ),
        Registration::DeleteInProgress => Some(
            Finding::warning(finding::REVISION_INACTIVE, format!("{name} is being deleted"))
                .next("its content is registered again as a new revision, while it can still be read"),
        ),
        Registration::Unregistered => {
            let told = format!(
                "no revision holds this: it would run with the settings of {name} and may never have run like that"
            );
            Some(Finding::warning("never-registered", told))
        }
        Registration::Unknown => {
            let why = if let Reading::Unknown(why) = now { why.as_str() } else { "ECS does not say" };
            Some(Finding::info(
                "revision-unknown",
                format!("whether {name} can be used could not be read: {why}"),
            ))
        }
    }
}

/// Roles that cannot be passed to the service.
pub(super) fn roles(to: &EcsSnapshot) -> Option<Finding> {
    let home = &to.service;
    let elsewhere: Vec<_> = to
        .definition
        .roles()
        .into_iter()
        // A bare name is one of the service's own account.
        .filter(|role| role.starts_with("arn:"))
        .filter(|role| {
            let fits = |arn: crate::Arn| {
                arn.service() == "iam"
                    && arn.partition() == home.partition()
                    && arn.account() == home.account()
            };
            !role.parse().is_ok_and(fits)
        })
        .map(|role| line(&role))
        .collect();
    (!elsewhere.is_empty()).then(|| {
        let what = format!(
            "not a role of account {} in partition {}: {}; ECS passes no role of another account",
            home.account(),
            home.partition(),
            listed(&elsewhere)
        );
        Finding::warning("role-elsewhere", what)
            .next("name a role of the service's account in the task definition")
    })
}

/// Registering again passes the roles, which is a permission of its own.
pub(super) fn passed_roles(to: &EcsSnapshot, found: &[Finding]) -> Option<Finding> {
    let registers = found
        .iter()
        .any(|found| [finding::REVISION_INACTIVE, finding::IMAGE_MOVED].contains(&found.code.as_str()));
    let roles: Vec<_> = to.definition.roles().iter().map(|role| line(role)).collect();
    (registers && !roles.is_empty()).then(|| {
        let what = format!("registering the destination again needs iam:PassRole on {}", listed(&roles));
        Finding::info("passes-roles", format!("{what}; whether they exist was not asked"))
    })
}

/// Who declares the service, and puts back what it declares when it runs the next time.
pub(super) fn owner(described: &Map<String, Value>) -> Option<Finding> {
    let tags = described.get("tags").and_then(Value::as_array)?;
    let owners = owners(tags);
    (!owners.is_empty()).then(|| {
        let what = format!(
            "{} declares this service and puts back what it declares when it runs the next time",
            owners.join(", ")
        );
        Finding::warning("will-be-undone", what).next("change what is declared as well, before it runs again")
    })
}

fn owners(tags: &[Value]) -> Vec<String> {
    let tag = |wanted: &[&str]| {
        tags.iter().find_map(|tag| {
            let key = tag["key"].as_str()?.to_ascii_lowercase();
            let value = tag["value"].as_str().map(str::trim).filter(|value| !value.is_empty())?;
            wanted.contains(&key.as_str()).then(|| line(value))
        })
    };
    let mut owners = Vec::new();
    if let Some(application) = tag(&["copilot-application"]) {
        let service =
            tag(&["copilot-service"]).map(|service| format!(", service {service}")).unwrap_or_default();
        owners.push(format!("AWS Copilot (application {application}{service})"));
    }
    if let Some(stack) = tag(&["aws:cloudformation:stack-name"]) {
        let of_cdk = |key: &str| key.starts_with("aws-cdk:") || key.starts_with("aws:cdk:");
        let cdk = tags.iter().any(|tag| tag["key"].as_str().is_some_and(of_cdk));
        let by = if cdk { "the CDK's CloudFormation stack" } else { "CloudFormation stack" };
        owners.push(format!("{by} {stack}"));
    }
    owners.extend(tag(&["pulumi:project"]).map(|project| format!("Pulumi project {project}")));
    owners.extend(tag(&["sst:app"]).map(|app| format!("SST app {app}")));
    let says_no = |value: &String| ["false", "no", "0"].contains(&value.to_ascii_lowercase().as_str());
    if let Some(by) = tag(&MANAGED).filter(|by| is_a_tool(by)) {
        owners.push(format!("{by} (by its tag)"));
    } else if tag(&["terraform"]).is_some_and(|value| !says_no(&value)) {
        owners.push("Terraform (by its tag)".to_owned());
    }
    owners
}

/// Tags in which people write what made a thing, lower case.
const MANAGED: [&str; 8] = [
    "managed-by",
    "managedby",
    "managed_by",
    "provisioner",
    "provisioned-by",
    "created-by",
    "createdby",
    "tool",
];

/// Whether a tag names a tool that declares services; people write names of teams into the same tags.
fn is_a_tool(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "terraform",
        "opentofu",
        "tofu",
        "terragrunt",
        "pulumi",
        "cloudformation",
        "cdk",
        "copilot",
        "crossplane",
        "ansible",
        "spinnaker",
        "pipecd",
        "ecspresso",
        "sst",
        "serverless",
        "atlantis",
        "spacelift",
    ]
    .iter()
    .any(|tool| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *tool))
}

/// What belongs to the two states beside their task definitions.
pub(super) fn coupled(
    mut inspection: Inspection,
    from: Option<&EcsSnapshot>,
    to: &EcsSnapshot,
) -> Inspection {
    let Some(from) = from else { return inspection };
    inspection.diff.extend(from.diff(to));
    let (Some(ours), Some(theirs)) = (&from.coupled, &to.coupled) else {
        let what =
            "what belonged to the destination beside its task definition is not known, and stays as it is";
        return inspection.finding(Finding::info("coupled-unknown", what));
    };
    let differences = ours.diff(theirs);
    if !differences.is_empty() {
        let names: Vec<_> =
            differences.iter().map(|entry| line(entry.path.trim_start_matches("service."))).collect();
        let what = format!(
            "these settings were others with the destination, and are not put back: {}",
            listed(&names)
        );
        inspection = inspection.finding(
            Finding::warning("coupled-differs", what)
                .next("see the differences, and change what the destination needs"),
        );
    }
    let unread: Vec<_> = ours.unread.union(&theirs.unread).map(|name| line(name)).collect();
    if !unread.is_empty() {
        let what = format!("not compared, because they could not be read: {}", listed(&unread));
        inspection = inspection.finding(Finding::info("coupled-unread", what));
    }
    inspection.diff.extend(differences);
    inspection
}
