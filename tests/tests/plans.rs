//! Plans that one process makes and another applies, runs that are stopped, and what comes after.

use std::fs;

use rollback_tests::{Binaries, Result, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

/// A restart that waits for the file `go`, and ends with the site at the latest.
const SLOW: &str = "echo restarted >> restarts; while [ -d releases -a ! -e go ]; do sleep 0.02; done";

#[test]
fn a_plan_is_applied_by_another_process() -> Result<()> {
    let site = Site::served(BINARIES)?;
    let planned = site.run("plan web --to revision=v1 -o p.json --output json")?.expect(0);
    let digest = planned.json()["plan"]["digest"].as_str().ok_or("no digest")?.to_owned();
    site.assert_current("v2");
    site.refuses("plan web --to revision=v1 -o p.json", 3, &["p.json exists", "--force"])?;
    let ran = site.run(&format!("apply p.json --yes --digest {digest} --output json"))?.expect(0);
    assert_eq!(ran.json()["report"]["plan"], digest.as_str(), "what was approved is what ran: {ran}");
    site.assert_current("v1");
    assert_eq!(site.served_page()?, "v1 good");
    site.refuses(&format!("apply p.json --yes --digest {digest}"), 3, &["v1"])?;
    Ok(())
}

#[test]
fn another_digest_is_not_approved() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let planned = site.run("plan web --to revision=v0 -o q.json --output json")?.expect(0);
    let other = planned.json()["plan"]["digest"].as_str().ok_or("no digest")?.to_owned();
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    site.refuses(&format!("apply p.json --yes --digest {other}"), 3, &["digest"])?;
    site.refuses("apply p.json --yes --digest nonsense", 2, &["--digest"])?;
    Ok(())
}

#[test]
fn a_run_that_is_interrupted_says_where_it_stopped() -> Result<()> {
    let site = Site::restarted_by(BINARIES, SLOW)?;
    let running = site.start("run web --to revision=v1 --yes --output json")?;
    running.until_said("running the restart command")?;
    running.signal("INT")?;
    running.until_said("stopping at the next safe point")?;
    fs::write(site.path("go"), "")?;
    let ran = running.end()?.expect(7);
    let document = ran.json();
    assert_eq!((&document["state"], &document["exit"]), (&"cancelled".into(), &7.into()), "{ran}");
    let web = &document["report"]["components"]["web"];
    let outcomes: Vec<_> =
        web["steps"].as_array().into_iter().flatten().map(|step| step["outcome"].clone()).collect();
    assert_eq!(outcomes.first(), Some(&"applied".into()), "it says how far it came: {web:#}");
    assert!(web["next"].as_array().is_some_and(|next| !next.is_empty()), "what to do now: {web:#}");
    assert!(!web["summary"].as_str().unwrap_or_default().is_empty(), "{web:#}");
    site.assert_current("v1");

    // A run that ended says the same again, and a new one goes on from here.
    let run = document["report"]["run"].as_str().ok_or("no run")?;
    site.run(&format!("resume {run}"))?.expect(7);
    site.run("resume")?.expect(1).says("no run is unfinished");
    site.run("run web --to revision=v0 --yes")?.expect(0);
    site.assert_current("v0");
    Ok(())
}

#[test]
fn a_run_that_is_interrupted_before_the_first_request_changed_nothing() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let running = site.held(1, "run web --to revision=v1 --yes --output json")?;
    running.signal("INT")?;
    running.until_said("stopping at the next safe point")?;
    site.let_go()?;
    // The request was authorised: it is sent, and then the run stops.
    let ran = running.end()?.expect(7);
    assert_eq!(ran.json()["state"], "cancelled", "{ran}");
    site.run("run web --to revision=v1 --yes")?.expect(0);
    site.assert_current("v1");
    Ok(())
}

#[test]
fn break_glass_works_while_the_store_is_broken() -> Result<()> {
    let site = Site::served(BINARIES)?;
    fs::create_dir(site.path(".rollback"))?;
    fs::write(site.path(".rollback/state.db"), "this is no database, ".repeat(100))?;
    site.refuses("run web --to revision=v1 --yes", 2, &["not a SQLite database"])?;

    let words = ["run", "web", "--to", "revision=v1", "--yes", "--break-glass", "the store is broken"];
    let ran = rollback_tests::Running::start(site.command(&words))?.end()?.expect(0);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("BREAK-GLASS") && said.contains("the store is broken"), "{ran}");
    site.assert_current("v1");
    assert_eq!(site.served_page()?, "v1 good");
    assert!(fs::read_to_string(site.path(".rollback/state.db"))?.contains("no database"), "it is kept");

    // Once the store is back, what happened is brought home, marked.
    fs::remove_file(site.path(".rollback/state.db"))?;
    site.run("runs")?.expect(0).says("rollback merge");
    site.run("merge")?.expect(0);
    let runs = site.runs()?;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(
        (&runs[0]["break_glass"], &runs[0]["state"]),
        (&"the store is broken".into(), &"restored".into())
    );
    Ok(())
}
