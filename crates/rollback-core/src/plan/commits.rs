//! Which commit is left, and which one it goes back to. The branch mostly still has what is left: its next deploy brings that back, and only
//! a person can see to it there.

use crate::ledger::Deployment;
use crate::name::Version;
use crate::snapshot::{Identity, SnapshotInfo};
use crate::target::Finding;

/// The commits, as far as whoever recorded the deployments said them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Commits {
    left: Option<Version>,
    to: Option<Version>,
}

impl Commits {
    /// By the records of a target, newest first.
    pub(crate) fn of(deployments: &[Deployment], left: Option<&SnapshotInfo>, to: Identity) -> Self {
        let of = |identity: Identity| {
            let mut records = deployments.iter().filter(|record| record.snapshot.info.identity == identity);
            records.find_map(|record| record.commit.clone())
        };
        match left.map(|left| left.identity) {
            // Nothing is left.
            Some(left) if left == to => Self::default(),
            left => Self { left: left.and_then(of), to: of(to) },
        }
    }

    /// What a report says of them.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let (message, next) = match (&self.left, &self.to) {
            (Some(left), Some(to)) if left == to => {
                (format!("both were built from commit {left}"), "see what else differs".to_owned())
            }
            (Some(left), Some(to)) => (
                format!(
                    "it goes back from commit {left} to commit {to}; a branch that still has the first brings it back"
                ),
                match is_hash(left) && is_hash(to) {
                    true => format!("before the next deploy: git revert --no-commit {to}..{left}"),
                    false => "revert what came between before the next deploy".to_owned(),
                },
            ),
            (Some(left), None) => (
                format!(
                    "what is left was built from commit {left}; a branch that still has it brings it back"
                ),
                match is_hash(left) {
                    true => format!("before the next deploy: git revert {left}, and what else came with it"),
                    false => "revert it before the next deploy".to_owned(),
                },
            ),
            (None, Some(to)) => (
                format!("it goes back to commit {to}"),
                match is_hash(to) {
                    true => format!("before the next deploy, see what came since: git log {to}.."),
                    false => "see what came since before the next deploy".to_owned(),
                },
            ),
            (None, None) => return None,
        };
        Some(Finding::info("commit", message).next(next))
    }
}

/// Whether git takes it for a commit whatever else there is. Anything else may be an option, or several words.
fn is_hash(commit: &Version) -> bool {
    let text = commit.as_str();
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(left: Option<&str>, to: Option<&str>) -> Option<(String, String)> {
        let version = |text: Option<&str>| text.map(|text| Version::new(text).unwrap());
        let found = Commits { left: version(left), to: version(to) }.finding()?;
        Some((found.message, found.next.unwrap_or_default()))
    }

    #[test]
    fn the_branch_still_has_what_is_left() {
        assert_eq!(told(None, None), None);
        let (message, next) = told(Some("abc123d"), Some("def4567")).unwrap();
        assert!(message.contains("from commit abc123d to commit def4567"), "{message}");
        assert!(next.ends_with("git revert --no-commit def4567..abc123d"), "{next}");
        assert!(told(Some("abc123d"), None).unwrap().1.contains("git revert abc123d"));
        assert!(told(None, Some("def4567")).unwrap().1.contains("git log def4567.."));
        assert!(told(Some("abc123d"), Some("abc123d")).unwrap().0.contains("both"));
    }

    #[test]
    fn what_is_no_hash_is_in_no_command() {
        for text in ["--output=/etc/passwd", "main", "abc123", "abc123d; rm -rf ~"] {
            for next in [told(Some(text), None), told(None, Some(text)), told(Some(text), Some("abc123d"))] {
                assert!(!next.unwrap().1.contains("git "), "{text}");
            }
        }
    }
}
