//! What others say of a failure: the log of a container that crashed, the events about what could not be made.
//!
//! Asked only where something failed or is missing, one request for a look, and once for each instance of a container.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rollback_core::foreign::{self, Cut};
use rollback_core::time::{SystemClock, within};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::Client;
use super::wire::{Resource, escaped};
use crate::look::{Look, Pod, Witness};
use crate::text::{line, text};

/// How long a failure waits to be explained: logs come from the node, which may be the very thing that is broken. Less where somebody
/// waits for a plan.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
pub(crate) const IN_A_HURRY: Duration = Duration::from_millis(500);
/// How much of a log is read.
const LINES_READ: u32 = 20;
const BYTES_READ: usize = 16 * 1024;
/// What the API server may answer on top of that, when it does not count as it should.
const LARGEST: usize = 256 * 1024;
const PODS: Resource = Resource::core("pods");
const EVENTS: Resource = Resource::core("events");

/// What was said, and of what. Of one workload, so the last is enough.
#[derive(Debug, Default)]
pub(super) struct Testimonies {
    no_logs: bool,
    last: Mutex<Option<(String, Option<String>)>>,
}

impl Testimonies {
    pub(super) fn showing_logs(show: bool) -> Self {
        Self { no_logs: !show, last: Mutex::default() }
    }

    fn of(&self, what: &str) -> Option<Option<String>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(of, _)| of == what).map(|(_, said)| said.clone())
    }

    fn keep(&self, what: String, said: Option<&String>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((what, said.cloned()));
    }
}

impl Client {
    /// What more can be said of why a workload failed, or why pods of it are missing. Nothing is asked where nothing is wrong.
    pub(crate) async fn testimony(&self, look: &Look, patience: Duration) -> Option<String> {
        match within(&SystemClock, patience, self.ask(look)).await {
            Some(said) => said,
            None => look.witness().map(|_| "more could not be read in time".to_owned()),
        }
    }

    async fn ask(&self, look: &Look) -> Option<String> {
        if let Some((pod, witness)) = look.witness() {
            return self.about(pod, witness).await;
        }
        let (all, updated) = look.shortage()?;
        // Between a pod that went and the next one there is always a moment: only what lasts is asked about.
        let what = format!("{} {all} {updated}", look.uid());
        match self.testimonies.of(&what) {
            Some(Some(said)) => Some(said),
            Some(None) => {
                let said = self.event(look.uid(), "FailedCreate", |_| true).await;
                self.testimonies.keep(what, said.as_ref());
                said
            }
            None => {
                self.testimonies.keep(what, None);
                None
            }
        }
    }

    async fn about(&self, pod: &Pod, witness: &Witness) -> Option<String> {
        let what = format!("{} {witness:?}", pod.uid);
        if let Some(said) = self.testimonies.of(&what) {
            return said;
        }
        let said = match witness {
            Witness::Log { .. } if self.testimonies.no_logs => return None,
            Witness::Log { container, .. } => Some(last_words(self.log(&pod.name, container).await)),
            Witness::Events => self.event(&pod.uid, "Failed", |said| said.contains("pull")).await,
        };
        self.testimonies.keep(what, said.as_ref());
        said
    }

    /// The end of what the instance of a container wrote that ended last.
    async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let container = escaped(container);
        let query =
            format!("previous=true&container={container}&tailLines={LINES_READ}&limitBytes={BYTES_READ}");
        let call = self.call("get", PODS).named(pod).part("log").query(query);
        call.send_for_text(&self.kube, LARGEST).await
    }

    /// The newest event of this reason about an object.
    async fn event(&self, uid: &str, reason: &str, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let selector = escaped(&format!("involvedObject.uid={uid},reason={reason}"));
        let call = self.call("list", EVENTS).query(format!("fieldSelector={selector}&limit=100"));
        match call.send(&self.kube).await {
            Ok(found) => newest(&found, is_meant).map(line),
            Err(error) if error.kind() == ErrorKind::Denied => Some(
                "why is in the events, which may not be read: the caller needs verb list on events"
                    .to_owned(),
            ),
            Err(_) => None,
        }
    }
}

/// The message of the newest event.
fn newest(found: &Value, is_meant: impl Fn(&str) -> bool) -> Option<&str> {
    let at = |event: &Value| {
        let all = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
        all.iter().find_map(|at| text(event, at)?.parse::<jiff::Timestamp>().ok())
    };
    let all = crate::text::list(found, "/items").iter();
    let meant = all.filter(|event| text(event, "/message").is_some_and(&is_meant));
    text(meant.max_by_key(|event| at(event))?, "/message")
}

/// What is told of a log, or of why it is not.
fn last_words(read: Result<String>) -> String {
    let why = match read {
        Ok(log) => {
            // No more was asked for: its end may be missing.
            let cut = if log.len() >= BYTES_READ { Cut::After } else { Cut::Nowhere };
            return match foreign::last_words(&log, cut) {
                said if said.is_empty() => "it wrote nothing".to_owned(),
                said => format!("it wrote last: {said}"),
            };
        }
        Err(error) => reason(&error),
    };
    format!("its log could not be read: {why}")
}

fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Denied => "the caller needs verb get on pods/log".to_owned(),
        ErrorKind::Invalid | ErrorKind::NotFound => "it is no longer kept".to_owned(),
        _ => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_end_of_a_log_is_told() {
        assert_eq!(
            last_words(Ok("starting\nfatal: no table\n".into())),
            "it wrote last: starting | fatal: no table"
        );
        assert_eq!(last_words(Ok("\n \n".into())), "it wrote nothing");
        // Cut off by the API server.
        let cut = format!("{}\npostgres://shop:hunter2", "x".repeat(BYTES_READ));
        assert!(last_words(Ok(cut)).ends_with("postgres://***"));
    }

    #[test]
    fn why_a_log_is_not_there_is_told_in_few_words() {
        let said = |kind| last_words(Err(Error::new(kind, "get pods/log", "said")));
        assert_eq!(
            said(ErrorKind::Denied),
            "its log could not be read: the caller needs verb get on pods/log"
        );
        assert_eq!(said(ErrorKind::Invalid), "its log could not be read: it is no longer kept");
        assert_eq!(said(ErrorKind::Unavailable), "its log could not be read: said");
    }

    #[test]
    fn the_newest_event_counts() {
        let event = |at: &str, said: &str| json!({ "lastTimestamp": at, "message": said });
        let found = json!({ "items": [event("2026-11-21T10:00:02Z", "pull: new"), event("2026-11-21T10:00:01Z", "pull: old"),
            event("2026-11-21T10:00:03Z", "Error: ErrImagePull"), { "eventTime": null, "message": "pull: undated" }] });
        assert_eq!(newest(&found, |said| said.contains("pull:")), Some("pull: new"));
        assert_eq!(newest(&json!({}), |_| true), None);
    }
}
