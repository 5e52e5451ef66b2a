//! What `ssh` says when no connection comes about, and what it means.
//!
//! There are texts only: exit code 255 stands for everything. They are those of OpenSSH 7.4 to 10; what is not known here is shown as it is.

use rollback_core::{Effect, Error, ErrorKind};

use crate::command::last_lines;
use crate::host_key::HostKey;
use crate::names::Host;
use crate::settings::SshSettings;

/// Why there is no connection. Nothing was sent to be run. Unlike an error it can be told to everybody who waited for that connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: ErrorKind,
    pub(crate) operation: String,
    pub(crate) message: String,
    pub(crate) next: Option<String>,
    pub(crate) transient: bool,
}

impl Trouble {
    pub(crate) fn new(kind: ErrorKind, host: &Host, message: impl Into<String>) -> Self {
        let transient = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout);
        Self { kind, operation: format!("connect to {host}"), message: message.into(), next: None, transient }
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(crate) fn lasting(mut self) -> Self {
        self.transient = false;
        self
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let error = Self::new(trouble.kind, trouble.operation, trouble.message);
        let error = error.transient(trouble.transient).with_effect(Effect::None);
        match trouble.next {
            Some(next) => error.next(next),
            None => error,
        }
    }
}

/// Reads what `ssh` wrote.
pub(crate) fn read(host: &Host, settings: &SshSettings, log: &str) -> Trouble {
    let trouble = |kind, message: &str| Trouble::new(kind, host, message);
    about_host_keys(host, settings, log)
        .or_else(|| about_keys(host, settings, log))
        .or_else(|| about_setup(host, log))
        .or_else(|| about_network(host, log))
        .unwrap_or_else(|| match said(log) {
            said if said.is_empty() => trouble(ErrorKind::Unavailable, "ssh ended and said nothing"),
            said => trouble(ErrorKind::Unavailable, &said),
        })
}

/// The key in the line that `LogVerbose` asks for: `… Server host key: ssh-ed25519 SHA256:…`.
fn shown(log: &str) -> Option<&str> {
    let begin = log.rfind(SHOWN)? + SHOWN.len();
    let key = log[begin..].lines().next()?;
    let (kind, print) = key.split_once(' ')?;
    // What stands behind it may be another writer's line without a break between.
    let length = kind.len() + 1 + print.len().min("SHA256:".len() + 43);
    key.get(..length).filter(|key| key.chars().all(|c| c.is_ascii_graphic() || c == ' '))
}

const SHOWN: &str = "Server host key: ";

/// The fingerprint that the host has shown.
pub(crate) fn presented(log: &str) -> Option<HostKey> {
    shown(log)?.split_once(' ')?.1.parse().ok()
}

fn about_host_keys(host: &Host, settings: &SshSettings, log: &str) -> Option<Trouble> {
    if !log.contains("Host key verification failed") && !log.contains("HOST IDENTIFICATION HAS CHANGED") {
        return None;
    }
    let key = shown(log);
    let it_shows = key.map_or(String::new(), |key| format!("; it shows {key}"));
    let denied = |message: String| Trouble::new(ErrorKind::Denied, host, message);
    // `jump` has keys of its own, in known_hosts: a refusal without ours is a hop's.
    let pinned = !settings.host_keys.is_empty() && (settings.jump.is_empty() || key.is_some());
    let compare =
        "compare the fingerprint with the host's own: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub";
    if pinned {
        let pins: Vec<_> = settings.host_keys.iter().map(HostKey::as_str).collect();
        let old = if pins.iter().any(|pin| pin.starts_with("SHA256:")) && key.is_none() {
            " (fingerprints need OpenSSH 8.5 on this machine)"
        } else {
            ""
        };
        let message = format!("its host key is none of those in host_keys{it_shows}{old}");
        return Some(denied(message).next(format!("{compare}; host_keys has: {}", pins.join(", "))));
    }
    let unset = || "~/.ssh/known_hosts, or the file that ssh's configuration names".to_owned();
    let file = settings.known_hosts.as_ref().map_or_else(unset, |path| path.display().to_string());
    if log.contains("REVOKED HOST KEY") {
        let next = format!(
            "the key is marked @revoked in {file} or the system's list: do not connect before its owner has told you why"
        );
        return Some(denied(format!("its host key was revoked{it_shows}")).next(next));
    }
    if log.contains("HOST IDENTIFICATION HAS CHANGED") {
        let file = offending(log).unwrap_or(file);
        let next = format!(
            "somebody may be in between. {compare}; only if it is right, correct {file} or set host_keys"
        );
        return Some(denied(format!("its host key has changed{it_shows}")).next(next));
    }
    let next = format!("{compare}; then add the key to {file}, or set host_keys");
    Some(denied(format!("its host key is not known{it_shows}")).next(next))
}

