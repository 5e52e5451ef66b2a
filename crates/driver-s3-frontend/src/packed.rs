//! Many objects of a listing in little room, in the order in which they came.

use std::sync::Arc;

use jiff::Timestamp;

use crate::names::{Key, common};
use crate::object::{Content, ETag, Listed, Restore, StorageClass};

/// The bits of what is told before an object.
const MD5: u64 = 1;
const UNDERWAY: u64 = 2;
const DONE: u64 = 4;
const ODD: u64 = 8;
/// Above them stands which class it has.
const CLASS: u32 = 4;

/// Objects as bytes: of a key what the one before has not, of a tag that is an MD5 its sixteen bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    /// Few: most buckets have one.
    classes: Vec<StorageClass>,
    /// What is no plain object of a listing is kept as it is.
    odd: Vec<Listed>,
    /// The key that was added last.
    last: String,
    count: usize,
}

impl Packed {
    /// What was taken apart into its bytes and classes.
    pub(crate) fn of(bytes: Vec<u8>, classes: Vec<StorageClass>) -> Self {
        Self { bytes, classes, ..Self::default() }
    }

    /// Its bytes and classes, where that is all there is.
    pub(crate) fn plain(self) -> Option<(Vec<u8>, Vec<StorageClass>)> {
        self.odd.is_empty().then_some((self.bytes, self.classes))
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What they take, nearly.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.odd.capacity() * 2 * size_of::<Listed>()
    }

    /// Gives back what is left of its room.
    pub(crate) fn finish(&mut self) {
        self.bytes.shrink_to_fit();
        self.odd.shrink_to_fit();
    }

    /// Adds an object behind the others.
    pub(crate) fn push(&mut self, listed: &Listed) {
        self.count += 1;
        let content = &listed.content;
        let Some(tag) =
            content.etag.as_ref().filter(|_| listed.version.is_none() && content.checksums.is_empty())
        else {
            self.number(ODD);
            return self.odd.push(listed.clone());
        };
        let md5 = bytes(tag.as_str());
        let restore = match listed.restore {
            Restore::None => 0,
            Restore::Underway => UNDERWAY,
            Restore::Done => DONE,
        };
        let class = self.class(&listed.class);
        self.number(class << CLASS | restore | if md5.is_some() { MD5 } else { 0 });
        self.key(listed.key.as_str());
        self.number(content.size);
        self.number(listed.modified.as_second().cast_unsigned());
        self.number(u64::from(listed.modified.subsec_nanosecond().unsigned_abs()));
        match md5 {
            Some(md5) => self.bytes.extend(md5),
            None => self.text(tag.as_str()),
        }
    }

    fn class(&mut self, class: &StorageClass) -> u64 {
        let known = self.classes.iter().position(|known| known == class);
        let at = known.unwrap_or_else(|| {
            self.classes.push(class.clone());
            self.classes.len() - 1
        });
        at as u64
    }

