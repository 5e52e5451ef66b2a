//! Counts lines in pieces of text, however they are cut.

use memchr::memchr;
use regex::bytes::Regex;

/// How much of a line is searched, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// How many lines there were, and how many of them matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) matches: u64,
    pub(super) lines: u64,
}

/// Takes text piece by piece.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pattern: &'a Regex,
    count: Count,
    /// The beginning of a line that goes on in the next piece.
    begun: Vec<u8>,
    /// How long that line is so far; more than what is kept of it, for a long one.
    begun_length: u64,
}

impl<'a> Counter<'a> {
    pub(super) fn new(pattern: &'a Regex) -> Self {
        Self { pattern, count: Count::default(), begun: Vec::new(), begun_length: 0 }
    }

    pub(super) fn take(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr(b'\n', piece) {
            let line = &piece[..end];
            if self.begun_length == 0 {
                self.line(&line[..line.len().min(MAX_LINE)]);
            } else {
                self.begin(line);
                self.end();
            }
            piece = &piece[end + 1..];
        }
        if !piece.is_empty() {
            self.begin(piece);
        }
    }

    fn begin(&mut self, piece: &[u8]) {
        let room = MAX_LINE - self.begun.len();
        self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
        self.begun_length += piece.len() as u64;
    }

    /// Ends the line that was begun.
    fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        self.begun_length = 0;
        self.line(&line);
    }

    fn line(&mut self, line: &[u8]) {
        self.count.lines += 1;
        if self.pattern.is_match(line.strip_suffix(b"\r").unwrap_or(line)) {
            self.count.matches += 1;
        }
    }

    /// How long the line is that has no end yet, in bytes.
    pub(super) fn without_end(&self) -> u64 {
        self.begun_length
    }

    /// Nothing more will come: what was begun is a line.
    pub(super) fn finish(&mut self) {
        if self.begun_length > 0 {
            self.end();
        }
    }

    pub(super) fn count(&self) -> Count {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pattern: &str, pieces: &[&[u8]]) -> (Count, u64) {
        let pattern = Regex::new(pattern).unwrap();
        let mut counter = Counter::new(&pattern);
        pieces.iter().for_each(|piece| counter.take(piece));
        (counter.count(), counter.without_end())
    }

    #[test]
    fn it_does_not_matter_how_the_text_is_cut() {
        let text = b"an ERROR\r\n\nnone\nERROR and ERROR\nERR";
        let all = (Count { matches: 2, lines: 4 }, 3);
        assert_eq!(counted("ERROR", &[text]), all);
        for cut in 0..text.len() {
            assert_eq!(counted("ERROR", &[&text[..cut], &text[cut..]]), all, "{cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(counted("ERROR", &bytes), all);
        assert_eq!(counted("ERROR$", &[text]).0.matches, 2, "the end of a line is before its CR");
    }

    #[test]
    fn lines_need_not_be_utf_8() {
        assert_eq!(counted("(?i)error", &[b"\xff\xfe Error \xff\n"]).0, Count { matches: 1, lines: 1 });
    }

    #[test]
    fn only_the_beginning_of_a_long_line_is_kept_and_searched() {
        let pattern = Regex::new("ERROR").unwrap();
        let mut counter = Counter::new(&pattern);
        for _ in 0..10 {
            counter.take(&vec![b'x'; MAX_LINE]);
        }
        assert!(counter.begun.len() <= MAX_LINE);
        counter.take(b"ERROR\nERROR\n");
        assert_eq!(counter.count(), Count { matches: 1, lines: 2 });
    }
}
