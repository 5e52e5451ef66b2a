//! A driver whose backend forgets: a release with a configuration beside it, and a history that can be pruned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rollback_core::document::decode_exact;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Standing};
use rollback_core::{
    Action, ActionContext, Artifact, Bound, Capabilities, Contents, Decision, Digest, Document, DynTarget,
    Error, ErrorKind, Evidence, Goal, Identity, KeepsContents, Landing, Observation, PartId, PartState,
    Proposal, Reading, Receipt, Result, Revision, Risk, Snapshot, SnapshotInfo, Step, StepId, Strategy,
    Target, TargetId, TargetInfo, Token, View,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is on the shelf.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) release: Option<u32>,
    pub(super) config: String,
    pub(super) history: BTreeSet<u32>,
    /// Puts the release back and leaves the configuration, whatever it was told.
    pub(super) forgets_config: bool,
    pub(super) sent: u32,
    marks: BTreeMap<String, Token>,
}

impl Shelf {
    pub(super) fn put(&mut self, release: u32, config: &str) {
        self.release = Some(release);
        config.clone_into(&mut self.config);
        self.history.insert(release);
    }

    fn token(&self) -> Token {
        Token::new(format!("{:?}/{}", self.release, self.sent))
    }

    fn state(&self) -> Option<State> {
        let config = Some(Digest::of_bytes(self.config.as_bytes()));
        self.release.map(|release| State { release, config })
    }
}

/// A release, and the digest of the configuration that it had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    release: u32,
    config: Option<Digest>,
}

impl Document for State {
    const SCHEMA: &'static str = "shelf/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl State {
    fn revision(&self) -> Artifact {
        Artifact::new("revision", format!("r{}", self.release))
    }

    fn identity(&self) -> Identity {
        Identity(Digest::of_bytes(&self.release.to_be_bytes()))
    }
}

impl Snapshot for State {
    fn info(&self) -> SnapshotInfo {
        let revision = Revision::new(format!("r{}", self.release)).unwrap();
        let info = SnapshotInfo::new(revision, self.identity()).with_artifact(self.revision());
        match self.config {
            Some(config) => info.with_coupled(config),
            None => info,
        }
    }

    fn recall(&mut self, recorded: &Self) {
        self.config = recorded.config.or(self.config);
    }
}

/// What makes a state again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Everything {
    release: u32,
    config: String,
}

impl Document for Everything {
    const SCHEMA: &'static str = "shelf-contents/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Act {
    Switch(u32),
    Remake,
}

impl Document for Act {
    const SCHEMA: &'static str = "shelf-action/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for Act {}

/// To a release that the history still has. The configuration is left.
struct Switch;

impl Strategy<State, Act> for Switch {
    fn name(&self) -> &'static str {
        "switch"
    }

    fn summary(&self) -> &'static str {
        "to a release of the history"
    }

    fn propose(&self, view: &View<State>) -> Decision<Act> {
        let release = view.goal.release;
        let step = Step::single(StepId::from_static("switch"), "switch", Act::Switch(release));
        Decision::Propose(Proposal::new(vec![step]))
    }
}

/// To a state whose contents are kept, configuration and all.
struct Remake;

impl Strategy<State, Act> for Remake {
    fn name(&self) -> &'static str {
        "remake"
    }

    fn summary(&self) -> &'static str {
        "from kept contents"
    }

    fn propose(&self, view: &View<State>) -> Decision<Act> {
        let Some(kept) = &view.kept else {
            return Decision::NotApplicable("no contents are kept of it".to_owned());
        };
        let step = Step::single(StepId::from_static("remake"), "remake", Act::Remake);
        let proposal = Proposal::new(vec![step.with_contents(kept.clone())]).risk(Risk::Medium).coupled();
        Decision::Propose(proposal.brings(view.goal.revision()))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Driver(pub(super) Arc<Mutex<Shelf>>);

impl Driver {
    pub(super) fn erase(self) -> Arc<dyn DynTarget> {
        Bound::new("shelf", self).strategy(Switch).strategy(Remake).keeping_contents().erase()
    }

    fn part(shelf: &Shelf) -> PartState {
        PartState::verified(PartId::new("all").unwrap(), shelf.state().map(|state| state.identity()))
    }
}

#[async_trait]
impl Target for Driver {
    type Snapshot = State;
    type Action = Act;

    async fn info(&self) -> Result<TargetInfo> {
        let capabilities = Capabilities::default().history().keeps_keys();
        Ok(TargetInfo::new(TargetId::new("shelf/web")?, "here").with_capabilities(capabilities))
    }

    async fn observe(&self, _after: Option<&Token>) -> Result<Observation<State>> {
        let shelf = self.0.lock().unwrap();
        let settled = shelf.state().map_or(Reading::Absent, Reading::Known);
        Ok(Observation::settled(settled, shelf.token()).part(Self::part(&shelf)))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<State>>> {
        let shelf = self.0.lock().unwrap();
        let all = shelf.history.iter().rev().map(|release| State { release: *release, config: None });
        let wanted = all.filter(|state| query.wants(&state.info()));
        Ok(wanted.map(|state| HistoryEntry::new(state, Standing::Unknown)).collect())
    }

    async fn inspect(&self, _from: Option<&State>, to: &State) -> Result<Inspection> {
        let there = self.0.lock().unwrap().history.contains(&to.release);
        let presence = if there { Reading::Known(None) } else { Reading::Absent };
        Ok(Inspection::default().artifact(to.revision(), presence))
    }

    async fn apply(&self, cx: &ActionContext, action: &Act) -> Result<Landing> {
        let contents = cx.contents.as_ref().map(Contents::open::<Everything>).transpose()?;
        let mut shelf = self.0.lock().unwrap();
        match (action, contents) {
            (Act::Switch(release), None) if shelf.history.contains(release) => shelf.release = Some(*release),
            (Act::Remake, Some(all)) => {
                shelf.release = Some(all.release);
                if !shelf.forgets_config {
                    shelf.config = all.config;
                }
            }
            _ => return Err(Error::new(ErrorKind::NotFound, "act", "there is nothing to act with")),
        }
        shelf.sent += 1;
        let token = shelf.token();
        shelf.marks.insert(cx.key.to_string(), token.clone());
        Ok(Landing::Applied(Receipt::default().with_token(token)))
    }

    async fn probe(&self, cx: &ActionContext, _action: &Act) -> Result<Landing> {
        assert!(cx.contents.is_none(), "who looks needs no contents");
        let shelf = self.0.lock().unwrap();
        Ok(match shelf.marks.get(cx.key.as_str()) {
            Some(token) => Landing::Applied(Receipt::default().with_token(token.clone())),
            None => Landing::NotApplied { why: "its key is not known".to_owned() },
        })
    }

    async fn prove(&self, goal: &Goal<State>) -> Result<Evidence> {
        let shelf = self.0.lock().unwrap();
        let evidence = Evidence::default().part(Self::part(&shelf)).compared("the release");
        let config = shelf.state().and_then(|state| state.config);
        Ok(match (goal.coupled, config) {
            (Some(_), Some(config)) => evidence.coupled(config),
            _ => evidence,
        })
    }
}

#[async_trait]
impl KeepsContents for Driver {
    type Contents = Everything;

    async fn contents(&self, snapshot: &State) -> Result<Option<Everything>> {
        let shelf = self.0.lock().unwrap();
        if shelf.release != Some(snapshot.release) {
            return Err(Error::new(ErrorKind::Stale, "read contents", "something else is there by now"));
        }
        Ok(Some(Everything { release: snapshot.release, config: shelf.config.clone() }))
    }
}