/// The file and line with the key that no longer fits.
fn offending(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.starts_with("Offending "))?;
    let (_, place) = line.split_once(" key in ")?;
    let (file, number) = place.trim().rsplit_once(':')?;
    Some(format!("line {number} of {file}"))
}

fn about_keys(host: &Host, settings: &SshSettings, log: &str) -> Option<Trouble> {
    let key = settings.identity_file.as_ref().map(|path| path.display().to_string());
    let denied = |message: &str| Trouble::new(ErrorKind::Denied, host, message);
    if log.contains("UNPROTECTED PRIVATE KEY FILE") {
        let next = format!("chmod 600 {}", key.as_deref().unwrap_or("the key's file"));
        return Some(denied("others can read the private key, so ssh does not use it").next(next));
    }
    if log.contains("Too many authentication failures") {
        let next = "set identity_file, so that only this key is offered";
        return Some(denied("the agent offered too many keys").next(next));
    }
    if !log.contains("Permission denied") {
        return None;
    }
    if let Some(file) = key.filter(|_| log.contains("not accessible: No such file")) {
        return Some(denied(&format!("there is no private key {file}")).next("correct identity_file"));
    }
    let line = log.lines().rev().find(|line| line.contains("Permission denied")).unwrap_or_default();
    let next = match settings.identity_file {
        Some(_) => {
            "is the public half of identity_file in that user's authorized_keys, and is it the right user?"
        }
        None => "`ssh-add -l` lists the agent's keys; or set identity_file and user",
    };
    Some(denied(&last_lines(line.as_bytes())).next(next))
}

fn about_setup(host: &Host, log: &str) -> Option<Trouble> {
    let line =
        |needle: &str| log.lines().find(|line| line.contains(needle)).map(|line| last_lines(line.as_bytes()));
    for needle in [
        "Bad configuration option",
        "Bad owner or permissions on",
        "terminating, ",
        "Missing argument",
        "missing argument",
    ] {
        if let Some(said) = line(needle) {
            let next = "correct ssh's configuration, or name another one in config_file";
            return Some(Trouble::new(ErrorKind::Invalid, host, said).next(next));
        }
    }
    if let Some(said) = line("Unable to negotiate with") {
        return Some(Trouble::new(ErrorKind::Unsupported, host, said));
    }
    for needle in
        ["SessionManagerPlugin is not found", "aws: not found", "aws: command not found", "aws: No such file"]
    {
        if let Some(said) = line(needle) {
            let next = "via_ssm needs the AWS CLI and the Session Manager plugin on this machine";
            return Some(Trouble::new(ErrorKind::Unsupported, host, said).next(next));
        }
    }
    for (needle, kind) in [
        ("(TargetNotConnected)", ErrorKind::Unavailable),
        ("(AccessDeniedException)", ErrorKind::Denied),
        ("(ExpiredTokenException)", ErrorKind::Denied),
        ("Unable to locate credentials", ErrorKind::Denied),
    ] {
        if let Some(said) = line(needle) {
            return Some(Trouble::new(kind, host, said));
        }
    }
    None
}

