//! What the README says to type works: each line of it is run, against a flag service on a free port.

#[expect(dead_code, reason = "nothing goes wrong here")]
mod flags;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use self::flags::Flags;

const README: &str = include_str!("../README.md");

fn run(folder: &Path, line: &str) -> Output {
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollback-flags"));
    command.args(words).current_dir(folder).output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_the_readme_works() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let flags = Flags::new(&["v41", "v42"], None);
    flags.set("v41");
    let router = flags.router();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().expect("a folder");
    let config = include_str!("../rollback.toml").replace("7070", &port.to_string());
    fs::write(folder.path().join("rollback.toml"), config).expect("a configuration");

    let (_, session) = README.split_once("and go back.").expect("the session");
    let (_, session) = session.split_once("```sh\n").expect("its begin");
    let (session, _) = session.split_once("```").expect("its end");
    let mut commands = 0;
    for line in session.lines().filter(|line| !line.starts_with("cargo build")) {
        if line.starts_with("curl") {
            assert!(line.contains(r#"{"value": "v42"}"#) && line.ends_with("/flags/checkout"), "{line}");
            flags.set("v42");
            continue;
        }
        assert!(line.starts_with("rollback-flags "), "{line}");
        let (place, typed) = (folder.path().to_owned(), line.to_owned());
        let output = tokio::task::spawn_blocking(move || run(&place, &typed)).await.expect("it ends");
        assert!(output.status.success(), "{line}: {output:?}");
        commands += 1;
    }
    assert_eq!((commands, flags.value().as_deref()), (5, Some("v41")), "the flag is back");

    let refused = "rollback-flags run --to revision=v43 --yes";
    assert!(README.contains(refused));
    let place = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || run(&place, refused)).await.expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("v42"), "{text}");
}
