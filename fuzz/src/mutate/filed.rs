//! Documents that are filed apart: a changed one is believed only under its new digest.

use rollback_core::Digest;
use serde_json::Value;

use super::{Mutator, split};

impl Mutator {
    /// Changes the document that the line `at` holds, and what other lines say of it. `None` when it holds none.
    pub(super) fn filed(&mut self, lines: &mut [Vec<u8>], at: usize, times: usize) -> Option<()> {
        let (key, value) = split(&lines[at])?;
        let place = std::str::from_utf8(key).ok()?.strip_prefix("documents/")?.trim_end().rsplit_once('/')?.0;
        let place = format!("documents/{place}");
        let mut stamped: Value = serde_json::from_slice(value).ok()?;
        let text = stamped.get("body")?.as_str()?.to_owned();
        let changed = String::from_utf8(self.document(text.as_bytes(), times)?).ok()?;
        let digest = Digest::of_bytes(changed.as_bytes()).to_string();
        stamped["body"] = changed.into();
        lines[at] = [key.to_vec(), serde_json::to_vec(&stamped).ok()?].concat();
        for line in lines.iter_mut().filter(|line| line.starts_with(b"runs/")) {
            let Some((key, value)) = split(line) else { continue };
            let Ok(mut record) = serde_json::from_slice::<Value>(value) else { continue };
            renamed(&mut record, &place, &digest);
            *line = [key.to_vec(), serde_json::to_vec(&record).ok()?].concat();
        }
        Some(())
    }
}

/// Gives whoever names the document at `place` its new digest.
fn renamed(value: &mut Value, place: &str, digest: &str) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|value| renamed(value, place, digest));
            if map.get("at").and_then(Value::as_str) == Some(place) {
                map.insert("digest".to_owned(), digest.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| renamed(value, place, digest)),
        _ => {}
    }
}
