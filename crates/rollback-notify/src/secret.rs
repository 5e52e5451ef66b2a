//! Texts that nobody may read, and where they come from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Error, ErrorKind, Result};

/// The most that a file with a secret may hold, in bytes.
const LONGEST: u64 = 16 * 1024;

/// A text that nobody may read: a token, a URL that is one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What sinks are set up with besides their settings.
#[derive(Clone)]
pub struct Setup {
    variables: Arc<Variables>,
    clock: Arc<dyn Clock>,
}

impl Default for Setup {
    /// The process's own environment variables, and the machine's clock.
    fn default() -> Self {
        Self { variables: Arc::new(|name| std::env::var(name).ok()), clock: Arc::new(SystemClock) }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Setup {
    /// Looks variables up here.
    #[must_use]
    pub fn variables(mut self, look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.variables = Arc::new(look_up);
        self
    }

    /// Takes the time from here.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub fn the_clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What a variable holds, unless that is nothing.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// The secret that the settings `<what>_env` and `<what>_file` name; `None` where neither is set.
    pub(crate) fn secret(
        &self,
        kind: &str,
        what: &str,
        env: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<Secret>> {
        let text = match (env, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(invalid(kind, format!("both {what}_env and {what}_file are set"))
                    .next("leave one of them out"));
            }
            (Some(name), None) => self.named(kind, what, name)?,
            (None, Some(path)) => read(kind, what, path)?,
        };
        Ok(Some(Secret::new(text)))
    }

    /// The error names the variable only if it is a name: a token that was pasted in its place must not be repeated.
    fn named(&self, kind: &str, what: &str, name: &str) -> Result<String> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            let why =
                format!("`{what}_env` is not the name of an environment variable (A to Z, 0 to 9 and _)");
            return Err(invalid(kind, why)
                .next(format!("put the secret into a variable, and the name of that into `{what}_env`")));
        }
        self.variable(name).ok_or_else(|| {
            invalid(kind, format!("the environment variable {name} is not set"))
                .next("set it before you start; in a pipeline, hand the secret to this step")
        })
    }
}

fn read(kind: &str, what: &str, path: &Path) -> Result<String> {
    let wrong = |why: String| {
        invalid(kind, format!("the file of `{what}_file` ({}) {why}", path.display())).next(format!(
            "write the path of a file that holds the secret and nothing else into `{what}_file`"
        ))
    };
    let size = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
    if size > LONGEST {
        return Err(wrong(format!("has more than {LONGEST} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    match text.trim() {
        "" => Err(wrong("is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

/// An error about the settings of a sink of `kind`.
pub(crate) fn invalid(kind: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("set up the {kind} sink"), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup::default().variables(|name| (name == "TOKEN").then(|| "hunter2".to_owned()))
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = setup().secret("webhook", "secret", Some("TOKEN"), None).unwrap().unwrap();
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("hunter2", "Secret(…)"));
    }

    #[test]
    fn a_token_in_place_of_a_name_is_not_repeated() {
        let error = setup().secret("webhook", "secret", Some("xoxb-hunter2"), None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        let error = setup().secret("webhook", "secret", Some("OTHER"), None).unwrap_err();
        assert!(error.to_string().contains("OTHER is not set"), "{error}");
    }

    #[test]
    fn there_is_one_place() {
        let both = setup().secret("webhook", "secret", Some("TOKEN"), Some(Path::new("/x"))).unwrap_err();
        assert!(both.to_string().contains("both secret_env and secret_file"), "{both}");
        assert_eq!(setup().secret("webhook", "secret", None, None).unwrap(), None);
        let missing = setup().secret("webhook", "url", None, Some(Path::new("/no/such"))).unwrap_err();
        assert!(missing.to_string().contains("/no/such"), "{missing}");
    }
}
