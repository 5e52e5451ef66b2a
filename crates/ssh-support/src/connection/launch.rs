//! Starting the `ssh` process that holds a connection open.
//!
//! The `openssh` crate can start one too; it takes no options of its own, though, keeps no process id to stop an attempt by, and leaves the
//! waiting to `ssh`. It documents this as the other way: a folder with the socket `master` in it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rollback_core::time::{Clock, Lasting, within};
use rollback_core::{ErrorKind, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::names::Host;
use crate::settings::SshSettings;
use crate::trouble::{self, Trouble};

/// How long logging in may take, on top of what connecting may: no option of `ssh` bounds it.
const LOGIN: Duration = Duration::from_secs(20);
/// How long a connection that nobody uses stays. What a killed process leaves behind ends by itself then.
const IDLE: Duration = Duration::from_secs(120);
/// The longest path of the private folder. `ssh` adds 25 bytes for a moment, and a Unix socket's path has 104 at most (108 on Linux).
const LONGEST_FOLDER: usize = 75;
/// The most of a log that is read.
const LOG: u64 = 64 * 1024;

/// Connects and logs in. The folder holds the control socket `master`, and the log.
pub(super) async fn launch(
    host: &Host,
    settings: &SshSettings,
    clock: &dyn Clock,
) -> Result<TempDir, Trouble> {
    let broken = |error: io::Error| {
        let message = format!("a private folder for the connection cannot be made: {error}");
        Trouble::new(ErrorKind::Other, host, message)
    };
    let folder = folder().map_err(broken)?;
    let command = command(host, settings, folder.path()).map_err(broken)?;
    match attempt(command, time_for(settings), clock).await {
        Ok(true) => Ok(folder),
        Ok(false) => Err(trouble::read(host, settings, &log(folder.path()))),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let limit = Lasting::new(time_for(settings));
            let said = log(folder.path());
            let why = trouble::last_words(&said).map_or(String::new(), |why| format!(": {why}"));
            Err(Trouble::new(ErrorKind::Timeout, host, format!("no login within {limit}{why}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Trouble::new(ErrorKind::Unsupported, host, "there is no `ssh` on this machine")
                .next("install the OpenSSH client"))
        }
        Err(error) => {
            Err(Trouble::new(ErrorKind::Other, host, format!("ssh cannot be started: {error}")).lasting())
        }
    }
}

fn time_for(settings: &SshSettings) -> Duration {
    let hops = u32::try_from(settings.jump.len()).unwrap_or(u32::MAX).saturating_add(1);
    settings.connect_timeout.as_duration().saturating_mul(hops).saturating_add(LOGIN)
}

/// Whether it logged in: it goes to the background then, and this process of it ends.
async fn attempt(mut command: Command, limit: Duration, clock: &dyn Clock) -> io::Result<bool> {
    // Killed where this is dropped or takes too long. What it started in turn, a ProxyCommand, sees its pipes close.
    let mut child = command.kill_on_drop(true).spawn()?;
    match within(clock, limit, child.wait()).await {
        Some(status) => Ok(status?.success()),
        None => {
            child.kill().await?;
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

/// The end of what `ssh`, its hops and proxies wrote.
pub(super) fn log(folder: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(folder.join("log"))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG)))?;
        let mut end = Vec::new();
        file.take(LOG).read_to_end(&mut end)?;
        Ok(end)
    };
    read().map_or(String::new(), |end| String::from_utf8_lossy(&end).into_owned())
}

/// A folder of ours alone, whose path is short enough for a socket.
fn folder() -> io::Result<TempDir> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = [runtime, Some(std::env::temp_dir()), Some(PathBuf::from("/tmp"))];
    let mut failure = io::Error::other("no temporary folder has a path that is short enough for a socket");
    for place in places.into_iter().flatten().filter(|place| is_simple(place)) {
        let mut builder = tempfile::Builder::new();
        match builder.prefix("rollback-ssh.").permissions(Permissions::from_mode(0o700)).tempdir_in(&place) {
            Ok(folder) if folder.path().as_os_str().len() <= LONGEST_FOLDER => return Ok(folder),
            Ok(_) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Nothing that `ssh` or a shell would read as more than a path: it stands in options and in a ProxyCommand.
fn is_simple(path: &Path) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    path.is_absolute() && path.to_str().is_some_and(|path| path.chars().all(simple))
}

fn private_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn command(host: &Host, settings: &SshSettings, folder: &Path) -> io::Result<Command> {
    private_file(&folder.join("config"), &config(settings))?;
    let log = OpenOptions::new().append(true).create_new(true).mode(0o600).open(folder.join("log"))?;
    let mut command = Command::new("ssh");
    // A group of its own: Ctrl-C at a terminal is for us, and we end connections in our own time.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.arg("-F").arg(folder.join("config")).arg("-E").arg(folder.join("log"));
    command.arg("-M").arg("-S").arg(folder.join("master")).args(["-f", "-N", "-T"]);
    for option in options(settings, folder)? {
        command.arg("-o").arg(option);
    }
    if let Some(user) = &settings.user {
        command.args(["-l", user.as_str()]);
    }
    if let Some(port) = settings.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(key) = &settings.identity_file {
        command.args(["-o", "IdentitiesOnly=yes"]).arg("-i").arg(key);
    }
    command.args(["--", host.as_str()]);
    Ok(command)
}

/// What holds for each hop on the way: `ssh` hands its configuration file to the hops, and its options not. What is said first counts.
fn config(settings: &SshSettings) -> String {
    let mut text =
        "Host *\n  BatchMode yes\n  StrictHostKeyChecking yes\n  VerifyHostKeyDNS no\n  UpdateHostKeys no\n"
            .to_owned();
    text.push_str(&format!("  ConnectTimeout {}\n", settings.connect_timeout.as_duration().as_secs()));
    if let Some(file) = &settings.known_hosts {
        text.push_str(&format!(
            "  UserKnownHostsFile \"{}\"\n  GlobalKnownHostsFile /dev/null\n",
            file.display()
        ));
    }
    match &settings.config_file {
        Some(none) if none == Path::new("/dev/null") => {}
        Some(file) => text.push_str(&format!("  Include \"{}\"\n", file.display())),
        None => text.push_str("  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n"),
    }
    text
}

/// What holds for the host itself only.
fn options(settings: &SshSettings, folder: &Path) -> io::Result<Vec<String>> {
    let mut options: Vec<String> = [
        // OpenSSH knows these from 8.5 on. Without the first, errors do not name the key that a host showed; without the second, no
        // pinned fingerprint is found, and the host refused.
        "IgnoreUnknown=LogVerbose,KnownHostsCommand",
        "LogVerbose=sshconnect.c:verify_host_key():*",
        "LogLevel=INFO",
        // What people configure for their terminals.
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "RequestTTY=no",
        "ServerAliveCountMax=3",
    ]
    .map(str::to_owned)
    .into();
    options.push(format!("ControlPersist={}", IDLE.as_secs()));
    options.push(format!("ServerAliveInterval={}", settings.keepalive.as_duration().as_secs()));
    if let Some(proxy) = proxy(settings, folder)? {
        // What a proxy says goes nowhere, for connections that stay: here it is what errors are made of.
        options.push(format!("ProxyCommand={proxy} 2>> {}", folder.join("log").display()));
    }
    if !settings.host_keys.is_empty() {
        options.extend(pins(settings, folder)?);
    }
    Ok(options)
}

/// The command that makes the way to the host. For hops it is the one that `ssh -J` makes itself.
fn proxy(settings: &SshSettings, folder: &Path) -> io::Result<Option<String>> {
    if let Some(way) = &settings.via_ssm {
        return way.proxy_command().map(Some).map_err(|error| io::Error::other(error.to_string()));
    }
    let Some((last, before)) = settings.jump.split_last() else { return Ok(None) };
    let mut words = vec!["ssh".to_owned(), "-F".to_owned(), folder.join("config").display().to_string()];
    if let Some(user) = last.user() {
        words.extend(["-l".to_owned(), user.to_string()]);
    }
    if let Some(port) = last.port() {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if !before.is_empty() {
        let hops: Vec<_> = before.iter().map(ToString::to_string).collect();
        words.extend(["-J".to_owned(), hops.join(",")]);
    }
    words.push(format!("-W '[%h]:%p' -- {}", last.host()));
    Ok(Some(words.join(" ")))
}

/// Whole keys are a list of known hosts. Of fingerprints, a script tells `ssh` the key that it just saw as a known one if it is among them.
fn pins(settings: &SshSettings, folder: &Path) -> io::Result<Vec<String>> {
    let (prints, keys): (Vec<_>, Vec<_>) = settings.host_keys.iter().partition(|key| key.is_fingerprint());
    let known: String = keys.iter().map(|key| format!("* {key}\n")).collect();
    private_file(&folder.join("known_hosts"), &known)?;
    let mut options = vec![
        format!("UserKnownHostsFile={}", folder.join("known_hosts").display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "CheckHostIP=no".to_owned(),
    ];
    let command = if prints.is_empty() {
        "none".to_owned()
    } else {
        // Base64 and a colon: nothing there that a shell's pattern would read as more.
        let prints: Vec<_> = prints.iter().map(ToString::to_string).collect();
        let script =
            format!("case $1 in\n{}) printf '%s %s %s\\n' \"$2\" \"$3\" \"$4\" ;;\nesac\n", prints.join("|"));
        private_file(&folder.join("pins"), &script)?;
        format!("/bin/sh {} %f %H %t %K", folder.join("pins").display())
    };
    options.push(format!("KnownHostsCommand={command}"));
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(settings: &SshSettings) -> (Vec<String>, TempDir) {
        let folder = folder().unwrap();
        let command = command(&Host::new("web").unwrap(), settings, folder.path()).unwrap();
        let words = command.as_std().get_args().map(|word| word.to_str().unwrap().to_owned());
        (words.collect(), folder)
    }

    #[test]
    fn the_folder_is_private_and_its_path_short() {
        let (_, folder) = arguments(&SshSettings::new());
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(folder.path().as_os_str().len() <= LONGEST_FOLDER);
        for file in ["config", "log"] {
            assert_eq!(fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn whatever_is_set_hosts_are_checked_strictly_and_nobody_is_asked() {
        let hop = || "admin@bastion:2222".parse().unwrap();
        for settings in [
            SshSettings::new(),
            SshSettings::new().config_file("/etc/mine").jump(hop()),
            SshSettings::new().config_file("/dev/null").known_hosts("/etc/kh"),
        ] {
            let (words, folder) = arguments(&settings);
            let config = fs::read_to_string(folder.path().join("config")).unwrap();
            let first = config.find("Include").unwrap_or(config.len());
            let ours = &config[..first];
            assert!(ours.contains("BatchMode yes") && ours.contains("StrictHostKeyChecking yes"), "{config}");
            assert_eq!(words[words.len() - 2..], ["--", "web"]);
            assert!(!words.join(" ").contains("accept-new"));
            let hop = "-l admin -p 2222 -W '[%h]:%p' -- bastion 2>> /";
            assert_eq!(words.join(" ").contains(hop), !settings.jump.is_empty(), "{words:?}");
        }
        assert!(!config(&SshSettings::new().config_file("/dev/null")).contains("Include"));
    }

    #[test]
    fn pins_are_the_only_keys() {
        let print = format!("SHA256:{}", "A".repeat(43));
        let (words, folder) = arguments(&SshSettings::new().host_key(print.parse().unwrap()));
        assert_eq!(fs::read_to_string(folder.path().join("known_hosts")).unwrap(), "");
        assert!(fs::read_to_string(folder.path().join("pins")).unwrap().contains(&format!("\n{print}) ")));
        let all = words.join("\n");
        assert!(
            all.contains("GlobalKnownHostsFile=/dev/null") && all.contains("KnownHostsCommand=/bin/sh /"),
            "{all}"
        );
    }
}
