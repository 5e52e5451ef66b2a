//! A real service with a real bad deploy, a watcher beside it, and nobody who touches anything.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use jiff::Timestamp;
use rollback_tests::{Binaries, Result, Running, Site, until};
use serde_json::Value;

const BINARIES: Binaries = rollback_tests::binaries!();

/// A service that runs v1, which is good, with a watcher's configuration: two seconds of trouble, asked every 200 ms.
fn watched() -> Result<Site> {
    let site = Site::served(BINARIES)?;
    let text = fs::read_to_string(site.path("rollback.toml"))?;
    let port = fs::read_to_string(site.path("port"))?;
    site.write_configuration(&format!(
        "lease = \"2s\"\n[environments.prod]\nautomatic = \"act\"\nconfirm = \"ROLLBACK-PROD\"\nsingle_operator = true\n\
         [watch]\nlook_every = \"500ms\"\nsoak = \"1h\"\n\
         {text}\
         [[triggers]]\nname = \"outage\"\ncomponent = \"web\"\n\
         probe = {{ kind = \"http\", url = \"http://127.0.0.1:{}/\" }}\n\
         rule = {{ lasting = \"2s\", every = \"200ms\" }}\n\
         [[triggers]]\nname = \"deploy\"\ncomponent = \"web\"\n",
        port.trim()
    ))?;
    site.run("run web --to revision=v1 --no-quarantine --reason set_up --confirm ROLLBACK-PROD")?.expect(0);
    site.run("record web --good --by ana")?.expect(0);
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

fn incidents(site: &Site) -> Result<Vec<Value>> {
    let document = site.run("incidents --output json")?.expect(0).json();
    Ok(document["incidents"].as_array().cloned().unwrap_or_default())
}

/// Waits for the one incident whose rollback has ended.
fn rolled_back(site: &Site) -> Result<Value> {
    let ended = until("the rollback to end", || {
        let ended = incidents(site).ok()?.into_iter().find(|incident| !incident["state"].is_null());
        ended.filter(|incident| !incident["over_at"].is_null())
    });
    ended.map_err(|error| format!("{error}: {:#?}", incidents(site)).into())
}

/// The seconds from one moment of an incident to another.
fn seconds(incident: &Value, from: &str, to: &str) -> f64 {
    let at = |name: &str| incident[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(from), Some(to)) = (at(from), at(to)) else { panic!("{from}, {to}: {incident:#}") };
    to.duration_since(from).as_secs_f64()
}

#[test]
fn a_bad_deploy_is_seen_rolled_back_and_proven() -> Result<()> {
    let site = watched()?;
    let watcher = site.start("watch")?;
    watcher.until_said("web: v1 is there")?;
    deploy(&site, "v2")?;
    let incident = rolled_back(&site)?;
    assert_eq!(incident["state"], "restored", "{incident:#}");
    assert_eq!((&incident["bad"]["revision"], &incident["onset"]), (&"v2".into(), &"after".into()));
    assert_eq!(site.served_page()?, "v1 good");
    for (phase, from, to) in [
        ("seen to detected (the rule: 2 s)", "since", "fired_at"),
        ("detected to begun", "fired_at", "acted_at"),
        ("begun to proven", "acted_at", "acted_until"),
        ("seen to over", "since", "over_at"),
    ] {
        println!("{phase}: {:.2} s", seconds(&incident, from, to));
    }
    watcher.signal("TERM")?;
    let ended = watcher.end()?.expect(0);
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
