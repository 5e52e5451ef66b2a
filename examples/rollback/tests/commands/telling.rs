//! People are told, and figures are taken: `[[notify]]`, `report`, `stats`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::common::Bench;

/// A receiver of webhooks that takes everything, or answers nothing at all.
fn receiver(answers: bool) -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            if !answers {
                kept.push(stream);
                continue;
            }
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            // Before it is answered: the command ends with the answer, and the test looks then.
            let _ = sender.send(serde_json::from_slice(&body).unwrap());
            reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    (port, received)
}

fn told(port: u16) -> Bench {
    Bench::new(&format!(
        "store = \"kept:\"\n[environments.prod]\nautomatic = \"act\"\ncontacts = [\"ops@example.com\"]\n\
         [components.web]\ndriver = \"toy\"\n\
         [[notify]]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook\"\nsecret_env = \"SECRET\"\n\
         [[triggers]]\nname = \"outage\"\ncomponent = \"web\"\n\
         probe = {{ kind = \"command\", argv = [\"false\"] }}\nrule = {{ lasting = \"100ms\", every = \"50ms\" }}\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_told_when_it_begins_and_when_it_ends() {
    let (port, received) = receiver(true);
    let bench = told(port);
    let ran = bench.run("run --to revision=v1 --yes --reason slow").await;
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let notices: Vec<Value> = received.try_iter().collect();
    let kinds: Vec<_> = notices.iter().map(|notice| notice["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "done"]);
    assert_eq!(notices[1]["components"][0]["to"]["label"], "v1");
    assert!(!ran.err.contains("hunter22") && !notices[0].to_string().contains("hunter22"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_needed_is_called() {
    let (port, received) = receiver(true);
    let bench = told(port);
    let ran = bench.run("guard --for 5s").await;
    assert_eq!(ran.code, 11, "nothing is good: {}{}", ran.out, ran.err);
    let notices: Vec<Value> = received.try_iter().collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0]["kind"], "needs-somebody");
    assert_eq!(notices[0]["contacts"][0], "ops@example.com");
    assert!(notices[0]["answers"].as_array().unwrap().len() >= 12);
    let figures = bench.run("stats --output json").await.json();
    assert_eq!(figures["components"]["web"]["incidents"], 1, "{figures:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_hangs_keeps_nobody_from_rolling_back() {
    let (port, _received) = receiver(false);
    let bench = told(port);
    let ran = bench.run("run --to revision=v1 --yes --reason slow").await;
    assert_eq!((ran.code, bench.current().as_str()), (0, "v1"), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("was not told of 2"), "{}", ran.err);
    // Nor does one that cannot even be set up.
    let file = bench.folder.path().join("rollback.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"SECRET\"", "\"NOT_THERE\"")).unwrap();
    let ran = bench.run("run --to revision=v2 --allow-newer --allow-quarantined --yes --reason back").await;
    assert_eq!((ran.code, bench.current().as_str()), (0, "v2"), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("nobody is told") && ran.err.contains("NOT_THERE"), "{}", ran.err);
}

#[tokio::test]
async fn what_happened_can_be_read_by_those_who_were_not_there() {
    let bench = Bench::new(crate::CONFIGURATION);
    assert_eq!(bench.run("report").await.code, 1);
    assert_eq!(bench.run("stats").await.out, "no incidents\n");
    assert_eq!(bench.run("run --to revision=v1 --yes --reason <b>slow</b>").await.code, 0);
    let markdown = bench.run("report").await;
    assert!(
        markdown.code == 0 && markdown.out.contains("v2") && markdown.out.contains("v1"),
        "{}",
        markdown.out
    );
    let written = bench.run("report --html incident.html").await;
    assert_eq!(written.code, 0, "{}", written.err);
    let html = std::fs::read_to_string(bench.folder.path().join("incident.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("&lt;b&gt;slow") && !html.contains("<b>slow"), "{html}");
    assert_eq!(bench.run("report --html incident.html").await.code, 3, "it exists");
    assert_eq!(bench.run("report --html incident.html --force").await.code, 0);
    let stats = bench.run("stats").await.out;
    assert!(stats.starts_with("COMPONENT") && stats.contains("web"), "{stats}");
}
