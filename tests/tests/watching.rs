//! A real service with a real bad deploy, a watcher beside it, and nobody who touches anything.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use rollback_tests::automatic::{self, rolled_back};
use rollback_tests::{Binaries, Result, Running, Site};

const BINARIES: Binaries = rollback_tests::binaries!();

/// A service that runs v1, which is good, with a watcher's configuration: two seconds of trouble, asked every 200 ms.
fn watched() -> Result<Site> {
    let site = Site::served(BINARIES)?;
    let port = fs::read_to_string(site.path("port"))?;
    let probe = format!("{{ kind = \"http\", url = \"http://127.0.0.1:{}/\" }}", port.trim());
    automatic::watched(&site, &format!("{}{}", automatic::outage(&probe), automatic::DEPLOY))?;
    site.run("run web --to revision=v1 --no-quarantine --reason set_up --confirm ROLLBACK-PROD")?.expect(0);
    automatic::record(&site)?;
    assert_eq!(site.served_page()?, "v1 good");
    Ok(site)
}

/// What a deploy script does.
fn deploy(site: &Site, release: &str) -> Result<()> {
    symlink(format!("releases/{release}"), site.path("current.new"))?;
    fs::rename(site.path("current.new"), site.path("current"))?;
    let mut command = Command::new(BINARIES.service);
    command.arg("restart").arg(site.root());
    Running::start(command)?.end()?.expect(0);
    Ok(())
}

#[test]
fn a_bad_deploy_is_seen_rolled_back_and_proven() -> Result<()> {
    let site = watched()?;
    let watcher = automatic::watch(&site)?;
    deploy(&site, "v2")?;
    let (incident, ended) = automatic::ended(&site, "a service on this machine", watcher)?;
    automatic::detected_in_time(&incident, "outage", automatic::LASTING)?;
    assert_eq!(incident["bad"]["revision"], "v2");
    assert_eq!(site.served_page()?, "v1 good");
    assert!(ended.err.contains("rolling back from v2 to v1"), "{ended}");
    assert_eq!(site.runs()?[0]["state"], "restored");
    assert_eq!(site.run("allowed v2")?.code, Some(3));
    Ok(())
}

#[test]
fn of_two_watchers_one_acts() -> Result<()> {
    let site = watched()?;
    let before = (site.runs()?.len(), site.restarts());
    let (one, two) = (site.start("watch")?, site.start("watch")?);
    for watcher in [&one, &two] {
        watcher.until_said("web: v1 is there")?;
    }
    deploy(&site, "v2")?;
    let incident = rolled_back(&site)?;
    assert_eq!((&incident["runs"], &incident["state"]), (&1.into(), &"restored".into()), "{incident:#}");
    for watcher in [one, two] {
        watcher.signal("TERM")?;
        watcher.end()?.expect(0);
    }
    let restored: Vec<_> =
        site.runs()?[..site.runs()?.len() - before.0].iter().map(|run| run["state"].clone()).collect();
    assert_eq!(restored.iter().filter(|state| **state == "restored").count(), 1, "{restored:?}");
    // The deploy's, and that of the one rollback.
    assert_eq!(site.restarts() - before.1, 2);
    assert_eq!(site.served_page()?, "v1 good");
    Ok(())
}

#[test]
fn what_a_killed_watcher_left_the_next_one_finishes() -> Result<()> {
    for number in [1, 2] {
        let site = watched()?;
        let setup = site.runs()?.len();
        deploy(&site, "v2")?;
        // It sees the bad version from the first look on, and is killed with a request on its lips.
        let mut first = site.held(number, "watch")?;
        assert!(first.kill()?, "it was still there");
        let next = site.start("watch")?;
        let incident = rolled_back(&site)?;
        assert_eq!((&incident["state"], &incident["runs"]), (&"restored".into(), &1.into()), "{incident:#}");
        assert_eq!(site.served_page()?, "v1 good");
        assert_eq!(site.runs()?.len() - setup, 1, "the run that was begun, and no other");
        next.signal("TERM")?;
        next.end()?.expect(0);
    }
    Ok(())
}

#[test]
fn a_guard_in_a_pipeline() -> Result<()> {
    let site = watched()?;
    deploy(&site, "v2")?;
    site.run("record web --pending --commit abc123d --by ci")?.expect(0);
    let guarded = site.run("guard web --for 30s")?.expect(10);
    assert!(guarded.out.contains("web: restored"), "{guarded}");
    assert_eq!(site.served_page()?, "v1 good");
    deploy(&site, "v0")?;
    site.run("record web --pending --by ci")?.expect(0);
    let guarded = site.run("guard web --for 3s")?.expect(0);
    assert!(guarded.out.contains("web: healthy for 3s, and called good"), "{guarded}");
    assert_eq!(site.served_page()?, "v0 good");
    Ok(())
}
