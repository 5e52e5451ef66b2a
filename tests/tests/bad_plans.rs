//! Plans that were edited, expired or overtaken, and people who did not agree.

use std::fs;
use std::os::unix::fs::symlink;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::{Binaries, Result, Site, until};

const BINARIES: Binaries = rollback_tests::binaries!();

#[test]
fn a_plan_that_was_edited_by_hand() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    let plan = fs::read_to_string(site.path("p.json"))?;
    let edits = [
        ("\"v1\"", "\"v0\""),
        ("\"parallel\": 1", "\"parallel\": 9"),
        ("\"hold\"", "\"back\""),
        ("\"caller\": \"", "\"caller\": \"x"),
    ];
    for (from, to) in edits {
        let edited = plan.replacen(from, to, 1);
        assert_ne!(edited, plan, "{from} is not in the plan");
        fs::write(site.path("p.json"), edited)?;
        site.refuses("apply p.json --yes", 3, &["make a new plan"])?;
    }
    site.assert_current("v2");
    fs::write(site.path("p.json"), &plan)?;
    site.run("apply p.json --yes")?.expect(0);
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_file_that_is_no_plan() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for text in ["", "{", "[]", "{}", "no plan", "null"] {
        fs::write(site.path("p.json"), text)?;
        let ran = site.run("apply p.json --yes")?;
        assert!(matches!(ran.code, Some(2 | 3)), "{text:?}: {ran}");
        site.refuses("apply p.json --yes", ran.code.unwrap_or(0), &["plan"])?;
    }
    fs::write(site.path("p.json"), [0xff, 0xfe])?;
    site.refuses("apply p.json --yes", 2, &["plan"])?;
    site.refuses("apply missing.json --yes", 2, &["missing.json"])?;
    Ok(())
}

#[test]
fn a_plan_past_its_expiry() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.configure("[environments.prod]\nrequire_reason = false\nplan_expires_after = \"1s\"\n")?;
    let planned = site.run("plan web --to revision=v1 -o p.json --output json")?.expect(0);
    let plan = &planned.json()["plan"];
    let expires = plan["expires_at"].as_str().or_else(|| plan["plan"]["expires_at"].as_str());
    let expires: jiff::Timestamp = expires.ok_or_else(|| format!("no expiry: {plan:#}"))?.parse()?;
    until("the plan to expire", || (SystemClock.now() > expires).then_some(()))?;
    site.refuses("apply p.json --yes", 3, &["expired", "make a new plan"])?;
    site.assert_current("v2");
    Ok(())
}

#[test]
fn a_plan_that_the_world_overtook() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    // Somebody deploys by hand.
    symlink("releases/v0", site.path("next"))?;
    fs::rename(site.path("next"), site.path("current"))?;
    site.refuses("apply p.json --yes", 3, &["v0"])?;
    site.assert_current("v0");
    Ok(())
}

#[test]
fn a_plan_whose_rules_changed() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    site.configure(
        "[environments.default]\nrequire_reason = false\nsingle_operator = true\ncontacts = [\"x\"]\n",
    )?;
    site.refuses("apply p.json --yes", 3, &["make a new plan"])?;
    Ok(())
}

#[test]
fn nobody_is_asked_without_a_terminal() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.refuses("run web --to revision=v1", 3, &["--yes"])?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    site.refuses("apply p.json", 3, &["--yes"])?;
    Ok(())
}

#[test]
fn a_wrong_phrase() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.configure(
        "[environments.prod]\nconfirm = \"ROLLBACK-PROD\"\nrequire_reason = false\nsingle_operator = true\n",
    )?;
    for flags in ["", "--yes", "--confirm ROLLBACK", "--confirm rollback-prod --yes"] {
        site.refuses(&format!("run web --to revision=v1 {flags}"), 3, &["ROLLBACK-PROD"])?;
    }
    site.run("run web --to revision=v1 --confirm ROLLBACK-PROD")?.expect(0);
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_reason_that_is_demanded() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.configure("[environments.prod]\nrequire_reason = true\n")?;
    site.refuses("run web --to revision=v1 --yes", 3, &["--reason"])?;
    let words = ["run", "web", "--to", "revision=v1", "--yes", "--reason", "v2 is bad"];
    rollback_tests::Running::start(site.command(&words))?.end()?.expect(0);
    assert_eq!(site.runs()?[0]["reason"], "v2 is bad");
    Ok(())
}

#[test]
fn without_a_good_state_the_candidates_are_shown() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let ran = site.run("run web --yes")?.expect(3);
    assert!(ran.out.contains("revision=v1") && ran.out.contains("revision=v0"), "{ran}");
    site.assert_current("v2");
    Ok(())
}
