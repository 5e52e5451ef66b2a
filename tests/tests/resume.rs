//! Runs that were killed at the worst moment, and a world that did not wait for them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use rollback_tests::{Binaries, Result, Site};

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run web --to revision=v1 --yes";
const RESUME: &str = "resume --output json --quiet";

/// A run that was killed when its `number`-th request was authorised and not sent.
fn cut_off(site: &Site, number: u32) -> Result<()> {
    site.held(number, RUN)?.kill()?;
    assert_eq!(site.runs()?.len(), 1);
    assert!(site.runs()?[0]["state"].is_null(), "it has not ended");
    Ok(())
}

/// Somebody deploys by hand.
fn deploy(site: &Site, release: &str) -> Result<()> {
    symlink(format!("releases/{release}"), site.path("next"))?;
    Ok(fs::rename(site.path("next"), site.path("current"))?)
}

#[test]
fn authorised_and_not_sent_is_sent_once() -> Result<()> {
    for number in [1, 2] {
        let site = Site::served(BINARIES)?;
        let before = site.restarts();
        cut_off(&site, number)?;
        let resumed = site.run(RESUME)?.expect(0);
        assert_eq!(resumed.json()["state"], "restored", "{resumed}");
        site.assert_current("v1");
        assert_eq!(site.served_page()?, "v1 good");
        assert_eq!(site.restarts(), before + 1, "{resumed}");
        assert_eq!(site.runs()?[0]["state"], "restored");
    }
    Ok(())
}

#[test]
fn sent_and_not_noted_is_not_sent_again() -> Result<()> {
    let site = Site::served(BINARIES)?;
    let before = site.restarts();
    let watch = site.watch();
    site.held_answer(1, RUN)?.kill()?;
    site.assert_current("v1");
    let link = fs::symlink_metadata(site.path("current"))?;
    site.run(RESUME)?.expect(0);
    let after = fs::symlink_metadata(site.path("current"))?;
    assert_eq!((link.ino(), link.ctime_nsec()), (after.ino(), after.ctime_nsec()), "it was replaced again");
    assert_eq!(site.restarts(), before + 1);
    assert_eq!(site.served_page()?, "v1 good");
    assert_eq!(watch.seen()?.len(), 2);
    Ok(())
}

#[test]
fn somebody_elses_deploy_is_not_undone() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    cut_off(&site, 1)?;
    deploy(&site, "v0")?;
    let resumed = site.run(RESUME)?.expect(7);
    assert_eq!(resumed.json()["state"], "superseded", "{resumed}");
    site.assert_current("v0");
    Ok(())
}

#[test]
fn a_destination_that_vanished_is_not_reached() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    cut_off(&site, 1)?;
    fs::remove_dir_all(site.path("releases/v1"))?;
    let resumed = site.run(RESUME)?;
    let document = resumed.json();
    assert_eq!((resumed.code, &document["state"]), (Some(4), &"failed-restored".into()), "{resumed}");
    site.assert_current("v2");
    Ok(())
}

#[test]
fn of_two_that_resume_one_acts() -> Result<()> {
    for _ in 0..4 {
        let site = Site::served(BINARIES)?;
        let before = site.restarts();
        cut_off(&site, 2)?;
        let [first, second] = [site.start(RESUME)?, site.start(RESUME)?];
        let ends = [first.end()?, second.end()?];
        let told = format!("{}\n{}", ends[0], ends[1]);
        assert!(ends.iter().any(|ran| ran.code == Some(0)), "nobody brought it to its end: {told}");
        for ran in &ends {
            // The other is refused, is told what the first came to, or finds that nothing is left to resume.
            assert!(matches!(ran.code, Some(0 | 1 | 3 | 7)), "{told}");
        }
        assert_eq!(site.served_page()?, "v1 good", "{told}");
        assert_eq!(site.restarts(), before + 1, "{told}");
        assert_eq!(site.runs()?[0]["state"], "restored", "{told}");
    }
    Ok(())
}

#[test]
fn a_run_goes_on_where_a_killed_one_stopped() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    cut_off(&site, 1)?;
    // Somebody rolls back elsewhere instead of resuming: the old run must not come back to life.
    site.run("run web --to revision=v0 --yes")?.expect(0);
    site.assert_current("v0");
    let resumed = site.run(RESUME)?;
    assert!(matches!(resumed.code, Some(3 | 7)), "{resumed}");
    site.assert_current("v0");
    assert!(site.runs()?.iter().all(|run| !run["state"].is_null()), "every run has an end");
    Ok(())
}

#[test]
fn break_glass_that_was_killed_is_taken_up() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::create_dir(site.path(".rollback"))?;
    fs::write(site.path(".rollback/state.db"), "no database")?;
    site.held(1, "run web --to revision=v1 --yes --break-glass fire")?.kill()?;
    site.assert_current("v2");
    let resumed = site.run("resume --break-glass fire --output json")?.expect(0);
    assert_eq!(resumed.json()["state"], "restored", "{resumed}");
    site.assert_current("v1");
    Ok(())
}
