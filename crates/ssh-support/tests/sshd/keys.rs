//! Who is who: host keys, user keys, the way there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rollback_core::{Effect, Error, ErrorKind};
use rollback_ssh_support::{Command, Connection, Host, Shell, SshSettings};
use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};

use crate::server::Server;

pub(crate) fn suite() -> Suite {
    crate::suite("keys")
        .case("an_unknown_host_key_is_refused_and_shown", true, unknown)
        .case("a_changed_host_key_is_refused_and_its_line_named", true, changed)
        .case("pinned_keys_are_accepted_and_others_refused", true, pinned)
        .case("a_pin_counts_more_than_known_hosts", true, pin_first)
        .case("a_strange_or_missing_user_key_is_refused", true, user_keys)
        .case("ones_own_configuration_counts_except_for_strictness", true, configuration)
        .case("hops_are_taken_and_checked_as_strictly", true, hops)
        .case("a_name_that_nobody_has_is_not_found", true, nobody)
}

async fn refusal(server: &Server, settings: SshSettings) -> Error {
    let error = server.connection_with(settings).open().await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    error
}

fn mentions(error: &Error, texts: &[&str]) -> CaseResult {
    for text in texts {
        ensure(error.to_string().contains(text), format!("{text:?} is not in: {error}"))?;
    }
    Ok(())
}

async fn unknown() -> CaseResult {
    let server = Server::start().await?;
    fs::write(server.path("known_hosts"), "")?;
    let error = refusal(&server, server.settings()).await;
    equal("kind", &error.kind(), &ErrorKind::Denied)?;
    mentions(&error, &["is not known", &server.fingerprint("host"), &server.text("known_hosts")])?;
    equal("known_hosts", &fs::read_to_string(server.path("known_hosts"))?, &String::new())?;
    equal("logins", &server.logins(), &0)
}

async fn changed() -> CaseResult {
    let server = Server::start().await?;
    server.write_known_hosts("known_hosts", "stranger")?;
    let error = refusal(&server, server.settings()).await;
    equal("kind", &error.kind(), &ErrorKind::Denied)?;
    ensure(!error.is_transient(), "not transient")?;
    let line = format!("line 1 of {}", server.text("known_hosts"));
    mentions(&error, &["has changed", &server.fingerprint("host"), &line])?;
    equal("logins", &server.logins(), &0)
}

async fn pinned() -> CaseResult {
    let server = Server::start().await?;
    fs::remove_file(server.path("known_hosts"))?;
    let with = |key: &str| server.settings().host_key(key.parse().unwrap());
    let (right, wrong) = (server.fingerprint("host"), server.fingerprint("stranger"));
    for settings in [
        with(&right),
        with(&wrong).host_key(right.parse()?),
        with(&server.public_key("host")),
        with(&wrong).host_key(server.public_key("host").parse()?),
    ] {
        let host = server.connection_with(settings);
        equal("key", &host.host_key().await?, &Some(right.parse()?))?;
    }
    for settings in [with(&wrong), with(&server.public_key("stranger"))] {
        let error = refusal(&server, settings).await;
        equal("kind", &error.kind(), &ErrorKind::Denied)?;
        mentions(&error, &["none of those in host_keys", &right])?;
    }
    equal("logins", &server.logins(), &4)
}

async fn pin_first() -> CaseResult {
    let server = Server::start().await?;
    let pin = server.fingerprint("stranger").parse()?;
    let error = refusal(&server, server.settings().host_key(pin)).await;
    mentions(&error, &["none of those in host_keys", &server.fingerprint("host")])
}

async fn user_keys() -> CaseResult {
    let server = Server::start().await?;
    let strange = refusal(&server, server.settings().identity_file(server.path("stranger"))).await;
    equal("kind", &strange.kind(), &ErrorKind::Denied)?;
    mentions(&strange, &["Permission denied", "authorized_keys"])?;
    let missing = refusal(&server, server.settings().identity_file(server.path("nothing"))).await;
    equal("kind", &missing.kind(), &ErrorKind::Denied)?;
    mentions(&missing, &["there is no private key"])?;
    fs::set_permissions(server.path("user"), fs::Permissions::from_mode(0o644))?;
    let readable = refusal(&server, server.settings()).await;
    mentions(&readable, &["others can read the private key", "chmod 600"])
}

async fn configuration() -> CaseResult {
    let server = Server::start().await?;
    let text = |known: &str| {
        format!(
            "Host shop\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking no\n  \
             LocalForward 127.0.0.1:1 127.0.0.1:2\n  RemoteCommand exit 9\n  ControlPath none\n",
            server.port(),
            server.text("user"),
            server.text(known),
        )
    };
    let settings = || SshSettings::new().config_file(server.path("config"));
    fs::write(server.path("config"), text("known_hosts"))?;
    let shop = Connection::new(Host::new("shop")?, settings())?;
    equal("answer", &*shop.run(&Command::new("echo").arg("here")).await?.text(), "here")?;
    fs::write(server.path("nobody"), "")?;
    fs::write(server.path("config"), text("nobody"))?;
    let error = Connection::new(Host::new("shop")?, settings())?.open().await.unwrap_err();
    mentions(&error, &["is not known"])?;
    equal("nobody was added", &fs::read_to_string(server.path("nobody"))?, &String::new())?;
    // Without that file it is one's own, where there is one.
    let mut own = server.settings();
    own.config_file = None;
    equal("own files", &server.connection_with(own).run(&Command::new("true")).await?.status, &0)?;
    fs::write(server.path("config"), "Nonsense yes\n")?;
    let error = Connection::new(Host::new("shop")?, settings())?.open().await.unwrap_err();
    equal("kind", &error.kind(), &ErrorKind::Invalid)?;
    mentions(&error, &["Bad configuration option: nonsense", "config_file"])
}

async fn hops() -> CaseResult {
    let (bastion, server) = (Server::start().await?, Server::start().await?);
    fs::write(bastion.path("config"), format!("IdentityFile {}\n", bastion.text("user")))?;
    let hop = format!("127.0.0.1:{}", bastion.port());
    let settings = server.settings().config_file(bastion.path("config")).jump(hop.parse()?);
    let both = format!(
        "{}{}",
        fs::read_to_string(bastion.path("known_hosts"))?,
        fs::read_to_string(server.path("known_hosts"))?
    );
    let only_server = fs::read_to_string(server.path("known_hosts"))?;
    fs::write(server.path("known_hosts"), both)?;
    server.connection_with(settings.clone()).open().await?;
    equal("logins at the bastion", &bastion.logins(), &1)?;
    // The host itself is pinned, and the hop is still a stranger.
    fs::write(server.path("known_hosts"), only_server)?;
    let pin = server.fingerprint("host").parse()?;
    let error = refusal(&server, settings.host_key(pin)).await;
    ensure(error.kind() == ErrorKind::Denied, error.to_string())?;
    mentions(&error, &["is not known"])?;
    equal("logins at the bastion", &bastion.logins(), &1)
}

async fn nobody() -> CaseResult {
    let nowhere =
        Connection::new(Host::new("nowhere.invalid")?, SshSettings::new().config_file("/dev/null"))?;
    let error = nowhere.open().await.unwrap_err();
    // Without a resolver on this machine it may be a passing failure as well.
    ensure(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable), error.to_string())?;
    equal("effect", &error.effect(), &Effect::None)
}
