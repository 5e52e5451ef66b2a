//! Mutations that know the form of an input, so that most of them get past the parser. The same for the same seed.

mod filed;
mod json;

use rollback_core::Digest;
use rollback_testkit::sim::Random;
use serde_json::Value;

/// What an input looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// A short text.
    Text,
    /// A JSON document.
    Json,
    /// A TOML document.
    Toml,
    /// Lines of a word, a space and a JSON document.
    Lines,
}

/// Texts that mean something somewhere, or are hostile.
const WORDS: &[&str] = &[
    "",
    " ",
    "web",
    "db",
    "api",
    "test",
    "prod",
    "toy",
    "local",
    "previous",
    "last-good",
    "revision=",
    "version=r2",
    "as-of=",
    "sha256:",
    "rollback-plan/1",
    "rollback-journal/1",
    "rollback-run/1",
    "toy-release/0",
    "toy-release/1",
    "toy-action/1",
    "local-release/1",
    "local-action/1",
    "toy:web",
    "toy:db",
    "toy/1",
    "toy/3",
    "switch",
    "r1",
    "r2",
    "r3",
    "0s",
    "1ns",
    "1us",
    "1500us",
    "15s",
    "1h30m",
    "30d",
    "7304484d",
    "19998y",
    "PT5M",
    "P1Y",
    "-5m",
    "2026-11-21T03:00:00Z",
    "2026-11-21T03:00:00.000000001+01:00[Europe/Berlin]",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "2026-W01",
    "../../etc/passwd",
    "/",
    "-rf",
    ".hidden",
    "\0",
    "\n",
    "\u{1b}[2J",
    "safe\u{202e}lian",
    "\u{feff}",
    "é",
    "日本",
    "${SECRET}",
    "${NOPE:-x}",
    "${",
    "$$",
    "http://127.0.0.1:1/",
    "http",
    "tcp",
    "command",
    "not-ok",
    "below",
    "above",
    "chosen",
    "alternative",
    "rejected",
    "single-effect",
    "convergence",
    "applied",
    "not-applied",
    "running",
    "superseded",
    "unknown",
    "known",
    "absent",
    "restored",
    "stuck",
    "sqlite:",
];

/// Makes mutations out of one stream of random numbers.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    form: Form,
}

impl Mutator {
    /// The mutations of `seed` for inputs of this form.
    #[must_use]
    pub fn new(seed: u64, form: Form) -> Self {
        Self { random: Random::new(seed), form }
    }

    /// Mutations that depend on nothing but some content.
    pub(crate) fn of_content(content: &[u8], form: Form) -> Self {
        let sum = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(sum, form)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.within(0..end as u64)).unwrap_or(0)
    }

    /// Another input made from this one.
    #[must_use]
    pub fn mutate(&mut self, data: &[u8]) -> Vec<u8> {
        let times = 1 + self.below(3);
        let changed = match self.form {
            Form::Text => None,
            Form::Json => self.document(data, times),
            Form::Toml => self.toml(data, times),
            Form::Lines => self.lines(data, times),
        };
        changed.unwrap_or_else(|| self.bytes(data))
    }

    /// Mutates the text itself.
    fn bytes(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = data.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(out.len() + 1);
            match self.below(5) {
                0 => drop(out.splice(at..at, self.word().bytes())),
                1 => drop(out.drain(at..(at + self.below(8)).min(out.len()))),
                2 if at < out.len() => out[at] ^= 1 << self.below(8),
                3 => {
                    let end = (at + self.below(16)).min(out.len());
                    let copied = out[at..end].to_vec();
                    out.splice(at..at, copied);
                }
                _ => out.insert(at, u8::try_from(self.below(128)).unwrap_or(b' ')),
            }
        }
        out
    }

    fn document(&mut self, data: &[u8], times: usize) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(data).ok()?;
        for _ in 0..times {
            self.value(&mut value);
        }
        if self.random.chance(85) {
            // Over what will be read: a number may not survive being written.
            value = serde_json::from_slice(&serde_json::to_vec(&value).ok()?).ok()?;
            reseal(&mut value);
        }
        serde_json::to_vec(&value).ok()
    }

    fn lines(&mut self, data: &[u8], times: usize) -> Option<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = self.below(lines.len());
        match self.below(20) {
            0 => drop(lines.remove(at)),
            1 => lines.truncate(at),
            2 => {
                let other = self.below(lines.len());
                lines.swap(at, other);
            }
            // A record under another one's key.
            3 => {
                let other = self.below(lines.len());
                let (key, _) = split(&lines[at])?;
                let (_, value) = split(&lines[other])?;
                lines[at] = [key, value].concat();
            }
            4..18 if self.filed(&mut lines, at, times).is_some() => {}
            _ => {
                let (key, value) = split(&lines[at])?;
                let changed = self.document(value, times)?;
                lines[at] = [key.to_vec(), changed].concat();
            }
        }
        Some(lines.join(&b'\n'))
    }

    fn toml(&mut self, data: &[u8], times: usize) -> Option<Vec<u8>> {
        let table: toml::Table = std::str::from_utf8(data).ok()?.parse().ok()?;
        let mut value = json_of(toml::Value::Table(table));
        for _ in 0..times {
            self.value(&mut value);
        }
        toml::to_string(&toml_of(value)?).ok().map(String::into_bytes)
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }
}

/// The key of a line with its space, and its value.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    line.iter().position(|byte| *byte == b' ').map(|space| line.split_at(space + 1))
}

/// Gives every plan in a document the digest of what it says now.
fn reseal(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(reseal);
            if let (Some(plan), true) =
                (map.get("plan").filter(|plan| plan.is_object()), map.contains_key("digest"))
            {
                let digest = Digest::of_bytes(rollback_core::digest::canonical(plan).as_bytes());
                map.insert("digest".to_owned(), digest.to_string().into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(reseal),
        _ => {}
    }
}

fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json_of(value))).collect(),
    }
}

fn toml_of(value: Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => toml::Value::Array(items.into_iter().filter_map(toml_of).collect()),
        Value::Object(map) => {
            let entries = map.into_iter().filter_map(|(key, value)| Some((key, toml_of(value)?)));
            toml::Value::Table(entries.collect())
        }
    })
}
