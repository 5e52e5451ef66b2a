//! Label selectors as a query has them.

use serde_json::Value;

use crate::text::{list, text};

/// The selector of a workload. `None` when it is one that this version does not know: then everything is read.
pub(crate) fn query(selector: &Value) -> Option<String> {
    let mut terms = Vec::new();
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        terms.push(format!("{key}={}", value.as_str()?));
    }
    for term in list(selector, "/matchExpressions") {
        let key = text(term, "/key")?;
        let values: Option<Vec<_>> = list(term, "/values").iter().map(Value::as_str).collect();
        let values = values?.join(",");
        terms.push(match text(term, "/operator")? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    Some(terms.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator_is_written() {
        let selector = json!({ "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] }, { "key": "x", "operator": "NotIn", "values": ["c"] },
            { "key": "y", "operator": "Exists" }, { "key": "z", "operator": "DoesNotExist" } ] });
        assert_eq!(query(&selector).unwrap(), "app=web,tier in (a,b),x notin (c),y,!z");
        assert_eq!(
            query(&json!({ "matchExpressions": [{ "key": "a", "operator": "Gt", "values": ["1"] }] })),
            None
        );
    }
}