    fn key(&mut self, key: &str) {
        let shared = common(&self.last, key);
        self.number(shared as u64);
        self.text(&key[shared..]);
        self.last.truncate(shared);
        self.last.push_str(&key[shared..]);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// What was packed, from its first object to its last.
#[derive(Debug)]
pub(crate) struct Unpacked {
    packed: Arc<Packed>,
    at: usize,
    odd: usize,
    last: String,
}

impl From<Arc<Packed>> for Unpacked {
    fn from(packed: Arc<Packed>) -> Self {
        Self { packed, at: 0, odd: 0, last: String::new() }
    }
}

impl Unpacked {
    fn some(&mut self, length: usize) -> Option<&[u8]> {
        let some = self.packed.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(some)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.some(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    }

    fn text(&mut self) -> Option<&str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.some(length)?).ok()
    }

    fn key(&mut self) -> Option<Key> {
        let mut key = std::mem::take(&mut self.last);
        key.truncate(usize::try_from(self.number()?).ok()?);
        key.push_str(self.text()?);
        self.last.clone_from(&key);
        Key::new(key).ok()
    }

    fn tag(&mut self, told: u64) -> Option<ETag> {
        let text = if told & MD5 == 0 { self.text()?.to_owned() } else { digits(self.some(16)?) };
        ETag::new(text).ok()
    }
}

impl Iterator for Unpacked {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        let told = self.number()?;
        if told & ODD != 0 {
            self.odd += 1;
            return self.packed.odd.get(self.odd - 1).cloned();
        }
        let class = self.packed.classes.get(usize::try_from(told >> CLASS).ok()?)?.clone();
        let (key, size) = (self.key()?, self.number()?);
        let (second, nanosecond) = (self.number()?.cast_signed(), self.number()?);
        let nanosecond = i32::try_from(nanosecond).ok()?;
        let modified = Timestamp::new(second, if second < 0 { -nanosecond } else { nanosecond }).ok()?;
        let restore = match told & (UNDERWAY | DONE) {
            0 => Restore::None,
            UNDERWAY => Restore::Underway,
            _ => Restore::Done,
        };
        let content = Content::listed(size, self.tag(told)?);
        Some(Listed::new(key, content, modified).stored(class).restored(restore))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What each byte means as a digit; more than fifteen where it is none. Digits in capitals would not come back as they were: they are none.
const MEANING: [u8; 256] = {
    let (mut meaning, mut digit) = ([u8::MAX; 256], 0);
    while digit < DIGITS.len() {
        meaning[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    meaning
};

/// The bytes that these digits mean.
fn bytes(text: &str) -> Option<[u8; 16]> {
    let pairs: &[[u8; 2]; 16] = text.as_bytes().as_chunks().0.try_into().ok().filter(|_| text.len() == 32)?;
    let (mut bytes, mut all) = ([0; 16], 0);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| MEANING[usize::from(digit)]);
        *byte = high << 4 | low & 0xf;
        all |= high | low;
    }
    (all < 16).then_some(bytes)
}

/// Two digits for each byte.
fn digits(bytes: &[u8]) -> String {
    let digit = |byte: u8| char::from(DIGITS[usize::from(byte & 0xf)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::{Algorithm, VersionId};

    fn object() -> impl Strategy<Value = Listed> {
        let tag = prop_oneof!["[0-9a-f]{32}", "[0-9A-F]{32}", "[0-9a-f]{32}-[1-9]", "[+!]{1,3}"];
        let class = prop_oneof![Just("STANDARD"), Just("GLACIER"), "[A-Z_]{1,9}".prop_map(|_| "STANDARD_IA")];
        let restore = prop_oneof![Just(Restore::None), Just(Restore::Underway), Just(Restore::Done)];
        let modified = (-9_000_000_000_i64..99_000_000_000, 0..1_000_000_000_i32);
        let odd = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
        let parts = ("[a-c/äü🦀\n]{1,9}", tag, class, restore, modified, any::<u64>(), odd);
        parts.prop_map(|(key, tag, class, restore, (second, nanosecond), size, odd)| {
            let sign = if second < 0 { -1 } else { 1 };
            let modified = Timestamp::new(second, sign * nanosecond).unwrap();
            let content = Content::listed(size, ETag::new(tag).unwrap());
            let listed = Listed::new(Key::new(key).unwrap(), content, modified);
            let mut listed = listed.stored(StorageClass::new(class).unwrap()).restored(restore);
            match odd {
                0 => {}
                1 => listed.content.etag = None,
                2 => listed.version = Some(VersionId::new("v1").unwrap()),
                _ => listed.content = listed.content.with_checksum(Algorithm::Sha256, "x"),
            }
            listed
        })
    }

    proptest! {
        #[test]
        fn everything_comes_out_as_it_went_in(objects in prop::collection::vec(object(), 0..20)) {
            let mut packed = Packed::default();
            objects.iter().for_each(|listed| packed.push(listed));
            packed.finish();
            prop_assert_eq!(packed.len(), objects.len());
            let packed = Arc::new(packed);
            prop_assert_eq!(Unpacked::from(Arc::clone(&packed)).collect::<Vec<_>>(), objects.clone());
            prop_assert_eq!(Unpacked::from(packed).collect::<Vec<_>>(), objects);
        }
    }

    #[test]
    fn an_asset_takes_little_room() {
        let mut packed = Packed::default();
        for number in 0..1_000_u64 {
            let tag = format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c);
            let content = Content::listed(number * 99, ETag::new(tag).unwrap());
            let key = Key::new(format!("assets/card-footer.{:08x}.js", number * 4_000_000)).unwrap();
            packed.push(&Listed::new(key, content, "2026-11-22T03:00:00Z".parse().unwrap()));
        }
        packed.finish();
        assert!(packed.size() < 45_000, "{} bytes", packed.size());
    }
}
