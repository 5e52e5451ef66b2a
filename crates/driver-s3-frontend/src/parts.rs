//! Into which parts an object is cut that is too large to be copied in one request.

/// What one `CopyObject` copies at most.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const LARGEST: u64 = 5 * GIB;
/// Small enough to be copied within seconds, and large enough that there are few.
const USUAL: u64 = 128 * MIB;
/// How many parts an upload has at most, and how small they may be but for the last one.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MOST: u64 = 10_000;
const SMALLEST: u64 = 5 * MIB;
/// Larger parts than this are not made because the source has them: one that fails costs too much.
const LARGE: u64 = 512 * MIB;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Which objects are copied in parts, and how large these are unless the source says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    above: u64,
    usual: u64,
}

impl Default for Parts {
    fn default() -> Self {
        Self { above: LARGEST, usual: USUAL }
    }
}

impl Parts {
    pub(crate) const fn new(above: u64, usual: u64) -> Self {
        Self { above, usual }
    }

    /// Whether an object of so many bytes is copied in parts.
    pub(crate) const fn needed(&self, bytes: u64) -> bool {
        bytes > self.above
    }

    /// The largest object that is copied whole.
    pub(crate) const fn above(&self) -> u64 {
        self.above
    }

    /// How an object of so many bytes is cut, where `source` is the size of the first part of what is copied and the number of its
    /// parts: cut in the same places, the copy has the same tag wherever that is a hash of the parts, and is known by it for good.
    pub(crate) fn cut(&self, bytes: u64, source: Option<(u64, u64)>) -> Cut {
        let alike = source.filter(|(first, count)| {
            (SMALLEST..=LARGE).contains(first) && *count <= MOST && bytes.div_ceil(*first) == *count
        });
        let each = alike.map_or_else(|| self.usual.max(bytes.div_ceil(MOST)), |(first, _)| first);
        Cut { bytes, each: each.max(1) }
    }
}

/// An object in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    bytes: u64,
    each: u64,
}

impl Cut {
    /// The numbers of the parts.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.bytes.div_ceil(self.each)
    }

    /// The first and the last byte of a part.
    pub(crate) fn range(&self, number: u64) -> (u64, u64) {
        let first = number.saturating_sub(1).saturating_mul(self.each);
        (first, first.saturating_add(self.each).min(self.bytes).saturating_sub(1))
    }

    /// The bytes of all parts.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_one_request_does_not_copy_is_copied_in_parts() {
        let parts = Parts::default();
        assert!(!parts.needed(5 * GIB) && parts.needed(5 * GIB + 1));
    }

    #[test]
    fn a_copy_is_cut_where_its_source_was() {
        let each = |bytes, source| Parts::default().cut(bytes, source).each;
        assert_eq!(each(6 * GIB, Some((8 * MIB, 768))), 8 * MIB);
        assert_eq!(each(6 * GIB + 1, Some((8 * MIB, 769))), 8 * MIB, "the last one is shorter");
        // The parts of the source are not all alike, or no part may be like that.
        assert_eq!(each(6 * GIB, Some((8 * MIB, 767))), USUAL);
        assert_eq!(each(6 * GIB, Some((3 * GIB, 2))), USUAL);
        assert_eq!(each(6 * GIB, Some((0, 0))), USUAL);
        assert_eq!(each(6 * GIB, None), USUAL);
        // 5 TiB, and the 50 TB that S3 takes since December 2025.
        assert_eq!(each(5 * 1024 * GIB, None), (5 * 1024 * GIB).div_ceil(MOST));
        assert!(each(50_000_000_000_000, None) <= 5 * GIB);
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_and_nothing_twice(bytes in 1..60_000_000_000_000_u64, first in 1..GIB) {
            let cut = Parts::default().cut(bytes, Some((first, bytes.div_ceil(first))));
            let (mut next, mut count) = (0, 0);
            for number in cut.numbers() {
                let (from, to) = cut.range(number);
                prop_assert_eq!(from, next);
                prop_assert!(to >= from && to < bytes);
                (next, count) = (to + 1, count + 1);
            }
            prop_assert_eq!(next, bytes);
            prop_assert!(count <= MOST);
        }
    }
}
