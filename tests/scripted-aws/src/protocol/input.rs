//! Reading what was asked. Numbers and truth values may be text: in queries they are.

use serde_json::Value;

use super::Fault;

/// A text, if it is there.
#[must_use]
pub fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// A text that has to be there and not be empty.
///
/// # Errors
/// With a fault of this code, where it is not.
pub fn required<'a>(input: &'a Value, name: &str, code: &str) -> Result<&'a str, Fault> {
    text(input, name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Fault::new(code, format!("{name} cannot be empty.")))
}

/// A whole number, if it is there.
#[must_use]
pub fn integer(input: &Value, name: &str) -> Option<i64> {
    let value = input.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A truth value; missing is false.
#[must_use]
pub fn boolean(input: &Value, name: &str) -> bool {
    match input.get(name) {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// A list; missing is empty.
#[must_use]
pub fn list<'a>(input: &'a Value, name: &str) -> &'a [Value] {
    input.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of texts; missing is empty.
#[must_use]
pub fn texts<'a>(input: &'a Value, name: &str) -> Vec<&'a str> {
    list(input, name).iter().filter_map(Value::as_str).collect()
}
