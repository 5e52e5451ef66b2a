//! What a list of objects makes together.

use std::fmt::Write as _;

use rollback_core::{Digest, Error, ErrorKind, Identity, Result};
use sha2::{Digest as _, Sha256};

use crate::names::Key;
use crate::object::Listed;

/// How many objects there are, and how large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

/// Takes the objects of a release in their order, and says what they make.
///
/// The identity covers keys, sizes and contents, and neither headers nor storage classes: a copy that only changed `Cache-Control`
/// is the same release.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    contents: Sha256,
    last: Option<Key>,
    totals: Totals,
    /// The room in which a line is written: a site has a million of them.
    line: String,
}

impl Sum {
    /// Adds the next object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when it does not come after the one before, by the bytes of their keys.
    pub(crate) fn add(&mut self, listed: &Listed) -> Result<()> {
        if let Some(last) = self.last.as_ref().filter(|last| **last >= listed.key) {
            let found = format!("{} comes after {}", listed.key.shown(), last.shown());
            return Err(Error::new(ErrorKind::Corrupt, "read a listing", found)
                .next("is the endpoint S3? see what endpoint_url is set to"));
        }
        let (key, content) = (listed.key.as_str(), &listed.content);
        // Lengths come first: a key may hold whatever would stand between two fields.
        self.line.clear();
        // A text takes whatever is written to it.
        let _ = writeln!(self.line, "{}:{key}{}:{}", key.len(), content.size, content.mark());
        self.contents.update(&self.line);
        self.totals.objects += 1;
        self.totals.bytes = self.totals.bytes.saturating_add(content.size);
        match &mut self.last {
            Some(last) => last.clone_from(&listed.key),
            last => *last = Some(listed.key.clone()),
        }
        Ok(())
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The identity of these contents.
    pub(crate) fn identity(&self) -> Identity {
        Identity(Digest::from_raw(self.contents.clone().finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Content, ETag, StorageClass};

    fn listed(key: &str, size: u64) -> Listed {
        let content = Content::listed(size, ETag::new("9b2cf535f27731c974343645a3985328").unwrap());
        Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
    }

    fn sum(all: &[Listed]) -> Sum {
        let mut sum = Sum::default();
        all.iter().for_each(|listed| sum.add(listed).unwrap());
        sum
    }

    #[test]
    fn the_identity_is_that_of_keys_and_contents() {
        let site = [listed("assets/app.js", 3), listed("index.html", 4)];
        let mut elsewhere = site.clone();
        elsewhere[1] = elsewhere[1].clone().stored(StorageClass::new("GLACIER_IR").unwrap());
        assert_eq!(sum(&site).identity(), sum(&elsewhere).identity());
        for other in
            [vec![listed("index.html", 4)], vec![listed("assets/app.js", 3), listed("index.html", 5)]]
        {
            assert_ne!(sum(&site).identity(), sum(&other).identity());
        }
        // No two lists of keys and sizes may look like one another.
        let (one, other) = ([listed("a", 11), listed("b", 1)], [listed("a1", 1), listed("b", 1)]);
        assert_ne!(sum(&one).identity(), sum(&other).identity());
    }

    #[test]
    fn objects_come_in_the_order_of_the_bytes_of_their_keys() {
        let mut sum = Sum::default();
        // As S3 lists them: upper case before lower case, and no locale.
        for key in ["Zoo.html", "assets/1.js", "assets/10.js", "assets/2.js", "ä.html"] {
            sum.add(&listed(key, 1)).unwrap();
        }
        assert_eq!(sum.add(&listed("ä.html", 1)).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(sum.add(&listed("index.html", 1)).is_err());
    }
}
