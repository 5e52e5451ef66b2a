//! From when until when a certificate is valid.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode;
use x509_cert::time::Time;

/// Its time.
#[derive(Debug, PartialEq)]
pub(super) struct Certificate {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Certificate {
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let read = x509_cert::Certificate::from_der(der).map_err(|error| error.to_string())?;
        let validity = read.tbs_certificate().validity();
        Ok(Self { not_before: timestamp(&validity.not_before)?, not_after: timestamp(&validity.not_after)? })
    }

    /// Days until it expires, with their fractions; below zero afterwards.
    pub(super) fn days_left(&self, now: Timestamp) -> f64 {
        self.not_after.duration_since(now).as_secs_f64() / 86_400.0
    }
}

fn timestamp(time: &Time) -> Result<Timestamp, String> {
    let since: Duration = time.to_unix_duration();
    let seconds = i64::try_from(since.as_secs()).map_err(|error| error.to_string())?;
    // 9999-12-31T23:59:59Z stands for "never" (RFC 5280, 4.1.2.5), and is later than the latest timestamp.
    Ok(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}
