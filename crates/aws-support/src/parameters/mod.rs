//! Values of SSM's parameters and of Secrets Manager's secrets, read when they are needed. Needs the feature `parameters`.
//!
//! | what keeps it | IAM actions |
//! |---|---|
//! | SSM | `ssm:GetParameter`; `kms:Decrypt` on the key of a `SecureString`, where it is not `aws/ssm` |
//! | Secrets Manager | `secretsmanager:GetSecretValue`; `kms:Decrypt` on the secret's key, where it is not `aws/secretsmanager` |

mod reference;

use std::fmt;
use std::sync::Arc;

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use self::reference::Place;
pub use self::reference::{ParameterRef, Store};
use crate::asking::{Asker, TOGETHER};
use crate::coalesce::{Batcher, Batchers};
use crate::config::Session;
use crate::error::odd_answer;
use crate::pacing::{Pacer, Quota};
use crate::secret::{Secret, unlogged};

/// Reads values. Cheap to clone: those who ask for the same thing at the same time share one call, so targets of one process
/// should share one, as by [`Session::clients`]. Values are not remembered.
///
/// ```
/// use rollback_aws_support::parameters::{ParameterRef, Parameters};
/// use rollback_aws_support::{Pacer, Session};
///
/// # async fn example(session: Session) -> rollback_core::Result<()> {
/// let parameters = session.clients(|session| Parameters::new(session.clone(), Pacer::shared()));
/// let db: ParameterRef = "ssm:/shop/db-password".parse()?;
/// let password = parameters.value(&db).await?;
/// assert_eq!(password.to_string(), "…");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Parameters {
    inner: Arc<Inner>,
}

struct Inner {
    asker: Asker,
    /// A secret of which several keys are wanted is read once.
    values: Batchers<Place, (), Secret>,
}

impl Parameters {
    /// Reads as this session, at this pace and by the pacer's clock.
    #[must_use]
    pub fn new(session: Session, pacer: Pacer) -> Self {
        let clock = pacer.clock();
        let asker = Asker::new(session, pacer);
        let asking = asker.clone();
        let values = Batchers::new(move |of: &Place| {
            let (asker, of) = (asking.clone(), of.clone());
            Batcher::single(Arc::clone(&clock), TOGETHER, move || {
                let (asker, of) = (asker.clone(), of.clone());
                async move {
                    match of.store {
                        Store::Ssm => parameter(&asker, &of).await,
                        Store::SecretsManager => secret(&asker, &of).await,
                    }
                }
            })
        });
        Self { inner: Arc::new(Inner { asker, values }) }
    }

    /// The value as it is now: decrypted, and the whole of it, or what stands under the key.
    ///
    /// It is never logged, not even by the SDK, and no error has anything of it.
    ///
    /// # Errors
    ///
    /// As [`explain`](crate::explain) says, with the reference. [`Invalid`](ErrorKind::Invalid) for a secret that is binary, or no
    /// JSON object where a key is wanted; [`NotFound`](ErrorKind::NotFound) where it has no such key.
    pub async fn value(&self, of: &ParameterRef) -> Result<Secret> {
        let read = self.inner.values.of(&of.place).get(()).await?;
        let value = read.ok_or_else(|| unusable(of, ErrorKind::Unavailable, "there was no answer"))?;
        match of.key() {
            Some(key) => under(key, &value).map_err(|(kind, why)| {
                unusable(of, kind, why).next("check the key in the reference, and what the secret is made of")
            }),
            None => Ok(value),
        }
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("session", self.inner.asker.session()).finish_non_exhaustive()
    }
}

fn unusable(of: &impl fmt::Display, kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, format!("read {of}"), why)
}

async fn parameter(asker: &Asker, of: &Place) -> Result<Secret> {
    let region = of.region.as_deref().unwrap_or(asker.session().region());
    let client = aws_sdk_ssm::Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads("ssm", "GetParameter", format!("read {of}"));
    let send = || unlogged(client.get_parameter().name(&of.id).with_decryption(true).send());
    let never = |_: &GetParameterError| false;
    let answer = asker.ask(region, Quota::PARAMETERS, &call, never, send).await?;
    let value = answer.and_then(|answer| answer.parameter?.value);
    value.map(Secret::new).ok_or_else(|| odd_answer(&call))
}

async fn secret(asker: &Asker, of: &Place) -> Result<Secret> {
    let region = of.region.as_deref().unwrap_or(asker.session().region());
    let client = aws_sdk_secretsmanager::Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads("secretsmanager", "GetSecretValue", format!("read {of}"));
    let send = || unlogged(client.get_secret_value().secret_id(&of.id).send());
    let never = |_: &GetSecretValueError| false;
    let answer = asker.ask(region, Quota::SECRETS, &call, never, send).await?;
    let answer = answer.ok_or_else(|| odd_answer(&call))?;
    match (answer.secret_string, answer.secret_binary) {
        (Some(text), _) => Ok(Secret::new(text)),
        (None, Some(_)) => {
            Err(unusable(of, ErrorKind::Invalid, "the secret is binary")
                .next("keep it as text: SecretString"))
        }
        (None, None) => Err(odd_answer(&call)),
    }
}

/// What stands under a key: a text as it is, numbers and truth values as JSON writes them. Nothing of the secret is in an error.
fn under(key: &str, secret: &Secret) -> std::result::Result<Secret, (ErrorKind, &'static str)> {
    let object: Map<String, Value> = serde_json::from_str(secret.expose())
        .map_err(|_| (ErrorKind::Invalid, "the secret is no JSON object, so nothing stands under a key"))?;
    match object.get(key) {
        Some(Value::String(text)) => Ok(Secret::new(text.as_str())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Secret::new(value.to_string())),
        Some(_) => Err((ErrorKind::Invalid, "what stands under the key is neither text nor a number")),
        None => Err((ErrorKind::NotFound, "the secret has no such key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_under_a_key_is_taken_out() {
        let secret =
            Secret::new(r#"{"password":"hunter2","port":5432,"tls":true,"more":{"a":1},"none":null}"#);
        for (key, value) in [("password", "hunter2"), ("port", "5432"), ("tls", "true")] {
            assert_eq!(under(key, &secret).unwrap().expose(), value);
        }
        for (key, kind) in
            [("more", ErrorKind::Invalid), ("none", ErrorKind::Invalid), ("user", ErrorKind::NotFound)]
        {
            assert_eq!(under(key, &secret).unwrap_err().0, kind, "{key}");
        }
        for text in ["hunter2", "[1]", "\"hunter2\"", ""] {
            assert_eq!(under("password", &Secret::new(text)).unwrap_err().0, ErrorKind::Invalid, "{text}");
        }
    }
}
