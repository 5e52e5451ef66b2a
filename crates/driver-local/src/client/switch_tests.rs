use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::site;

struct Site {
    _keep: site::Site,
    home: PathBuf,
    client: Client,
}

impl Site {
    /// Releases v1, v2 and v3, `current` at v2.
    fn new() -> Self {
        let site = site::Site::with(&["v1", "v2", "v3"]);
        let home = site.home.clone();
        let client = Client::new(home.join("releases"), home.join("current"), None);
        Self { _keep: site, home, client }
    }

    fn switch(&self, key: &str, to: &str) -> Switch {
        let to = ReleaseName::new(to).unwrap();
        Switch {
            key: IdempotencyKey::new(key).unwrap(),
            expected: Some(self.client.look().unwrap().token),
            identity: Identity(self.client.tree(&to, true).unwrap().digest),
            to,
        }
    }

    fn deploy(&self, to: &str) {
        symlink(format!("releases/{to}"), self.home.join("theirs")).unwrap();
        fs::rename(self.home.join("theirs"), self.home.join("current")).unwrap();
    }

    fn current(&self) -> String {
        fs::read_to_string(self.home.join("current/index.html")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let items = fs::read_dir(&self.home).unwrap();
        let mut names: Vec<_> = items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a crash right before the rename leaves.
    fn crash_before_rename(&self, wanted: &Switch) {
        let paths = Paths::new(&self.client, &wanted.key).unwrap();
        prepare(&self.client, &paths, wanted).unwrap();
    }

    /// What a crash right after the rename leaves.
    fn crash_after_rename(&self, wanted: &Switch) {
        self.crash_before_rename(wanted);
        let paths = Paths::new(&self.client, &wanted.key).unwrap();
        fs::rename(&paths.fresh, &paths.current).unwrap();
    }
}

fn is_applied(landing: &Landing) -> bool {
    matches!(landing, Landing::Applied(receipt) if !receipt.presumed && receipt.token.is_some())
}

#[test]
fn a_switch_lands_once_and_knows_it() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::NotApplied { .. }));
    let first = apply(&site.client, &wanted).unwrap();
    assert!(is_applied(&first), "{first:?}");
    assert_eq!(site.current(), "v1");
    let Landing::Applied(receipt) = &first else { panic!() };
    assert_eq!(receipt.token, Some(site.client.look().unwrap().token));
    // The same request again finds that it is done, and does nothing.
    assert_eq!(apply(&site.client, &wanted).unwrap(), first);
    assert_eq!(probe(&site.client, &wanted).unwrap(), first);
    assert_eq!(site.names(), [".current.rollback-mark", "current", "releases"]);
}

#[test]
fn the_link_is_relative_where_it_can_be() {
    let site = Site::new();
    apply(&site.client, &site.switch("run-1", "v1")).unwrap();
    assert_eq!(fs::read_link(site.home.join("current")).unwrap(), Path::new("releases/v1"));
}

#[test]
fn a_lost_answer_is_settled_before_and_after_it_landed() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    site.crash_before_rename(&wanted);
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::NotApplied { .. }));
    assert_eq!(site.current(), "v2");
    // Sent again under the same key, over what the crash left.
    assert!(is_applied(&apply(&site.client, &wanted).unwrap()));

    let again = site.switch("run-2", "v3");
    site.crash_after_rename(&again);
    assert!(is_applied(&probe(&site.client, &again).unwrap()));
}

#[test]
fn a_foreign_deploy_supersedes_whether_or_not_the_request_landed() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    site.deploy("v3");
    for landing in [probe(&site.client, &wanted).unwrap(), apply(&site.client, &wanted).unwrap()] {
        let Landing::Superseded { by } = landing else { panic!("{landing:?}") };
        assert!(by.contains("v3"), "{by}");
    }
    assert_eq!(site.current(), "v3", "theirs is left alone");

    let landed = site.switch("run-2", "v1");
    site.crash_after_rename(&landed);
    site.deploy("v3");
    assert!(matches!(probe(&site.client, &landed).unwrap(), Landing::Superseded { .. }));
}

#[test]
fn somebody_elses_switch_to_the_same_release_is_not_taken_for_ours() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    site.crash_before_rename(&wanted);
    site.deploy("v1");
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::Superseded { .. }));
}

#[test]
fn without_a_token_the_mark_alone_decides() {
    let site = Site::new();
    let wanted = Switch { expected: None, ..site.switch("run-1", "v1") };
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::NotApplied { .. }));
    site.crash_before_rename(&wanted);
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::NotApplied { .. }));
    assert!(is_applied(&apply(&site.client, &wanted).unwrap()));
    site.deploy("v3");
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::Superseded { .. }));
}

#[test]
fn a_probe_changes_nothing() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    site.crash_before_rename(&wanted);
    let (names, look) = (site.names(), site.client.look().unwrap());
    probe(&site.client, &wanted).unwrap();
    assert_eq!((names, look), (site.names(), site.client.look().unwrap()));
}

