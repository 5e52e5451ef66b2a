//! Which certificates are taken, and a verifier that takes each and keeps what it thinks of it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::Result;
use rollback_core::time::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::KIND;
use crate::settings::{invalid, one_line, root_cause};

/// Whose signature makes a certificate good.
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Trust {
    /// What the system trusts: the same as the `http` probe.
    pub(super) fn of_the_system() -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(Arc::clone(&provider)).map_err(|error| {
            invalid(KIND, format!("no CA certificates: {}", root_cause(&error))).next(
                "install the CA certificates of your system (often the package ca-certificates), or name yours in `ca_file`",
            )
        })?;
        Ok(Self { provider, verifier: Arc::new(verifier) })
    }

    /// Only the CA certificates in a file.
    pub(super) fn of_file(file: &Path) -> Result<Self> {
        let wrong = |why: String| {
            invalid(KIND, format!("the ca_file {}: {}", file.display(), one_line(&why)))
                .next("name a file of CA certificates in PEM in `ca_file`")
        };
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        Ok(Self { provider, verifier: verifier.map_err(|error| wrong(error.to_string()))? })
    }

    /// What to connect with, and what will then know the certificate.
    pub(super) fn recording(
        &self,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<ClientConfig>, Arc<Recorder>), Error> {
        let recorder = Arc::new(Recorder { verifier: Arc::clone(&self.verifier), seen: Mutex::default() });
        let time = Arc::new(TimeOf(Arc::clone(clock)));
        let mut config = ClientConfig::builder_with_details(Arc::clone(&self.provider), time)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok((Arc::new(config), recorder))
    }
}

#[derive(Debug)]
struct TimeOf(Arc<dyn Clock>);

impl TimeProvider for TimeOf {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// What a server showed.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its own certificate.
    pub(super) certificate: CertificateDer<'static>,
    /// Why clients would refuse it.
    pub(super) refused: Option<Error>,
}

/// Takes every certificate, so that each can be read, and nothing is ever sent over such a connection. That the server has the
/// key of it is checked as ever.
#[derive(Debug)]
pub(super) struct Recorder {
    verifier: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now).err();
        let seen = Seen { certificate: certificate.clone().into_owned(), refused };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Whether something in the chain is before or after its time.
pub(super) fn is_of_time(refused: &Error) -> bool {
    let Error::InvalidCertificate(why) = refused else { return false };
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

/// Why clients would refuse it, for people.
pub(super) fn words(refused: &Error) -> String {
    match refused {
        Error::InvalidCertificate(_) if is_of_time(refused) => {
            "a certificate that this one is signed with is expired or not valid yet".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no CA that is trusted here signed the certificate, or the server leaves out one in between"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the certificate names a CA that is trusted here, but it is not what the CA of that name signed"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => one_line(&other.to_string()),
        Error::InvalidCertificate(why) => one_line(&why.to_string()),
        other => one_line(&other.to_string()),
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
