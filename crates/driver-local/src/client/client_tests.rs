use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::*;
use crate::site::Site;

impl Site {
    /// Releases v1 and v2, `current` at v2.
    fn new() -> Self {
        Self::with(&["v1", "v2"])
    }

    fn client(&self) -> Client {
        Client::new(self.home.join("releases"), self.home.join("current"), None)
    }

    fn relink(&self, to: impl AsRef<Path>) {
        fs::remove_file(self.home.join("current")).unwrap();
        symlink(to, self.home.join("current")).unwrap();
    }

    fn link(&self) -> Link {
        self.client().look().unwrap().link
    }
}

fn at(name: &str) -> Link {
    Link::At(ReleaseName::new(name).unwrap())
}

#[test]
fn only_a_direct_link_to_a_real_release_counts() {
    let site = Site::new();
    assert_eq!(site.link(), at("v2"));
    site.relink(site.home.join("releases/v1"));
    assert_eq!(site.link(), at("v1"));
    site.relink("./releases//v1/");
    assert_eq!(site.link(), at("v1"));
    site.relink("releases/gone");
    assert_eq!(site.link(), Link::Dangling(ReleaseName::new("gone").unwrap()));
    symlink("v1", site.home.join("releases/alias")).unwrap();
    for outside in
        ["/etc", "releases", "releases/v1/index.html", "releases/alias", "releases/v1/..", "nowhere/v1", "."]
    {
        site.relink(outside);
        assert!(matches!(site.link(), Link::Foreign(_)), "{outside}: {:?}", site.link());
    }
    fs::create_dir(site.home.join("releases/.tmp")).unwrap();
    site.relink("releases/.tmp");
    assert!(matches!(site.link(), Link::Foreign(_)));
}

#[test]
fn a_missing_current_is_absent_and_a_real_file_is_no_link() {
    let site = Site::new();
    fs::remove_file(site.home.join("current")).unwrap();
    assert_eq!(site.link(), Link::Absent);
    fs::write(site.home.join("current"), "").unwrap();
    assert!(matches!(site.link(), Link::Real(_)));
    fs::remove_file(site.home.join("current")).unwrap();
    fs::create_dir(site.home.join("current")).unwrap();
    assert!(matches!(site.link(), Link::Real(_)));
}

#[test]
fn the_token_changes_with_every_replacement_and_with_nothing_else() {
    let site = Site::new();
    let token = || site.client().look().unwrap().token;
    let first = token();
    fs::write(site.home.join("releases/v2/index.html"), "changed").unwrap();
    fs::read_link(site.home.join("current")).unwrap();
    assert_eq!(token(), first);
    // The same text again, in another symlink.
    symlink("releases/v2", site.home.join("next")).unwrap();
    fs::rename(site.home.join("next"), site.home.join("current")).unwrap();
    assert_ne!(token(), first);
}

#[test]
fn hostile_things_in_the_releases_folder_are_never_candidates() {
    let site = Site::new();
    let releases = site.home.join("releases");
    for name in ["-rf", ".hidden", "a\nb", "\u{1b}[31mred", "safe\u{202e}live"] {
        fs::create_dir(releases.join(name)).unwrap();
    }
    fs::create_dir(releases.join(std::ffi::OsStr::from_bytes(b"\xff\xfe"))).unwrap();
    fs::write(releases.join("README"), "").unwrap();
    symlink("/etc", releases.join("v3")).unwrap();
    let listing = site.client().list().unwrap();
    let names: Vec<_> = listing.releases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(listing.ignored.len(), 8, "{:?}", listing.ignored);
    assert!(!listing.ignored.concat().contains(['\n', '\u{1b}', '\u{202e}']), "{:?}", listing.ignored);
}

#[test]
fn releases_are_listed_newest_first() {
    let site = Site::new();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    fs::File::open(site.home.join("releases/v2")).unwrap().set_modified(old).unwrap();
    let names: Vec<_> =
        site.client().list().unwrap().releases.into_iter().map(|(name, _)| String::from(name)).collect();
    assert_eq!(names, ["v1", "v2"]);
}

#[test]
fn a_release_that_is_not_there_names_those_that_are() {
    let site = Site::new();
    let error = site.client().tree(&ReleaseName::new("v9").unwrap(), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let next = error.next_step().unwrap();
    assert!(next.contains("v1") && next.contains("v2"), "{next}");
}

#[test]
fn a_vanished_releases_folder_is_an_error_that_says_what_to_do() {
    let site = Site::new();
    fs::rename(site.home.join("releases"), site.home.join("elsewhere")).unwrap();
    let client = site.client();
    for error in [client.look().unwrap_err(), client.list().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("releases"), "{error}");
        assert!(error.next_step().is_some());
    }
}

#[test]
fn what_was_read_is_used_again_only_while_nothing_changed() {
    let site = Site::new();
    let client = site.client();
    let v1 = ReleaseName::new("v1").unwrap();
    let first = client.tree(&v1, false).unwrap();
    assert!(Arc::ptr_eq(&first, &client.tree(&v1, false).unwrap()));
    assert!(!Arc::ptr_eq(&first, &client.tree(&v1, true).unwrap()), "fresh reads again");
    // Same size; and the modification time is put back.
    let path = site.home.join("releases/v1/index.html");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "vX").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_ne!(client.tree(&v1, true).unwrap().digest, first.digest);
}

#[test]
fn small_is_what_takes_no_time_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    assert!(is_small(&at("nothing")));
    fs::create_dir_all(at("few/deep/er")).unwrap();
    fs::write(at("few/deep/er/file"), "x").unwrap();
    symlink("/", at("few/everything")).unwrap();
    assert!(is_small(&at("few")), "symlinks are not followed");
    fs::write(at("few/deep/large"), vec![0; 300 * 1024]).unwrap();
    assert!(!is_small(&at("few")));
    fs::create_dir(at("many")).unwrap();
    (0..65).for_each(|number| fs::write(at(&format!("many/{number}")), "").unwrap());
    assert!(!is_small(&at("many")));
}
