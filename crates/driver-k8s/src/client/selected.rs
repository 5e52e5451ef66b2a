//! What a selector selects.

use rollback_core::registry::MOST_PARTS;
use rollback_core::{Error, ErrorKind, Result};

use super::LIST_METADATA;
use super::wire::{Call, Resource, escaped};
use crate::text::{is_name, list, text};
use crate::workload::Kind;

/// How many are asked for at once: the API server keeps its place.
const PAGE: usize = 500;

/// The names of the workloads of a kind that have these labels, without anything else of them.
pub(crate) async fn selected(
    client: &kube::Client,
    namespace: &str,
    kind: Kind,
    labels: &str,
) -> Result<Vec<String>> {
    let resource = Resource::apps(kind.resource());
    let (mut names, mut from) = (Vec::new(), String::new());
    // One page more than may be used: that there are too many is for core to say.
    for _ in 0..=MOST_PARTS / PAGE {
        let query = format!("labelSelector={}&limit={PAGE}{from}", escaped(labels));
        let call = Call::new("list", resource, Some(namespace)).query(query).accept(LIST_METADATA);
        let page = call.send(client).await?;
        for one in list(&page, "/items") {
            let name = text(one, "/metadata/name").filter(|name| is_name(name)).ok_or_else(|| {
                let operation = format!("list {}", resource.with_group());
                Error::new(ErrorKind::Corrupt, operation, "the answer has an item without a name")
            })?;
            names.push(name.to_owned());
        }
        match text(&page, "/metadata/continue").filter(|token| !token.is_empty()) {
            Some(token) => from = format!("&continue={}", escaped(token)),
            None => break,
        }
    }
    Ok(names)
}
