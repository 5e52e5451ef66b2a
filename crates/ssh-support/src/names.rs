//! Names from outside, hostile until parsed into one of these types.
//!
//! They reach the command line of `ssh`, its configuration and the shell of a host: what could mean something there is refused.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, IdempotencyKey, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn refused(what: &str, text: &str, allowed: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("read a {what}"), format!("{} is no {what}", quoted(text)))
        .next(allowed)
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $what:literal, $check:path, $allowed:literal) => {
        rollback_core::checked_text! {
            $(#[$meta])*
            #[derive(JsonSchema)]
            #[schemars(inline)]
            $name, |text| if $check(text) { Ok(()) } else { Err(refused($what, text, $allowed)) }
        }
    };
}

name!(
    /// A host as `ssh` takes it: an alias of its configuration, a DNS name, an IPv4 or IPv6 address (without brackets and zone).
    ///
    /// ```
    /// use rollback_ssh_support::Host;
    /// assert!(Host::new("web-1.example.com").is_ok() && Host::new("2001:db8::7").is_ok());
    /// assert!(Host::new("-oProxyCommand=evil").is_err() && Host::new("web@evil").is_err());
    /// ```
    Host, "host name", is_host,
    "write an alias, a DNS name or an IP address: up to 253 letters, digits, '.', '-' or '_', beginning with a letter or digit"
);
name!(
    /// A user's name on a host.
    User, "user name", is_user,
    "use up to 64 letters, digits, '.', '-' or '_', beginning with a letter, digit or '_'"
);
name!(
    /// An absolute path on a host: no `.` or `..` in it, no empty part, no control character, up to 1,024 bytes.
    ///
    /// ```
    /// use rollback_ssh_support::RemotePath;
    /// let project = RemotePath::new("/srv/shop")?;
    /// assert_eq!(project.join("compose.yaml")?.as_str(), "/srv/shop/compose.yaml");
    /// assert!(project.join("../../etc/passwd").is_err());
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    RemotePath, "path on a host", is_remote_path,
    "write it from the root, like /srv/shop: without '.', '..', '//' or control characters, up to 1024 bytes"
);
name!(
    /// The id of an EC2 instance, or of another machine that Systems Manager knows.
    InstanceId, "instance id", is_instance,
    "write it like i-0123456789abcdef0 or mi-0123456789abcdef0"
);
name!(
    /// The key of a [job](crate::job): who starts the same key twice gets the same job.
    ///
    /// A driver makes it of the key that the engine hands to each action, which is the same whenever that action is sent again.
    ///
    /// ```
    /// use rollback_core::IdempotencyKey;
    /// use rollback_ssh_support::JobKey;
    /// let key = JobKey::from(&IdempotencyKey::new("0198-web-up-1")?).named("migrate")?;
    /// assert_eq!(key.as_str(), "0198-web-up-1.migrate");
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    JobKey, "job key", is_job_key,
    "use up to 200 letters, digits, '.', '_' or '-', beginning with a letter or digit"
);

impl RemotePath {
    /// The path of something in this folder.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn join(&self, below: &str) -> Result<Self> {
        Self::new(format!("{}/{below}", self.0.trim_end_matches('/')))
    }
}

impl JobKey {
    /// The key of one of several jobs of the same action.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn named(&self, name: &str) -> Result<Self> {
        Self::new(format!("{}.{name}", self.0))
    }
}

impl From<&IdempotencyKey> for JobKey {
    // The rules of that type are narrower.
    fn from(key: &IdempotencyKey) -> Self {
        Self(key.as_str().to_owned())
    }
}

fn plain(text: &str, longest: usize, first: &str, more: &str) -> bool {
    let of = |extra: &str, c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    text.len() <= longest
        && text.chars().next().is_some_and(|c| of(first, c))
        && text.chars().all(|c| of(more, c))
}

fn is_host(text: &str) -> bool {
    match text.parse::<IpAddr>() {
        Ok(_) => true,
        Err(_) => plain(text, 253, "", ".-_") && !text.contains(".."),
    }
}

fn is_user(text: &str) -> bool {
    plain(text, 64, "_", ".-_")
}

fn is_remote_path(text: &str) -> bool {
    let parts_stand = |rest: &str| rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    text.len() <= 1024
        && !text.chars().any(char::is_control)
        && text.strip_prefix('/').is_some_and(|rest| rest.is_empty() || parts_stand(rest))
}

