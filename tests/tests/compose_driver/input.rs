//! What cannot be meant, and who is not who they should be: a clear error, a next step, and nothing is changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::hosts::{BAD, Compose, GOOD, Host, Setup};
use rollback_tests::{Ran, Running};

use super::still::{canary, unharmed};
use super::{REFUSED, Shop};

/// The exit code for a configuration that cannot be meant.
const WRONG: i32 = 2;
/// The exit code for what could not be read at all.
const FAILED: i32 = 1;
const RUN: &str = "run web --yes";

/// A host that shows another key than is known, and a key that a host does not take.
pub(super) async fn strangers() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let known_hosts = host.ssh().known_hosts.clone();
    let (right, shows) = (fs::read_to_string(&known_hosts)?, fingerprint(host)?);
    let compare = "compare the fingerprint with the host's own: ssh-keygen -lf /etc/ssh/";

    fs::write(&known_hosts, "")?;
    let unknown = format!("its host key is not known; it shows ssh-ed25519 {shows}");
    shop.refuses(RUN, FAILED, &["connect to host0", &unknown, compare, "known_hosts"])?;
    equal("what is known", &fs::read_to_string(&known_hosts)?, &String::new())?;

    // A key, and not this host's.
    let other = fs::read_to_string(host.ssh().identity_file.with_extension("pub"))?;
    let changed = format!("[{}]:{} {other}", host.ssh().address, host.ssh().port);
    fs::write(&known_hosts, &changed)?;
    let said = format!("its host key has changed; it shows ssh-ed25519 {shows}");
    let line = format!("line 1 of {}", known_hosts.display());
    shop.refuses(RUN, FAILED, &["connect to host0", &said, "somebody may be in between", compare, &line])?;
    equal("what is known", &fs::read_to_string(&known_hosts)?, &changed)?;
    fs::write(&known_hosts, right)?;

    let config = other_key(&shop, host)?;
    let given = format!("{:?}", shop.bed.ssh_config());
    shop.with(&given, &format!("{config:?}"))?;
    shop.refuses(
        RUN,
        FAILED,
        &["connect to host0", "Permission denied (publickey)", "`ssh-add -l` lists the agent's keys"],
    )?;
    shop.with(&format!("{config:?}"), &given)?;
    unknown_destinations(&shop)?;
    // It is the same shop all the while.
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}

/// What nobody has: those are told that there are.
fn unknown_destinations(shop: &Shop) -> CaseResult {
    let (good, bad) = (short(shop, GOOD)?, short(shop, BAD)?);
    for (to, what) in [
        ("version=nobody-has-it", "there is no version nobody-has-it"),
        ("revision=000000000000", "there is no revision 000000000000"),
    ] {
        let texts = ["find the destination", what, "there are, newest first: ", &good, &bad];
        shop.refuses(&format!("run web --to {to} --yes"), FAILED, &texts)?;
    }
    Ok(())
}

/// The beginning of a version's digest, as revisions are called.
pub(crate) fn short(shop: &Shop, version: &str) -> Result<String, Failure> {
    let digest = shop.bed.registry.digest("backend", version)?;
    Ok(digest.trim_start_matches("sha256:").get(..12).unwrap_or_default().to_owned())
}

fn fingerprint(host: &Host) -> Result<String, Failure> {
    let ran = host.run_as_root("ssh-keygen -lf /run/bed/hosts/0/host_key.pub")?;
    Ok(ran.out.split_whitespace().nth(1).unwrap_or("no fingerprint").to_owned())
}

/// A configuration of SSH that offers a key which nobody gave to the host.
fn other_key(shop: &Shop, host: &Host) -> Result<std::path::PathBuf, Failure> {
    let (key, config) = (shop.site.path("other_key"), shop.site.path("other_config"));
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f"], &key)?;
    let text = fs::read_to_string(shop.bed.ssh_config())?;
    let mine = host.ssh().identity_file.display().to_string();
    ensure(text.contains(&mine), format!("no {mine} in {text}"))?;
    fs::write(&config, text.replace(&mine, &key.display().to_string()))?;
    Ok(config)
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Result<Ran, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    Ok(Running::start(command)?.end()?.expect(0))
}

/// A project that compose cannot read any more, by either compose, and one that does not have the service.
pub(super) async fn unreadable() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2).compose_each(&[Compose::V2, Compose::V1]), "")?;
    shop.deploy_badly()?;
    for host in &shop.bed.hosts {
        let (file, gone) = (host.path("app/docker-compose.yml"), host.path("app/gone"));
        let cannot = format!("({} cannot read the project there)", host.compose_command());
        let begin = format!("{}: ", host.name());
        let next = "set `directory`, `files` and `compose_v1` as the project is deployed with";
        fs::rename(&file, &gone)?;
        let ran = shop.refuses(RUN, REFUSED, &[&begin, "docker-compose.yml", &cannot, next])?;
        ensure(said(&ran).contains("no such file"), format!("{ran}"))?;
        fs::write(&file, "services:\n  backend: [\n")?;
        let ran = shop.refuses(RUN, REFUSED, &[&begin, &cannot, next])?;
        ensure(said(&ran).contains("yaml") || said(&ran).contains("line 2"), format!("{ran}"))?;
        fs::rename(&gone, &file)?;
    }
    shop.with("\"backend\"", "\"backnd\"")?;
    let none = "host0: the project app has no service backnd";
    shop.refuses(RUN, WRONG, &[none, "correct `services`; there are: ", "backend", "cache"])?;
    shop.refuses("status web", WRONG, &[none])?;
    shop.with("\"backnd\"", "\"backend\"")?;
    shop.with("project = ", "projcet = ")?;
    shop.refuses(RUN, WRONG, &["projcet", "project"])?;
    shop.with("projcet = ", "project = ")?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}

