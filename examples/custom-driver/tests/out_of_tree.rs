//! The promise of the documentation: this package can be taken out of the repository, as the begin of a driver of your own.
//!
//! It is copied to a folder elsewhere, with the manifest that `docs/publishing-a-driver.md` shows, and its tests are run
//! there. Then it is broken as the README says, and the kit must name the rule.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The crates of this repository, which an outsider gets from the registry.
const OURS: [(&str, &str); 3] = [
    ("rollback-core", "crates/rollback-core"),
    ("rollback-testkit", "crates/rollback-testkit"),
    ("rollback-cli", "examples/rollback"),
];

fn here(path: &str) -> PathBuf {
    Path::new(HERE).join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the first fence of this kind after `heading` and its end.
fn block(document: &str, heading: &str, kind: &str) -> String {
    let (_, rest) = document.split_once(heading).unwrap_or_else(|| panic!("no {heading:?}"));
    let (_, rest) =
        rest.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("no {kind} after {heading:?}"));
    rest.split_once("```").expect("its end").0.to_owned()
}

/// The manifest as it would be elsewhere: versions, and no paths.
fn manifest() -> String {
    let lines = text(&here("Cargo.toml"));
    let lines = lines.lines().skip_while(|line| *line != "[package]").map(|line| {
        let Some((before, rest)) = line.split_once("path = \"..") else { return line.to_owned() };
        let (_, after) = rest.split_once("\", ").expect("a version after the path");
        let line = format!("{before}{after}");
        // A version alone needs no table.
        match line.split_once("{ version = ") {
            Some((name, version)) if !version.contains(',') => {
                format!("{name}{}", version.trim_end_matches(" }"))
            }
            _ => line,
        }
    });
    lines.map(|line| line + "\n").collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "out_of_tree.rs" {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// The package in a folder of its own. Until our crates are in a registry, a patch says where they are.
fn package(place: &Path) {
    for folder in ["src", "tests", "examples"] {
        // A file that is gone from the repository must be gone there.
        let _ = fs::remove_dir_all(place.join(folder));
        copy(&here(folder), &place.join(folder));
    }
    for file in ["README.md", "rollback.toml"] {
        fs::copy(here(file), place.join(file)).expect("copied");
    }
    fs::copy(here("../../Cargo.lock"), place.join("Cargo.lock")).expect("copied");
    let profiles = text(&here("../../Cargo.toml"));
    let (_, profiles) = profiles.split_once("[profile.dev]").expect("profiles");
    let patches = OURS.map(|(name, path)| {
        let path = fs::canonicalize(here("../..").join(path)).expect("a crate of ours");
        format!("{name} = {{ path = {path:?} }}\n")
    });
    // The profiles are the workspace's, so that what is built already can be used.
    let manifest = format!(
        "{}\n[workspace]\n\n[patch.crates-io]\n{}\n[profile.dev]{profiles}",
        manifest(),
        patches.concat()
    );
    fs::write(place.join("Cargo.toml"), manifest).expect("written");
}

/// The folder in which cargo keeps what it built. It is shared, or each run would build two hundred crates.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder around it").to_owned()
}

fn cargo(place: &Path, arguments: &[&str]) -> Output {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        .current_dir(place)
        .env("CARGO_TARGET_DIR", target())
        .env_remove("CARGO_MANIFEST_DIR");
    command.output().expect("cargo runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_package_lives_elsewhere_and_the_kit_names_the_broken_rule() {
    // One place for all runs: what is built there is found again.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("out-of-tree");
    let place = place.as_path();
    package(place);
    let passed = cargo(place, &["test", "--offline", "--test", "conformance"]);
    assert!(passed.status.success(), "{}", said(&passed));
    assert!(said(&passed).contains("test flag::steps-reach-the-goal"), "{}", said(&passed));

    // Broken as the README says.
    let readme = text(&here("README.md"));
    let change = block(&readme, "## Break it", "diff");
    let lines = |sign: char| {
        let lines = change.lines().filter_map(|line| line.strip_prefix(sign));
        lines.map(|line| line.to_owned() + "\n").collect::<String>()
    };
    let file = place.join("src/target.rs");
    let sound = text(&file);
    assert_eq!(
        sound.matches(&lines('-')).count(),
        1,
        "the README changes what is not there:\n{}",
        lines('-')
    );
    fs::write(&file, sound.replacen(&lines('-'), &lines('+'), 1)).expect("written");
    let failed = cargo(place, &["test", "--offline", "--test", "conformance"]);
    assert!(!failed.status.success(), "{}", said(&failed));
    let shown = block(&readme, "## Break it", "text");
    assert!(said(&failed).contains(&shown), "the README shows\n{shown}\nand it says\n{}", said(&failed));

    // All other targets, on the sound one, and the binary with two drivers that the documentation shows.
    fs::write(&file, sound).expect("written");
    let page = text(&here("../../docs/publishing-a-driver.md"));
    let two = block(&page, "## How people get it", "rust,ignore");
    let two = two.replace("rollback_driver_ours::OursDriver", "rollback_custom_driver::FlagDriver");
    let two = two.replace("rollback_driver_theirs::TheirsDriver", "rollback_custom_driver::FlagDriver");
    fs::write(place.join("examples/two-drivers.rs"), two).expect("written");
    let built = cargo(place, &["build", "--offline", "--all-targets"]);
    assert!(built.status.success(), "{}", said(&built));
}

#[test]
fn the_manifest_in_the_documentation_is_this_one() {
    let page = text(&here("../../docs/publishing-a-driver.md"));
    let shown = block(&page, "## Begin", "toml");
    assert_eq!(shown, manifest(), "docs/publishing-a-driver.md shows another manifest");
}

#[test]
fn the_code_in_the_documentation_is_the_code_of_this_package() {
    let pages = ["docs/publishing-a-driver.md", "docs/driver-authors-guide.md"];
    let mut found = 0;
    for page in pages.map(|page| text(&here("../..").join(page))) {
        // ```rust,ignore of src/main.rs … is checked here, everything else by the doc tests.
        for part in page.split("<!-- from ").skip(1) {
            let (file, rest) = part.split_once(" -->").expect("the end of the mark");
            let shown = block(rest, "", "rust,ignore");
            assert!(text(&here(file)).contains(shown.trim_end()), "{file} does not hold\n{shown}");
            found += 1;
        }
    }
    assert!(found >= 3, "only {found} pieces were compared");
}

#[test]
fn the_binary_is_ten_lines() {
    let lines = text(&here("src/main.rs")).lines().count();
    assert!(lines <= 10, "{lines} lines");
}
