//! Objects of any kind that the API has.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use kube::client::Body;
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::Client;
use super::fault::Asked;
use super::wire::json;
use crate::manifest::Named;
use crate::text::{flag, list, text};

/// Whose fields they are in an object that was applied.
const MANAGER: &str = "rollback-manifest";

/// Where objects of a kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Up to the name of the object.
    path: String,
    /// As roles call it.
    resource: String,
}

impl Client {
    /// Asks the API where objects of this kind are. Only kinds that are in namespaces are given.
    pub(crate) async fn place(&self, object: &Named) -> Result<Place> {
        let (group, version) = object.group_and_version();
        let base =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let asked = Asked { verb: "get", resource: base.clone(), namespace: None, name: None };
        let wrong = |why: String| Error::new(ErrorKind::Unsupported, format!("find {object}"), why);
        let known = match self.exchange(&asked, Method::GET, &base, None).await {
            Ok(known) => known,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                return Err(wrong(format!("the API server has no {}", object.api_version))
                    .next("`kubectl api-resources` lists what it has"));
            }
            Err(error) => return Err(error),
        };
        // What has a slash in its name is a part of an object.
        let is_meant = |one: &&Value| {
            text(one, "/kind") == Some(&object.kind)
                && text(one, "/name").is_some_and(|name| !name.contains('/'))
        };
        let found = list(&known, "/resources").iter().find(is_meant).ok_or_else(|| {
            wrong(format!("{} has no {}", object.api_version, object.kind))
                .next(format!("`kubectl api-resources --api-group={group}` lists what it has"))
        })?;
        if !flag(found, "/namespaced") {
            return Err(wrong(format!(
                "{} is in no namespace, and belongs to the whole cluster",
                object.kind
            )));
        }
        let plural = text(found, "/name").unwrap_or_default();
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if plural.is_empty() || !plural.bytes().all(is_word) {
            return Err(wrong("the API server calls it what cannot be".to_owned()));
        }
        let path = format!("{base}/namespaces/{}/{plural}", self.workload.namespace);
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        Ok(Place { path, resource })
    }

    /// An object, if it is there.
    pub(crate) async fn find(&self, place: &Place, name: &str) -> Result<Option<Value>> {
        let asked = self.asked(place, "get", name);
        match self.exchange(&asked, Method::GET, &format!("{}/{name}", place.path), None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Server-side apply, without force: fields of others stay theirs.
    pub(crate) async fn apply_object(&self, place: &Place, name: &str, object: &Value) -> Result<Value> {
        let path = format!("{}/{name}?fieldManager={MANAGER}&force=false", place.path);
        self.exchange(&self.asked(place, "patch", name), Method::PATCH, &path, Some(object)).await
    }

    /// Deletes an object, if it is still that one.
    pub(crate) async fn delete_object(&self, place: &Place, name: &str, uid: &str) -> Result<Value> {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
        let path = format!("{}/{name}", place.path);
        self.exchange(&self.asked(place, "delete", name), Method::DELETE, &path, Some(&options)).await
    }

    fn asked(&self, place: &Place, verb: &'static str, name: &str) -> Asked {
        let namespace = Some(self.workload.namespace.clone());
        Asked { verb, resource: place.resource.clone(), namespace, name: Some(name.to_owned()) }
    }

    async fn exchange(
        &self,
        asked: &Asked,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let content =
            if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        let request = match body {
            // JSON is YAML.
            Some(body) => {
                request.header(CONTENT_TYPE, content).body(Body::from(body.to_string().into_bytes()))
            }
            None => request.body(Body::empty()),
        };
        json(&self.kube, asked, request).await
    }
}
