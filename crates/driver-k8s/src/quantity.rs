//! Amounts as Kubernetes writes them: `500m`, `2`, `1.5Gi`, `1e3`.
//!
//! The form is that of `k8s.io/apimachinery/pkg/api/resource`.

use std::iter::Sum;
use std::ops::Sub;

/// An amount, exactly, in billionths: the smallest step that Kubernetes tells apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

const ONE: i128 = 1_000_000_000;
/// No amount is longer; more digits than this are somebody's joke.
const LONGEST: usize = 64;
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    pub(crate) const fn whole(number: u64) -> Self {
        Self(number as i128 * ONE)
    }

    /// Reads an amount. `None` for what is none, and for what is larger than anything that can be counted.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{part}");
        if digits.is_empty() || part.contains('.') {
            return None;
        }
        let digits: i128 = digits.parse().ok()?;
        let places = i32::try_from(part.len()).ok()?;
        let (binary, exponent) = scale(suffix)?;
        let value = digits.checked_mul(1i128.checked_shl(binary)?)?;
        // In billionths.
        Some(Self(sign * shifted(value, exponent - places + 9)?))
    }

    pub(crate) fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    pub(crate) fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// As people write it: bytes with binary suffixes, everything else in whole ones or thousandths.
    pub(crate) fn shown(self, bytes: bool) -> String {
        if self.0 % ONE != 0 {
            return format!("{}m", ceiling(self.0, ONE / 1_000));
        }
        let number = self.0 / ONE;
        let fits = |(_, bits): &&(&str, u32)| bytes && number != 0 && number % (1i128 << bits) == 0;
        match BINARY.iter().rev().find(fits) {
            Some((suffix, bits)) => format!("{}{suffix}", number >> bits),
            None => number.to_string(),
        }
    }
}

/// By how many bits and by which power of ten a suffix multiplies.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    if suffix.is_empty() {
        return Some((0, 0));
    }
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((*bits, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((0, *power));
    }
    let power = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = power.parse().ok()?;
    (-60..=60).contains(&power).then_some((0, power))
}

/// Times a power of ten; what is finer than one counts as one more.
fn shifted(value: i128, power: i32) -> Option<i128> {
    let by = 10i128.checked_pow(power.unsigned_abs());
    match (power >= 0, by) {
        _ if value == 0 => Some(0),
        (true, by) => value.checked_mul(by?),
        (false, Some(by)) => Some(ceiling(value, by)),
        (false, None) => Some(1),
    }
}

fn ceiling(value: i128, by: i128) -> i128 {
    value / by + i128::from(value > 0 && value % by != 0)
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        Self(all.fold(0, |sum, one| sum.saturating_add(one.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nano(text: &str) -> Option<i128> {
        Quantity::parse(text).map(|quantity| quantity.0)
    }

    #[test]
    fn every_form_is_read() {
        for (text, wanted) in [
            ("0", 0),
            ("1", ONE),
            ("+1", ONE),
            ("-1", -ONE),
            ("500m", ONE / 2),
            ("0.5", ONE / 2),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("100u", 100_000),
            ("100n", 100),
            // Rounded up, as there.
            ("0.5n", 1),
            ("1e-50", 1),
            ("1k", 1_000 * ONE),
            ("1M", 1_000_000 * ONE),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("1e3", 1_000 * ONE),
            ("1E3", 1_000 * ONE),
            ("12e-1", 1_200_000_000),
            ("1Ki", 1_024 * ONE),
            ("1.5Gi", 1_610_612_736 * ONE),
            ("1Ei", (1 << 60) * ONE),
        ] {
            assert_eq!(nano(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_not_read() {
        let long = "1".repeat(65);
        for text in [
            "", "-", ".", "m", "1.2.3", "1K", "1mi", "1 Gi", "1e", "1e+", "e3", "1Gi ", "--1", "1ee3",
            "1e999", &long,
        ] {
            assert_eq!(nano(text), None, "{text}");
        }
        // Larger than what can be counted.
        assert_eq!(nano(&format!("{}Ei", "9".repeat(30))), None);
        assert_eq!(nano("1e40"), None);
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        for (text, bytes, wanted) in [
            ("1500m", false, "1500m"),
            ("2", false, "2"),
            ("2048", false, "2048"),
            ("0.0005", false, "1m"),
            ("1024Mi", true, "1Gi"),
            ("1536Mi", true, "1536Mi"),
            ("1000", true, "1000"),
            ("0", true, "0"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().shown(bytes), wanted, "{text}");
        }
    }

    #[test]
    fn amounts_are_counted_with() {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read("250m").times(4), Quantity::whole(1));
        assert!((read("1Gi") - read("1G")).is_positive() && !(read("1G") - read("1G")).is_positive());
        assert_eq!([read("1"), read("500m")].into_iter().sum::<Quantity>(), read("1.5"));
    }

    proptest::proptest! {
        /// Whatever is written: reading does not panic, and what is read is shown as something that reads the same or a little more.
        #[test]
        fn reading_is_total(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,20}(|[a-zA-Z]{1,2}|[eE][-+]?[0-9]{1,3})") {
            if let Some(read) = Quantity::parse(&text)
                && read.0 >= 0
            {
                let again = Quantity::parse(&read.shown(true));
                proptest::prop_assert!(again.is_none_or(|again| again >= read && again.0 - read.0 < ONE / 1_000));
            }
        }
    }
}
