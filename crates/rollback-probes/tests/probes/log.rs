//! The `log` probe over what programs print, and its settings. Its files are tested beside it, at chosen times.

use rollback_core::probe::Sample;
use serde_json::{Value, json};

use crate::support::{refusal, sample};

async fn shell(script: &str) -> Sample {
    sample(json!({ "kind": "log", "command": ["sh", "-c", script], "pattern": "(?i)error", "timeout": "5s" }))
        .await
}

fn assert_unknown(seen: &Sample, says: &str) {
    assert!(!seen.known && !seen.ok && seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.contains(says), "{says:?} is not in {:?}", seen.detail);
    assert!(!seen.detail.contains("hunter2"), "{}", seen.detail);
}

#[tokio::test]
async fn the_lines_of_an_output_are_counted() {
    let seen =
        shell("echo Error; echo fine; echo not this one: error >&2; printf 'error, without an end'").await;
    assert!(seen.ok && seen.known, "{seen:?}");
    assert_eq!(seen.metrics["matches"], 2.0);
    assert_eq!(seen.metrics["lines"], 3.0);
    assert!(!seen.metrics.contains_key("matches_per_minute"), "only the command knows of what time that is");
    assert_eq!(seen.detail, "2 of 3 lines match");
}

#[tokio::test]
async fn a_program_that_prints_nothing_has_no_matches() {
    let seen = shell("true").await;
    assert!(seen.ok && seen.known, "{seen:?}");
    assert_eq!(seen.metrics["matches"], 0.0);
}

#[tokio::test]
async fn a_program_that_fails_is_unknown_and_its_words_are_not_shown() {
    assert_unknown(&shell("echo error hunter2; echo hunter2 >&2; exit 3").await, "exit status: 3");
    assert_unknown(&shell("kill -9 $$").await, "signal: 9");
    let seen = sample(json!({ "kind": "log", "command": ["/no/such/program"], "pattern": "x" })).await;
    assert_unknown(&seen, "cannot be started");
}

#[tokio::test]
async fn a_program_that_does_not_end_is_unknown() {
    let seen = sample(
        json!({ "kind": "log", "command": ["sh", "-c", "echo error; exec sleep 60"], "pattern": "error",
                "timeout": "100ms" }),
    );
    assert_unknown(&seen.await, "not read within 100ms");
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_unknown() {
    let seen = sample(
        json!({ "kind": "log", "command": ["sh", "-c", "yes hunter2 $(printf %01000d 0)"], "pattern": "error", "timeout": "60s" }),
    );
    assert_unknown(&seen.await, "more than 64 MiB");
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let with = |more: Value| {
        let mut settings = json!({ "kind": "log", "file": "/var/log/app.log", "pattern": "ERROR" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    for (settings, says) in [
        (with(json!({ "patern": "x" })), "did you mean \"pattern\"?"),
        (json!({ "kind": "log", "file": "/var/log/app.log" }), "missing field `pattern`"),
        (json!({ "kind": "log", "pattern": "x" }), "a `file` or a `command`"),
        (with(json!({ "command": ["journalctl"] })), "not both"),
        (json!({ "kind": "log", "command": [], "pattern": "x" }), "a `file` or a `command`"),
        (with(json!({ "file": "" })), "a `file` or a `command`"),
        (with(json!({ "pattern": "" })), "every line holds the empty text"),
        (with(json!({ "pattern": "ERROR(" })), "unclosed group"),
        (with(json!({ "pattern": "(x{1000}){1000}" })), "size limit"),
        (with(json!({ "timeout": "0s" })), "a timeout of nothing"),
    ] {
        let text = refusal(settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
    }
}
