//! Names of compose, checked before they reach a host.

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind};
use schemars::JsonSchema;

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $what:literal, $first:expr, $rest:expr, $allowed:literal) => {
        rollback_core::checked_text! {
            $(#[$meta])*
            #[derive(JsonSchema)]
            #[schemars(inline)]
            $name, |text| {
                if text.starts_with($first) && text.chars().all($rest) && text.len() <= 128 {
                    return Ok(());
                }
                let message = format!(concat!("{} is no ", $what), quoted(text));
                Err(Error::new(ErrorKind::Invalid, concat!("read a ", $what), message).next($allowed))
            }
        }
    };
}

name!(
    /// The name of a compose project, as compose writes it in its labels.
    Project,
    "compose project",
    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit(),
    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'),
    "use lower-case letters, digits, '-' and '_', beginning with a letter or digit"
);
name!(
    /// The name of a service in a compose file.
    Service,
    "compose service",
    |c: char| c.is_ascii_alphanumeric() || c == '_',
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "use letters, digits, '.', '-' and '_', beginning with a letter, a digit or '_'"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_or_compose_would_read_otherwise_is_refused() {
        for wrong in ["", "-f", "a b", "a;b", "$(x)", "a/b", "a'b", "a\nb", "ä", "--all"] {
            assert!(Project::new(wrong).is_err() && Service::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Project::new("Shop").is_err() && Project::new("shop_2-a").is_ok());
        assert!(Service::new("Back.end_1").is_ok() && Service::new("a".repeat(129)).is_err());
    }
}
