//! Where what is left of a list may be cut in two, without an idea of how much is in either half.
//!
//! S3 goes on from any text, whether there is such a key or not. What comes behind everything that begins like the last key of a page, up
//! to one of its separators, is another folder, or another word: it is listed at the same time.

use crate::client::list::BEHIND;
pub(super) use crate::names::common;

/// What is counted with of a key: so many places.
const PLACES: u32 = 8;
/// How far apart the first characters must be that differ: where they are next to each other, all keys are on one side.
const APART: u128 = 3;

/// The characters that keys are made of, as far as they were seen.
#[derive(Debug, Clone)]
pub(super) struct Alphabet([bool; 128]);

impl Default for Alphabet {
    fn default() -> Self {
        Self([false; 128])
    }
}

impl Alphabet {
    pub(super) fn add(&mut self, key: &str) {
        for byte in key.bytes() {
            self.0.get_mut(usize::from(byte)).into_iter().for_each(|seen| *seen = true);
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(seen, other)| *seen |= other);
    }

    fn characters(&self) -> Vec<u8> {
        (0..128).filter(|byte| self.0[usize::from(*byte)]).collect()
    }

    /// Halfway between two keys, by the characters that there are. Nothing where that would probably leave all keys on one side.
    pub(super) fn middle(&self, after: &str, until: &str) -> Option<String> {
        let characters = self.characters();
        let base = characters.len() as u128;
        let common = common(after, until);
        let number = |text: &str| {
            let mut bytes = text.bytes().skip(common);
            // What is not of the alphabet counts as the one above it.
            let digit = |byte: u8| characters.partition_point(|known| *known < byte) as u128;
            (0..PLACES).fold(0, |number: u128, _| number * (base + 1) + bytes.next().map_or(0, digit))
        };
        let whole = (base + 1).pow(PLACES - 1);
        let (from, to) = (number(after), number(until));
        if to / whole < from / whole + APART {
            return None;
        }
        let first = characters.get(usize::try_from(from.midpoint(to) / whole).ok()?)?;
        let middle = format!("{}{}", after.get(..common)?, char::from(*first));
        (middle.as_str() > after && middle.as_str() < until).then_some(middle)
    }
}

/// Behind everything that begins as `key` does up to one of its separators: from the longest beginning to the shortest, each longer than `least` and
/// not longer than `most`.
pub(super) fn ends(key: &str, least: usize, most: usize) -> impl Iterator<Item = String> {
    let separators = key.char_indices().rev().filter(|(_, c)| !c.is_alphanumeric());
    let beginnings =
        separators.map(|(at, c)| at + c.len_utf8()).filter(move |end| *end > least && *end <= most);
    beginnings.filter_map(|end| Some(format!("{}{BEHIND}", key.get(..end)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphabet(text: &str) -> Alphabet {
        let mut alphabet = Alphabet::default();
        alphabet.add(text);
        alphabet
    }

    #[test]
    fn the_middle_is_between() {
        let letters = alphabet("abcdefghijklmnopqrstuvwxyz/");
        let middle = |after, until| letters.middle(after, until);
        assert_eq!(middle("x/a", "x/z").as_deref(), Some("x/m"));
        assert_eq!(middle("x/a", "x/b"), None, "all are on one side");
        assert_eq!(middle("y/y", "\u{10FFFF}"), None);
        assert_eq!(middle("b", "\u{10FFFF}").as_deref(), Some("n"));
        let behind = format!("x/{BEHIND}");
        assert!(middle("x/abc", &behind).is_some_and(|middle| *"x/k" < *middle && *middle < *"x/q"));
        assert_eq!(Alphabet::default().middle("a", "z"), None);
    }

    #[test]
    fn a_key_ends_with_each_of_its_words() {
        let all: Vec<_> = ends("live/assets/card-a.js", 5, 18).collect();
        assert_eq!(all, [format!("live/assets/card-{BEHIND}"), format!("live/assets/{BEHIND}")]);
        assert_eq!(ends("ä–ö", 0, 9).collect::<Vec<_>>(), [format!("ä–{BEHIND}")]);
    }
}