fn about_network(host: &Host, log: &str) -> Option<Trouble> {
    let line = |needle: &str| {
        log.lines().rev().find(|line| line.contains(needle)).map(|line| last_lines(line.as_bytes()))
    };
    if let Some(said) = line("Could not resolve hostname") {
        let trouble = Trouble::new(ErrorKind::NotFound, host, said.clone());
        return Some(match said.contains("Temporary failure") {
            true => Trouble::new(ErrorKind::Unavailable, host, said),
            false => trouble.next("correct the host's name, or give it a HostName in ssh's configuration"),
        });
    }
    if let Some(said) = line("timed out") {
        return Some(Trouble::new(ErrorKind::Timeout, host, said));
    }
    for needle in
        ["Connection refused", "No route to host", "Network is unreachable", "stdio forwarding failed"]
    {
        if let Some(said) = line(needle) {
            return Some(Trouble::new(ErrorKind::Unavailable, host, said));
        }
    }
    // What ssh calls the other end of a proxy. Ours would have said why; one of somebody's own configuration cannot be heard.
    if log.contains("UNKNOWN port 65535") {
        let message = format!("the proxy on the way closed the connection: {}", said(log));
        let trouble = Trouble::new(ErrorKind::Unavailable, host, message);
        return Some(trouble.next(format!("see what it says: ssh {host} true")));
    }
    for needle in
        ["Connection closed by", "Connection reset by", "kex_exchange_identification", "Broken pipe"]
    {
        if let Some(said) = line(needle) {
            return Some(Trouble::new(ErrorKind::Unavailable, host, said));
        }
    }
    None
}

/// The last words, without what was only asked for to know the host's key.
fn said(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("debug")).collect();
    last_lines(lines.join("\n").as_bytes())
}

