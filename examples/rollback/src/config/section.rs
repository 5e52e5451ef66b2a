//! Reads the keys of one table, and refuses what it does not know.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use rollback_core::registry::known;
use rollback_core::{Error, Result};
use serde_json::{Map, Value};

use super::document::{Content, Node, Table, join, wrong};

/// One table with its place in the file. Errors name key and line, and never quote a value that a variable went
/// into.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    file: &'a Path,
    path: &'a str,
    line: usize,
    table: &'a Table,
}

impl<'a> Section<'a> {
    pub(super) fn top(file: &'a Path, table: &'a Table) -> Self {
        Self { file, path: "", line: 1, table }
    }

    /// Calls `read` with the table under `key`, if there is one.
    pub(super) fn inner<T>(
        &self,
        key: &str,
        read: impl FnOnce(Section<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some((_, node)) = self.table.get(key) else { return Ok(None) };
        self.node(&join(self.path, key), node, read).map(Some)
    }

    /// Calls `read` with each table in the list under `key`.
    pub(super) fn each<T>(
        &self,
        key: &str,
        mut read: impl FnMut(Section<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let path = join(self.path, key);
        self.items(key)?.iter().map(|item| self.node(&path, item, &mut read)).collect()
    }

    /// Calls `read` with the name and the table of each entry under `key`.
    pub(super) fn named<N: FromStr<Err = Error>, T>(
        &self,
        key: &str,
        mut read: impl FnMut(N, Section<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.inner(key, |section| {
            let entry = |(name, (line, node)): (&String, &(usize, Node))| {
                let parsed = name.parse::<N>().map_err(|error| located(section.file, *line, &error))?;
                section.node(&join(section.path, name), node, |inner| read(parsed, inner))
            };
            section.table.iter().map(entry).collect()
        })
        .map(Option::unwrap_or_default)
    }

    fn node<T>(&self, path: &str, node: &Node, read: impl FnOnce(Section<'_>) -> Result<T>) -> Result<T> {
        let Content::Table(table) = &node.content else {
            return Err(self.not(path, node, "a table"));
        };
        read(Section { file: self.file, path, line: node.line, table })
    }

    /// Refuses keys that are not among `words`.
    pub(super) fn only(&self, words: &[&str]) -> Result<()> {
        let unknown = self.table.iter().find(|(key, _)| !words.contains(&key.as_str()));
        let Some((key, (line, _))) = unknown else { return Ok(()) };
        let place = if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path) };
        Err(wrong(self.file, *line, format!("{place} has an unknown key {key:?}")).next(known(
            "keys",
            key,
            words.iter().copied(),
        )))
    }

    /// The text under `key`.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        let Some((_, node)) = self.table.get(key) else { return Ok(None) };
        self.text_of(key, node).map(|text| Some(text.to_owned()))
    }

    /// The text under `key`, where it is one.
    pub(super) fn word(&self, key: &str) -> Option<&'a str> {
        match self.table.get(key) {
            Some((_, Node { content: Content::Text(text), .. })) => Some(text),
            _ => None,
        }
    }

    fn text_of<'n>(&self, key: &str, node: &'n Node) -> Result<&'n str> {
        match &node.content {
            Content::Text(text) => Ok(text),
            _ => Err(self.not(&join(self.path, key), node, "a text")),
        }
    }

    /// The value under `key`, read from its text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<T>> {
        let Some((_, node)) = self.table.get(key) else { return Ok(None) };
        self.parse(key, node).map(Some)
    }

    /// The list of values under `key`, each read from its text.
    pub(super) fn list<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<Vec<T>>> {
        if !self.has(key) {
            return Ok(None);
        }
        self.items(key)?.iter().map(|item| self.parse(key, item)).collect::<Result<_>>().map(Some)
    }

    fn parse<T: FromStr<Err: Display>>(&self, key: &str, node: &Node) -> Result<T> {
        let text = self.text_of(key, node)?;
        text.parse().map_err(|error: T::Err| self.unfit(key, node, &error.to_string()))
    }

    /// True or false under `key`.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.table.get(key) {
            None => Ok(None),
            Some((_, Node { content: Content::Flag(flag), .. })) => Ok(Some(*flag)),
            Some((_, node)) => Err(self.not(&join(self.path, key), node, "true or false")),
        }
    }

    /// The number under `key`.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.table.get(key) {
            None => Ok(None),
            Some((_, Node { content: Content::Number(number), .. })) => Ok(number.as_f64()),
            Some((_, node)) => Err(self.not(&join(self.path, key), node, "a number")),
        }
    }

    /// The items of the list under `key`.
    pub(super) fn items(&self, key: &str) -> Result<&'a [Node]> {
        match self.table.get(key) {
            None => Ok(&[]),
            Some((_, Node { content: Content::List(items), .. })) => Ok(items),
            Some((_, node)) => Err(self.not(&join(self.path, key), node, "a list")),
        }
    }

    /// Calls `read` with an item of a list, which must be a table.
    pub(super) fn item<T>(
        &self,
        key: &str,
        item: &Node,
        read: impl FnOnce(Section<'_>) -> Result<T>,
    ) -> Result<T> {
        self.node(&join(self.path, key), item, read)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Everything but the keys in `without`, as JSON.
    pub(super) fn json(&self, without: &[&str]) -> Map<String, Value> {
        let wanted = self.table.iter().filter(|(key, _)| !without.contains(&key.as_str()));
        wanted.map(|(key, (_, node))| (key.clone(), node.to_json())).collect()
    }

    /// The value, or an error that says that `key` is missing.
    pub(super) fn required<T>(&self, key: &str, value: Option<T>, example: &str) -> Result<T> {
        value.ok_or_else(|| {
            wrong(self.file, self.line, format!("[{}] has no {key}", self.path))
                .next(format!("add {key} = {example}"))
        })
    }

    /// An error about the value under `key`, or about the table when there is none.
    pub(super) fn fault(&self, key: &str, message: &str) -> Error {
        let line = self.table.get(key).map_or(self.line, |(line, _)| *line);
        wrong(self.file, line, format!("{} {message}", join(self.path, key)))
    }

    fn not(&self, path: &str, node: &Node, wanted: &str) -> Error {
        let example = match wanted {
            "a text" => "write it in quotes: \"…\"",
            "a list" => "write it in brackets: [\"…\", \"…\"]",
            "a table" => "give it keys of its own: { key = \"…\" }, or a line [NAME] above them",
            "true or false" => "write it without quotes: true, or false",
            _ => "see the operator guide for what it means",
        };
        wrong(self.file, node.line, format!("{path} is {}, must be {wanted}", node.sort())).next(example)
    }

    fn unfit(&self, key: &str, node: &Node, why: &str) -> Error {
        let path = join(self.path, key);
        if node.hidden {
            let message =
                format!("{path} does not fit (its value comes from the environment and is not shown)");
            return wrong(self.file, node.line, message).next("look at the variable that it names");
        }
        match why.split_once("\n  next: ") {
            Some((why, next)) => wrong(self.file, node.line, format!("{path}: {why}")).next(next),
            None => wrong(self.file, node.line, format!("{path}: {why}")),
        }
    }
}

/// The same error with its place in the file.
fn located(file: &Path, line: usize, error: &Error) -> Error {
    let placed = wrong(file, line, error.message());
    match error.next_step() {
        Some(next) => placed.next(next),
        None => placed,
    }
}
