//! Small checks that several parsers share.

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind};

/// An input that cannot be meant.
pub(crate) fn invalid(what: &str, text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("read {what}"), format!("{} {why}", quoted(text)))
}

/// A name as ECS takes it for families and containers: letters, digits, `-` and `_`, up to 255.
pub(crate) fn is_ecs_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Serialises a type as the text that its `Display` and `FromStr` agree on.
macro_rules! as_text {
    ($name:ty) => {
        impl TryFrom<String> for $name {
            type Error = rollback_core::Error;

            fn try_from(text: String) -> rollback_core::Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.to_string(), f)
            }
        }
    };
}
pub(crate) use as_text;
