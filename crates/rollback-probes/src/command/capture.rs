//! The beginning and the end of an output of any length.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::settings::MAX_DETAIL;

/// How much of the first line is kept, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// What is kept of an output.
#[derive(Debug, Default)]
pub(super) struct Capture {
    head: Vec<u8>,
    head_done: bool,
    tail: Vec<u8>,
}

impl Capture {
    /// Reads to the end, or until reading fails.
    pub(super) async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            self.take(&buffer[..count]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if !self.head_done {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let line = &bytes[..end.unwrap_or(bytes.len())];
            let room = MAX_HEAD - self.head.len();
            self.head_done = end.is_some() || line.len() > room;
            self.head.extend_from_slice(&line[..line.len().min(room)]);
        }
        self.tail.extend_from_slice(bytes);
        // Twice as much as is shown, so that blank lines after the last one do no harm.
        let excess = self.tail.len().saturating_sub(2 * MAX_DETAIL);
        self.tail.drain(..excess);
    }

    /// The last line that is not blank.
    pub(super) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
    }

    /// The numbers of the first line, if it is a JSON object.
    pub(super) fn numbers(&self) -> BTreeMap<String, f64> {
        let Ok(Value::Object(entries)) = serde_json::from_slice(&self.head) else { return BTreeMap::new() };
        entries.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pieces: &[&str]) -> Capture {
        let mut capture = Capture::default();
        pieces.iter().for_each(|piece| capture.take(piece.as_bytes()));
        capture
    }

    #[test]
    fn numbers_come_from_the_first_line_only() {
        let capture = captured(&["{\"p95_ms\": 18", "0, \"name\": \"x\"}\n{\"p95_ms\": 1}\n"]);
        assert_eq!(capture.numbers(), BTreeMap::from([("p95_ms".to_owned(), 180.0)]));
        assert!(captured(&["hello\n{\"p95_ms\": 1}\n"]).numbers().is_empty());
        assert!(captured(&["[1, 2]\n"]).numbers().is_empty());
    }

    #[test]
    fn any_amount_of_output_is_bounded() {
        let long = "x".repeat(MAX_HEAD + 1);
        let capture = captured(&[&long, &long, "\nlast\n\n"]);
        assert_eq!(capture.head.len(), MAX_HEAD);
        assert!(capture.tail.len() <= 2 * MAX_DETAIL);
        assert_eq!(capture.last_line(), "last");
    }
}
