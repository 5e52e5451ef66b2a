//! Certificates that rcgen makes, shown by a real TLS server on loopback, at a time that the tests choose.

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Noon of a day in the middle of the time in which the certificates of these tests are valid.
const NOON: &str = "2030-06-15T12:00:00Z";

#[derive(Debug)]
struct At(Timestamp);

#[async_trait]
impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn valid(from: i32, until: i32) -> Self {
        Self::named("One CA", from, until)
    }

    fn named(name: &str, from: i32, until: i32) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one signs.
    fn sub(&self, name: &str, from: i32, until: i32) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    /// A certificate for `name` that is valid from and until the first day of these years.
    fn certifies(&self, name: &str, from: i32, until: i32) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &self.0).unwrap().der().clone(), key)
    }

    /// A server with such a certificate.
    fn signs(&self, name: &str, from: i32, until: i32) -> ServerConfig {
        let (certificate, key) = self.certifies(name, from, until);
        showing(vec![certificate], &key)
    }

    fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0.pem()).unwrap();
        file
    }
}

/// A server that shows these certificates and signs with this key, whether they go together or not.
fn showing(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signer))))
}

async fn serve(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that goes ends the handshake, and that is none of the test's business.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_u8().await;
            }
        }
    });
    address
}

/// What is seen of a server at noon, by somebody who trusts this authority.
async fn seen(config: ServerConfig, trusted: &Authority, more: Value) -> Sample {
    let file = trusted.file();
    let address = serve(config).await;
    let mut settings =
        json!({ "address": address.to_string(), "server_name": "shop.test", "ca_file": file.path() });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let clock = Arc::new(At(NOON.parse().unwrap()));
    TlsProbe::new(settings.as_object().unwrap(), clock).unwrap().sample().await
}

fn assert_bad(seen: &Sample, says: &str) {
    assert!(seen.known && !seen.ok, "{seen:?}");
    assert!(seen.detail.contains(says), "{says:?} is not in {:?}", seen.detail);
}

#[tokio::test]
async fn a_good_certificate_is_ok_and_says_how_long() {
    let authority = Authority::valid(2020, 2040);
    let sample = seen(authority.signs("shop.test", 2025, 2031), &authority, json!({})).await;
    assert!(sample.ok, "{sample:?}");
    // From noon of the 15th of June to the first of January.
    assert_eq!(sample.metrics["expires_in_days"], 199.5);
    assert!(sample.detail.contains("good until 2031-01-01T00:00:00Z, 199.5 days more"), "{}", sample.detail);
}

#[tokio::test]
async fn so_many_days_can_be_wanted() {
    let authority = Authority::valid(2020, 2040);
    for (min_days, ok) in [(199, true), (200, false)] {
        let config = authority.signs("shop.test", 2025, 2031);
        let sample = seen(config, &authority, json!({ "min_days": min_days })).await;
        assert_eq!(sample.ok, ok, "{sample:?}");
        assert_eq!(sample.metrics["expires_in_days"], 199.5);
    }
    let config = authority.signs("shop.test", 2025, 2031);
    let sample = seen(config, &authority, json!({ "min_days": 365 })).await;
    assert_bad(&sample, "in 199.5 days; wanted at least 365");
}

#[tokio::test]
async fn an_expired_certificate_is_bad_and_its_number_is_below_zero() {
    let authority = Authority::valid(2020, 2040);
    let sample = seen(authority.signs("shop.test", 2025, 2030), &authority, json!({})).await;
    assert_bad(&sample, "expired on 2030-01-01T00:00:00Z, 165.5 days ago");
    assert_eq!(sample.metrics["expires_in_days"], -165.5);
    assert!(!sample.detail.contains(';'), "it is said once: {}", sample.detail);
}

#[tokio::test]
async fn a_certificate_of_the_future_is_bad() {
    let authority = Authority::valid(2020, 2040);
    let sample = seen(authority.signs("shop.test", 2031, 2032), &authority, json!({})).await;
    assert_bad(&sample, "not valid before 2031-01-01T00:00:00Z");
    assert_eq!(sample.metrics["expires_in_days"], 564.5);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_bad_and_read() {
    let authority = Authority::valid(2020, 2040);
    let sample = seen(authority.signs("other.test", 2025, 2031), &authority, json!({})).await;
    assert_bad(&sample, "shop.test");
    assert!(sample.detail.contains("other.test"), "{}", sample.detail);
    assert_eq!(sample.metrics["expires_in_days"], 199.5);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_bad_and_read() {
    let authority = Authority::valid(2020, 2040);
    for (stranger, says) in [
        (Authority::named("Another CA", 2020, 2040), "no CA that is trusted here"),
        // Of the same name, as when somebody makes a new one in place of the old.
        (Authority::valid(2020, 2040), "it is not what the CA of that name signed"),
    ] {
        let sample = seen(stranger.signs("shop.test", 2025, 2031), &authority, json!({})).await;
        assert_bad(&sample, says);
        assert_eq!(sample.metrics["expires_in_days"], 199.5);
    }
}

#[tokio::test]
async fn both_faults_are_said_where_there_are_two() {
    let (authority, stranger) = (Authority::valid(2020, 2040), Authority::named("Another CA", 2020, 2040));
    let sample = seen(stranger.signs("shop.test", 2025, 2031), &authority, json!({ "min_days": 365 })).await;
    assert_bad(&sample, "no CA that is trusted here");
    assert_bad(&sample, "wanted at least 365");
}

#[tokio::test]
async fn a_ca_that_is_expired_is_told_from_a_certificate_that_is() {
    let authority = Authority::valid(2020, 2040);
    let old = authority.sub("Between", 2020, 2030);
    let (certificate, key) = old.certifies("shop.test", 2025, 2031);
    let config = showing(vec![certificate, old.0.der().clone()], &key);
    let sample = seen(config, &authority, json!({})).await;
    assert_bad(&sample, "a certificate that this one is signed with is expired");
    assert_eq!(sample.metrics["expires_in_days"], 199.5);
}

#[tokio::test]
async fn an_address_can_be_the_name() {
    let authority = Authority::valid(2020, 2040);
    let config = authority.signs("127.0.0.1", 2025, 2031);
    let sample = seen(config, &authority, json!({ "server_name": "127.0.0.1" })).await;
    assert!(sample.ok, "{sample:?}");
}

/// Clients fail at the handshake then, whatever the certificate says.
#[tokio::test]
async fn a_server_without_the_key_of_its_certificate_is_bad() {
    let authority = Authority::valid(2020, 2040);
    let (certificate, _) = authority.certifies("shop.test", 2025, 2031);
    let config = showing(vec![certificate], &KeyPair::generate().unwrap());
    let sample = seen(config, &authority, json!({})).await;
    assert_bad(&sample, "then the connection broke off");
}

#[test]
fn what_is_no_certificate_has_no_time() {
    assert!(Certificate::read(&b"hello".as_slice().into()).is_err());
}
