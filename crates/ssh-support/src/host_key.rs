//! The keys by which a host is recognised.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host key that is trusted: its fingerprint (`SHA256:…`, as `ssh-keygen -lf` prints it) or the whole public key (`ssh-ed25519 AAAA…`,
/// as it stands in `/etc/ssh/ssh_host_ed25519_key.pub`).
///
/// ```
/// use rollback_ssh_support::HostKey;
/// let pin: HostKey = "SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q".parse()?;
/// assert!(pin.is_fingerprint());
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct HostKey(String);

impl HostKey {
    /// Whether it is a fingerprint. Those need OpenSSH 8.5 on this machine; whole keys are known to each version.
    #[must_use]
    pub fn is_fingerprint(&self) -> bool {
        self.0.starts_with("SHA256:")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("{} is neither a fingerprint nor a public key", quoted(text));
            Error::new(ErrorKind::Invalid, "read a host key", message).next(
                "write it like SHA256:4SMz…, as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the host, or copy that file's line",
            )
        };
        let text = text.trim();
        if let Some(digest) = text.strip_prefix("SHA256:") {
            let digest = digest.trim_end_matches('=');
            let whole = STANDARD.decode(format!("{digest}=")).is_ok_and(|bytes| bytes.len() == 32);
            return if whole { Ok(Self(format!("SHA256:{digest}"))) } else { Err(wrong()) };
        }
        let mut words = text.split_ascii_whitespace();
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { return Err(wrong()) };
        let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
        // The key says its own kind once more: a length of four bytes, and the name.
        let named = bytes.get(4..4 + kind.len()) == Some(kind.as_bytes());
        if !named || text.contains(['\n', '\r']) || text.len() > 8192 {
            return Err(wrong());
        }
        // What comes after is a comment.
        Ok(Self(format!("{kind} {key}")))
    }
}

impl TryFrom<String> for HostKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> Self {
        key.0
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFB5Ejg2/JBHl0gzosr2jxeOV9Xf8uwQcT9cpk0hpzh8";

    #[test]
    fn keys_and_fingerprints_are_told_from_everything_else() {
        let key: HostKey = format!("{KEY} root@web-1").parse().unwrap();
        assert_eq!(key.as_str(), KEY);
        assert!(!key.is_fingerprint());
        for text in [
            "",
            "SHA256:",
            "SHA256:aaa",
            "SHA256:*",
            "MD5:16:27",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa hunter2",
            "SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q|*",
            &format!("{KEY}\n@cert-authority * {KEY}"),
            &KEY.replace("ssh-ed25519 ", "ssh-rsa "),
            &format!("* {KEY}"),
        ] {
            assert_eq!(text.parse::<HostKey>().unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
    }
}
