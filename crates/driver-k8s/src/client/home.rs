//! Which namespace it is: asked once on each connection, however many workloads are in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::OnceCell;

use super::wire::{Call, METADATA, Resource};
use crate::text::text;

/// The UIDs of the namespaces of one connection, as far as they were asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Homes(Arc<Mutex<BTreeMap<String, Arc<OnceCell<String>>>>>);

impl Homes {
    /// The UID of a namespace. Another one than is expected is refused.
    pub(crate) async fn uid(
        &self,
        client: &kube::Client,
        name: &str,
        expected: Option<&str>,
    ) -> Result<String> {
        // The lock is not held while something is awaited; whoever comes meanwhile waits for the same answer.
        let cell = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name.to_owned()).or_default())
        };
        let uid = cell.get_or_try_init(|| asked(client, name)).await?;
        match expected.filter(|expected| *expected != uid) {
            None => Ok(uid.clone()),
            Some(expected) => {
                let why = format!("namespace {name} has the UID {uid} here, and {expected} is expected");
                Err(Error::new(ErrorKind::Refused, format!("use namespace {name}"), why).next(
                    "this is another cluster, or the namespace was made anew: choose the right context",
                ))
            }
        }
    }
}

async fn asked(client: &kube::Client, name: &str) -> Result<String> {
    let call = Call::new("get", Resource::core("namespaces"), None).named(name).accept(METADATA);
    let found = call.send(client).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            error.next("is it the right context? `kubectl get namespaces` lists what there is")
        }
        _ => error,
    })?;
    text(&found, "/metadata/uid").map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("read namespace {name}"), "the answer has no UID")
    })
}
