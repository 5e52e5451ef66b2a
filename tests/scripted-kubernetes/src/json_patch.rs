//! JSON patches, as far as they are sent.

use serde_json::Value;

/// Applies the operations in order. The reason, if one cannot be.
pub(crate) fn apply(object: &mut Value, operations: &[Value]) -> Result<(), String> {
    for operation in operations {
        let at = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
        one(object, at("op"), at("path"), operation.get("value")).ok_or_else(|| {
            format!(
                "the server rejected our request due to an error in our request: {} {}",
                at("op"),
                at("path")
            )
        })?;
    }
    Ok(())
}

fn one(object: &mut Value, op: &str, path: &str, value: Option<&Value>) -> Option<()> {
    let (parent, key) = path.rsplit_once('/')?;
    let key = key.replace("~1", "/").replace("~0", "~");
    match (object.pointer_mut(parent)?, op) {
        (Value::Object(map), "add") => drop(map.insert(key, value?.clone())),
        (Value::Object(map), "replace") => *map.get_mut(&key)? = value?.clone(),
        (Value::Object(map), "remove") => drop(map.remove(&key)?),
        (Value::Object(map), "test") => (map.get(&key)? == value?).then_some(())?,
        (Value::Array(items), "replace") => *items.get_mut(key.parse::<usize>().ok()?)? = value?.clone(),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_applied_in_order_or_refused() {
        let mut object = json!({ "a": { "x/y": 1 }, "l": [{ "i": 1 }] });
        let operations = json!([
            { "op": "add", "path": "/a/b", "value": 2 }, { "op": "replace", "path": "/a/x~1y", "value": 3 },
            { "op": "replace", "path": "/l/0/i", "value": 4 }, { "op": "test", "path": "/a/b", "value": 2 },
            { "op": "remove", "path": "/a/b" },
        ]);
        apply(&mut object, operations.as_array().unwrap()).unwrap();
        assert_eq!(object, json!({ "a": { "x/y": 3 }, "l": [{ "i": 4 }] }));
        for operation in [
            json!({ "op": "add", "path": "/none/b", "value": 2 }),
            json!({ "op": "replace", "path": "/a/none", "value": 2 }),
            json!({ "op": "test", "path": "/a/x~1y", "value": 2 }),
        ] {
            assert!(apply(&mut object, std::slice::from_ref(&operation)).is_err(), "{operation}");
        }
    }
}
