//! Errors as AWS answers them.

use serde_json::{Map, Value};

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

    pub(crate) fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    pub(crate) fn denied(account: &str, service: &str, operation: &str) -> Self {
        let who = format!("arn:aws:sts::{account}:assumed-role/deployer/tests");
        Self::new(
            "AccessDeniedException",
            format!(
                "User: {who} is not authorized to perform: {service}:{operation} because no identity-based policy \
                 allows the {service}:{operation} action"
            ),
        )
    }

    pub(crate) fn expired() -> Self {
        Self::new("ExpiredTokenException", "The security token included in the request is expired")
    }

    pub(crate) fn broken() -> Self {
        Self::new("InternalFailure", "The request processing has failed because of an unknown error.")
            .with_status(500)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("__type".to_owned(), self.code.clone().into());
        body.insert("message".to_owned(), self.message.clone().into());
        body.extend(self.more.clone());
        Value::Object(body)
    }
}
