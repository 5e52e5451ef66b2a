//! `rollback schema`.

use rollback_core::{Error, ErrorKind, Result};

use crate::App;
use crate::config::schema;
use crate::outcome::Outcome;

pub(crate) fn run(app: &App) -> Result<Outcome> {
    let schema = schema::of(&app.drivers, &app.probes, &app.sinks);
    let text = serde_json::to_string_pretty(&schema).map_err(|error| {
        Error::new(ErrorKind::Other, "write the schema", "it is not JSON").with_source(error)
    })?;
    Outcome::done(format!("{text}\n")).with("schema", &schema)
}
