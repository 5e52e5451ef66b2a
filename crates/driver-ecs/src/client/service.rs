//! The service itself.

use std::collections::HashMap;

use aws_sdk_ecs::types::ServiceField;
use jiff::Timestamp;
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::api::Caller;
use super::{Client, items, text};
use crate::look::Service;

/// One service of an answer.
#[derive(Clone)]
pub(super) struct Described {
    pub(super) entry: Map<String, Value>,
    pub(super) at: Option<Timestamp>,
}

/// Up to ten services of a cluster, by the names that were asked for.
pub(super) async fn describe(
    caller: &Caller,
    cluster: &str,
    names: Vec<String>,
) -> Result<HashMap<String, Described>> {
    let doing = format!("look at {} of cluster {cluster}", names.join(", "));
    let request = caller.ecs.describe_services().cluster(cluster).include(ServiceField::Tags);
    let request = request.set_services(Some(names));
    let answer = caller.read("DescribeServices", doing, request.send()).await?;
    let found = items(&answer.body, "services").filter_map(|entry| {
        let entry = entry.as_object()?;
        let name = entry.get("serviceName").and_then(Value::as_str).map(str::to_owned);
        let of_arn = || entry.get("serviceArn")?.as_str()?.rsplit('/').next().map(str::to_owned);
        Some((name.or_else(of_arn)?, Described { entry: entry.clone(), at: answer.at }))
    });
    Ok(found.collect())
}

impl Client {
    /// What `DescribeServices` says of the service, and when.
    pub(super) async fn service(&self) -> Result<(Service, Described)> {
        let batch = self.api.services.of(&self.place.cluster);
        let found = batch.get(self.place.service.clone()).await.map_err(|error| self.no_cluster(error))?;
        let Some(mut described) = found else {
            let what = format!("cluster {} has no such service", self.cluster_name());
            let error = Error::new(ErrorKind::NotFound, format!("look at {}", self.shown()), what);
            return Err(error.next(format!("aws ecs list-services --cluster {}", self.cluster_name())));
        };
        let service = read(&described.entry)?;
        // They are in there, and a hundred of them for each of a thousand services are not needed twice.
        described.entry.remove("events");
        Ok((service, described))
    }

    fn no_cluster(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let what = format!("there is no cluster {}", self.cluster_name());
        Error::new(ErrorKind::NotFound, format!("look at {}", self.shown()), what)
            .with_source(error)
            .next("aws ecs list-clusters shows those of this account and region")
    }
}

/// A service out of an answer.
pub(super) fn read(entry: &Map<String, Value>) -> Result<Service> {
    serde_json::from_value(Value::Object(entry.clone())).map_err(|error| {
        let what = "the answer is not one that ECS gives";
        Error::new(ErrorKind::Unavailable, "read a service", what).with_source(error)
    })
}

/// The service in the answer of a change.
pub(super) fn changed(body: &Value) -> Option<Service> {
    let entry = body.get("service")?.as_object()?;
    text(body.get("service")?, "serviceArn")?;
    read(entry).ok()
}
