//! What scripts and docker say when something is wrong with a host.

use rollback_core::{Effect, Error, ErrorKind, Result};
use rollback_ssh_support::Output;

/// The output of a script that changes nothing that would have to be taken back.
pub(crate) fn judge(host: &str, operation: &str, output: Output) -> Result<Output> {
    if output.success() {
        return output.checked(operation);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: String =
        said.lines().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" | ");
    let said: String = said.chars().filter(|c| !c.is_control()).take(500).collect();
    let (kind, transient, next) = reason(output.status, &said);
    let message = if said.is_empty() {
        format!("{host}: exit code {}", output.status)
    } else {
        format!("{host}: {said}")
    };
    let mut error = Error::new(kind, operation, message).transient(transient).with_effect(Effect::None);
    if let Some(next) = next {
        error = error.next(next);
    }
    Err(error)
}

fn reason(status: i32, said: &str) -> (ErrorKind, bool, Option<&'static str>) {
    let says = |text: &str| said.contains(text);
    match status {
        90 => (ErrorKind::Unsupported, false, Some("install docker there, or name another host")),
        _ if says("no space left") || says("disk quota exceeded") => (
            ErrorKind::Unavailable,
            false,
            Some("its disk is full: free space there, as with `docker image prune`"),
        ),
        _ if says("permission denied") && says("docker") => (
            ErrorKind::Denied,
            false,
            Some("add the user to the group `docker` there, or log in as one who is in it"),
        ),
        91 if says("Cannot connect") || says("Is the docker daemon running") => {
            (ErrorKind::Unavailable, true, Some("start docker there: systemctl start docker"))
        }
        // What a digest stands for is checked by docker itself.
        92 if says("verification failed") || says("unexpected digest") || says("digest mismatch") => (
            ErrorKind::Corrupt,
            false,
            Some(
                "the registry hands out something else than this digest stands for: let nobody pull from it until it is known why, and go to an image that the hosts have (rollback history)",
            ),
        ),
        92 if says("no basic auth") || says("unauthorized") || says("authorization") || says("denied") => (
            ErrorKind::Denied,
            false,
            Some(
                "log the host in to its registry, for ECR: aws ecr get-login-password | docker login --username AWS --password-stdin REGISTRY",
            ),
        ),
        92 if says("not found") || says("manifest unknown") => (
            ErrorKind::NotFound,
            false,
            Some(
                "the registry no longer has it: choose a version that it or the hosts have (rollback history)",
            ),
        ),
        92 => (ErrorKind::Unavailable, true, None),
        93 => (
            ErrorKind::NotFound,
            false,
            Some("it was built on a host and removed there: choose another version"),
        ),
        91 => (ErrorKind::Unavailable, true, None),
        _ => (ErrorKind::Other, false, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_host_is_told_apart() {
        let kind = |status, said: &str| {
            let error = judge("web-1", "look", Output::new(status, "", said)).unwrap_err();
            assert_eq!(error.effect(), Effect::None);
            assert!(error.message().starts_with("web-1: "), "{error}");
            (error.kind(), error.is_transient())
        };
        assert_eq!(kind(90, "there is no docker command"), (ErrorKind::Unsupported, false));
        let socket = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        assert_eq!(kind(91, socket), (ErrorKind::Denied, false));
        let daemon = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        assert_eq!(kind(91, daemon), (ErrorKind::Unavailable, true));
        assert_eq!(
            kind(92, "Error response from daemon: Get http://r/v2/: no basic auth credentials"),
            (ErrorKind::Denied, false)
        );
        assert_eq!(
            kind(92, "manifest for r/web@sha256:1 not found: manifest unknown"),
            (ErrorKind::NotFound, false)
        );
        assert_eq!(
            kind(92, "dial tcp 127.0.0.1:5000: connect: connection refused"),
            (ErrorKind::Unavailable, true)
        );
        assert_eq!(kind(92, "write /x: no space left on device"), (ErrorKind::Unavailable, false));
        let other = "manifest verification failed for digest sha256:1";
        assert_eq!(kind(92, other), (ErrorKind::Corrupt, false));
        let layer = "filesystem layer verification failed for digest sha256:1";
        assert_eq!(kind(92, layer), (ErrorKind::Corrupt, false));
    }
}
