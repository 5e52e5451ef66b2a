//! Releases, links and names that are not what they should be.

use std::fs;
use std::os::unix::fs::symlink;

use rollback_tests::{Binaries, Result, Site, Tree};

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run web --to revision=v1 --yes";

#[test]
fn a_releases_folder_that_vanished() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::rename(site.path("releases"), site.path("elsewhere"))?;
    for line in [RUN, "plan --to revision=v1", "run web --yes"] {
        let ran = site.run(line)?;
        assert_ne!(ran.code, Some(0), "{ran}");
        site.refuses(line, ran.code.unwrap_or(0), &["releases"])?;
    }
    fs::rename(site.path("elsewhere"), site.path("releases"))?;
    site.run(RUN)?.expect(0);
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_release_that_vanished_between_planning_and_running() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    fs::rename(site.path("releases/v1"), site.path("v1-elsewhere"))?;
    site.refuses("apply p.json --yes", 3, &["v1"])?;
    site.assert_current("v2");
    Ok(())
}

#[test]
fn a_release_that_was_changed_between_planning_and_running() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    site.run("plan web --to revision=v1 -o p.json")?.expect(0);
    fs::write(site.path("releases/v1/index.html"), "v1 changed")?;
    site.refuses("apply p.json --yes", 3, &["v1"])?;
    site.assert_current("v2");
    Ok(())
}

#[test]
fn a_symlink_in_a_release_that_points_outside() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::create_dir(site.path("shared"))?;
    symlink(site.path("shared"), site.path("releases/v1/uploads"))?;
    site.refuses(RUN, 3, &["uploads", "out of the release"])?;
    site.run("run web --to revision=v0 --yes")?.expect(0);
    site.assert_current("v0");
    Ok(())
}

#[test]
fn a_current_that_points_outside() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::create_dir(site.path("shared"))?;
    fs::remove_file(site.path("current"))?;
    symlink("shared", site.path("current"))?;
    site.refuses(RUN, 3, &["current"])?;
    assert_eq!(fs::read_link(site.path("current"))?.to_str(), Some("shared"));
    Ok(())
}

#[test]
fn a_current_that_is_a_real_folder() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    fs::remove_file(site.path("current"))?;
    fs::create_dir(site.path("current"))?;
    fs::write(site.path("current/index.html"), "precious")?;
    site.refuses(RUN, 3, &["current"])?;
    assert_eq!(fs::read_to_string(site.path("current/index.html"))?, "precious");
    Ok(())
}

#[test]
fn a_current_that_is_missing_or_dangles_is_put_back() -> Result<()> {
    for text in [None, Some("releases/v9")] {
        let site = Site::plain(BINARIES)?;
        fs::remove_file(site.path("current"))?;
        if let Some(text) = text {
            symlink(text, site.path("current"))?;
        }
        let ran = site.run(RUN)?;
        assert_eq!(ran.code, Some(0), "{text:?}: {ran}");
        site.assert_current("v1");
    }
    Ok(())
}

/// Names that a careless program would take for something else.
const HOSTILE: [&str; 7] = ["../../etc", "-rf", ".hidden", "a\nb", "a/b", "\u{1b}[2J", ".."];

#[test]
fn hostile_names_are_no_destinations() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for name in HOSTILE {
        // Those that can be names of folders are there.
        if !name.contains('/') && name != ".." {
            fs::create_dir_all(site.path("releases").join(name))?;
            fs::write(site.path("releases").join(name).join("index.html"), "hostile")?;
        }
        let destination = format!("revision={name}");
        let before = Tree::read(site.root())?;
        let command = site.command(&["run", "web", "--to", &destination, "--yes"]);
        let ran = rollback_tests::Running::start(command)?.end()?;
        assert!(matches!(ran.code, Some(1..=3)), "{name:?}: {ran}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains('\u{1b}') && !said.contains("panicked"), "{name:?}: {ran}");
        assert!(
            said.contains("next:") || said.contains("try '--help'"),
            "nothing is offered for {name:?}: {ran}"
        );
        assert_eq!(before, Tree::read(site.root())?, "{name:?}");
    }
    let history = site.run("history web --output json")?.expect(0);
    for name in HOSTILE {
        let quoted = serde_json::Value::from(name).to_string();
        assert!(!history.out.contains(&quoted), "{name:?} is offered: {}", history.out);
    }
    site.run(RUN)?.expect(0);
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_destination_that_does_not_exist_lists_those_that_do() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    for line in ["run web --to revision=v9 --yes", "plan web --to version=v9"] {
        let ran = site.run(line)?;
        assert!(matches!(ran.code, Some(1..=3)), "{ran}");
        site.refuses(line, ran.code.unwrap_or(0), &["v9", "v0", "v1"])?;
    }
    Ok(())
}
