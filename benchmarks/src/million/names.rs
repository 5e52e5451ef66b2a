//! The keys of a large site, as bundlers, shops and cameras name them, and what two releases of it hold.

/// Of so many objects one differs.
pub(crate) const ONE_IN: usize = 1_000;
/// What components are called: the names of assets begin so.
const WORDS: [&str; 20] = [
    "about", "account", "badge", "banner", "basket", "button", "calendar", "card", "checkout", "dialog",
    "filter", "footer", "gallery", "header", "invoice", "map", "order", "price", "search", "video",
];
const ENDINGS: [&str; 4] = ["js", "js.map", "css", "woff2"];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// In the archive.
    Good,
    /// Live.
    Bad,
}

/// What one key is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Differs,
    Only(Side),
}

/// All keys that either has, in the order of their bytes.
#[derive(Debug)]
pub(crate) struct Names(Vec<Box<str>>);

impl Names {
    /// So many: hashed assets, chunks, photos by day, and pages of products.
    pub(crate) fn new(many: usize) -> Self {
        let (assets, chunks, photos) = (many * 9 / 20, many / 5, many / 4);
        let pages = many - assets - chunks - photos;
        // Years, months and days, however many photos there are.
        let days = (photos / 60).max(1);
        let mut names: Vec<Box<str>> = (0..assets)
            .map(asset)
            .chain((0..chunks).map(|n| format!("_next/static/chunks/{:016x}.js", mixed(n as u64))))
            .chain((0..photos).map(|n| photo(n % days, n / days)))
            .chain((0..pages).map(|n| format!("products/{:07}/index.html", n * 7)))
            .map(String::into_boxed_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    fn kind(place: usize) -> Kind {
        match (place % ONE_IN == ONE_IN / 2, place / ONE_IN % 4) {
            (false, _) => Kind::Same,
            (true, 0) => Kind::Only(Side::Good),
            (true, 1) => Kind::Only(Side::Bad),
            (true, _) => Kind::Differs,
        }
    }

    /// What one of the two has behind a key: places and keys.
    pub(crate) fn after(&self, side: Side, key: &str) -> impl Iterator<Item = (usize, &str)> {
        let from = self.0.partition_point(|name| **name <= *key);
        let all = self.0.iter().enumerate().skip(from).map(|(place, name)| (place, &**name));
        all.filter(move |(place, _)| match Self::kind(*place) {
            Kind::Same | Kind::Differs => true,
            Kind::Only(only) => only == side,
        })
    }

    /// The MD5 that the object is said to have.
    pub(crate) fn tag(side: Side, place: usize) -> u128 {
        let other = Self::kind(place) == Kind::Differs && side == Side::Bad;
        let first = mixed(place as u64 * 2 + u64::from(other));
        u128::from(first) << 64 | u128::from(mixed(first))
    }

    /// How large the object is: the same in both.
    pub(crate) fn size(place: usize) -> u64 {
        mixed(place as u64) % 200_000
    }

    /// How many objects a side has.
    pub(crate) fn count(&self, side: Side) -> usize {
        let other = if side == Side::Good { Side::Bad } else { Side::Good };
        self.0.len() - (0..self.0.len()).filter(|place| Self::kind(*place) == Kind::Only(other)).count()
    }

    /// How many objects must be copied to put the good one back.
    pub(crate) fn copies(&self) -> usize {
        let copied = |place: &usize| matches!(Self::kind(*place), Kind::Differs | Kind::Only(Side::Good));
        (0..self.0.len()).filter(copied).count()
    }
}

fn asset(n: usize) -> String {
    let mixed = mixed(n as u64) as usize;
    let word = |at: usize| WORDS[at % WORDS.len()];
    format!(
        "assets/{}-{}.{:08x}.{}",
        word(n),
        word(n / WORDS.len()),
        mixed as u32,
        ENDINGS[mixed % ENDINGS.len()]
    )
}

fn photo(day: usize, number: usize) -> String {
    let (year, month, day) = (2010 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
    format!("photos/{year}/{month:02}/{day:02}/IMG_{:04}.jpg", number * 3 + 1)
}

/// Digits that look like those of a hash, always the same ones.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
        mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_thousand_differs() {
        let names = Names::new(8_000);
        assert_eq!((names.0.len(), names.copies()), (8_000, 6));
        assert_eq!((names.count(Side::Good), names.count(Side::Bad)), (7_998, 7_998));
        assert_eq!(names.after(Side::Bad, "").count(), 7_998);
        let tags = |side| (0..8_000).map(|place| Names::tag(side, place)).collect::<Vec<_>>();
        let differing =
            tags(Side::Good).iter().zip(tags(Side::Bad)).filter(|(one, two)| **one != *two).count();
        assert_eq!(differing, 4);
    }
}
