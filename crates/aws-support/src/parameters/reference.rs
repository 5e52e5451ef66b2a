use std::fmt;
use std::str::FromStr;

use rollback_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::arn::Arn;
use crate::as_text;
use crate::text::invalid;

const WHAT: &str = "a reference to a parameter or secret";
/// The longest name that SSM takes, with the whole path.
const LONGEST_PARAMETER: usize = 1011;
/// The longest name of a secret, and what AWS adds to it in its ARN.
const LONGEST_SECRET: usize = 512 + 7;
/// The longest label of a parameter's version.
const LONGEST_LABEL: usize = 100;
/// Ours: JSON has no limit.
const LONGEST_KEY: usize = 256;

/// Where a value is kept that is read when it is needed, and never written down.
///
/// | written | means |
/// |---|---|
/// | `ssm:/shop/db-password` | the parameter of this name in the session's region |
/// | `ssm:/shop/db-password:3`, `…:stable` | its version 3, or that with this label |
/// | `secretsmanager:shop/db` | the whole of the secret of this name |
/// | `secretsmanager:shop/db#password` | what stands under this key in it: the secret is a JSON object then |
/// | `arn:aws:ssm:eu-west-1:123456789012:parameter/shop/db-password` | a parameter of any region or account |
/// | `arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-AbCdEf#password` | a secret of any region or account |
///
/// What is displayed is what was read: the same text, and it parses to the same reference.
///
/// ```
/// use rollback_aws_support::parameters::{ParameterRef, Store};
/// let db: ParameterRef = "secretsmanager:shop/db#password".parse()?;
/// assert_eq!((db.store(), db.name(), db.key()), (Store::SecretsManager, "shop/db", Some("password")));
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ParameterRef {
    pub(super) place: Place,
    key: Option<String>,
}

/// What keeps a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Store {
    /// The Parameter Store of Systems Manager.
    Ssm,
    /// Secrets Manager.
    SecretsManager,
}

/// What one call reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) store: Store,
    /// As AWS takes it: a name, or an ARN.
    pub(super) id: String,
    /// The ARN's; else it is that of the session.
    pub(super) region: Option<String>,
}

impl ParameterRef {
    /// What keeps it.
    #[must_use]
    pub fn store(&self) -> Store {
        self.place.store
    }

    /// The name, with the version of a parameter where one is written, or the ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.id
    }

    /// The key in the JSON object that the secret is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The region that an ARN names; else it is that of the session.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.place.region.as_deref()
    }
}

impl FromStr for ParameterRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why| Err(invalid(WHAT, text, why).next(HOW));
        let (place, key) = match text.split_once('#') {
            Some((place, key)) => (place, Some(key)),
            None => (text, None),
        };
        let (store, id, region, fits) = match place.split_once(':') {
            Some(("ssm", name)) => (Store::Ssm, name, None, is_parameter(name)),
            Some(("secretsmanager", name)) => (Store::SecretsManager, name, None, is_secret(name)),
            Some(("arn", _)) => {
                let arn: Arn = place.parse()?;
                let (store, fits) = match (arn.service(), arn.resource().split_once(['/', ':'])) {
                    ("ssm", Some(("parameter", name))) => (Store::Ssm, is_path(name)),
                    ("secretsmanager", Some(("secret", name))) => (Store::SecretsManager, is_secret(name)),
                    _ => return wrong("is the ARN of neither a parameter nor a secret"),
                };
                let placed = !arn.region().is_empty() && !arn.account().is_empty();
                (store, place, Some(arn.region().to_owned()), fits && placed)
            }
            _ => return wrong("does not say what keeps it"),
        };
        if !fits {
            return wrong("has a name that there cannot be");
        }
        match (store, key) {
            (Store::Ssm, Some(_)) => return wrong("has a key, and parameters are read as a whole"),
            (_, Some(key)) if !is_key(key) => {
                return wrong("has a key that is empty, too long or no plain text");
            }
            _ => {}
        }
        let place = Place { store, id: id.to_owned(), region };
        Ok(Self { place, key: key.map(str::to_owned) })
    }
}

const HOW: &str = "write ssm:/shop/db-password, secretsmanager:shop/db#password, or an ARN";

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.region, self.store) {
            (Some(_), _) => {}
            (None, Store::Ssm) => f.write_str("ssm:")?,
            (None, Store::SecretsManager) => f.write_str("secretsmanager:")?,
        }
        f.write_str(&self.id)
    }
}

