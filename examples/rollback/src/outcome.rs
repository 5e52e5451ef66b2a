//! What a command came to: an exit, a text for people, a document for pipelines.

use rollback_core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Exit;
use crate::config::Hidden;
use crate::render::error;

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    pub(crate) document: Map<String, Value>,
    pub(crate) error: Option<Error>,
    /// What the summary of a pipeline's step says, as Markdown.
    pub(crate) summary: String,
}

impl Outcome {
    /// It went well.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Done,
            text: text.into(),
            document: Map::new(),
            error: None,
            summary: String::new(),
        }
    }

    /// It failed.
    pub(crate) fn failed(error: Error) -> Self {
        Self { exit: Exit::of_error(error.kind()), error: Some(error), ..Self::done("") }
    }

    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Says what the summary of a pipeline's step says.
    pub(crate) fn summary(mut self, markdown: String) -> Self {
        self.summary = markdown;
        self
    }

    /// Adds a part of the document.
    pub(crate) fn with(mut self, key: &str, value: &impl Serialize) -> Result<Self> {
        let value = serde_json::to_value(value).map_err(|error| {
            Error::new(rollback_core::ErrorKind::Other, format!("write {key} as JSON"), error.to_string())
        })?;
        self.document.insert(key.to_owned(), value);
        Ok(self)
    }

    /// The one document on standard output: `command`, `exit`, what the command adds, and `error` if there is one.
    pub(crate) fn to_json(&self, command: &str, hidden: &Hidden) -> String {
        let mut document = Map::new();
        document.insert("command".to_owned(), command.into());
        document.insert("exit".to_owned(), self.exit.code().into());
        document.extend(self.document.clone());
        if let Some(error) = &self.error {
            document.insert("error".to_owned(), error::json(error, hidden));
        }
        format!("{:#}\n", Value::Object(document))
    }
}
