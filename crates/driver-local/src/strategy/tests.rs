use jiff::Timestamp;
use rollback_core::target::Reading;
use rollback_core::{
    ActionKind, Capabilities, ComponentName, Decision, Digest, Observation, Proposal, Strategy, Token,
};

use super::*;

fn release(name: &str, content: &str) -> LocalRelease {
    LocalRelease {
        name: ReleaseName::new(name).unwrap(),
        digest: Digest::of_bytes(content.as_bytes()),
        files: 1,
        bytes: 1,
        made_at: Timestamp::UNIX_EPOCH,
        outside: Vec::new(),
    }
}

fn view(settled: Reading<LocalRelease>) -> View<LocalRelease> {
    let observed = Observation::settled(settled, Token::new("t"));
    let component = ComponentName::new("web").unwrap();
    View::new(component, observed, release("v1", "good"), Capabilities::default().restarts())
}

fn proposals(restart: bool, settled: Reading<LocalRelease>) -> Vec<(&'static str, Proposal<LocalAction>)> {
    let limit = restart.then(|| Lasting::from_secs(60));
    let all: [Box<dyn Strategy<LocalRelease, LocalAction>>; 3] = [
        Box::new(SwitchSymlink::new(limit)),
        Box::new(SwitchAndRestart::new(limit)),
        Box::new(RestartOnly::new(limit)),
    ];
    let view = view(settled);
    all.iter()
        .filter_map(|strategy| match strategy.propose(&view) {
            Decision::Propose(proposal) => Some((strategy.name(), proposal)),
            Decision::NotApplicable(why) => {
                assert!(!why.is_empty());
                None
            }
        })
        .collect()
}

#[test]
fn a_static_site_is_only_switched() {
    let found = proposals(false, Reading::Known(release("v2", "bad")));
    let [(name, proposal)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((*name, proposal.steps.len(), proposal.restarts), ("switch-symlink", 1, false));
    assert_eq!(proposal.steps[0].kind, ActionKind::SingleEffect);
    assert_eq!(proposal.downtime, Lasting::from_secs(0));
}

#[test]
fn a_service_is_switched_and_then_restarted() {
    let found = proposals(true, Reading::Known(release("v2", "bad")));
    let [(name, proposal)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((*name, proposal.restarts), ("switch-and-restart", true));
    let [switch, restart] = &proposal.steps[..] else { panic!("{proposal:?}") };
    assert_eq!(restart.after, std::slice::from_ref(&switch.id));
    assert_eq!((switch.kind, restart.kind), (ActionKind::SingleEffect, ActionKind::Convergence));
    assert!(restart.timeout > Lasting::from_secs(60), "the driver's own limit comes first");
}

#[test]
fn a_missing_restart_is_repaired_on_the_release_that_is_live() {
    // The same content under another name: nothing has to be switched.
    let found = proposals(true, Reading::Known(release("v1-copy", "good")));
    let [(name, proposal)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*name, "restart-only");
    assert_eq!(proposal.steps[0].action, LocalAction::Restart { on: ReleaseName::new("v1-copy").unwrap() });
    assert!(proposals(false, Reading::Known(release("v1", "good"))).is_empty());
}

#[test]
fn an_unknown_or_absent_origin_is_switched_from() {
    assert_eq!(proposals(false, Reading::Absent).len(), 1);
    assert_eq!(proposals(true, Reading::Unknown("points to nothing".into())).len(), 1);
}
