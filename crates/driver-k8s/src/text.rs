//! Small helpers for texts and JSON that several modules share.

pub(crate) use rollback_core::foreign::line;
use serde_json::Value;

/// A name as Kubernetes takes it for objects (a DNS subdomain).
pub(crate) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inside)
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A whole number at a JSON pointer; what is left out is nothing.
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether something is set at a JSON pointer.
pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a JSON pointer; what is left out is empty.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The label or annotation of this name: those have dots and slashes in them.
pub(crate) fn entry<'a>(value: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    value.pointer(map)?.get(key)?.as_str()
}

/// The UID of the object that controls this one, if one does.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_become_one_bounded_line() {
        assert_eq!(line("a\u{1b}[31m\n\n b"), "a [31m b");
        assert_eq!(line("v\u{202e}1"), "v 1");
        assert_eq!(line(&"x".repeat(1000)).chars().count(), 301);
    }
}
