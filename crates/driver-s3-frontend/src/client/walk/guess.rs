//! Where the next pages of a listing probably begin.
//!
//! S3 lists page after page and says nothing of what lies ahead, but keys of assets are mostly digits of some alphabet: hashes, spread
//! evenly, or numbers, counted up. A page shows which digits there are, and how far its keys go. A wrong guess costs a request, and
//! never an object.

/// How much of a page is to be between two guesses, in hundredths: pages that are overfull need a second request.
const FULL: u128 = 92;
/// How many keys say something.
const LEAST: usize = 8;
/// How many positions of a key are looked at for digits.
const LOOKED_AT: usize = 10;
/// The bits of a position that is counted with.
const BITS: u32 = 96;

/// Goes on from a page: each item is a key, which need not exist, up to which the next page probably goes.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    /// What stands before the digits.
    stem: String,
    /// In their order.
    digits: Vec<u8>,
    /// How many of them are counted with.
    places: u32,
    at: u128,
    step: u128,
    end: u128,
    /// How many keys a page has.
    page: u128,
    /// How many pages it was learnt from.
    seen: u128,
}

impl Guess {
    /// Learns from the keys of a page, in their order. Nothing where they tell nothing.
    pub(super) fn learn(keys: &[&str]) -> Option<Self> {
        let (first, last) = (keys.first()?, keys.last()?);
        if keys.len() < LEAST {
            return None;
        }
        let common = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
        let digits = digits(keys, common)?;
        // Digits may be the same in all of a page: what comes next counts on in them.
        let before = last.bytes().take(common).rev().take_while(|byte| digits.contains(byte)).count();
        let begin = common - before;
        let base = digits.len() as u128;
        let places = BITS / (u128::BITS - base.leading_zeros());
        let mut guess = Self {
            stem: last.get(..begin)?.to_owned(),
            digits,
            places,
            at: 0,
            step: 0,
            end: base.checked_pow(places)?,
            page: keys.len() as u128,
            seen: 1,
        };
        guess.at = guess.number(last, begin);
        let span = guess.at.checked_sub(guess.number(first, begin))?;
        // A list of keys has one gap less.
        guess.step = span / (guess.page - 1) * guess.page * FULL / 100;
        (guess.step > 0).then_some(guess)
    }

    /// With what the pages before it showed: one page alone is off by several hundredths where keys are hashes.
    pub(super) fn after(mut self, before: &Self) -> Self {
        if (&self.stem, &self.digits, self.places) == (&before.stem, &before.digits, before.places) {
            self.seen = before.seen + 1;
            self.step = before.step - before.step / self.seen + self.step / self.seen;
        }
        self
    }

    /// Corrects how far a page goes by how many keys there were between two guesses.
    pub(super) fn correct(&mut self, keys: usize) {
        let wanted = self.page * FULL / 100;
        let ideal = self.step / (keys as u128).clamp(wanted / 2, wanted * 2).max(1) * wanted;
        self.step = (self.step - self.step / 4 + ideal / 4).max(1);
    }

    /// What all keys begin with that are foreseen.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The digits of a key as a number. What is none counts as the digit below it.
    fn number(&self, key: &str, begin: usize) -> u128 {
        let base = self.digits.len() as u128;
        let (mut number, mut exact) = (0, true);
        let mut bytes = key.bytes().skip(begin);
        for _ in 0..self.places {
            let digit = match bytes.next() {
                Some(byte) if exact => match self.digits.binary_search(&byte) {
                    Ok(at) => at,
                    Err(at) => {
                        exact = false;
                        at.saturating_sub(1)
                    }
                },
                _ => 0,
            };
            number = number * base + digit as u128;
        }
        number
    }

    fn key(&self) -> String {
        let base = self.digits.len() as u128;
        let (mut rest, mut bytes) = (self.at, Vec::new());
        for _ in 0..self.places {
            bytes.push(self.digits.get((rest % base) as usize).copied().unwrap_or(b'0'));
            rest /= base;
        }
        self.stem.chars().chain(bytes.into_iter().rev().map(char::from)).collect()
    }
}

impl Iterator for Guess {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.at = self.at.checked_add(self.step).filter(|at| *at < self.end)?;
        Some(self.key())
    }
}

