//! `tls`: for how long is the certificate good, and for whom?

mod certificate;
mod trust;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Clock, Lasting, SystemClock, within};
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_rustls::TlsConnector;

use self::certificate::Certificate;
use self::trust::{Seen, Trust};
use crate::net::{NotConnected, check_address, connect};
use crate::settings::{invalid, limit, one_line, read, root_cause, schema};

const KIND: &str = "tls";
const NAMES: [&str; 5] = ["address", "server_name", "ca_file", "min_days", "timeout"];
const EXAMPLE: &str = "{ kind = \"tls\", address = \"shop.example.com:443\", min_days = 14 }";

/// Makes probes that read a server's certificate.
///
/// | setting | meaning |
/// |---|---|
/// | `address` | `host:port`; IPv6 as `[::1]:443`. Every address that the name has is tried |
/// | `server_name` | the name that is asked for and must be in the certificate; the host of `address` unless told otherwise |
/// | `ca_file` | a file of CA certificates in PEM, which are trusted in place of the system's |
/// | `min_days` | how many days it must still be valid |
/// | `timeout` | how long it may take in all, 5 s unless told otherwise |
///
/// Ok is a certificate that a client would take now, and in `min_days` days: in its time, of a CA that is trusted, for that
/// name. One that is not is read all the same, and the detail says what is wrong with it. Numbers: `expires_in_days`, below
/// zero once it is expired. Only the server's own certificate is counted: those that it is signed with are only checked to be
/// good now.
///
/// A server that wants TLS only after some words of its own protocol (`STARTTLS`) is not understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsProbes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// `host:port`; IPv6 as `[::1]:443`
    address: String,
    /// The name that is asked for; else the host of `address`
    #[serde(default)]
    server_name: Option<String>,
    /// CA certificates in PEM, in place of the system's
    #[serde(default)]
    ca_file: Option<std::path::PathBuf>,
    /// How many days it must still be valid
    #[serde(default)]
    min_days: Option<u16>,
    /// How long it may take in all
    #[serde(default = "five_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn five_seconds() -> Lasting {
    Lasting::from_secs(5)
}

impl ProbeFactory for TlsProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        Ok(Arc::new(TlsProbe::new(config, Arc::new(SystemClock))?))
    }
}

struct TlsProbe {
    address: String,
    name: ServerName<'static>,
    trust: Trust,
    min_days: Option<u16>,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for TlsProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsProbe")
            .field("address", &self.address)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TlsProbe {
    fn new(config: &Map<String, Value>, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings: Settings = read(KIND, &NAMES, EXAMPLE, config)?;
        check_address(KIND, EXAMPLE, &settings.address)?;
        let name = server_name(&settings)?;
        let trust = match &settings.ca_file {
            Some(file) => Trust::of_file(file)?,
            None => Trust::of_the_system()?,
        };
        let limit = limit(KIND, settings.timeout)?;
        Ok(Self { address: settings.address, name, trust, min_days: settings.min_days, limit, clock })
    }

    async fn look(&self) -> Sample {
        let stream = match connect(&self.address).await {
            Ok(stream) => stream,
            Err(NotConnected::Lookup(error)) => {
                return Sample::unknown(self.says(root_cause(&error)));
            }
            Err(NotConnected::Refused(error)) => return Sample::bad(self.says(root_cause(&error))),
        };
        let (config, recorder) = match self.trust.recording(&self.clock) {
            Ok(made) => made,
            Err(error) => return Sample::unknown(self.says(root_cause(&error))),
        };
        let shaken = TlsConnector::from(config).connect(self.name.clone(), stream).await;
        match (recorder.seen(), shaken) {
            (Some(seen), shaken) => self.judge(&seen, shaken.err().as_ref()),
            (None, Err(error)) => Sample::bad(self.says(no_certificate(&error))),
            (None, Ok(_)) => Sample::unknown(self.says("it showed no certificate")),
        }
    }

    fn judge(&self, seen: &Seen, broken: Option<&io::Error>) -> Sample {
        let refused = seen.refused.as_ref();
        let certificate = match Certificate::read(&seen.certificate) {
            Ok(certificate) => certificate,
            // Whether clients take it is known all the same.
            Err(error) => {
                let unread = format!("when its certificate expires cannot be read: {error}");
                return match refused {
                    Some(refused) => Sample::bad(self.says(format!("{unread}; {}", trust::words(refused)))),
                    None => Sample::unknown(self.says(unread)),
                };
            }
        };
        let now = self.clock.now();
        let days = certificate.days_left(now);
        let mut faults = Vec::new();
        let of_time = self.fault_of_time(&certificate, now);
        // A fault of its time is the certificate's own, unless its time is right: then it is of one that signed it.
        if let Some(refused) = refused.filter(|error| of_time.is_none() || !trust::is_of_time(error)) {
            faults.push(trust::words(refused));
        }
        faults.extend(of_time);
        faults.extend(broken.map(|error| format!("then the connection broke off: {}", root_cause(error))));
        let sample = if faults.is_empty() {
            let until = certificate.not_after;
            Sample::ok(self.says(format!("the certificate is good until {until}, {days:.1} days more")))
        } else {
            Sample::bad(self.says(faults.join("; ")))
        };
        sample.with("expires_in_days", days)
    }

    fn fault_of_time(&self, certificate: &Certificate, now: Timestamp) -> Option<String> {
        let days = certificate.days_left(now);
        let (begin, end) = (certificate.not_before, certificate.not_after);
        if now > end {
            return Some(format!("the certificate expired on {end}, {:.1} days ago", -days));
        }
        if now < begin {
            return Some(format!("the certificate is not valid before {begin}"));
        }
        let wanted = self.min_days.filter(|wanted| days < f64::from(*wanted))?;
        Some(format!("the certificate expires on {end}, in {days:.1} days; wanted at least {wanted}"))
    }

    fn says(&self, what: impl fmt::Display) -> String {
        format!("{}: {what}", self.address)
    }
}

#[async_trait]
impl Probe for TlsProbe {
    async fn sample(&self) -> Sample {
        match within(&*self.clock, self.limit, self.look()).await {
            Some(sample) => sample,
            None => Sample::bad(self.says(format!("no certificate within {}", Lasting::new(self.limit)))),
        }
    }
}

/// The name that the certificate must have.
fn server_name(settings: &Settings) -> Result<ServerName<'static>> {
    let host = settings.address.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = settings.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        invalid(KIND, format!("{name:?} is not a name that a certificate can have"))
            .next("write a name like shop.example.com, or an IP address, in `server_name`")
    })
}

/// Why the handshake ended before there was a certificate.
fn no_certificate(error: &io::Error) -> String {
    let ours = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match ours {
        Some(rustls::Error::InvalidMessage(_)) => "it answers, but does not speak TLS".to_owned(),
        Some(error) => format!("no TLS with it: {}", one_line(&error.to_string())),
        None => format!("it went away before it showed a certificate: {}", root_cause(error)),
    }
}

#[cfg(test)]
mod tests;
