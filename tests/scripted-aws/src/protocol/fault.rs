//! Errors as AWS answers them.

use serde_json::{Map, Value};

use super::{Asked, Protocol};

/// An error of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    code: String,
    message: String,
    status: u16,
    more: Map<String, Value>,
}

impl Fault {
    /// An error that is the caller's, with status 400.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: 400, more: Map::new() }
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one more field, such as ECS's `resourceIds` or `reason`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The code: `ServiceNotFoundException`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// For operations that a service does not have, or that the double does not play.
    #[must_use]
    pub fn unknown_operation(operation: &str) -> Self {
        Self::new("UnknownOperationException", format!("The double does not play {operation}."))
    }

    /// The code that the JSON services end with `Exception`, and those that speak a query do not.
    fn common(protocol: Protocol, name: &str, message: impl Into<String>) -> Self {
        let ending = if protocol == Protocol::Json { "Exception" } else { "" };
        Self::new(format!("{name}{ending}"), message)
    }

    pub(crate) fn throttled(asked: &Asked) -> Self {
        Self::common(asked.protocol, "Throttling", "Rate exceeded")
    }

    pub(crate) fn denied(account: &str, asked: &Asked) -> Self {
        let who = format!("arn:aws:sts::{account}:assumed-role/deployer/tests");
        // The one service whose actions have another name than its signature.
        let service = if asked.service == "monitoring" { "cloudwatch" } else { &asked.service };
        let action = format!("{service}:{}", asked.operation);
        let why = format!("because no identity-based policy allows the {action} action");
        let message = format!("User: {who} is not authorized to perform: {action} on resource: * {why}");
        let fault = Self::common(asked.protocol, "AccessDenied", message);
        if asked.protocol == Protocol::Json { fault } else { fault.with_status(403) }
    }

    pub(crate) fn expired(asked: &Asked) -> Self {
        let message = "The security token included in the request is expired";
        let fault = Self::common(asked.protocol, "ExpiredToken", message);
        if asked.protocol == Protocol::Json { fault } else { fault.with_status(403) }
    }

    pub(crate) fn broken(asked: &Asked) -> Self {
        let (code, message) = match asked.service.as_str() {
            "ecs" => ("ServerException", "Service Unavailable. Please try again later."),
            _ => ("InternalFailure", "The request processing has failed because of an unknown error."),
        };
        Self::new(code, message).with_status(500)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("__type".to_owned(), self.code.clone().into());
        body.insert("message".to_owned(), self.message.clone().into());
        body.extend(self.more.clone());
        Value::Object(body)
    }
}
