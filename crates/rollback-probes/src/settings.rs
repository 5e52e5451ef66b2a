//! What the kinds share: reading settings, and words for people.

use std::time::Duration;

use rollback_core::registry::known;
use rollback_core::time::{Clock, Lasting, SystemClock};
use rollback_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The most of a foreign text that goes into a detail, in bytes.
pub(crate) const MAX_DETAIL: usize = 2 * 1024;

/// An error about the settings of a probe of `kind`.
pub(crate) fn invalid(kind: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("set up the {kind} probe"), message)
}

/// Reads settings; `names` are those that exist, `example` is what to write.
pub(crate) fn read<T: DeserializeOwned>(
    kind: &str,
    names: &[&str],
    example: &str,
    config: &Map<String, Value>,
) -> Result<T> {
    if let Some(wrong) = config.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(invalid(kind, format!("there is no setting {wrong:?}")).next(known(
            "settings",
            wrong,
            names.iter().copied(),
        )));
    }
    serde_json::from_value(Value::Object(config.clone()))
        .map_err(|error| invalid(kind, error.to_string()).next(format!("write it like {example}")))
}

/// The schema of some settings, which must have the names that are read.
pub(crate) fn schema<T: schemars::JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(schema) = schema.as_object_mut() {
        // The configuration's own document says which dialect it is.
        schema.remove("$schema");
        schema.remove("title");
    }
    schema
}

/// A time limit that is longer than nothing.
pub(crate) fn limit(kind: &str, timeout: Lasting) -> Result<Duration> {
    let limit = timeout.as_duration();
    if limit.is_zero() {
        return Err(invalid(kind, "a timeout of nothing leaves no time for an answer")
            .next("write it like timeout = \"5s\""));
    }
    Ok(limit)
}

/// Runs from its making.
#[derive(Debug)]
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(SystemClock.monotonic())
    }

    /// Milliseconds so far, with their fractions.
    pub(crate) fn millis(&self) -> f64 {
        SystemClock.monotonic().saturating_sub(self.0).as_secs_f64() * 1_000.0
    }
}

/// The last cause of an error: the others only say that something failed.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    one_line(&cause.to_string())
}

/// Foreign text as one short line that cannot steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    if line.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_short_and_tame() {
        assert_eq!(one_line("  red \x1b[31m\nalert\t"), "red  [31m alert");
        let long = one_line(&"é".repeat(MAX_DETAIL));
        assert!(long.len() <= MAX_DETAIL + '…'.len_utf8(), "{}", long.len());
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_timeout_of_nothing_is_refused() {
        assert!(limit("tcp", Lasting::from_secs(0)).is_err());
        assert_eq!(limit("tcp", Lasting::from_secs(2)).unwrap(), Duration::from_secs(2));
    }
}
