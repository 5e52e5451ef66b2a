//! Requests and answers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use kube::client::Body;
use serde_json::{Value, json};

use crate::watching::Events;
use crate::{Cluster, World, json_patch, store};

/// What happens to a request that changes something.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Does {
    /// It is answered with this status, and changes nothing.
    Answers(u16, Value),
    /// It never arrives, and the connection breaks.
    LosesRequest,
    /// It is done, and the connection breaks before the answer.
    LosesAnswer,
    /// The connection breaks, and it is done on [`Cluster::deliver`].
    Delays,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// As roles call it.
    pub verb: String,
    /// As roles call it, with its group: `deployments.apps`.
    pub resource: String,
    /// The object, if one was named.
    pub name: Option<String>,
    /// Whether it could change something: neither a dry run nor a question about permissions.
    pub changes: bool,
    /// What it was answered with; nothing if it never arrived.
    pub status: Option<u16>,
    /// What was sent.
    pub body: Value,
}

/// What stands for the kinds of a group and version.
const DISCOVERY: &str = "the kinds";

#[derive(Debug, Clone)]
pub(crate) struct Request {
    verb: &'static str,
    group: String,
    version: String,
    plural: String,
    namespace: String,
    name: Option<String>,
    /// What of the object is meant: `log`.
    part: Option<String>,
    query: String,
    metadata_only: bool,
    body: Value,
}

pub(crate) type Reply = (u16, Value);

fn status(code: u16, reason: &str, message: impl Into<String>) -> Reply {
    let message = message.into();
    (
        code,
        json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }),
    )
}

/// The event by which a watch tells that it cannot go on.
pub(crate) fn error_event(code: u16) -> String {
    let reason = if code == 410 { "Expired" } else { "InternalError" };
    let (_, object) = status(code, reason, "too old resource version: 1 (2)");
    format!("{}\n", json!({ "type": "ERROR", "object": object }))
}

impl Request {
    fn read(method: &http::Method, uri: &http::Uri, metadata_only: bool, body: Value) -> Option<Self> {
        let mut path: Vec<_> = uri.path().trim_start_matches('/').split('/').collect();
        let group = match path[0] {
            "api" => String::new(),
            "apis" => path.remove(1).to_owned(),
            _ => return None,
        };
        // What is left begins with `api` and the version.
        let version = (*path.get(1)?).to_owned();
        let mut part = None;
        if let ["namespaces", _, _, _, last] = path.get(2..)? {
            part = Some((*last).to_owned());
            path.pop();
        }
        let (namespace, plural, name) = match path.get(2..)? {
            [] if method == http::Method::GET => ("", DISCOVERY, None),
            ["namespaces", name] => ("", "namespaces", Some(*name)),
            ["namespaces", namespace, plural] => (*namespace, *plural, None),
            ["namespaces", namespace, plural, name] => (*namespace, *plural, Some(*name)),
            [plural] => ("", *plural, None),
            _ => return None,
        };
        let verb = match (method.as_str(), name) {
            ("GET", Some(_)) => "get",
            ("GET", None) if uri.query().is_some_and(|query| query.contains("watch=true")) => "watch",
            ("GET", None) => "list",
            ("PATCH", Some(_)) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("POST", None) => "create",
            _ => return None,
        };
        let (namespace, plural, name) = (namespace.to_owned(), plural.to_owned(), name.map(str::to_owned));
        let query = uri.query().unwrap_or_default().to_owned();
        Some(Self { verb, group, version, plural, namespace, name, part, query, metadata_only, body })
    }

    fn changes(&self) -> bool {
        let question = self.plural == "selfsubjectaccessreviews" || self.query.contains("dryRun=All");
        !matches!(self.verb, "get" | "list" | "watch") && !question
    }

    fn resource(&self) -> String {
        let resource = self.with_part();
        if self.group.is_empty() { resource } else { format!("{resource}.{}", self.group) }
    }

    /// As roles call it: `pods/log`.
    fn with_part(&self) -> String {
        match &self.part {
            Some(part) => format!("{}/{part}", self.plural),
            None => self.plural.clone(),
        }
    }

    /// A parameter of the query.
    fn parameter(&self, key: &str) -> Option<String> {
        let found = self.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
        Some(found.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/"))
    }
}

impl World {
    /// Does what a request asks for.
    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        let failing = match request.verb {
            "get" | "list" => self.reads.pop_front(),
            _ => None,
        };
        let reply = match failing {
            Some(code) => status(code, if code == 429 { "TooManyRequests" } else { "InternalError" }, "busy"),
            None => self.decide(request),
        };
        self.tell_watchers();
        self.calls.push(Call {
            verb: request.verb.to_owned(),
            resource: request.resource(),
            name: request.name.clone(),
            changes: request.changes(),
            status: Some(reply.0),
            body: request.body.clone(),
        });
        reply
    }