fn is_instance(text: &str) -> bool {
    let id = text.strip_prefix("i-").or_else(|| text.strip_prefix("mi-"));
    id.is_some_and(|id| {
        (8..=17).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_job_key(text: &str) -> bool {
    plain(text, 200, "", ".-_")
}

/// One hop on the way to a host: `bastion`, `admin@bastion:2222`, `[2001:db8::1]:22`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct Hop {
    user: Option<User>,
    host: Host,
    port: Option<u16>,
}

impl Hop {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl Hop {
    /// The user, where one is named.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The port, where one is named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Hop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || refused("hop", text, "write it like bastion, admin@bastion:2222 or [2001:db8::1]:22");
        let (user, rest) = text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            // More than one colon: an address of version 6 without brackets, and without a port.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port =
            port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)).transpose()?;
        let user = user.map(User::new).transpose().map_err(|_| wrong())?;
        Ok(Self { user, host: Host::new(host).map_err(|_| wrong())?, port })
    }
}

impl TryFrom<String> for Hop {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Hop> for String {
    fn from(hop: Hop) -> Self {
        hop.to_string()
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.as_str().contains(':') {
            true => write!(f, "[{}]", self.host),
            false => write!(f, "{}", self.host),
        }?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_hosts() {
        for host in ["web", "web-1.example.com.", "10.0.0.1", "::1", "2001:db8::7", "a_b", "7"] {
            assert_eq!(Host::new(host).unwrap().to_string(), host);
        }
        for host in [
            "",
            "-oProxyCommand=id",
            "web@evil",
            "a b",
            "a\nb",
            "a'b",
            "a\"b",
            "$(id)",
            "`id`",
            "a;b",
            "%h",
            "fe80::1%eth0",
            "[::1]",
            "a..b",
            ".a",
            "naïve",
            "web\u{202e}",
            "a/b",
            "a\\b",
            "*",
            "a,b",
            "a:b",
            "ssh://web",
            &"a".repeat(254),
        ] {
            let error = Host::new(host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{host:?}");
            assert!(error.next_step().is_some());
        }
        assert!(serde_json::from_str::<Host>("\"-x\"").is_err());
    }

    #[test]
    fn users_paths_instances_and_keys_are_checked() {
        for user in ["ec2-user", "_svc", "a.b", "root"] {
            assert!(User::new(user).is_ok(), "{user}");
        }
        for user in ["", "-l", "a b", "a@b", "a%", "a'", "a\0", &"a".repeat(65)] {
            assert!(User::new(user).is_err(), "{user:?}");
        }
        for path in ["/", "/srv/shop", "/srv/my shop/ü", "/a/..b", "/a/'b'", "/-rf"] {
            assert!(RemotePath::new(path).is_ok(), "{path}");
        }
        for path in [
            "",
            "srv",
            "~/x",
            "/a/../b",
            "/a/./b",
            "/a//b",
            "/a/",
            "/a\nb",
            "/a\0",
            &format!("/{}", "a".repeat(1024)),
        ] {
            assert!(RemotePath::new(path).is_err(), "{path:?}");
        }
        assert!(
            InstanceId::new("i-0123456789abcdef0").is_ok() && InstanceId::new("mi-0123456789abcdef0").is_ok()
        );
        for id in
            ["", "i-", "i-0123456789ABCDEF0", "i-0123 456", "0123456789abcdef0", "i-0123456789abcdef0;id"]
        {
            assert!(InstanceId::new(id).is_err(), "{id:?}");
        }
        for key in ["", "..", ".x", "-x", "a/b", "a b", "a\n", &"a".repeat(201)] {
            assert!(JobKey::new(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn hops_are_read_and_written_as_ssh_does() {
        for hop in ["bastion", "admin@bastion:2222", "[2001:db8::1]:22", "admin@10.0.0.1"] {
            assert_eq!(hop.parse::<Hop>().unwrap().to_string(), hop);
        }
        assert_eq!("2001:db8::1".parse::<Hop>().unwrap().to_string(), "[2001:db8::1]");
        for hop in [
            "", "-J", "a@-b", "a:0", "a:65536", "a:b", "[::1]x", "a,b", "a b", "@a", "a@b@c", "-x@a", "[::1",
            "a:1:",
        ] {
            assert!(hop.parse::<Hop>().is_err(), "{hop:?}");
        }
    }
}
