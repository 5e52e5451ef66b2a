//! `${NAME}` in texts.

/// A text with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// The variables that were read, with what they held.
    pub(super) read: Vec<(String, String)>,
}

/// Why a text cannot be expanded. Never holds the value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Unset(String),
    Unclosed,
    NotAName(String),
}

impl Fault {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Unset(name) => format!("needs the environment variable {name}, which is not set"),
            Self::Unclosed => "has a ${ without its }".to_owned(),
            Self::NotAName(name) => format!("has ${{{name}}}, which is no name of a variable"),
        }
    }

    pub(super) fn next(&self) -> String {
        match self {
            Self::Unset(name) => format!("set {name}, or write ${{{name}:-default}}"),
            Self::Unclosed | Self::NotAName(_) => {
                "write ${NAME} or ${NAME:-default}; a dollar sign itself is $$".to_owned()
            }
        }
    }
}

/// Replaces `${NAME}` and `${NAME:-default}` (used when the variable is unset or empty), and `$$` by `$`. A `$`
/// before anything else stays, so that command lines keep their own.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Fault> {
    let mut expanded = Expanded { text: String::with_capacity(text.len()), read: Vec::new() };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.text.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (inner, after) = after.split_once('}').ok_or(Fault::Unclosed)?;
            expanded.take(inner, variable)?;
            rest = after;
        } else {
            expanded.text.push('$');
        }
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

impl Expanded {
    fn take(&mut self, inner: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Fault> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Fault::NotAName(name.to_owned()));
        }
        let found = variable(name).filter(|value| default.is_none() || !value.is_empty());
        match (found, default) {
            (Some(value), _) => {
                self.text.push_str(&value);
                self.read.push((name.to_owned(), value));
            }
            (None, Some(default)) => self.text.push_str(default),
            (None, None) => return Err(Fault::Unset(name.to_owned())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ana".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(text: &str) -> Result<String, Fault> {
        expand(text, &variable).map(|expanded| expanded.text)
    }

    #[test]
    fn variables_defaults_and_dollars() {
        let cases = [
            ("plain", "plain"),
            ("${HOME}/releases", "/home/ana/releases"),
            ("${HOME}${HOME}", "/home/ana/home/ana"),
            ("$$5 and $${HOME}", "$5 and ${HOME}"),
            ("run $HOME $", "run $HOME $"),
            ("${NOPE:-web-1}", "web-1"),
            ("${NOPE:-}", ""),
            ("${EMPTY:-filled}", "filled"),
            ("[${EMPTY}]", "[]"),
            ("${HOME:-other}", "/home/ana"),
        ];
        for (written, wanted) in cases {
            assert_eq!(text(written).as_deref(), Ok(wanted), "{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(text("${NOPE}"), Err(Fault::Unset("NOPE".to_owned())));
        assert_eq!(text("a ${HOME"), Err(Fault::Unclosed));
        assert_eq!(text("${}"), Err(Fault::NotAName(String::new())));
        assert_eq!(text("${1A}"), Err(Fault::NotAName("1A".to_owned())));
        assert_eq!(text("${A B}"), Err(Fault::NotAName("A B".to_owned())));
    }

    #[test]
    fn values_are_not_expanded_again() {
        let twice = |name: &str| (name == "A").then(|| "${B}".to_owned());
        assert_eq!(expand("${A}", &twice).unwrap().text, "${B}");
    }

    #[test]
    fn what_was_read_is_remembered() {
        let expanded = expand("${HOME}/x", &variable).unwrap();
        assert_eq!(expanded.read, [("HOME".to_owned(), "/home/ana".to_owned())]);
    }
}
