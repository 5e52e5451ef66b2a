use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

fn release() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("releases/v1");
    fs::create_dir_all(root.join("assets")).unwrap();
    fs::write(root.join("index.html"), "hello").unwrap();
    fs::write(root.join("assets/app.js"), "1").unwrap();
    symlink("assets/app.js", root.join("latest.js")).unwrap();
    (folder, root)
}

#[test]
fn equal_content_has_an_equal_identity_whatever_the_name_and_times() {
    let (_keep, one) = release();
    let (_keep_too, two) = release();
    let two_renamed = two.with_file_name("other");
    fs::rename(&two, &two_renamed).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    File::open(two_renamed.join("index.html")).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(read(&one).unwrap().digest, read(&two_renamed).unwrap().digest);
}

#[test]
fn every_change_that_is_put_back_changes_the_identity() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 8] = [
        ("content", |root| fs::write(root.join("index.html"), "hellO").unwrap()),
        ("new file", |root| fs::write(root.join("robots.txt"), "").unwrap()),
        ("removed file", |root| fs::remove_file(root.join("assets/app.js")).unwrap()),
        ("new empty folder", |root| fs::create_dir(root.join("empty")).unwrap()),
        ("renamed file", |root| fs::rename(root.join("index.html"), root.join("index.htm")).unwrap()),
        ("executable bit", |root| {
            fs::set_permissions(root.join("index.html"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("link target", |root| {
            fs::remove_file(root.join("latest.js")).unwrap();
            symlink("index.html", root.join("latest.js")).unwrap();
        }),
        ("link became a file", |root| {
            fs::remove_file(root.join("latest.js")).unwrap();
            fs::write(root.join("latest.js"), "assets/app.js").unwrap();
        }),
    ];
    for (name, change) in changes {
        let (_keep, root) = release();
        let before = read(&root).unwrap();
        change(&root);
        let after = read(&root).unwrap();
        assert_ne!(before.digest, after.digest, "{name}");
        assert_ne!(before.fingerprint, after.fingerprint, "{name}");
    }
}

#[test]
fn a_file_moved_between_folders_is_another_release() {
    let (_keep, root) = release();
    let before = read(&root).unwrap().digest;
    fs::rename(root.join("assets/app.js"), root.join("app.js")).unwrap();
    assert_ne!(before, read(&root).unwrap().digest);
}

#[test]
fn counts_are_of_regular_files() {
    let (_keep, root) = release();
    let tree = read(&root).unwrap();
    assert_eq!((tree.files, tree.bytes), (2, 6));
    assert!(tree.outside.is_empty(), "{:?}", tree.outside);
}

#[test]
fn a_release_that_changes_while_it_is_read_is_not_read() {
    let (_keep, root) = release();
    let before = scan(&root).unwrap();
    fs::write(root.join("index.html"), "still uploading").unwrap();
    let error = read_scanned(&root, before).unwrap_err();
    assert!(error.is_transient() && error.kind() == ErrorKind::Conflict, "{error}");
}

#[test]
fn a_pipe_is_refused_and_not_opened() {
    let (_keep, root) = release();
    let made = std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
    assert!(made.success());
    let error = read(&root).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("pipe"), "{error}");
}

#[test]
fn an_empty_release_is_refused() {
    let (_keep, root) = release();
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir_all(root.join("only/folders")).unwrap();
    assert_eq!(read(&root).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn symlinks_that_lead_out_are_named_and_inner_ones_are_not() {
    let (_keep, root) = release();
    let out = |name: &str, to: &Path| {
        symlink(to, root.join(name)).unwrap();
        let found = !read(&root).unwrap().outside.is_empty();
        fs::remove_file(root.join(name)).unwrap();
        found
    };
    assert!(out("etc", Path::new("/etc")));
    assert!(out("up", Path::new("../v2")));
    assert!(out("assets/up", Path::new("../../v2")));
    assert!(out("gone", Path::new("assets/../../nowhere")));
    assert!(!out("assets/home", Path::new("../index.html")));
    assert!(!out("missing", Path::new("not-there")));
    assert!(!out("absolute", &root.join("index.html")));
    // The text stays inside; following it does not.
    symlink(".", root.join("here")).unwrap();
    assert!(out("sly", Path::new("here/..")));
}
