//! Gates that ask the real service over HTTP after the rollback.

use std::fs;

use rollback_tests::{Binaries, Result, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

/// A gate that asks a service on a port that is fixed when the gate is written: `front` is a second site's service.
fn gated(front: &Site) -> Result<Site> {
    let site = Site::plain(BINARIES)?;
    let port = fs::read_to_string(front.path("port"))?;
    site.configure(&format!(
        "[[gates]]\nname = \"health\"\ncomponent = \"web\"\n\
         probe = {{ kind = \"http\", url = \"http://127.0.0.1:{port}/\" }}\n\
         rule = {{ within = \"2s\", every = \"50ms\" }}\n"
    ))?;
    Ok(site)
}

#[test]
fn a_gate_that_passes() -> Result<()> {
    let front = Site::served(BINARIES)?;
    front.run("run web --to revision=v1 --yes")?.expect(0);
    assert_eq!(front.served_page()?, "v1 good");
    let site = gated(&front)?;
    let ran = site.run("run web --to revision=v1 --yes --output json")?.expect(0);
    let document = ran.json();
    assert_eq!(document["state"], "restored", "{ran}");
    let gate = &document["report"]["components"]["web"]["gates"][0];
    assert_eq!((&gate["name"], &gate["passed"]), (&"health".into(), &true.into()), "{gate:#}");
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_gate_that_fails() -> Result<()> {
    // It answers 500: the release that it was started from is bad.
    let front = Site::served(BINARIES)?;
    let site = gated(&front)?;
    let ran = site.run("run web --to revision=v1 --yes --output json")?.expect(8);
    let document = ran.json();
    assert_eq!((&document["state"], &document["exit"]), (&"restored-unhealthy".into(), &8.into()), "{ran}");
    let gate = &document["report"]["components"]["web"]["gates"][0];
    assert_eq!((&gate["name"], &gate["passed"]), (&"health".into(), &false.into()), "{gate:#}");
    assert!(gate["detail"].as_str().is_some_and(|detail| detail.contains("500")), "what was seen: {gate:#}");
    // The identity is proven, and it is said that this is not enough.
    site.assert_current("v1");
    assert_eq!(site.runs()?[0]["state"], "restored-unhealthy");
    Ok(())
}

#[test]
fn a_gate_that_cannot_be_asked_fails() -> Result<()> {
    let front = Site::served(BINARIES)?;
    let site = gated(&front)?;
    drop(front);
    let ran = site.run("run web --to revision=v1 --yes")?.expect(8);
    assert!(ran.out.contains("health: FAILED"), "{ran}");
    Ok(())
}
