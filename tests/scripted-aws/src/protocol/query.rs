//! The query protocol: a form whose names are paths, such as `Actions.member.1.Type=forward`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, path: &str, text: String) {
        let mut node = self;
        for part in path.split('.') {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.text = Some(text);
    }

    fn value(self) -> Value {
        if self.below.is_empty() {
            return Value::String(self.text.unwrap_or_default());
        }
        let mut below = self.below;
        if below.len() == 1
            && let Some(members) = below.remove("member")
        {
            let mut items: Vec<_> = members
                .below
                .into_iter()
                .map(|(index, node)| (index.parse::<u32>().unwrap_or(u32::MAX), node.value()))
                .collect();
            items.sort_by_key(|(index, _)| *index);
            return items.into_iter().map(|(_, value)| value).collect();
        }
        Value::Object(below.into_iter().map(|(name, node)| (name, node.value())).collect::<Map<_, _>>())
    }
}

/// The operation and its input.
pub(super) fn parse(body: &[u8]) -> (String, Value) {
    let mut root = Node::default();
    let mut operation = String::new();
    for (name, text) in url::form_urlencoded::parse(body) {
        match name.as_ref() {
            "Action" => operation = text.into_owned(),
            "Version" => {}
            path => root.put(path, text.into_owned()),
        }
    }
    let input = if root.below.is_empty() { Value::Object(Map::new()) } else { root.value() };
    (operation, input)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_and_nested_names() {
        let body = b"Action=ModifyListener&Version=2015-12-01&ListenerArn=a%3Ab&DefaultActions.member.1.Type=forward\
            &DefaultActions.member.1.ForwardConfig.TargetGroups.member.2.Weight=0\
            &DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight=100";
        let (operation, input) = parse(body);
        assert_eq!(operation, "ModifyListener");
        let groups = json!({ "TargetGroups": [{ "Weight": "100" }, { "Weight": "0" }] });
        let action = json!({ "Type": "forward", "ForwardConfig": groups });
        assert_eq!(input, json!({ "ListenerArn": "a:b", "DefaultActions": [action] }));
    }

    #[test]
    fn a_call_without_parameters_has_an_empty_input() {
        let (operation, input) = parse(b"Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!((operation.as_str(), input), ("GetCallerIdentity", json!({})));
    }
}