/// The end of what a connection's log says, for an error about its loss.
pub(crate) fn last_words(log: &str) -> Option<String> {
    let lines = log.lines().rev().filter(|line| !line.starts_with("debug"));
    let line = lines.into_iter().find(|line| {
        [
            "not responding",
            "Connection to",
            "Connection closed",
            "Connection reset",
            "disconnect",
            "Broken pipe",
            "timed out",
        ]
        .iter()
        .any(|needle| line.contains(needle))
    })?;
    Some(last_lines(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenSSH 9.2 wrote.
    const PRESENTED: &str = "debug1: sshconnect.c:verify_host_key():1477 (pid=15938): Server host key: ssh-ed25519 SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q\n";
    const UNKNOWN: &str = "No ED25519 host key is known for [127.0.0.1]:2231 and you have requested strict checking.\r\nHost key verification failed.\r\n";
    const CHANGED: &str = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
The fingerprint for the ED25519 key sent by the remote host is\nSHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q.\r
Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.\r
Offending ED25519 key in /home/me/.ssh/known_hosts:7\r
Host key for [127.0.0.1]:2231 has changed and you have requested strict checking.\r
Host key verification failed.\r\n";

    fn of(settings: &SshSettings, log: &str) -> Error {
        read(&Host::new("web").unwrap(), settings, log).into()
    }

    #[test]
    fn host_key_trouble_says_which_key_and_which_file() {
        let plain = SshSettings::new();
        let unknown = of(&plain, &format!("{PRESENTED}{UNKNOWN}"));
        assert_eq!(unknown.kind(), ErrorKind::Denied);
        assert_eq!(
            unknown.message(),
            "its host key is not known; it shows ssh-ed25519 SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q"
        );
        assert!(unknown.next_step().unwrap().contains("~/.ssh/known_hosts"), "{unknown}");
        let elsewhere = of(&plain.clone().known_hosts("/etc/kh"), UNKNOWN);
        assert!(elsewhere.next_step().unwrap().contains("/etc/kh"), "{elsewhere}");
        let changed = of(&plain, &format!("{PRESENTED}{CHANGED}"));
        assert_eq!(changed.kind(), ErrorKind::Denied);
        assert!(
            changed.message().starts_with("its host key has changed; it shows ssh-ed25519 SHA256:4SMz"),
            "{changed}"
        );
        assert!(changed.next_step().unwrap().contains("line 7 of /home/me/.ssh/known_hosts"), "{changed}");
        let pinned = plain.host_key(format!("SHA256:{}", "A".repeat(43)).parse().unwrap());
        let pinned = of(&pinned, &format!("{PRESENTED}{UNKNOWN}"));
        assert!(pinned.message().contains("none of those in host_keys; it shows"), "{pinned}");
        assert!(pinned.next_step().unwrap().contains("SHA256:AAAA"), "{pinned}");
    }

    #[test]
    fn the_presented_key_is_told_from_what_follows_without_a_break() {
        let glued = PRESENTED.replace('\n', "Warning: Identity file x not accessible.\n");
        assert_eq!(shown(&glued), Some("ssh-ed25519 SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q"));
        assert_eq!(shown("Server host key: "), None);
    }

    #[test]
    fn each_text_has_its_kind_and_nothing_was_sent() {
        for (log, kind, transient) in [
            ("root@127.0.0.1: Permission denied (publickey).", ErrorKind::Denied, false),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
                ErrorKind::Denied,
                false,
            ),
            (
                "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nme@web: Permission denied (publickey).",
                ErrorKind::Denied,
                false,
            ),
            (
                "ssh: Could not resolve hostname nope.invalid: Name or service not known",
                ErrorKind::NotFound,
                false,
            ),
            (
                "ssh: Could not resolve hostname web: Temporary failure in name resolution",
                ErrorKind::Unavailable,
                true,
            ),
            ("ssh: connect to host 127.0.0.1 port 1: Connection refused", ErrorKind::Unavailable, true),
            ("ssh: connect to host 10.0.0.1 port 22: No route to host", ErrorKind::Unavailable, true),
            ("ssh: connect to host 10.0.0.1 port 22: Connection timed out", ErrorKind::Timeout, true),
            (
                "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out",
                ErrorKind::Timeout,
                true,
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "/home/me/.ssh/config: line 3: Bad configuration option: foobar\n/home/me/.ssh/config: terminating, 1 bad configuration options",
                ErrorKind::Invalid,
                false,
            ),
            ("Bad owner or permissions on /home/me/.ssh/config", ErrorKind::Invalid, false),
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
                ErrorKind::Unsupported,
                false,
            ),
            (
                "SessionManagerPlugin is not found. Please refer to SessionManager Documentation here: …",
                ErrorKind::Unsupported,
                false,
            ),
            (
                "An error occurred (TargetNotConnected) when calling the StartSession operation: i-0 is not connected.",
                ErrorKind::Unavailable,
                true,
            ),
            (
                "sh: 1: exec: aws: not found\nConnection closed by UNKNOWN port 65535",
                ErrorKind::Unsupported,
                false,
            ),
            ("", ErrorKind::Unavailable, true),
            ("something new", ErrorKind::Unavailable, true),
        ] {
            let error = of(&SshSettings::new(), log);
            assert_eq!(
                (error.kind(), error.is_transient(), error.effect()),
                (kind, transient, Effect::None),
                "{log}: {error}"
            );
        }
    }

    #[test]
    fn errors_do_not_act_on_a_terminal() {
        let error = of(&SshSettings::new(), "\u{1b}]0;evil\u{7}Permission denied (publickey)\u{1b}[2J");
        assert!(!error.to_string().contains(|c: char| c.is_control() && c != '\n'), "{error:?}");
    }

    #[test]
    fn a_lost_connection_says_why() {
        assert_eq!(
            last_words(&format!("{PRESENTED}Timeout, server web not responding.\r\n")).unwrap(),
            "Timeout, server web not responding."
        );
        assert_eq!(last_words(PRESENTED), None);
    }
}
