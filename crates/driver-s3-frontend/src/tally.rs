//! What a listing holds, as one number that follows each change.

use std::fmt::{self, Write as _};

use rollback_core::{Digest, Token};
use sha2::{Digest as _, Sha256};

use crate::object::ETag;

/// The sum of the digests of all objects that are listed, by full key, size and tag.
///
/// It does not depend on the order in which they are added, so that parts of a bucket can be listed side by side; and an object can
/// be taken out again, so that who writes a thousand objects knows without another listing what one would show. It tells whether
/// anything moved. It proves nothing: that is what [identities](crate::release::Sum) are for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    sum: [u64; 4],
    objects: u64,
}

impl Tally {
    /// One more object, by its full key.
    pub(crate) fn add(&mut self, key: &str, size: u64, etag: &ETag) {
        self.add_below("", key, size, etag);
    }

    /// One more object below a prefix: no text is made of both.
    pub(crate) fn add_below(&mut self, prefix: &str, key: &str, size: u64, etag: &ETag) {
        self.each([prefix, key], size, etag, u64::carrying_add_to);
        self.objects = self.objects.wrapping_add(1);
    }

    /// One less, by its full key.
    pub(crate) fn remove(&mut self, key: &str, size: u64, etag: &ETag) {
        self.each(["", key], size, etag, u64::borrowing_sub_from);
        self.objects = self.objects.wrapping_sub(1);
    }

    fn each(
        &mut self,
        [prefix, key]: [&str; 2],
        size: u64,
        etag: &ETag,
        step: fn(u64, u64, bool) -> (u64, bool),
    ) {
        let length = prefix.len() + key.len();
        // Two numbers have no more digits than that.
        let mut text = String::with_capacity(length + etag.as_str().len() + 42);
        // A text takes whatever is written to it.
        let _ = write!(text, "{length}:{prefix}{key}{size}:{}", etag.as_str());
        let digest = Sha256::digest(text);
        let mut over = false;
        for (limb, bytes) in self.sum.iter_mut().zip(digest.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            (*limb, over) = step(*limb, u64::from_le_bytes(word), over);
        }
    }

    /// As the target's token.
    pub(crate) fn token(&self) -> Token {
        Token::new(self.to_string())
    }
}

/// Addition and subtraction with what is carried on.
trait Carry: Sized {
    fn carrying_add_to(self, other: Self, carry: bool) -> (Self, bool);
    fn borrowing_sub_from(self, other: Self, borrow: bool) -> (Self, bool);
}

impl Carry for u64 {
    fn carrying_add_to(self, other: Self, carry: bool) -> (Self, bool) {
        let (sum, first) = self.overflowing_add(other);
        let (sum, second) = sum.overflowing_add(Self::from(carry));
        (sum, first || second)
    }

    fn borrowing_sub_from(self, other: Self, borrow: bool) -> (Self, bool) {
        let (rest, first) = self.overflowing_sub(other);
        let (rest, second) = rest.overflowing_sub(Self::from(borrow));
        (rest, first || second)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.sum.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        write!(f, "{}-{}", self.objects, Digest::of_bytes(&bytes).short())
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tally({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn etag(number: u8) -> ETag {
        ETag::new(format!("{number:032x}")).unwrap()
    }

    proptest! {
        #[test]
        fn neither_order_nor_detours_matter(objects in proptest::collection::btree_map("[a-z]{1,4}", any::<u8>(), 0..20), extra in "[A-Z]{1,4}") {
            let (mut there, mut back) = (Tally::default(), Tally::default());
            objects.iter().for_each(|(key, tag)| there.add(key, 1, &etag(*tag)));
            back.add(&extra, 7, &etag(1));
            objects.iter().rev().for_each(|(key, tag)| back.add(key, 1, &etag(*tag)));
            prop_assert_ne!(there, back);
            back.remove(&extra, 7, &etag(1));
            prop_assert_eq!(there, back);
            prop_assert_eq!(there.token(), back.token());
        }
    }

    #[test]
    fn each_of_its_parts_counts() {
        let of = |key: &str, size, tag| {
            let mut tally = Tally::default();
            tally.add(key, size, &etag(tag));
            tally
        };
        let one = of("a", 1, 1);
        let mut below = Tally::default();
        below.add_below("a/", "b", 1, &etag(1));
        assert_eq!(below, of("a/b", 1, 1), "a full key is one, wherever its prefix ends");
        for other in [of("b", 1, 1), of("a", 2, 1), of("a", 1, 2), of("a1", 1, 1), Tally::default()] {
            assert_ne!(one.to_string(), other.to_string());
        }
    }
}
