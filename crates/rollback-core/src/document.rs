//! Typed inside, erased outside: schema-named documents and the envelopes that carry them.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// Data that a driver defines and core only stores and hands back: snapshots and actions.
///
/// # Contract
///
/// - `SCHEMA` is `name/number`. Raise the number when the shape changes in a way that old readers would
///   misunderstand, and keep reading the older numbers in [`decode`](Document::decode): journals and plans
///   outlive releases.
/// - No secrets: references and digests only.
pub trait Document: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// The schema that this type writes, like `local-release/1`.
    const SCHEMA: &'static str;

    /// Reads a body that was written under `schema`, which may be older than [`SCHEMA`](Document::SCHEMA).
    /// A type with one schema so far calls [`decode_exact`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when the body does not fit, [`ErrorKind::Unsupported`] for an unknown schema.
    fn decode(schema: &str, body: Value) -> Result<Self>;
}

/// Reads a body written under exactly the schema that `T` writes.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] for another schema, [`ErrorKind::Corrupt`] when the body does not fit.
pub fn decode_exact<T: Document>(schema: &str, body: Value) -> Result<T> {
    if schema != T::SCHEMA {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("read a {schema:?} document"),
            format!("this version reads {:?}", T::SCHEMA),
        )
        .next("use the version of the tool that wrote it, or plan again"));
    }
    serde_json::from_value(body).map_err(|error| {
        Error::new(
            ErrorKind::Corrupt,
            format!("read a {schema:?} document"),
            "its body does not fit the schema",
        )
        .with_source(error)
    })
}

/// A document as plans and journals keep it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The schema of the body.
    pub schema: String,
    /// The document.
    pub body: Value,
}

impl Envelope {
    /// Puts a document into an envelope.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the document cannot be written as JSON.
    pub fn seal<T: Document>(document: &T) -> Result<Self> {
        let body = serde_json::to_value(document).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("write a {:?} document", T::SCHEMA), "it is not JSON")
                .with_source(error)
        })?;
        Ok(Self { schema: T::SCHEMA.to_owned(), body })
    }

    /// Takes the document out.
    ///
    /// # Errors
    ///
    /// As [`Document::decode`].
    pub fn open<T: Document>(&self) -> Result<T> {
        T::decode(&self.schema, self.body.clone())
    }
}
