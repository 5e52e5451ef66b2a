//! Times as AWS writes them: seconds since 1970 with a fraction in its JSON protocol, text in the output of its command line.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The time that a value says, if it says one.
pub(crate) fn read(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => {
            let seconds = seconds.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
            // AWS writes milliseconds; anything finer would be an artefact of the floating point number.
            Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok()
        }
        _ => None,
    }
}

/// For fields that may hold a time.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    read(&value).map(Some).ok_or_else(|| serde::de::Error::custom("not a time"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let expected: Timestamp = "2026-11-21T10:00:00.123Z".parse().unwrap();
        assert_eq!(read(&json!("2026-11-21T12:00:00.123+02:00")), Some(expected));
        assert_eq!(read(&json!(1_795_255_200.123)), Some(expected));
        for odd in [json!(null), json!(1e300), json!("yesterday"), json!([])] {
            assert_eq!(read(&odd), None, "{odd}");
        }
    }
}
