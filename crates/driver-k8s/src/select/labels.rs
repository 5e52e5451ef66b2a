//! Label selectors as people write them: `app.kubernetes.io/part-of=shop,tier in (web, api),!canary`.

use std::fmt;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result};

use crate::text::is_name;

/// Longer than anybody writes by hand.
const LONGEST: usize = 2048;
/// The most requirements, and the most values of one.
const MOST: usize = 64;

/// A selector of labels, in which every part was looked at.
///
/// It is written into the query of a request: nothing gets there that Kubernetes would not take for a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    must: Must,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Must {
    Be(String),
    NotBe(String),
    BeIn(Vec<String>),
    NotBeIn(Vec<String>),
    Exist,
    NotExist,
}

impl Labels {
    /// Reads a selector, as `kubectl --selector` takes it. One without requirements is refused: it would select everything.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(wrong(text, &format!("is longer than {LONGEST} bytes")));
        }
        let terms = terms(text).ok_or_else(|| wrong(text, "has brackets that do not match"))?;
        if terms.len() > MOST {
            return Err(wrong(text, &format!("has more than {MOST} requirements")));
        }
        let read = |term: &&str| requirement(term).map_err(|why| wrong(text, &why));
        Ok(Self(terms.iter().map(read).collect::<Result<_>>()?))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Requirement { key, must }) in self.0.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "," })?;
            match must {
                Must::Be(value) => write!(f, "{key}={value}")?,
                Must::NotBe(value) => write!(f, "{key}!={value}")?,
                Must::BeIn(values) => write!(f, "{key} in ({})", values.join(","))?,
                Must::NotBeIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Must::Exist => f.write_str(key)?,
                Must::NotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// The parts between commas, as far as those are not in brackets. Nothing if brackets do not match.
fn terms(text: &str) -> Option<Vec<&str>> {
    let (mut all, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match (byte, inside) {
            (b'(', false) => inside = true,
            (b')', true) => inside = false,
            (b'(' | b')', _) => return None,
            (b',', false) => {
                all.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.push(text[begin..].trim());
    (!inside).then_some(all)
}

fn requirement(term: &str) -> std::result::Result<Requirement, String> {
    let of = |key: &str, must: Must| Ok(Requirement { key: checked_key(key)?, must });
    if let Some((head, values)) = term.split_once('(') {
        let values = values.strip_suffix(')').ok_or("has something after a closing bracket")?;
        let values: Vec<_> = values.split(',').map(checked_value).collect::<std::result::Result<_, _>>()?;
        if values.len() > MOST {
            return Err(format!("has more than {MOST} values in one pair of brackets"));
        }
        let words: Vec<_> = head.split_whitespace().collect();
        return match words.as_slice() {
            [key, "in"] => of(key, Must::BeIn(values)),
            [key, "notin"] => of(key, Must::NotBeIn(values)),
            _ => Err("has brackets after something that is neither `KEY in` nor `KEY notin`".to_owned()),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return of(key, Must::NotBe(checked_value(value)?));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return of(key, Must::Be(checked_value(value)?));
    }
    match term.strip_prefix('!') {
        Some(key) => of(key, Must::NotExist),
        None => of(term, Must::Exist),
    }
}

/// `web`, or `app.kubernetes.io/name`.
fn checked_key(key: &str) -> std::result::Result<String, String> {
    let key = key.trim();
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    match prefix.is_none_or(is_name) && !name.is_empty() && is_word(name) {
        true => Ok(key.to_owned()),
        false => Err(format!("names the label {}, which cannot be one", quoted(key))),
    }
}

fn checked_value(value: &str) -> std::result::Result<String, String> {
    let value = value.trim();
    match is_word(value) {
        true => Ok(value.to_owned()),
        false => Err(format!("has the value {}, which no label can have", quoted(value))),
    }
}

/// What labels and their values are made of; nothing is a value too.
fn is_word(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 63
        && text.bytes().all(inside)
        && edge(text.bytes().next())
        && edge(text.bytes().next_back())
}

fn wrong(text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "use setting \"selector\"", format!("{} {why}", quoted(text))).next(
        "write it as for `kubectl get --selector`: app.kubernetes.io/part-of=shop,tier in (web,api),!canary",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_select_is_read_and_written_in_one_form() {
        for (text, written) in [
            ("app.kubernetes.io/part-of=shop", "app.kubernetes.io/part-of=shop"),
            (" a == b , c != d ", "a=b,c!=d"),
            ("tier in ( web , api ),x notin (y)", "tier in (web,api),x notin (y)"),
            ("team,!canary", "team,!canary"),
            ("a=,b in (,c)", "a=,b in (,c)"),
            ("in in (in)", "in in (in)"),
        ] {
            let labels = Labels::parse(text).unwrap();
            assert_eq!(labels.to_string(), written, "{text}");
            assert_eq!(Labels::parse(written).unwrap(), labels);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let many = vec!["a=b"; MOST + 1].join(",");
        for text in [
            "",
            " ",
            ",",
            "a=b,",
            "=b",
            "a=b=c",
            "a=b&limit=1",
            "a=b&c",
            "a&b",
            "a=b#",
            "a=b\r\nHost: x",
            "a/b/c=d",
            "A_/b=c",
            "-a=b",
            "a=-b",
            "a in (b",
            "a in b)",
            "a in ((b))",
            "a in (b) c",
            "a within (b)",
            "a b=c",
            "!",
            "!!a",
            "a>1",
            "ä=b",
            "a=../b",
            "a=%2e",
            &"a".repeat(64),
            &format!("a={}", "b".repeat(64)),
            &many,
            &"a=b,".repeat(1000),
        ] {
            let error = Labels::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.message().len() < 300 && error.next_step().is_some(), "{error}");
        }
    }

    proptest::proptest! {
        /// Whatever is taken is written in letters that mean nothing in a query but what labels mean.
        #[test]
        fn nothing_else_gets_into_a_query(text in "[ -~]{0,40}") {
            if let Ok(labels) = Labels::parse(&text) {
                let written = labels.to_string();
                proptest::prop_assert!(!written.contains(['&', '?', '#', '%', '+', ';', '"', '\\']), "{written}");
                proptest::prop_assert_eq!(Labels::parse(&written).unwrap(), labels);
            }
        }
    }
}
