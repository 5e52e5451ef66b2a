//! What a container wrote before it ended: the application's own text, which may hold anything.

use std::time::Duration;

use rollback_core::foreign::{Cut, last_words};
use rollback_core::target::Phase;
use rollback_ssh_support::Command;

use super::{Client, HostClient};
use crate::look::HostLook;

const LOGS: &str = include_str!("logs.sh");
/// How long a failure waits to be explained.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the script cuts off at.
const BYTES_READ: usize = 16 * 1024;

impl HostClient {
    /// The last words of a container, for the reason of a failure.
    pub(crate) async fn last_words(&self, container: &str) -> String {
        let command = Command::script(LOGS).arg(container).limit(PATIENCE);
        let text = match self.run("read its log", &command).await {
            Ok(output) => output.text().into_owned(),
            Err(error) => return format!("its log could not be read: {}", error.message()),
        };
        let cut = if text.len() >= BYTES_READ { Cut::Before } else { Cut::Nowhere };
        match last_words(&text, cut) {
            said if said.is_empty() => "it wrote nothing".to_owned(),
            // Not the container's words: a logging driver that keeps nothing here.
            said if said.starts_with("Error response from daemon: ") => {
                format!("its log could not be read: {said}")
            }
            said => format!("it wrote last: {said}"),
        }
    }
}

impl Client {
    /// Whether something moves on a host or has failed; with what a container wrote that ended, where that may be shown.
    pub(crate) async fn phase(&self, look: &HostLook, show_logs: bool) -> Phase {
        match look.phase() {
            Phase::Failed(why) => Phase::Failed(self.explained(look, why, show_logs).await),
            other => other,
        }
    }

    /// What is wrong with a host; with what a container wrote that ended, where that may be shown.
    pub(crate) async fn explained(&self, look: &HostLook, why: String, show_logs: bool) -> String {
        match (look.ended().filter(|_| show_logs), self.host_of(look)) {
            (Some(container), Some(host)) => format!("{why}; {}", host.last_words(&container.id).await),
            _ => why,
        }
    }
}
