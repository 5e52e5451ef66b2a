//! What putting a workload back would mean, read without changing anything.

mod budgets;
mod checks;
mod images;
mod needs;
mod pace;
mod provenance;
mod quotas;
mod undoers;

use futures_util::future::{join3, join5};
use rollback_core::target::{ArtifactState, Finding, Inspection};
use rollback_core::{Artifact, ErrorKind, IdempotencyKey, Reading, Result, Snapshot as _};
use serde_json::{Value, json};

use crate::client::{Client, Resource};
use crate::coupled::{self, Coupled};
use crate::look::{Look, raw_template};
use crate::patch::{self, Change};
use crate::snapshot::{K8sSnapshot, Source};
use crate::template::{Reference, Template};

/// Under which fact strategies find what belongs to the destination, as it is now.
pub(crate) const COUPLED: &str = "coupled";

const AUTOSCALERS: Resource =
    Resource { group: "autoscaling", version: "v1", plural: "horizontalpodautoscalers" };

/// The difference, what must still be there, and what may stand in the way.
pub(crate) async fn inspect(
    client: &Client,
    look: &Look,
    resume: bool,
    from: Option<&K8sSnapshot>,
    to: &K8sSnapshot,
) -> Result<Inspection> {
    let mut inspection = Inspection::default();
    inspection.diff = from.map_or(&look.desired, |from| &from.template).diff(&to.template);
    let images: Vec<_> = to.info().artifacts.into_iter().filter(|one| one.kind == "image").collect();
    let names: Vec<_> = images.iter().map(|image| image.name.clone()).collect();
    let (((held, sent), references, autoscalers, quotas, may_delete), budgets, (presence, on_nodes)) = join3(
        join5(
            async {
                let held = history_entry(client, to).await;
                let entry = held.as_ref().and_then(|held| held.as_ref().ok());
                let sent = rehearse(client, look, resume, to, entry).await;
                (held, sent)
            },
            client.references(&to.template),
            client.all(AUTOSCALERS),
            client.all(Resource::core("resourcequotas")),
            may_delete(client, look, to),
        ),
        client.budgets(),
        images::presence(client, look, &to.template, &names),
    )
    .await;
    inspection.findings.extend(undoers::findings(look));
    inspection.findings.extend(provenance::finding(look, to));
    inspection.findings.extend(sent);
    inspection.findings.extend(checks::autoscalers(look, autoscalers));
    inspection.findings.extend(quotas::findings(look, &to.template, quotas));
    inspection.findings.extend(budgets::findings(look, to, budgets));
    inspection.findings.extend(may_delete);
    inspection.findings.extend(on_nodes);
    let now = client.coupled(&client.home().await?.key, &references);
    inspection.findings.extend(configuration(client, to, &now).await);
    inspection.facts = json!({ COUPLED: now });
    if let (Some(held), Some(artifact)) = (&held, to.held_by()) {
        inspection.artifacts.push(inspection_entry(artifact, checks::presence(held)));
        inspection.findings.extend(held.as_ref().err().and_then(checks::another));
    }
    let images = images.into_iter().zip(presence);
    inspection.artifacts.extend(images.map(|(image, presence)| inspection_entry(image, presence)));
    inspection.artifacts.extend(references.into_iter().filter_map(referenced));
    Ok(inspection)
}

/// The same where there is no such workload.
pub(crate) async fn of_nothing(client: &Client, to: &K8sSnapshot) -> Result<Inspection> {
    let references = client.references(&to.template).await;
    let now = client.coupled(&client.home().await?.key, &references);
    let mut inspection = Inspection::default().facts(json!({ COUPLED: now }));
    inspection.findings.extend(configuration(client, to, &now).await);
    inspection.artifacts.extend(references.into_iter().filter_map(referenced));
    let unasked = || Reading::Unknown("nothing runs that has it".to_owned());
    let others = to.info().artifacts.into_iter();
    let images = others.filter(|one| one.kind == "image").map(|one| inspection_entry(one, unasked()));
    inspection.artifacts.extend(images);
    // What controls nothing any more is collected.
    inspection.artifacts.extend(to.held_by().map(|entry| inspection_entry(entry, Reading::Absent)));
    Ok(inspection)
}

