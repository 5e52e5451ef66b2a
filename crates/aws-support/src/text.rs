//! What parsers of AWS's names share.

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind};

/// An input that cannot be meant: `what` completes "cannot read …", and `why` completes the text that is quoted: "has no region".
#[must_use]
pub fn invalid(what: &str, text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("read {what}"), format!("{} {why}", quoted(text)))
}

/// Makes a type with `Display` and `FromStr` (whose error is [`rollback_core::Error`]) a text for serde, by
/// `#[serde(try_from = "String", into = "String")]`, and for `Debug`.
///
/// ```
/// use std::{fmt, str::FromStr};
/// use rollback_aws_support::as_text;
/// use rollback_aws_support::text::invalid;
///
/// struct Tag(String);
///
/// impl FromStr for Tag {
///     type Err = rollback_core::Error;
///
///     fn from_str(text: &str) -> rollback_core::Result<Self> {
///         if text.is_empty() { Err(invalid("a tag", text, "is empty")) } else { Ok(Self(text.to_owned())) }
///     }
/// }
///
/// impl fmt::Display for Tag {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str(&self.0)
///     }
/// }
/// as_text!(Tag);
///
/// assert_eq!(format!("{:?}", Tag::try_from("v1".to_owned())?), r#""v1""#);
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[macro_export]
macro_rules! as_text {
    ($name:ty) => {
        impl ::std::convert::TryFrom<::std::string::String> for $name {
            type Error = ::rollback_core::Error;

            fn try_from(text: ::std::string::String) -> ::rollback_core::Result<Self> {
                text.parse()
            }
        }

        impl ::std::convert::From<$name> for ::std::string::String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.to_string(), f)
            }
        }
    };
}
