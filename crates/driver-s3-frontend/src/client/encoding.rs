//! Keys as S3 wants and sends them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rollback_core::{Error, ErrorKind, Result};

/// A key as a part of a URL: `x-amz-copy-source` is one.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Tags as a header has them.
pub(crate) fn tagging(tags: &BTreeMap<String, String>) -> String {
    let pairs = tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A key from a listing with `encoding-type=url`, which is the only way to list keys that XML cannot hold. Spaces come as `+`.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] when it is not encoded so.
pub(super) fn decode(text: &str) -> Result<String> {
    let wrong = || Error::new(ErrorKind::Corrupt, "read a listing", "a key in it is not encoded as a URL");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low).ok_or_else(wrong)?;
                u8::try_from(value).map_err(|_| wrong())?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// The key that a path of a URL means, where `+` is no space; `None` if it is not encoded so.
pub(crate) fn decoded(path: &str) -> Option<String> {
    decode(&path.replace('+', "%2B")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_keys() {
        assert_eq!(encode("a b+c%/ä\n.js"), "a%20b%2Bc%25/%C3%A4%0A.js");
        assert_eq!(decode("a+b%2Bc%25/%C3%A4%0A.js").unwrap(), "a b+c%/ä\n.js");
        for wrong in ["%", "%4", "%zz", "%ff"] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back(key in "\\PC*") {
            prop_assert_eq!(decode(&encode(&key)).unwrap(), key);
        }
    }
}