impl fmt::Display for ParameterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "#{key}"))
    }
}
as_text!(ParameterRef);

/// A name, with a version or label behind a colon where one is meant.
fn is_parameter(text: &str) -> bool {
    let (name, version) = text.split_once(':').map_or((text, None), |(name, version)| (name, Some(version)));
    let is_version = |text: &str| {
        (1..=LONGEST_LABEL).contains(&text.len())
            && text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
    };
    is_path(name) && version.is_none_or(is_version)
}

/// Words between slashes.
fn is_path(name: &str) -> bool {
    let inner = name.strip_prefix('/').unwrap_or(name);
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'));
    name.len() <= LONGEST_PARAMETER && inner.split('/').all(is_part)
}

fn is_secret(name: &str) -> bool {
    let known = |b: u8| is_word(b) || b"/+=.@-".contains(&b);
    (1..=LONGEST_SECRET).contains(&name.len()) && name.bytes().all(known)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Plain text, since it is shown where something is wrong with it.
fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rollback_core::ErrorKind;

    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-AbCdEf";

    #[test]
    fn references_are_taken_apart() {
        let parameter = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/shop/db";
        for (text, store, name, key, region) in [
            ("ssm:/shop/db-password", Store::Ssm, "/shop/db-password", None, None),
            ("ssm:db.password_2", Store::Ssm, "db.password_2", None, None),
            ("ssm:/shop/db:3", Store::Ssm, "/shop/db:3", None, None),
            ("ssm:/shop/db:last-good", Store::Ssm, "/shop/db:last-good", None, None),
            ("secretsmanager:shop/db", Store::SecretsManager, "shop/db", None, None),
            (
                "secretsmanager:db+1@x=y#pass word#2",
                Store::SecretsManager,
                "db+1@x=y",
                Some("pass word#2"),
                None,
            ),
            (ARN, Store::SecretsManager, ARN, None, Some("eu-west-1")),
            (&format!("{ARN}#password"), Store::SecretsManager, ARN, Some("password"), Some("eu-west-1")),
            (parameter, Store::Ssm, parameter, None, Some("cn-north-1")),
        ] {
            let found: ParameterRef = text.parse().unwrap();
            assert_eq!((found.store(), found.name()), (store, name), "{text}");
            assert_eq!((found.key(), found.region()), (key, region), "{text}");
            assert_eq!(found.to_string(), text);
        }
    }

    #[test]
    fn hostile_references_are_refused() {
        let long = format!("ssm:/{}", "a".repeat(LONGEST_PARAMETER));
        let with_version = format!("{ARN}:password::");
        for text in [
            "",
            "/shop/db",
            "shop/db#password",
            "ssm:",
            "ssm:/",
            "ssm:/shop//db",
            "ssm:/shop/db/",
            "ssm:/shop/db#password",
            "ssm:/shop/db:",
            "ssm:/shop/db:1:2",
            "ssm:/shop/$(id)",
            "ssm:/shop/db\n",
            "ssm: /shop/db",
            "SSM:/shop/db",
            "ssm:/shop/d\u{202e}b",
            "secretsmanager:",
            "secretsmanager:#password",
            "secretsmanager:shop/db#",
            "secretsmanager:shop/db#pass\nword",
            "secretsmanager:shop/db#p\u{202e}w",
            "secretsmanager:shop db",
            "secretsmanager:shop:db",
            "arn:aws:s3:::bucket/key",
            "arn:aws:ssm:eu-west-1:123456789012:document/x",
            "arn:aws:ssm::123456789012:parameter/x",
            "arn:aws:ssm:eu-west-1::parameter/x",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/x#y",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/x:3",
            "arn:evil:ssm:eu-west-1:123456789012:parameter/x",
            &with_version,
            &long,
        ] {
            let error = text.parse::<ParameterRef>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
            assert!(error.to_string().len() < 700, "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_displayed_as_it_was_read(
            text in "(ssm|secretsmanager|arn:aws:ssm:eu-west-1:123456789012)[:/#]\\PC{0,30}",
        ) {
            if let Ok(found) = text.parse::<ParameterRef>() {
                prop_assert_eq!(found.to_string(), text);
            }
        }
    }
}
