//! What going back would mean, and what speaks against it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollback_core::error::quoted;
use rollback_core::target::{Finding, Inspection, Reading, Shown};
use rollback_core::{Artifact, Result};
use serde_json::json;

use crate::client::Client;
use crate::client::aws::Aws;
use crate::client::compose::Compose;
use crate::config::Choices;
use crate::image::{ImageRef, ServiceImage, Which};
use crate::instances::{Picked, Way};
use crate::look::HostLook;
use crate::snapshot::ComposeSnapshot;

pub(crate) async fn inspect(
    client: &Client,
    choices: &Choices,
    from: Option<&ComposeSnapshot>,
    to: &ComposeSnapshot,
) -> Result<Inspection> {
    // Core looks right before it asks this.
    let looks = client.last_look().await?;
    let present = client.present(&to.images.values().collect::<Vec<_>>()).await?;
    let mut inspection = Inspection::default();
    for (service, image) in &to.images {
        let old = from.and_then(|from| from.images.get(service));
        if old.map(|old| old.which) != Some(image.which) {
            let shown = |image: &ServiceImage| Shown::Plain(image.to_string());
            inspection =
                inspection.differs(format!("services.{service}.image"), old.map(shown), Some(shown(image)));
        }
    }
    inspection = artifacts(inspection, &choices.aws, &looks, &present, to).await;
    let lacks = |(look, present): (&Arc<HostLook>, &BTreeSet<String>)| {
        (!to.images.values().all(|image| present.contains(&image.exact()))).then(|| look.host.clone())
    };
    let lacking: Vec<_> = looks.iter().zip(&present).filter_map(lacks).collect();
    inspection = inspection.facts(json!({ "lacking": lacking }));
    for look in &looks {
        inspection = deployed(inspection, client, choices, look);
    }
    Ok(match client.fleet.picked() {
        Some(picked) => instances(inspection, picked),
        None => inspection,
    })
}

/// Which instances the hosts are, and which others may come back with what they have.
fn instances(mut inspection: Inspection, picked: &Picked) -> Inspection {
    for Way { instance, host, .. } in &picked.ways {
        let zone = instance.zone.as_deref().map_or(String::new(), |zone| format!(" in {}", quoted(zone)));
        inspection = inspection.finding(Finding::info("instance", format!("{host} is {instance}{zone}")));
    }
    for instance in &picked.aside {
        let message = format!(
            "{instance} has the tags and is {}: it is not changed, and no part of what is proven",
            instance.state
        );
        inspection = inspection.finding(
            Finding::warning("instance-not-running", message)
                .next("before it serves again, see to it that it does not come with the bad version"),
        );
    }
    inspection
}

/// An image is there if every host has it. One that has to be pulled may be there: the first step finds out, before anything is touched.
async fn artifacts(
    mut inspection: Inspection,
    aws: &Aws,
    looks: &[Arc<HostLook>],
    present: &[BTreeSet<String>],
    to: &ComposeSnapshot,
) -> Inspection {
    let mut told = Vec::new();
    for image in to.images.values() {
        if told.contains(&image.exact()) {
            continue;
        }
        told.push(image.exact());
        let missing: Vec<_> = looks
            .iter()
            .zip(present)
            .filter(|(_, present)| !present.contains(&image.exact()))
            .map(|(look, _)| look.host.as_str())
            .collect();
        let presence = match (missing.as_slice(), image.which) {
            ([], _) => Reading::Known(None),
            (missing, Which::Digest(digest)) => match aws.has(&image.repository, digest).await {
                Some(Reading::Known(())) => Reading::Known(None),
                Some(Reading::Absent) => Reading::Absent,
                Some(Reading::Unknown(why)) => Reading::Unknown(format!(
                    "to be pulled by {}; ECR could not be asked: {why}",
                    missing.join(", ")
                )),
                None => Reading::Unknown(format!("to be pulled by {}", missing.join(", "))),
            },
            (_, Which::Id(_)) => Reading::Absent,
        };
        inspection = inspection.artifact(Artifact::new("image", image.exact()), presence);
    }
    inspection
}

/// How it was deployed there, and what the next deploy does with that.
fn deployed(inspection: Inspection, client: &Client, choices: &Choices, look: &HostLook) -> Inspection {
    let compose = match Compose::of(&client.project, &choices.deployed, look) {
        Ok(compose) => compose,
        Err(error) => {
            let mut finding = Finding::blocker("not-deployed-by-compose", error.message().to_owned());
            finding.next = error.next_step().map(str::to_owned);
            return inspection.finding(finding);
        }
    };
    let by = format!("{}: deployed by {} in {}", look.host, compose.name(), compose.directory());
    let mut inspection = inspection.finding(Finding::info("deployed-by", by));
    // `up` would read it the same way, and fail when it is too late to do something else.
    if let Some(said) = client.unreadable(&look.host) {
        let message = format!("{said} ({} cannot read the project there)", compose.name());
        let next = "put it right there, or set `directory`, `files` and `compose_v1` as the project is deployed with";
        inspection = inspection.finding(Finding::blocker("project-unreadable", message).next(next));
    }
    let mut tags: Vec<_> = look
        .containers
        .iter()
        .filter_map(|one| one.reference.as_ref())
        .filter(|one| one.digest().is_none())
        .map(ImageRef::to_string)
        .collect();
    tags.sort();
    tags.dedup();
    let takes = if tags.is_empty() { "what its compose files name".to_owned() } else { tags.join(", ") };
    let message = format!(
        "{}: pinned in {}; the next `up` without that file takes {takes} again",
        look.host,
        compose.pin()
    );
    inspection.finding(
        Finding::warning("next-deploy", message)
            .next("before the next deploy, see to it that this is a good version"),
    )
}