#[test]
fn leftovers_of_others_are_removed_only_if_they_are_ours_by_name_and_kind() {
    let site = Site::new();
    site.crash_before_rename(&site.switch("crashed", "v3"));
    let kept =
        [".current.rollback-0123456789ab", ".current.rollback-notes", ".current.rollback-0123456789ab.txt"];
    for name in kept {
        fs::write(site.home.join(name), "keep me").unwrap();
    }
    for name in [".current.rollback-something-else", ".current.rollback-beef"] {
        symlink("x", site.home.join(name)).unwrap();
    }
    apply(&site.client, &site.switch("run-1", "v1")).unwrap();
    let names = site.names();
    assert_eq!(names.len(), 3 + 2 + 3, "{names:?}");
    assert!(kept.iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
}

#[test]
fn a_release_that_changed_or_vanished_is_not_switched_to() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    fs::write(site.home.join("releases/v1/index.html"), "tampered").unwrap();
    let error = apply(&site.client, &wanted).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    fs::remove_dir_all(site.home.join("releases/v1")).unwrap();
    let error = apply(&site.client, &wanted).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None));
    assert_eq!(site.current(), "v2");
    assert_eq!(site.names(), ["current", "releases"]);
}

#[test]
fn what_happens_while_the_release_is_read_is_seen_right_before_the_rename() {
    let commit_after = |change: fn(&Site)| {
        let site = Site::new();
        let wanted = site.switch("run-1", "v1");
        let paths = Paths::new(&site.client, &wanted.key).unwrap();
        prepare(&site.client, &paths, &wanted).unwrap();
        change(&site);
        let link = fs::read_link(site.home.join("current")).ok();
        let expected = wanted.expected.clone().filter(|_| link.is_some());
        let result = commit(&site.client, &paths, &Switch { expected, ..wanted });
        assert_eq!(fs::read_link(site.home.join("current")).ok(), link, "left alone");
        result
    };
    let gone = commit_after(|site| fs::remove_dir_all(site.home.join("releases/v1")).unwrap());
    assert_eq!(gone.unwrap_err().effect(), Effect::None);
    let deployed = commit_after(|site| site.deploy("v3"));
    assert!(matches!(deployed.unwrap(), Landing::Superseded { .. }));
    let by_hand = commit_after(|site| {
        fs::remove_file(site.home.join("current")).unwrap();
        fs::create_dir(site.home.join("current")).unwrap();
    });
    assert_eq!(by_hand.unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_release_with_a_symlink_that_leads_out_is_not_switched_to() {
    let site = Site::new();
    symlink("/etc/passwd", site.home.join("releases/v1/passwd")).unwrap();
    let error = apply(&site.client, &site.switch("run-1", "v1")).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Refused, Effect::None));
    assert_eq!(site.current(), "v2");
}

#[test]
fn a_current_that_is_not_ours_is_left_alone() {
    let site = Site::new();
    fs::remove_file(site.home.join("current")).unwrap();
    fs::create_dir(site.home.join("current")).unwrap();
    fs::write(site.home.join("current/index.html"), "by hand").unwrap();
    let error = apply(&site.client, &site.switch("run-1", "v1")).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Refused, Effect::None));
    assert!(error.next_step().is_some());
    assert_eq!(site.current(), "by hand");
    assert_eq!(site.names(), ["current", "releases"], "nothing was even prepared");

    fs::remove_dir_all(site.home.join("current")).unwrap();
    symlink("/etc", site.home.join("current")).unwrap();
    let error = apply(&site.client, &site.switch("run-2", "v1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(fs::read_link(site.home.join("current")).unwrap(), Path::new("/etc"));
}

#[test]
fn a_missing_or_dangling_current_is_put_right() {
    let site = Site::new();
    fs::remove_file(site.home.join("current")).unwrap();
    assert!(is_applied(&apply(&site.client, &site.switch("run-1", "v1")).unwrap()));
    fs::rename(site.home.join("releases/v1"), site.home.join("releases/lost")).unwrap();
    assert!(is_applied(&apply(&site.client, &site.switch("run-2", "v3")).unwrap()));
    assert_eq!(site.current(), "v3");
}

#[test]
fn a_mark_that_was_tampered_with_proves_nothing() {
    let site = Site::new();
    let wanted = site.switch("run-1", "v1");
    apply(&site.client, &wanted).unwrap();
    fs::write(site.home.join(".current.rollback-mark"), "{").unwrap();
    assert!(matches!(probe(&site.client, &wanted).unwrap(), Landing::Superseded { .. }));
}

#[test]
fn a_reader_never_misses_current_while_it_is_switched() {
    let site = Site::new();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (stop, path) = (Arc::clone(&stop), site.home.join("current/index.html"));
        std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                seen.insert(fs::read_to_string(&path).map_err(|error| error.to_string()));
            }
            seen
        })
    };
    for round in 0..200 {
        let to = if round % 2 == 0 { "v1" } else { "v3" };
        assert!(is_applied(&apply(&site.client, &site.switch(&format!("run-{round}"), to)).unwrap()));
    }
    stop.store(true, Ordering::Relaxed);
    let seen = reader.join().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(Result::is_ok), "{seen:?}");
}