fn said(ran: &Ran) -> String {
    format!("{}\n{}", ran.out, ran.err).to_lowercase()
}

/// Names that a shell, compose or ssh would read as more than names.
pub(super) async fn quoting() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    in_settings(&shop)?;
    on_hosts(&shop)?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}

fn in_settings(shop: &Shop) -> CaseResult {
    let touch = canary(shop);
    let ssh = "ssh = { ";
    for (from, to) in [
        ("project = \"app\"", format!("project = \"app;{touch}\"")),
        ("project = \"app\"", format!("project = \"$({touch})\"")),
        ("[\"backend\"]", format!("[\"$({touch})\"]")),
        ("[\"backend\"]", format!("[\"backend';{touch};'\"]")),
        ("[\"backend\"]", "[\"--help\"]".to_owned()),
        ("[\"host0\"]", format!("[\"-oProxyCommand={touch}\"]")),
        ("[\"host0\"]", format!("[\"host0;{touch}\"]")),
        ("[\"host0\"]", format!("[\"deploy@host0`{touch}`\"]")),
        (ssh, format!("{ssh}jump = [\"-oProxyCommand={touch}\"], ")),
        (ssh, format!("{ssh}user = \"-oProxyCommand={touch}\", ")),
        (ssh, format!("{ssh}identity_file = \"/a\\\" -oProxyCommand={touch}\", ")),
        (ssh, format!("directory = \"app$({touch})\"\n{ssh}")),
        (ssh, format!("files = [\"-f\\n;{touch}\"]\n{ssh}")),
    ] {
        shop.with(from, &to)?;
        let ran = shop.refuses(RUN, WRONG, &[])?;
        ensure(ran.err.contains("next"), format!("{to}: no next step: {ran}"))?;
        shop.with(&to, from)?;
    }
    // These may be called so; they are names all the same.
    for setting in [
        format!("directory = \"/home/deploy/$({touch})\""),
        format!("files = [\"';{touch};'.yml\"]"),
        format!("env_file = \"`{touch}`\""),
    ] {
        let to = format!("{setting}\n{ssh}");
        shop.with(ssh, &to)?;
        shop.refuses(RUN, REFUSED, &["host0: ", "cannot read the project there"])?;
        shop.with(&to, ssh)?;
    }
    // As one word: no space in it.
    let word = touch.replace(' ', "${IFS}");
    for to in [format!("version=$({word})"), format!("revision=;{word};"), format!("version='`{word}`'")] {
        let ran = shop.site.run(&format!("run web --to {to} --yes"))?;
        ensure(matches!(ran.code, Some(1 | 2)) && ran.err.contains("next"), format!("{to}: {ran}"))?;
    }
    unharmed(shop)
}

/// What comes back from a host: labels that somebody wrote, and the host's own name.
fn on_hosts(shop: &Shop) -> CaseResult {
    let (host, touch) = (&shop.bed.hosts[0], canary(shop));
    let image = format!("{}:latest", shop.bed.registry.repository("backend"));
    let label = |name: &str, value: &str| format!("--label 'com.docker.compose.{name}={value}' ");
    let mark = |service: &str, folder: &str, files: &str, version: &str| -> CaseResult {
        let labels = [
            label("project", "app"),
            label("service", service),
            label("project.working_dir", folder),
            label("project.config_files", files),
            label("project.environment_file", &format!("`{touch}`")),
            label("version", version),
        ];
        let ran =
            host.run(&format!("docker run -d --network none --name hostile {}{image}", labels.concat()))?;
        ensure(ran.code == Some(0), format!("{ran}"))
    };
    let away = || host.run("docker rm -f hostile").map(drop);
    let app = "/home/deploy/app";
    for (folder, files, version) in [
        (format!("/home/deploy/$({touch})"), "a.yml".to_owned(), "2.26.1".to_owned()),
        (format!("{app}; {touch}"), format!("$({touch}).yml"), format!("1.$({touch})")),
        (app.to_owned(), format!("{app}/docker-compose.yml;{touch},--help"), format!("`{touch}`")),
        (app.to_owned(), format!("$({touch})"), "2.26.1".to_owned()),
    ] {
        mark("backend", &folder, &files, &version)?;
        shop.refuses(RUN, REFUSED, &["host0: ", "cannot read the project there"])?;
        away()?;
    }
    // What no path is is not taken for one.
    mark("backend", "app\u{1b}[2J", "a.yml", "2.26.1")?;
    let ran = shop.refuses(
        RUN,
        REFUSED,
        &["no container says in which folder it was deployed", "set `directory`"],
    )?;
    ensure(!said(&ran).contains('\u{1b}'), "control characters are shown")?;
    away()?;
    // A service that cannot be one is none, and the machine may call itself whatever it likes.
    mark(&format!("x;{touch}"), app, "docker-compose.yml", "2.26.1")?;
    host.run_as_root(&format!("printf %s '$({touch})' >/proc/sys/kernel/hostname"))?;
    shop.run("status web", 0)?;
    host.run_as_root("printf %s host0 >/proc/sys/kernel/hostname")?;
    away()?;
    unharmed(shop)
}
