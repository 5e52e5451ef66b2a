//! Answers of the query protocol.

use std::fmt::Write as _;

use serde_json::Value;

use super::Fault;

fn namespace(service: &str) -> &'static str {
    match service {
        "elasticloadbalancing" => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        _ => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

pub(super) fn answer(service: &str, operation: &str, id: &str, output: &Value) -> String {
    let mut body = String::new();
    children(&mut body, output);
    format!(
        "<{operation}Response xmlns=\"{}\"><{operation}Result>{body}</{operation}Result>\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>",
        namespace(service)
    )
}

pub(super) fn refusal(service: &str, id: &str, fault: &Fault) -> String {
    let side = if fault.status() >= 500 { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse xmlns=\"{}\"><Error><Type>{side}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>",
        namespace(service),
        escaped(fault.code()),
        escaped(fault.message())
    )
}

fn children(out: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(name, value)| element(out, name, value)),
        Value::Array(items) => items.iter().for_each(|item| element(out, "member", item)),
        Value::String(text) => out.push_str(&escaped(text)),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn element(out: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    let _ = write!(out, "<{name}>");
    children(out, value);
    let _ = write!(out, "</{name}>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_members_and_text_is_escaped() {
        let text = answer("sts", "Ask", "id-1", &json!({ "A": [{ "B": "x<y&z" }], "C": null, "D": 1 }));
        assert_eq!(
            text,
            "<AskResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AskResult>\
             <A><member><B>x&lt;y&amp;z</B></member></A><D>1</D></AskResult>\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></AskResponse>"
        );
    }
}