/// The characters that stand where keys differ, in their order; from the places that have many of them, since of those before only the
/// first few were seen.
fn digits(keys: &[&str], common: usize) -> Option<Vec<u8>> {
    let mut seen = vec![[false; 128]; LOOKED_AT];
    for key in keys {
        for (byte, seen) in key.bytes().skip(common).zip(&mut seen) {
            let is_digit = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if let Some(seen) = seen.get_mut(usize::from(byte)).filter(|_| is_digit) {
                *seen = true;
            }
        }
    }
    let count = |one: &[bool; 128]| one.iter().filter(|seen| **seen).count();
    let most = seen.iter().map(count).max()?;
    let many = seen.iter().filter(|one| count(one) * 2 >= most.max(2));
    let mut all = [false; 128];
    for one in many {
        all.iter_mut().zip(one).for_each(|(all, one)| *all |= one);
    }
    let digits: Vec<u8> = (0_u8..128).filter(|byte| all[usize::from(*byte)]).collect();
    (digits.len() >= 2).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(keys: &[&str], guess: &str) -> usize {
        keys.iter().filter(|key| **key <= guess).count()
    }

    #[test]
    fn hashes_and_numbers_are_foreseen() {
        let numbers: Vec<_> = (0..10_000).map(|n| format!("img-{n:06}.jpg")).collect();
        let mut hashes: Vec<_> = (0..10_000)
            .map(|n| {
                format!("assets/{}.js", rollback_core::Digest::of_bytes(format!("{n}").as_bytes()).short())
            })
            .collect();
        hashes.sort();
        for keys in [&numbers, &hashes] {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            let guess = Guess::learn(&keys[..1000]).unwrap();
            let mut at = 1000;
            for foreseen in guess.take(8) {
                let next = after(&keys, &foreseen);
                assert!((700..=1100).contains(&(next - at)), "{} after {foreseen}", next - at);
                at = next;
            }
        }
    }

    #[test]
    fn several_pages_tell_more_than_one() {
        let mut keys: Vec<_> =
            (0..10_000).map(|n| rollback_core::Digest::of_bytes(format!("{n}").as_bytes()).hex()).collect();
        keys.sort();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let mut pages = keys.chunks(100).map(|page| Guess::learn(page).unwrap());
        let first = pages.next().unwrap();
        let all = pages.fold(first.clone(), |before, page| page.after(&before));
        // A hundredth of all digits, and of that what a page is to be filled with.
        let whole = all.end / 100 * FULL / 100;
        let off = |guess: &Guess| guess.step.abs_diff(whole) * 1_000 / whole;
        assert!(off(&all) < 15, "off by {} thousandths, and the first by {}", off(&all), off(&first));
        let other = Guess { stem: "elsewhere/".to_owned(), step: first.step * 3, ..first.clone() };
        assert_eq!(first.clone().after(&other).step, first.step, "keys of another kind tell nothing");
    }

    #[test]
    fn what_tells_nothing_is_not_guessed_from() {
        assert!(Guess::learn(&[]).is_none());
        assert!(Guess::learn(&["a", "b", "c"]).is_none());
        assert!(Guess::learn(&["ä", "ö", "ü", "ß", "é", "è", "ñ", "å", "ø"]).is_none());
        let deep: Vec<_> = (0..20).map(|n| format!("a/{}", "/".repeat(n))).collect();
        assert!(Guess::learn(&deep.iter().map(String::as_str).collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn a_guess_is_corrected_by_what_was_found() {
        let keys: Vec<_> = (0..1000).map(|n| format!("{n:06}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let mut guess = Guess::learn(&keys).unwrap();
        let before = guess.step;
        guess.correct(460);
        assert!(guess.step > before);
        guess.correct(usize::MAX);
        guess.correct(0);
        assert!(guess.step > 0);
    }

    #[test]
    fn guesses_go_on_in_order_and_end() {
        let keys: Vec<_> = (0..1000).map(|n| format!("{:03x}", n * 4)).collect();
        let guess = Guess::learn(&keys.iter().take(100).map(String::as_str).collect::<Vec<_>>()).unwrap();
        let all: Vec<_> = guess.collect();
        assert!(all.is_sorted() && all.len() < 15, "{all:?}");
    }
}
