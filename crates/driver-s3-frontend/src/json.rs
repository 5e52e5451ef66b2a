//! What is noted in `state`, as it is written.

use rollback_core::{Error, ErrorKind, Result};
use serde::Serialize;

/// One of our own files. `doing` is what it is written for.
pub(crate) fn written(doing: &'static str, what: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(what)
        .map_err(|error| Error::new(ErrorKind::Other, doing, "it is no JSON").with_source(error))
}
