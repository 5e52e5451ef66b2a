//! `smtp`: e-mail.

mod message;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use rollback_core::{Effect, Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clean;
use crate::notice::Notice;
use crate::secret::{Secret, Setup, invalid};
use crate::sink::{Sink, SinkFactory, read, schema};

const KIND: &str = "smtp";
const EXAMPLE: &str = "{ kind = \"smtp\", host = \"smtp.example.com\", user = \"rollback\", password_env = \"SMTP_PASSWORD\", \
     from = \"rollback@example.com\", to = [\"ops@example.com\"] }";

/// Makes sinks that send e-mail.
///
/// | setting | meaning |
/// |---|---|
/// | `host` | the mail server |
/// | `port` | its port; 587 for `starttls`, 465 for `tls`, 25 for `none` unless told otherwise |
/// | `security` | `starttls` (which must then be there), `tls` from the beginning, or `none`, for this machine only |
/// | `ca_file` | certificates, in PEM, of whoever signed the server's, where the system does not know them |
/// | `user`, `password_env`, `password_file` | the login, where there is one |
/// | `from`, `to` | who it is from, and a list of those it goes to: `ops@example.com`, `On call <oncall@example.com>` |
///
/// All messages of one run are one thread, and a message that is sent twice has the same `Message-ID`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SmtpSinks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The mail server
    host: String,
    /// Its port; else 587 for starttls, 465 for tls, 25 for none
    port: Option<u16>,
    /// How the connection is protected
    #[serde(default)]
    security: Security,
    /// Certificates in PEM of whoever signed the server's
    ca_file: Option<PathBuf>,
    /// Who logs in
    user: Option<String>,
    /// The environment variable that holds the password
    password_env: Option<String>,
    /// The file that holds the password
    password_file: Option<PathBuf>,
    /// Who it is from
    from: String,
    /// Who it goes to
    to: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Security {
    #[default]
    Starttls,
    Tls,
    None,
}

impl SinkFactory for SmtpSinks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>, setup: &Setup) -> Result<Arc<dyn Sink>> {
        let settings: Settings = read(KIND, &self.config_schema(), EXAMPLE, config)?;
        let (env, file) = (settings.password_env.as_deref(), settings.password_file.as_deref());
        let password = setup.secret(KIND, "password", env, file)?;
        let from = address(&settings.from)?;
        let to = settings.to.iter().map(|text| address(text)).collect::<Result<Vec<_>>>()?;
        if to.is_empty() {
            return Err(invalid(KIND, "it goes to nobody").next("write it like to = [\"ops@example.com\"]"));
        }
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host).tls(tls(&settings)?);
        builder = builder.port(settings.port.unwrap_or(match settings.security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        }));
        builder = match (&settings.user, &password) {
            (Some(user), Some(password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            }
            (None, None) => builder,
            _ => {
                return Err(invalid(KIND, "a user and a password go together")
                    .next("set both `user` and `password_env` (or `password_file`), or none of them"));
            }
        };
        // The notifier has a limit of its own, which ends the whole try.
        let transport = builder.timeout(None).build();
        let name = format!("{KIND} ({})", clean::line(&settings.host, 100));
        Ok(Arc::new(Smtp { name, transport, from, to, password, clock: Arc::clone(setup.the_clock()) }))
    }
}

fn address(text: &str) -> Result<Mailbox> {
    text.parse().map_err(|error| {
        invalid(KIND, format!("{} is no address: {error}", rollback_core::error::quoted(text)))
            .next("write it like ops@example.com, or On call <oncall@example.com>")
    })
}

fn tls(settings: &Settings) -> Result<Tls> {
    let host = &settings.host;
    if settings.security == Security::None {
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        return match here {
            true => Ok(Tls::None),
            false => {
                Err(invalid(KIND, "without encryption everybody on the way can read and change what is sent")
                    .next("leave `security` out, or write security = \"tls\""))
            }
        };
    }
    // Refused when somebody else's provider is installed already: that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = TlsParameters::builder(host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: String| {
            invalid(KIND, format!("the certificates in `ca_file` ({}): {why}", path.display()))
                .next("write the path of a file with certificates in PEM into `ca_file`")
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    let parameters = builder.build_rustls().map_err(|error| {
        invalid(KIND, format!("no encryption: {error}"))
            .next("install the CA certificates of your system (often the package ca-certificates)")
    })?;
    Ok(match settings.security {
        Security::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

struct Smtp {
    name: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    password: Option<Secret>,
    clock: Arc<dyn rollback_core::time::Clock>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Smtp {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let message = message::of(notice, &self.from, &self.to, self.clock.now()).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("tell {}", self.name), format!("no message: {error}"))
        })?;
        self.transport.send(message).await.map(drop).map_err(|error| self.explain(&error))
    }
}

impl Smtp {
    fn explain(&self, error: &SmtpError) -> Error {
        let status = error.status().map(u16::from);
        let kind = match status {
            Some(530 | 534 | 535 | 538) => ErrorKind::Denied,
            Some(400..=499) => ErrorKind::Unavailable,
            Some(_) => ErrorKind::Invalid,
            None if error.is_timeout() => ErrorKind::Timeout,
            // What a server does not offer today (STARTTLS, a login) it will not offer in a second.
            None if error.is_client() => ErrorKind::Unsupported,
            None => ErrorKind::Unavailable,
        };
        let text = clean::line(&error.to_string(), 300);
        let repeats = self.password.as_ref().is_some_and(|password| text.contains(password.expose()));
        let shown =
            if repeats { "(what it said is not shown: it repeats a secret)".to_owned() } else { text };
        let told = Error::new(kind, format!("tell {}", self.name), shown);
        match kind {
            ErrorKind::Denied => told.next("check the user and the password of the sink"),
            ErrorKind::Unsupported => {
                told.next("check `security` and `port`: 587 speaks starttls, 465 speaks tls")
            }
            ErrorKind::Unavailable if status.is_some() => told.with_effect(Effect::None),
            _ => told,
        }
    }
}
