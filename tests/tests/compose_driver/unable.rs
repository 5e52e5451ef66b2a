//! What a host does not have, or has no room for: said with its name and what to do, and nothing is changed.

use rollback_testkit::harness::{CaseResult, ensure};
use rollback_tests::hosts::{GOOD, Host, Setup};

use super::Shop;

/// The exit code of a run that did not reach its destination, with the origin proven.
const ORIGIN: i32 = 4;
const RUN: &str = "run web --yes";

/// No docker at all, one that the user may not use, and one that does not run.
pub(super) async fn docker() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    // As this host sees its programs.
    root(
        host,
        "for file in /usr/local/bin/docker /usr/bin/docker; do [ ! -e $file ] || mount --bind /dev/null $file; done; ! docker",
    )?;
    shop.refuses(RUN, 3, &["host0: there is no docker command", "install docker there"])?;
    root(host, "umount -q /usr/local/bin/docker /usr/bin/docker; docker version")?;

    let group = |from: &str, to: &str| {
        let file = "/run/bed/etc/group";
        root(
            host,
            &format!(
                "sed 's/^docker:x:900:{from}$/docker:x:900:{to}/' {file} >{file}.new && cat {file}.new >{file} && grep -q '900:{to}$' {file}"
            ),
        )
    };
    group("deploy", "")?;
    let texts = ["host0: ", "permission denied", "add the user to the group `docker` there"];
    shop.refuses(RUN, 1, &texts)?;
    group("", "deploy")?;

    host.stop_docker()?;
    let ran =
        shop.says(RUN, 1, &["host0: ", "Cannot connect to the Docker daemon", "systemctl start docker"])?;
    ensure(!ran.out.contains("restored"), format!("{ran}"))?;
    host.start_docker()?;
    host.until_answers(500, rollback_tests::hosts::BAD)?;
    shop.rests()?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}

fn root(host: &Host, script: &str) -> CaseResult {
    let ran = host.run_as_root(script)?;
    ensure(ran.code == Some(0), format!("{script}: {ran}"))
}

/// No room for the image, for what keeps the job, and for the file with the pin.
pub(super) async fn room() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let digest = shop.bed.registry.digest("backend", GOOD)?;
    let image = format!("{}@{digest}", shop.bed.registry.repository("backend"));
    let full = ["no space left on device", "its disk is full: free space there"];

    host.run("docker image prune -af")?.expect(0);
    host.fill_disk()?;
    shop.refuses(RUN, ORIGIN, &[&["host0: "], &full[..]].concat())?;
    host.free_disk()?;
    host.run(&format!("docker pull -q {image}"))?.expect(0);

    host.fill_disk()?;
    let no_folder =
        ["on host0", "the jobs' folder cannot be written: no space, or no permission", "see `df ~` there"];
    shop.refuses(RUN, ORIGIN, &no_folder)?;
    host.free_disk()?;

    // A device on which there is never room.
    let pins = host.path(".local/state/rollback/pins");
    host.run(
        "mkdir -p ~/.local/state/rollback/pins && ln -s /dev/full ~/.local/state/rollback/pins/app.yaml.new",
    )?
    .expect(0);
    let no_pin =
        ["on host0", "the file with the pin could not be written", "No space left on device", full[1]];
    shop.refuses(RUN, ORIGIN, &no_pin)?;
    std::fs::remove_file(pins.join("app.yaml.new"))?;
    root(host, "chown 0:0 /home/deploy/.local/state/rollback/pins")?;
    let no_pin = [
        "the file with the pin could not be written",
        "Permission denied",
        "who owns ~/.local/state/rollback",
    ];
    shop.refuses(RUN, ORIGIN, &no_pin)?;
    root(host, "chown 1000:1000 /home/deploy/.local/state/rollback/pins")?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}
