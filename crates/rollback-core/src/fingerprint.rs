//! Keyed digests of values that may be secret.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::digest::{Digest, hex};
use crate::error::{Error, ErrorKind, Result};

/// What marks a text as a keyed digest. Where one is expected, every other text is refused.
const MARK: &str = "keyed:";
/// How many bytes of it are kept: enough that two values never meet by chance.
const KEPT: usize = 16;

/// The key under which a driver digests values that may be secret: environment variables, commands, the content of files.
///
/// Two people who compare snapshots must use the same key, so it belongs to the installation, not to a machine. With a
/// secret key, nobody who reads a plan or journal can try out guesses. Without one ([`public`](Self::public)), a short or
/// common value can be guessed and the guess confirmed; long random values cannot.
///
/// ```
/// use rollback_core::fingerprint::{FingerprintKey, is_keyed};
/// let key = FingerprintKey::public("my-driver", "the account");
/// let digest = key.digest("env.PASSWORD", "hunter2");
/// assert!(is_keyed(&digest) && !digest.contains("hunter2"));
/// assert_ne!(digest, key.digest("env.TOKEN", "hunter2"));
/// ```
#[derive(Clone)]
pub struct FingerprintKey {
    key: [u8; 32],
    id: String,
    secret: bool,
}

impl FingerprintKey {
    /// A driver's key from an installation's secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for fewer than sixteen bytes: they could be tried out.
    pub fn secret(driver: &str, secret: &[u8]) -> Result<Self> {
        if secret.len() < 16 {
            let why = format!("it has {} bytes", secret.len());
            return Err(Error::new(ErrorKind::Invalid, "use the fingerprint key", why)
                .next("use at least sixteen random bytes, like those of `openssl rand -hex 32`"));
        }
        Ok(Self::derive(driver, "secret", secret))
    }

    /// A driver's key that everybody can compute, which differs from place to place: an account, a namespace's UID.
    #[must_use]
    pub fn public(driver: &str, place: &str) -> Self {
        Self::derive(driver, "public", place.as_bytes())
    }

    fn derive(driver: &str, kind: &str, from: &[u8]) -> Self {
        let purpose = [format!("rollback {driver} fingerprint/1 {kind} ").as_bytes(), from].concat();
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
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The keyed digest of a value at a place. The place counts, so that equal values in different places do not show.
    #[must_use]
    pub fn digest(&self, place: &str, value: &str) -> String {
        // The length keeps place and value apart.
        let message = format!("{}:{place}{value}", place.len());
        // HMAC takes keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::from(MARK) };
        mac.update(message.as_bytes());
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        format!("{MARK}{}", hex(&bytes[..KEPT]))
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether a text is a keyed digest.
#[must_use]
pub fn is_keyed(text: &str) -> bool {
    text.strip_prefix(MARK).is_some_and(|hex| {
        hex.len() == 2 * KEPT && hex.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_place_and_value_all_count() {
        let key = FingerprintKey::public("ecs", "123456789012");
        let digest = key.digest("env.A", "hunter2");
        assert!(is_keyed(&digest) && !is_keyed("x") && !is_keyed("keyed:x"));
        assert_eq!(digest, FingerprintKey::public("ecs", "123456789012").digest("env.A", "hunter2"));
        let other = FingerprintKey::secret("ecs", b"0123456789abcdef").unwrap();
        for different in [
            key.digest("env.B", "hunter2"),
            key.digest("env.A", "hunter3"),
            other.digest("env.A", "hunter2"),
            key.digest("env.Ah", "unter2"),
            FingerprintKey::public("ecs", "another").digest("env.A", "hunter2"),
            FingerprintKey::public("k8s", "123456789012").digest("env.A", "hunter2"),
        ] {
            assert_ne!(different, digest);
        }
        assert_ne!(key.id(), other.id());
        assert!(other.is_secret() && !key.is_secret());
    }

    /// Snapshots hold them: what is stored must stay comparable.
    #[test]
    fn digests_stay_what_they_were() {
        let key = FingerprintKey::public("ecs", "123456789012");
        assert_eq!(
            (key.id(), key.digest("env.A", "hunter2").as_str()),
            ("public-c13b7ed5", "keyed:2cb217c780091da59e683651938f5f6d")
        );
        let key = FingerprintKey::secret("k8s", b"0123456789abcdef").unwrap();
        assert_eq!(
            (key.id(), key.digest("env.A", "hunter2").as_str()),
            ("secret-32390129", "keyed:3f55e5f362b03f19fdabb2fee74721c4")
        );
    }

    #[test]
    fn a_key_never_shows() {
        let key = FingerprintKey::secret("ecs", b"correct horse battery staple").unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("FingerprintKey {{ id: {:?}, .. }}", key.id()));
        assert!(FingerprintKey::secret("ecs", b"short").is_err());
    }
}
