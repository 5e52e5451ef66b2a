//! A TOML document whose values know their line, with `${NAME}` replaced.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Number, Value};
use toml::de::{DeArray, DeTable, DeValue};

use super::expand::expand;

/// A table: each key with its line and its value.
pub(super) type Table = BTreeMap<String, (usize, Node)>;

/// A value, the line that it begins on, and whether a variable went into it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
    /// A variable went into it, so it may be secret: errors name it and never quote it.
    pub(super) hidden: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    Number(Number),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
}

impl Node {
    /// What sort of value it is, for "is …, must be …".
    pub(super) fn sort(&self) -> &'static str {
        match &self.content {
            Content::Text(_) => "a text",
            Content::Number(_) => "a number",
            Content::Flag(_) => "true or false",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Text(text) => Value::String(text.clone()),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Flag(flag) => Value::Bool(*flag),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Table(table) => {
                Value::Object(table.iter().map(|(key, (_, node))| (key.clone(), node.to_json())).collect())
            }
        }
    }
}

/// An error about one line of a file.
pub(super) fn wrong(file: &Path, line: usize, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("read {}, line {line}", file.display()), message)
}

/// Reads TOML texts into nodes.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Every variable that was read, with what it held.
    pub(super) read: Vec<(String, String)>,
}

impl Reader<'_> {
    /// The document's top table.
    pub(super) fn document(&mut self) -> Result<Table> {
        let parsed = DeTable::parse(self.text).map_err(|error| {
            // The error's own display quotes the line, which may hold a secret; its message does not.
            let (line, column) = self.position(error.span().map_or(0, |span| span.start));
            let what = format!("column {column}: {}", error.message().trim().replace('\n', ", "));
            wrong(self.file, line, what)
                .next("correct that line; texts need quotes, and each [table] may be written once")
        })?;
        self.table("", parsed.get_ref())
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Result<Table> {
        let mut nodes = Table::new();
        for (key, value) in table.iter() {
            let here = join(path, key.get_ref());
            let node = self.node(&here, value.get_ref(), value.span())?;
            nodes.insert(key.get_ref().to_string(), (self.line(key.span()), node));
        }
        Ok(nodes)
    }

    fn list(&mut self, path: &str, items: &DeArray<'_>) -> Result<Vec<Node>> {
        items.iter().map(|item| self.node(path, item.get_ref(), item.span())).collect()
    }

    fn node(&mut self, path: &str, value: &DeValue<'_>, span: Range<usize>) -> Result<Node> {
        let line = self.line(span);
        let mut hidden = false;
        let content = match value {
            DeValue::String(text) => {
                let expanded = expand(text, self.variable).map_err(|fault| {
                    wrong(self.file, line, format!("{path} {}", fault.message())).next(fault.next())
                })?;
                hidden = !expanded.read.is_empty();
                self.read.extend(expanded.read);
                Content::Text(expanded.text)
            }
            DeValue::Integer(number) => {
                Content::Number(self.integer(path, line, number.as_str(), number.radix())?)
            }
            DeValue::Float(number) => Content::Number(self.float(path, line, number.as_str())?),
            DeValue::Boolean(flag) => Content::Flag(*flag),
            DeValue::Datetime(time) => Content::Text(time.to_string()),
            DeValue::Array(items) => Content::List(self.list(path, items)?),
            DeValue::Table(table) => Content::Table(self.table(path, table)?),
        };
        hidden |= match &content {
            Content::List(items) => items.iter().any(|item| item.hidden),
            Content::Table(table) => table.values().any(|(_, node)| node.hidden),
            _ => false,
        };
        Ok(Node { line, content, hidden })
    }

    fn integer(&self, path: &str, line: usize, digits: &str, radix: u32) -> Result<Number> {
        i64::from_str_radix(digits, radix)
            .map(Number::from)
            .map_err(|_| wrong(self.file, line, format!("{path} is too large a number")))
    }

    fn float(&self, path: &str, line: usize, digits: &str) -> Result<Number> {
        digits
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .ok_or_else(|| wrong(self.file, line, format!("{path} is not a finite number")))
    }

    fn line(&self, span: Range<usize>) -> usize {
        self.position(span.start).0
    }

    /// Line and column, from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}

/// The path of a key inside a table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
