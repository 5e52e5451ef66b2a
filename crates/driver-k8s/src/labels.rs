//! Whether labels fit a selector, as `metav1.LabelSelector` has it.

use serde_json::Value;

use crate::text::{entry, list, text};

/// Whether the labels at `/labels` of some metadata fit. `None` when the selector says something that this version does not know.
pub(crate) fn fits(selector: &Value, metadata: &Value) -> Option<bool> {
    let label = |key: &str| entry(metadata, "/labels", key);
    let equals = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut all = equals.into_iter().all(|(key, value)| label(key) == value.as_str());
    for term in list(selector, "/matchExpressions") {
        let found = label(text(term, "/key")?);
        let among = || list(term, "/values").iter().any(|value| value.as_str() == found);
        all &= match text(term, "/operator")? {
            "In" => found.is_some() && among(),
            "NotIn" => found.is_none() || !among(),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            _ => return None,
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator_is_known() {
        let metadata = json!({ "labels": { "app": "web", "tier": "a" } });
        let term = |key: &str, operator: &str, values: &[&str]| {
            let term = json!({ "key": key, "operator": operator, "values": values });
            fits(&json!({ "matchLabels": { "app": "web" }, "matchExpressions": [term] }), &metadata)
        };
        for (key, operator, values, wanted) in [
            ("tier", "In", &["a", "b"][..], Some(true)),
            ("tier", "In", &["b"], Some(false)),
            ("none", "In", &["a"], Some(false)),
            ("tier", "NotIn", &["a"], Some(false)),
            ("none", "NotIn", &["a"], Some(true)),
            ("tier", "Exists", &[], Some(true)),
            ("none", "Exists", &[], Some(false)),
            ("none", "DoesNotExist", &[], Some(true)),
            ("tier", "Gt", &["1"], None),
        ] {
            assert_eq!(term(key, operator, values), wanted, "{key} {operator} {values:?}");
        }
        assert_eq!(fits(&json!({ "matchLabels": { "app": "api" } }), &metadata), Some(false));
        assert_eq!(fits(&json!({}), &metadata), Some(true));
    }
}
