//! What has to be pulled first, and what a name stands for: nothing but the wanted image is ever accepted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{BAD, GOOD, OLDER, Setup};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};

use super::input::short;
use super::still::Still;
use super::{REFUSED, Shop};

/// The exit code of a run that did not reach its destination, with the origin proven.
const ORIGIN: i32 = 4;
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const RUN: &str = "run web --yes";

/// One of two hosts lacks the image, and the registry is away, or hands out another one for its digest.
pub(super) async fn refused() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2), "")?;
    shop.deploy_badly()?;
    let (registry, lacking) = (&shop.bed.registry, &shop.bed.hosts[1]);
    lacking.run("docker image prune -af")?.expect(0);
    registry.front().down();
    // host0 has it, and would be the first.
    shop.refuses(RUN, ORIGIN, &["host1: ", "look at the errors, then plan again"])?;
    registry.front().up();

    let other = Answer::new(200).body(MANIFEST, registry.manifest("backend", OLDER)?);
    let digest = registry.digest("backend", GOOD)?;
    let rule = Rule::new(Fault::Answer(other)).path(&format!("*/backend/manifests/{digest}"));
    registry.front().faults(Faults::none().rule(rule));
    let texts = ["host1: ", "verification failed", "hands out something else than this digest stands for"];
    shop.refuses(RUN, ORIGIN, &texts)?;
    let injected = registry.front().counts().get("answer 200").copied().unwrap_or_default();
    ensure(injected > 0, "the registry was never asked for it")?;
    registry.front().faults(Faults::none());

    ambiguous(&shop)?;
    // Somebody else's tags are no matter to a digest, and stay where they are.
    for host in &shop.bed.hosts {
        let all = format!(
            "docker tag {0}:{OLDER} {0}:latest && docker tag {0}:{OLDER} {0}:{GOOD}",
            registry.repository("backend")
        );
        host.run(&format!("docker pull -q {}:{OLDER} && {all}", registry.repository("backend")))?.expect(0);
    }
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}

/// Two hosts mean different images by one tag.
fn ambiguous(shop: &Shop) -> CaseResult {
    let (name, hosts) = (shop.bed.registry.repository("backend"), &shop.bed.hosts);
    hosts[0].run(&format!("docker pull -q {name}:{GOOD}"))?.expect(0);
    hosts[1]
        .run(&format!("docker pull -q {name}:{OLDER} && docker tag {name}:{OLDER} {name}:{GOOD}"))?
        .expect(0);
    let (good, older) = (short(shop, GOOD)?, short(shop, OLDER)?);
    let said = format!("{name}:{GOOD} names different images: ");
    let texts = [said.as_str(), &good, &older, "say which by its digest: --to revision="];
    shop.refuses(&format!("run web --to version={GOOD} --yes"), REFUSED, &texts).map(drop)
}

/// A compose that brings another image up than it was told.
pub(super) async fn another_image() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let name = shop.bed.registry.repository("backend");
    host.run(&format!("docker pull -q {name}:{OLDER}"))?.expect(0);
    let plugin = host.path(".docker/cli-plugins/docker-compose");
    fs::remove_file(&plugin)?;
    let script = format!(
        "#!/bin/sh\nreal=/run/tools/compose-v2\ncase \" $* \" in *' up '*)\n  docker tag {name}:{OLDER} {name}:latest\n  \
         cd /home/deploy/app && exec $real compose up --detach --no-deps backend ;;\nesac\nexec $real \"$@\"\n"
    );
    fs::write(&plugin, script)?;
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755))?;
    let (before, neighbour) = (Still::of(&shop)?, super::neighbour(host)?);
    let ran = shop.site.run(RUN)?;
    ensure(matches!(ran.code, Some(4..=7)) && !ran.out.contains("restored"), format!("{ran}"))?;
    let older = short(&shop, OLDER)?;
    ensure(ran.out.contains(&older), format!("what runs is not said: {ran}"))?;
    equal("the second host", &Still::of(&shop)?.on("host1"), &before.on("host1"))?;
    equal("the neighbour", &super::neighbour(host)?, &neighbour)?;
    equal("what host1 serves", &shop.bed.hosts[1].answer(), &Some((500, BAD.to_owned())))
}
