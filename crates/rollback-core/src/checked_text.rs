/// Makes a type for a text from outside that is checked when it is made, wherever it comes from: code, configuration, a stored document.
///
/// The check takes the text and says what is wrong with it. The crate that uses this depends on `serde` with its derive.
///
/// ```
/// use rollback_core::{Error, ErrorKind, Result};
///
/// fn check_queue(text: &str) -> Result<()> {
///     let clean = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase());
///     let refused = || Error::new(ErrorKind::Invalid, "read a queue", "it is no queue").next("use lower-case letters");
///     clean.then_some(()).ok_or_else(refused)
/// }
///
/// rollback_core::checked_text! {
///     /// The name of a queue.
///     Queue, check_queue
/// }
/// assert_eq!(Queue::new("mail")?.as_str(), "mail");
/// assert!(serde_json::from_str::<Queue>(r#""mail; rm -rf /""#).is_err());
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Invalid`]($crate::ErrorKind::Invalid) when the text breaks the rules of this type.
            pub fn new(text: impl Into<String>) -> $crate::Result<Self> {
                let (text, check): (String, fn(&str) -> $crate::Result<()>) = (text.into(), $check);
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Error;
            fn from_str(text: &str) -> $crate::Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Error;
            fn try_from(text: String) -> $crate::Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