/// Whether something is there that pods need.
fn referenced((reference, answer): (Reference, Result<Value>)) -> Option<ArtifactState> {
    let presence = match answer {
        Ok(_) => Reading::Known(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Reading::Absent,
        Err(error) => Reading::Unknown(error.message().to_owned()),
    };
    let artifact = Artifact::new(reference.kind.name(), reference.name);
    (!reference.optional).then(|| inspection_entry(artifact, presence))
}

fn inspection_entry(artifact: Artifact, presence: Reading<Option<jiff::Timestamp>>) -> ArtifactState {
    ArtifactState { artifact, presence }
}

/// The entry of the history that holds the destination, if one should.
async fn history_entry(client: &Client, to: &K8sSnapshot) -> Option<Result<Value, checks::Missing>> {
    match &to.source {
        Source::History { name, uid } => Some(checks::entry(client, to, name, uid).await),
        Source::Workload | Source::Images => None,
    }
}

/// Has the API server check the very request that would be sent: quotas of objects, webhooks, policies, roles.
async fn rehearse(
    client: &Client,
    look: &Look,
    resume: bool,
    to: &K8sSnapshot,
    entry: Option<&Value>,
) -> Vec<Finding> {
    let images = look.desired.images_to(&to.template);
    let raw = entry.and_then(|entry| raw_template(to.workload.kind, entry));
    let change = match (raw, &images) {
        (Some(raw), _) => Change::Template(raw),
        (None, Some(images)) if !images.is_empty() => Change::Images(images),
        _ => return Vec::new(),
    };
    let Ok(key) = IdempotencyKey::new("dry-run") else { return Vec::new() };
    let resume = resume && look.is_paused();
    let operations = match patch::operations(&look.object, &change, resume, "rollback: dry run", &key) {
        Ok(operations) => operations,
        Err(error) => return vec![Finding::warning("dry-run", error.message())],
    };
    checks::rehearsed(client.patch(&operations, true).await, &to.template, client).await
}

/// What the pods would find now instead of what they had when this state was recorded.
async fn configuration(client: &Client, to: &K8sSnapshot, now: &Coupled) -> Vec<Finding> {
    let Some(then) = &to.coupled else { return Vec::new() };
    let changed = then.changed(now);
    if changed.is_empty() {
        return Vec::new();
    }
    let message = format!("changed since this version was recorded: {}", changed.join(", "));
    let next = "`apply-recorded` and `restore-configuration` put ConfigMaps back whose contents are kept; every other method leaves them, \
                and Secrets are never put back";
    let mut findings = vec![Finding::warning("configuration-changed", message).next(next)];
    if changed.iter().any(|place| coupled::map_name(place).is_some())
        && matches!(client.may("patch", Resource::core("configmaps")).await, Ok(false))
    {
        let message =
            "the caller may not change ConfigMaps: it needs verb patch on configmaps to put them back";
        findings.push(Finding::info("configuration-denied", message));
    }
    findings
}

/// A pod that is in the way has to be deleted: that is another permission.
async fn may_delete(client: &Client, look: &Look, to: &K8sSnapshot) -> Option<Finding> {
    let goal = to.info().identity;
    look.unready().iter().find(|pod| pod.identity != goal)?;
    match client.may("delete", Resource::core("pods")).await {
        Ok(true) => None,
        Ok(false) => {
            let message = "the caller needs verb delete on pods: a pod that is not ready has to be deleted";
            Some(
                Finding::blocker("denied", message)
                    .next("grant it, or delete the pod by hand after the rollback"),
            )
        }
        Err(error) => Some(Finding::warning("permissions-unknown", error.message())),
    }
}

/// Whether a template means what a state says.
fn is_still(template: &Value, to: &K8sSnapshot, key: &rollback_core::fingerprint::FingerprintKey) -> bool {
    Template::of(template, key).identity() == to.info().identity
}
