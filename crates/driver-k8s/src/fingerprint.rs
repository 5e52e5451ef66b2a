//! Keyed digests of values that may be secret.

use std::fmt;

use hmac::{Hmac, Mac as _};
use rollback_core::{Digest, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

/// What marks a text as a keyed digest.
const MARK: &str = "keyed:";
/// How many bytes of it are kept: enough that two values never meet by chance.
const KEPT: usize = 16;

/// The key under which values are digested that may be secret: environment variables, commands, the content of ConfigMaps.
///
/// Two people who compare snapshots must use the same key, so it belongs to the installation, not to a machine. With a secret key
/// nobody who reads a plan or journal can try out guesses. Without one ([`public`](Self::public)), a short or common value can be
/// guessed and the guess confirmed; long random values cannot.
#[derive(Clone)]
pub struct FingerprintKey {
    key: [u8; 32],
    id: String,
    secret: bool,
}

impl FingerprintKey {
    /// A key from an installation's secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for fewer than sixteen bytes: they could be tried out.
    pub fn secret(secret: &[u8]) -> Result<Self> {
        if secret.len() < 16 {
            let why = format!("it has {} bytes", secret.len());
            return Err(Error::new(ErrorKind::Invalid, "use the fingerprint key", why)
                .next("use at least sixteen random bytes, like those of `openssl rand -hex 32`"));
        }
        Ok(Self::derive("secret", secret))
    }

    /// The key that everybody can compute, which differs from namespace to namespace.
    #[must_use]
    pub fn public(namespace_uid: &str) -> Self {
        Self::derive("public", namespace_uid.as_bytes())
    }

    fn derive(kind: &str, from: &[u8]) -> Self {
        let purpose = [b"rollback k8s fingerprint/1 ", kind.as_bytes(), b" ", from].concat();
        let key: [u8; 32] = Sha256::digest(&purpose).into();
        // A digest of the key that tells keys apart and does not help to find it.
        let id = format!("{kind}-{}", &Digest::of_bytes(&[b"id ".as_slice(), &key].concat()).hex()[..8]);
        Self { key, id, secret: kind == "secret" }
    }

    /// Which key it is, without giving it away. Digests under different keys cannot be compared.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether nobody else can compute it.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The keyed digest of a value at a place. The place counts, so that equal values in different places do not show.
    pub(crate) fn digest(&self, place: &str, value: &str) -> String {
        // The length keeps place and value apart.
        let message = format!("{}:{place}{value}", place.len());
        // HMAC takes keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::from(MARK) };
        mac.update(message.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let hex: String = bytes[..KEPT].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{MARK}{hex}")
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether a text is a keyed digest.
pub(crate) fn is_keyed(text: &str) -> bool {
    text.strip_prefix(MARK).is_some_and(|hex| {
        hex.len() == 2 * KEPT && hex.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_and_key_count() {
        let one = FingerprintKey::public("a");
        assert_eq!(one.digest("env", "x"), one.digest("env", "x"));
        assert_ne!(one.digest("env", "x"), one.digest("en", "vx"));
        assert_ne!(one.digest("env", "x"), FingerprintKey::public("b").digest("env", "x"));
        assert!(is_keyed(&one.digest("env", "x")) && !is_keyed("x") && !is_keyed("keyed:x"));
        assert!(FingerprintKey::secret(b"short").is_err());
        let secret = FingerprintKey::secret(b"0123456789abcdef").unwrap();
        assert!(secret.is_secret() && !format!("{secret:?}").contains("0123"));
    }
}
