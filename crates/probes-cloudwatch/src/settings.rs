//! Reading settings: those of a kind beside those of AWS.

use std::time::Duration;

use rollback_aws_support::AwsSettings;
use rollback_core::registry::known;
use rollback_core::time::Lasting;
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The most of a foreign text that goes into a detail, in characters.
const MAX_DETAIL: usize = 500;

/// An error about the settings of a probe of `kind`.
pub(crate) fn invalid(kind: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("set up the {kind} probe"), message)
}

/// A kind's own settings, and those of AWS.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(
    kind: &str,
    example: &str,
    config: &Map<String, Value>,
) -> Result<(T, AwsSettings)> {
    let all = schema::<T>();
    let names: Vec<&str> =
        all["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    if let Some(wrong) = config.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(
            invalid(kind, format!("there is no setting {wrong:?}")).next(known("settings", wrong, names))
        );
    }
    let of_aws = AwsSettings::properties();
    let (aws, own): (Map<_, _>, Map<_, _>) = config
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(name, _)| of_aws.contains_key(name));
    let wrong =
        |error: serde_json::Error| invalid(kind, error.to_string()).next(format!("write it like {example}"));
    let settings = serde_json::from_value(Value::Object(own)).map_err(wrong)?;
    let aws: AwsSettings = serde_json::from_value(Value::Object(aws)).map_err(wrong)?;
    aws.check()?;
    Ok((settings, aws))
}

/// The schema of both.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(schema) = schema.as_object_mut() {
        // The configuration's own document says which dialect it is.
        schema.remove("$schema");
        schema.remove("title");
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(AwsSettings::properties());
    }
    schema
}

/// A time limit that is longer than nothing.
pub(crate) fn limit(kind: &str, timeout: Lasting) -> Result<Duration> {
    let limit = timeout.as_duration();
    if limit.is_zero() {
        return Err(invalid(kind, "a timeout of nothing leaves no time for an answer")
            .next("write it like timeout = \"10s\""));
    }
    Ok(limit)
}

/// Foreign text as one short line that cannot steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().take(MAX_DETAIL).map(tame).collect();
    if text.trim().chars().nth(MAX_DETAIL).is_some() {
        line.push('…');
    }
    line
}

/// What an error says, with what to do next, on one line.
pub(crate) fn told(error: &Error) -> String {
    let next = error.next_step().map_or_else(String::new, |next| format!(" ({next})"));
    one_line(&format!("{}{next}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_short_and_tame() {
        assert_eq!(one_line("  red \x1b[31m\nalert\t"), "red  [31m alert");
        assert_eq!(one_line(&"é".repeat(MAX_DETAIL)).chars().count(), MAX_DETAIL);
        assert!(one_line(&"é".repeat(MAX_DETAIL + 1)).ends_with('…'));
    }
}
