//! The driver of the targets: it does what it is told and writes down who told it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::lease::Head;
use rollback_core::name::SystemEntropy;
use rollback_core::store::{Key, Records, Store};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Standing};
use rollback_core::time::{Clock as _, SystemClock};
use rollback_core::{
    ActionContext, Bound, Capabilities, ComponentName, Decision, Digest, DynTarget, Error, ErrorKind,
    Evidence, Goal, Landing, Observation, PartId, PartState, Proposal, Reading, Receipt, Result,
    Snapshot as _, Step, StepId, Strategy, Target, TargetId, TargetInfo, Token, View,
};

use super::forms::{Act, RELEASES, Release};
use super::log::{Line, Now, TargetLog};
use super::settings::Settings;
use crate::{Random, alive};

/// The longest that a request takes mostly, and now and then: long enough to be seen by somebody who takes over too early,
/// and far less than half a lease.
const MOSTLY: u64 = 40;
const LONGEST: u64 = 900;

/// How long a request takes: chance, but the same each time.
fn takes(key: &str) -> Duration {
    let mut random =
        Random::seeded(key.bytes().fold(0, |seed, byte| seed * 31 % (1 << 48) + u64::from(byte)));
    let longest = if random.chance(0.2) { LONGEST } else { MOSTLY };
    Duration::from_millis(1 + random.below(longest))
}

/// One target in the hands of one piece of work.
pub(super) struct Toy {
    id: TargetId,
    log: TargetLog,
    op: String,
    heads: Records,
    head: Key,
}

impl Toy {
    /// The target of `component`; `witness` is asked for its head.
    pub(super) fn bound(
        settings: &Settings,
        component: &ComponentName,
        op: &str,
        witness: Arc<dyn Store>,
    ) -> Result<Arc<dyn DynTarget>> {
        let id = Settings::target_id(component)?;
        // Where core keeps the head of a target.
        let head = Key::new(format!("heads/{}", &Digest::of_bytes(id.as_str().as_bytes()).hex()[..32]))?;
        let heads = Records::new(witness, Arc::new(SystemClock), Arc::new(SystemEntropy));
        let log = TargetLog::new(&settings.world, component.as_str());
        Ok(Bound::new("toy", Self { id, log, op: op.to_owned(), heads, head })
            .strategy(StageAndSwitch)
            .erase())
    }

    fn now(&self) -> Result<Now> {
        self.log.now().map_err(|error| unavailable("read the target", error))
    }

    fn append(&self, line: &Line) -> Result<()> {
        self.log.append(line).map_err(|error| unavailable("write to the target", error))
    }

    async fn head(&self) -> Result<Option<Head>> {
        Ok(self.heads.get::<Head>(&self.head).await?.map(|record| record.value))
    }

    async fn begin(&self, cx: &ActionContext, now: &Now) -> Result<()> {
        let head = self.head().await?;
        let holder = head.as_ref().and_then(|head| head.holder.as_ref());
        let begun = now.open.iter().map(|(pid, _)| *pid);
        self.append(&Line::Begin {
            op: self.op.clone(),
            pid: std::process::id(),
            run: cx.run.to_string(),
            key: cx.key.to_string(),
            epoch: head.as_ref().map_or(0, |head| head.epoch),
            head_run: head.as_ref().map(|head| head.run.to_string()).unwrap_or_default(),
            head_pid: holder.map_or(0, |holder| holder.pid),
            dead: begun.filter(|pid| !alive(*pid)).collect(),
        })
    }
}

fn unavailable(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, what, "its log does not let us").with_source(error)
}

fn token(now: &Now) -> Token {
    Token::new(format!("toy/{}", now.done))
}

fn part(release: u32) -> Result<PartState> {
    Ok(PartState::verified(PartId::new("all")?, Some(Release { release }.identity())))
}

#[async_trait]
impl Target for Toy {
    type Snapshot = Release;
    type Action = Act;

    async fn info(&self) -> Result<TargetInfo> {
        Ok(TargetInfo::new(self.id.clone(), "toy")
            .with_capabilities(Capabilities::default().history().keeps_keys()))
    }

    async fn observe(&self, _after: Option<&Token>) -> Result<Observation<Release>> {
        let now = self.now()?;
        let settled = Reading::Known(Release { release: now.release });
        Ok(Observation::settled(settled, token(&now)).part(part(now.release)?))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Release>>> {
        let current = self.now()?.release;
        let all = (0..RELEASES).rev().map(|release| Release { release });
        let wanted = all.filter(|release| query.wants(&release.info())).take(query.limit);
        let standing = |release| if release == current { Standing::Current } else { Standing::Ran };
        Ok(wanted.map(|release| HistoryEntry::new(release, standing(release.release))).collect())
    }

    async fn inspect(&self, _from: Option<&Release>, _to: &Release) -> Result<Inspection> {
        Ok(Inspection::default())
    }

    async fn apply(&self, cx: &ActionContext, action: &Act) -> Result<Landing> {
        let now = self.now()?;
        if now.keys.iter().any(|key| *key == cx.key.as_str()) {
            return Ok(Landing::Applied(Receipt::default().with_token(token(&now))));
        }
        if cx.expected.as_ref().is_some_and(|expected| *expected != token(&now)) {
            return Err(Error::new(ErrorKind::Stale, "change the target", "somebody changed it since")
                .next("plan again"));
        }
        self.begin(cx, &now).await?;
        SystemClock.sleep(takes(cx.key.as_str())).await;
        let epoch = self.head().await?.map_or(0, |head| head.epoch);
        let (op, run, key) = (self.op.clone(), cx.run.to_string(), cx.key.to_string());
        let runs = matches!(action, Act::Switch { .. }).then(|| action.release());
        self.append(&Line::Done { op, run, key, runs, epoch })?;
        Ok(Landing::Applied(Receipt::default().with_token(token(&self.now()?))))
    }

    async fn probe(&self, cx: &ActionContext, _action: &Act) -> Result<Landing> {
        let now = self.now()?;
        if now.keys.iter().any(|key| *key == cx.key.as_str()) {
            return Ok(Landing::Applied(Receipt::default().with_token(token(&now))));
        }
        let running = now.open.iter().any(|(pid, key)| *key == cx.key.as_str() && alive(*pid));
        Ok(if running {
            Landing::Running { what: "it is being worked on".to_owned() }
        } else {
            Landing::NotApplied { why: "its key is not known".to_owned() }
        })
    }

    async fn prove(&self, _goal: &Goal<Release>) -> Result<Evidence> {
        let now = self.now()?;
        self.append(&Line::Proved { op: self.op.clone(), release: now.release, seen: now.lines })?;
        Ok(Evidence::default().compared("what its log says").part(part(now.release)?))
    }
}

/// Two requests, one after the other: there is something between them to be killed in.
struct StageAndSwitch;

impl Strategy<Release, Act> for StageAndSwitch {
    fn name(&self) -> &'static str {
        "stage-and-switch"
    }

    fn summary(&self) -> &'static str {
        "bring the release there, then run it"
    }

    fn propose(&self, view: &View<Release>) -> Decision<Act> {
        let release = view.goal.release;
        let (Ok(stage), Ok(switch)) = (StepId::new("stage"), StepId::new("switch")) else {
            return Decision::NotApplicable("no names for its steps".to_owned());
        };
        let first = Step::single(stage.clone(), format!("stage r{release}"), Act::Stage { release });
        let then =
            Step::single(switch, format!("switch to r{release}"), Act::Switch { release }).after([stage]);
        Decision::Propose(Proposal::new(vec![first, then]))
    }
}