    /// Whoever is gone is forgotten.
    pub(crate) fn tell_watchers(&mut self) {
        for event in self.store.happened() {
            self.watchers.retain(|watcher| watcher.tell(&event));
        }
    }

    fn may(&self, verb: &str, plural: &str) -> bool {
        let what = format!("{verb} {plural}");
        !self.denied.contains(&what) && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&what))
    }

    fn decide(&mut self, request: &Request) -> Reply {
        let Request { verb, plural, namespace, .. } = request;
        let resource = request.resource();
        let name = request.name.as_deref().unwrap_or_default();
        if plural == "selfsubjectaccessreviews" {
            let asked = &request.body["spec"]["resourceAttributes"];
            let at = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
            return (201, json!({ "status": { "allowed": self.may(&at("verb"), &at("resource")) } }));
        }
        if plural == DISCOVERY {
            return discovered(&request.group);
        }
        if !self.may(verb, &request.with_part()) {
            let message = format!(
                "{resource} \"{name}\" is forbidden: User \"tests\" cannot {verb} resource \"{}\"",
                request.with_part()
            );
            return status(403, "Forbidden", message);
        }
        if self.is_old && (request.group.as_str(), request.version.as_str()) == ("policy", "v1") {
            return status(404, "NotFound", "the server could not find the requested resource");
        }
        let reply = match *verb {
            "list" => self.listed(request),
            "watch" => (200, Value::Null),
            "get" if request.part.as_deref() == Some("log") => self.log(request, name),
            "get" => match self.store.get(plural, namespace, name) {
                Some(found) => (200, found.clone()),
                None => status(404, "NotFound", format!("{resource} \"{name}\" not found")),
            },
            "patch" => self.patched(request, name),
            "delete" => self.deleted(request, name),
            "create" => self.created(request),
            _ => status(405, "MethodNotAllowed", "not here"),
        };
        match (request.metadata_only, reply) {
            (true, (200, object)) if *verb == "get" => {
                (200, json!({ "kind": "PartialObjectMetadata", "metadata": object["metadata"] }))
            }
            (_, reply) => reply,
        }
    }

    fn listed(&self, request: &Request) -> Reply {
        let selector = request.parameter("labelSelector").unwrap_or_default();
        let terms: Vec<_> = selector.split(',').filter_map(|term| term.split_once('=')).collect();
        let fields = request.parameter("fieldSelector").unwrap_or_default();
        let fields: Vec<_> = fields.split(',').filter_map(|term| term.split_once('=')).collect();
        let field = |one: &Value, at: &str| one.pointer(&format!("/{}", at.replace('.', "/"))).cloned();
        let selected = |one: &Value| {
            terms.iter().all(|(key, value)| one["metadata"]["labels"][key] == *value)
                && fields.iter().all(|(at, value)| field(one, at) == Some(json!(value)))
        };
        let items = self.store.matching(&request.plural, &request.namespace, selected);
        (200, json!({ "kind": format!("{}List", store::kind(&request.plural)), "items": items }))
    }

    /// What a container wrote before it was started again; a text, not JSON.
    fn log(&self, request: &Request, name: &str) -> Reply {
        let Some(pod) = self.store.get("pods", &request.namespace, name) else {
            return status(404, "NotFound", format!("pods \"{name}\" not found"));
        };
        let container = request.parameter("container").unwrap_or_default();
        let all = ["initContainerStatuses", "containerStatuses"];
        let mut all = all.iter().flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
        let found = all.find(|status| status["name"] == json!(container));
        let ended = found.filter(|status| status["lastState"]["terminated"].is_object());
        let (Some(ended), Some("true")) = (ended, request.parameter("previous").as_deref()) else {
            let message =
                format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
            return status(400, "BadRequest", message);
        };
        let log = self.logs.get(ended["image"].as_str().unwrap_or_default());
        let log = log.map_or("starting\nfatal: it does not start\n", String::as_str);
        let number = |key: &str| request.parameter(key).and_then(|text| text.parse::<usize>().ok());
        let lines: Vec<_> = log.split_inclusive('\n').collect();
        let first = lines.len().saturating_sub(number("tailLines").unwrap_or(usize::MAX));
        let mut told = lines[first..].concat();
        told.truncate(number("limitBytes").unwrap_or(usize::MAX));
        (200, Value::String(told))
    }

    fn patched(&mut self, request: &Request, name: &str) -> Reply {
        let (plural, namespace) = (request.plural.as_str(), request.namespace.as_str());
        if request.body.is_object() {
            return self.applied(request, name);
        }
        let Some(before) = self.store.get(plural, namespace, name).cloned() else {
            return status(404, "NotFound", format!("{} \"{name}\" not found", request.resource()));
        };
        let mut object = before.clone();
        let operations = request.body.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Err(why) = json_patch::apply(&mut object, operations) {
            return status(422, "Invalid", why);
        }
        for field in ["resourceVersion", "uid"] {
            if object["metadata"][field] != before["metadata"][field] {
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{name}\": the object has been modified",
                    request.resource()
                );
                return status(409, "Conflict", message);
            }
        }
        match request.query.contains("dryRun=All") {
            true => (200, self.store.updated(plural, namespace, object)),
            false => (200, self.store.update(plural, namespace, object)),
        }
    }

    /// Server-side apply, without what it knows of owners: what is sent goes over what is there.
    fn applied(&mut self, request: &Request, name: &str) -> Reply {
        let (plural, namespace) = (request.plural.as_str(), request.namespace.as_str());
        let Some(mut object) = self.store.get(plural, namespace, name).cloned() else {
            return (201, self.store.create(plural, namespace, request.body.clone()));
        };
        let wanted = &request.body["metadata"]["uid"];
        if !wanted.is_null() && object["metadata"]["uid"] != *wanted {
            return status(409, "Conflict", "Precondition failed: UID in precondition");
        }
        merge(&mut object, &request.body);
        (200, self.store.update(plural, namespace, object))
    }

    fn created(&mut self, request: &Request) -> Reply {
        let (plural, namespace) = (request.plural.as_str(), request.namespace.as_str());
        let name = request.body["metadata"]["name"].as_str().unwrap_or_default();
        if self.store.get(plural, namespace, name).is_some() {
            return status(409, "AlreadyExists", format!("{} \"{name}\" already exists", request.resource()));
        }
        (201, self.store.create(plural, namespace, request.body.clone()))
    }

    fn deleted(&mut self, request: &Request, name: &str) -> Reply {
        let (plural, namespace) = (request.plural.as_str(), request.namespace.as_str());
        let Some(found) = self.store.get(plural, namespace, name) else {
            return status(404, "NotFound", format!("{} \"{name}\" not found", request.resource()));
        };
        let wanted = &request.body["preconditions"]["uid"];
        if !wanted.is_null() && found["metadata"]["uid"] != *wanted {
            return status(409, "Conflict", "Precondition failed: UID in precondition");
        }
        let gone = self.store.remove(plural, namespace, name);
        (200, gone.unwrap_or_default())
    }
}

fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// The kinds of a group, as far as anybody asks for them here.
fn discovered(group: &str) -> Reply {
    let one = |kind: &str, plural: &str, namespaced: bool| json!({ "kind": kind, "name": plural, "namespaced": namespaced });
    let resources = match group {
        "" => vec![
            one("Pod", "pods/exec", true),
            one("ConfigMap", "configmaps", true),
            one("Namespace", "namespaces", false),
        ],
        "networking.k8s.io" => vec![one("Ingress", "ingresses", true)],
        _ => return status(404, "NotFound", "the server could not find the requested resource"),
    };
    (200, json!({ "kind": "APIResourceList", "resources": resources }))
}

/// The double as a service that a client can be made of.
pub(crate) struct Service(Cluster);

impl Service {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self(cluster)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke")
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Either<Full<Bytes>, Events>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let cluster = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            let accept =
                parts.headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let metadata_only = accept.contains("PartialObjectMetadata");
            let request = Request::read(&parts.method, &parts.uri, metadata_only, body);
            let (code, body) = match &request {
                Some(request) => serve(&cluster, request)?,
                None => (404, Value::Null),
            };
            let answer = http::Response::builder().status(code).header("content-type", "application/json");
            let answer = if code == 429 { answer.header("retry-after", "1") } else { answer };
            let body = match (&request, body) {
                // What is no JSON.
                (Some(request), Value::String(text)) if request.part.is_some() => text,
                (_, body) => body.to_string(),
            };
            match request.filter(|request| request.verb == "watch" && code == 200) {
                Some(watch) => {
                    Ok(answer.body(Either::Right(cluster.world().events(&watch.plural, &watch.namespace)))?)
                }
                None => Ok(answer.body(Either::Left(Full::new(Bytes::from(body))))?),
            }
        })
    }
}

fn serve(cluster: &Cluster, request: &Request) -> io::Result<Reply> {
    let mut world = cluster.world();
    let does = if request.changes() { world.next.take() } else { None };
    match does {
        None => Ok(world.answer(request)),
        Some(Does::Answers(code, body)) => Ok((code, body)),
        Some(Does::LosesRequest) => Err(broken()),
        Some(Does::LosesAnswer) => {
            let _ = world.answer(request);
            Err(broken())
        }
        Some(Does::Delays) => {
            world.delayed.push(request.clone());
            Err(broken())
        }
    }
}
