//! What a container's state says of its health.

use super::docker::Container;

/// What is wrong with a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// It will not become well by waiting.
    Certain(String),
    /// It may.
    Perhaps(String),
}

impl Complaint {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Certain(text) | Self::Perhaps(text) => text,
        }
    }

    pub(crate) fn is_certain(&self) -> bool {
        matches!(self, Self::Certain(_))
    }
}

impl Container {
    /// What is wrong with it. "restarting" is not well, whatever its health check said before.
    pub(crate) fn complaint(&self) -> Option<Complaint> {
        let state = &self.state;
        let how = || match (state.out_of_memory, state.error.trim()) {
            (true, _) => format!("exit code {} (out of memory)", state.exit_code),
            (false, "") => format!("exit code {}", state.exit_code),
            (false, why) => format!("exit code {}: {}", state.exit_code, clipped(why)),
        };
        let of = |text: String| format!("{} ({}) {text}", self.service, self.name);
        Some(match state.status.as_str() {
            "running" => match state.health.as_ref().map(|health| (health.status.as_str(), health)) {
                Some(("unhealthy", health)) => Complaint::Certain(of(format!(
                    "is unhealthy: its health check failed {} times in a row",
                    health.failing_streak
                ))),
                Some(("starting", _)) if !self.passed => {
                    Complaint::Perhaps(of("waits for its health check".to_owned()))
                }
                _ => return None,
            },
            "restarting" => {
                Complaint::Certain(of(format!("ends with {}, {} restarts so far", how(), self.restarts)))
            }
            // One that docker starts again is "restarting" in between, so this one stays down.
            "exited" | "dead" => Complaint::Certain(of(format!("has ended with {}", how()))),
            "created" if !state.error.trim().is_empty() => {
                Complaint::Certain(of(format!("could not be started: {}", clipped(&state.error))))
            }
            "created" => Complaint::Perhaps(of("was made and not started".to_owned())),
            "paused" => Complaint::Certain(of("is paused".to_owned())),
            "removing" => Complaint::Perhaps(of("is being removed".to_owned())),
            other => Complaint::Perhaps(of(format!("is {}", clipped(other)))),
        })
    }
}

fn clipped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
