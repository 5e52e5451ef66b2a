//! ECS that runs, without a driver of ours: what the bed does, and where it is not what AWS documents.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rollback_tests::ecs_bed::{CRASHING, EcsBed, MISSING};
use rollback_tests::servers::need;

fn main() -> ExitCode {
    Suite::new("ecs-real")
        .case("a_good_version_replaces_the_one_before", true, good)
        .case("a_crashing_version_is_taken_back_by_the_circuit_breaker", true, crashing)
        .case("a_version_that_no_registry_has_is_taken_back", true, missing)
        .run()
}

async fn good() -> CaseResult {
    let service = need(EcsBed::shared())?.service(2)?;
    equal("what runs", &service.running_images()?, &vec!["v1".to_owned(); 2])?;
    service.deploy("v2")?;
    service.until_rolled_out("v2")?;
    equal("what answers", &service.answer().as_deref(), &Some("v2"))
}

async fn crashing() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    service.deploy(CRASHING)?;
    ensure(service.running_images()?.contains(&"v1".to_owned()), "the old one stopped")?;
    service.until_rolled_out("v1")?;
    Ok(())
}

async fn missing() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    service.deploy(MISSING)?;
    service.until_rolled_out("v1")?;
    Ok(())
}
