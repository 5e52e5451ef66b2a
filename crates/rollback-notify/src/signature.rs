//! Signatures of webhook requests, and how a receiver checks them.
//!
//! Each request of a [webhook](crate::WebhookSinks) with a secret has the header
//!
//! ```text
//! Rollback-Signature: t=1795230000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd
//! ```
//!
//! `t` is when it was sent, in seconds since 1970. `v1` is the HMAC-SHA256, in hexadecimal digits, under the secret, of the bytes of `t` as they
//! stand in the header, a full stop, and the body as it was received. A receiver
//!
//! 1. splits the header at its commas, and takes `t` and every `v1`;
//! 2. computes the HMAC over `t`, `.` and the raw body, before anything parses that;
//! 3. compares it with each `v1` in a way that takes the same time wherever they differ, and refuses the request if none is equal;
//! 4. refuses it if `t` is more than five minutes from its own clock: somebody who recorded a request could send it again;
//! 5. drops it, with status 200, if it has seen the same `Rollback-Notice-Id` before: a request is sent again when its answer got lost.
//!
//! [`verify`] does all but the last. In Python:
//!
//! ```text
//! parts = [part.split("=", 1) for part in headers["Rollback-Signature"].split(",")]
//! t = next(value for key, value in parts if key == "t")
//! wanted = hmac.new(secret, t.encode() + b"." + body, "sha256").hexdigest()
//! good = any(hmac.compare_digest(value, wanted) for key, value in parts if key == "v1")
//! assert good and abs(time.time() - int(t)) <= 300
//! ```

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Result};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "rollback-signature";

/// How far the times of sender and receiver may be apart.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The value of the header for a body that is sent `at`.
#[must_use]
pub fn sign(secret: &[u8], body: &[u8], at: Timestamp) -> String {
    let time = at.as_second().to_string();
    let raw: [u8; 32] = mac(secret, &time, body).finalize().into_bytes().into();
    format!("t={time},v1={}", Digest::from_raw(raw).hex())
}

/// Whether a request with this header and body was signed with the secret, not long before `now`.
///
/// ```
/// use rollback_notify::signature::{sign, verify};
///
/// let now = "2026-11-21T03:00:00Z".parse().unwrap();
/// let header = sign(b"secret", b"{}", now);
/// assert!(verify(b"secret", &header, b"{}", now).is_ok());
/// assert!(verify(b"secret", &header, b"{ }", now).is_err());
/// ```
///
/// # Errors
///
/// [`ErrorKind::Denied`] for a signature that does not fit, [`ErrorKind::Stale`] for an old one, [`ErrorKind::Invalid`] for a header that is none.
pub fn verify(secret: &[u8], header: &str, body: &[u8], now: Timestamp) -> Result<()> {
    let wrong = |kind, why: &str| Error::new(kind, "check the signature", why);
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => signatures.extend(bytes(value)),
            _ => {}
        }
    }
    let Some(time) = time else { return Err(wrong(ErrorKind::Invalid, "the header has no time")) };
    let Ok(seconds) = time.parse::<i64>() else {
        return Err(wrong(ErrorKind::Invalid, "the time in the header is none"));
    };
    let fits = |signature: &[u8; 32]| mac(secret, time, body).verify_slice(signature).is_ok();
    if !signatures.iter().any(fits) {
        return Err(wrong(ErrorKind::Denied, "it was not signed with this secret, or changed on its way"));
    }
    if now.as_second().abs_diff(seconds) > TOLERANCE.as_secs() {
        return Err(wrong(ErrorKind::Stale, "it was signed more than five minutes from now")
            .next("check the clocks of sender and receiver"));
    }
    Ok(())
}

fn mac(secret: &[u8], time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => mac,
        Err(error) => unreachable!("HMAC takes keys of any length: {error}"),
    };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// The bytes that 64 hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Computed with Python's hmac.
    #[test]
    fn it_is_what_others_compute() {
        assert_eq!(
            sign(b"secret", b"{}", at(1_795_230_000)),
            "t=1795230000,v1=163bfec08e6a3e45d5ab59e5b10ba7279b75d70af3e2e2ef532a3496b8e638c9"
        );
    }

    #[test]
    fn whatever_was_changed_is_refused() {
        let header = sign(b"secret", b"body", at(1_000));
        let kind = |secret: &[u8], header: &str, body: &[u8], now| {
            verify(secret, header, body, at(now)).unwrap_err().kind()
        };
        assert!(verify(b"secret", &header, b"body", at(1_300)).is_ok());
        assert!(verify(b"secret", &header, b"body", at(700)).is_ok());
        assert_eq!(kind(b"other", &header, b"body", 1_000), ErrorKind::Denied);
        assert_eq!(kind(b"secret", &header, b"bodY", 1_000), ErrorKind::Denied);
        assert_eq!(kind(b"secret", &header.replace("t=1000", "t=1001"), b"body", 1_000), ErrorKind::Denied);
        assert_eq!(kind(b"secret", &header, b"body", 1_301), ErrorKind::Stale);
        assert_eq!(kind(b"secret", &header, b"body", 699), ErrorKind::Stale);
        assert_eq!(kind(b"secret", "t=1000", b"body", 1_000), ErrorKind::Denied);
        assert_eq!(kind(b"secret", "t=1000,v1=+1", b"body", 1_000), ErrorKind::Denied);
        assert_eq!(kind(b"secret", "v1=00", b"body", 1_000), ErrorKind::Invalid);
        assert_eq!(kind(b"secret", "", b"body", 1_000), ErrorKind::Invalid);
    }

    #[test]
    fn one_of_two_secrets_is_enough() {
        let (old, new) = (sign(b"old", b"body", at(1_000)), sign(b"new", b"body", at(1_000)));
        let both = format!("{old},{}", new.split_once(',').unwrap().1);
        assert!(verify(b"new", &both, b"body", at(1_000)).is_ok());
        assert!(verify(b"old", &both, b"body", at(1_000)).is_ok());
    }
}
