//! The command with the ECS driver, where tasks are containers: what it says runs is what Docker says runs.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::ecs_bed::{CRASHING, EcsBed, EcsService, MISSING};
use rollback_tests::proxy::{Fault, Faults, Proxy, Rule};
use rollback_tests::servers::need;
use rollback_tests::{Binaries, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

fn main() -> ExitCode {
    Suite::new("ecs-driver").case("a_version_that_is_bad_goes_back_to_the_one_before", true, back).run()
}

struct Shop {
    service: EcsService,
    proxy: Proxy,
    site: Site,
}

impl Shop {
    fn new() -> Result<Self, Failure> {
        let bed = need(EcsBed::shared())?;
        let service = bed.service(1)?;
        let proxy = Proxy::http(("127.0.0.1", bed.ministack().server().port()))?;
        let site =
            Site::plain(BINARIES)?.with_environment(service.account().behind(proxy.port()).environment());
        site.write_configuration(&format!(
            "[components.web]\ndriver = \"ecs\"\ncluster = \"{}\"\nservice = \"{}\"\n",
            service.cluster(),
            service.name()
        ))?;
        Ok(Self { service, proxy, site })
    }
}

async fn back() -> CaseResult {
    let shop = Shop::new()?;
    let show = |title: &str, lines: &[&str]| {
        eprintln!("=================== {title}");
        for line in lines {
            let before = shop.proxy.log().len();
            let ran = shop.site.run(line).unwrap();
            eprintln!("$ {line}\n{:?}\n{}\n{}", ran.code, ran.out, ran.err);
            let log = shop.proxy.log();
            eprintln!(
                "{:?}",
                log[before..]
                    .iter()
                    .map(|e| e.operation.clone().unwrap_or(e.path.clone()))
                    .collect::<Vec<_>>()
            );
        }
        eprintln!("runs {:?}", shop.service.running_images());
    };
    shop.service.deploy("v2")?;
    shop.service.until_rolled_out("v2")?;
    show("good", &["check", "status", "history web"]);
    shop.service.deploy(CRASHING)?;
    show("crashing now", &["status"]);
    shop.service.until_rolled_back("v2")?;
    show("after breaker", &["status", "history web", "plan web --to previous"]);
    show("to crashing", &["run web --to revision=3 --yes"]);
    shop.service.deploy(MISSING)?;
    shop.service.until_rolled_out("v2")?;
    show("to missing", &["run web --to revision=4 --yes"]);
    shop.service.circuit_breaker(false)?;
    shop.service.deploy(CRASHING)?;
    rollback_tests::pause(std::time::Duration::from_secs(1));
    show("without breaker", &["status", "run web --to previous --yes"]);
    Ok(())
}
