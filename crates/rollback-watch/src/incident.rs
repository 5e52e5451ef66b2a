//! What is remembered of each trouble: what was seen, what was asked, what was done.

use jiff::Timestamp;
use rollback_core::condition::Rule;
use rollback_core::store::{Condition, Key, KeyPrefix, Records, Written};
use rollback_core::{
    ComponentName, Digest, EnvironmentName, Result, RunId, SnapshotInfo, State, TargetId, Token,
};
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Onset, Verdict};
use crate::severity::Severity;

/// How many decisions are kept of one incident: the last ones.
const DECISIONS: usize = 20;

/// One trouble with one deployed version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incident {
    /// Which component.
    pub component: ComponentName,
    /// In which environment.
    pub environment: EnvironmentName,
    /// What it is deployed to.
    pub target: TargetId,
    /// What ran, or was on its way.
    pub bad: SnapshotInfo,
    /// The version that had earned being called good, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<SnapshotInfo>,
    /// How bad it was: the worst of what fired.
    pub severity: Severity,
    /// What fired.
    pub triggers: Vec<String>,
    /// What the last sample of the worst said.
    pub detail: String,
    /// When it began, with regard to the deploy.
    pub onset: Onset,
    /// When what ran was deployed, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<Timestamp>,
    /// When it was bad first.
    pub since: Timestamp,
    /// When that had lasted long enough to fire.
    pub fired_at: Timestamp,
    /// What was decided, the oldest first; of very many the last twenty.
    pub decisions: Vec<Decided>,
    /// When a rollback was begun, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<Timestamp>,
    /// How many runs were carried out for it.
    #[serde(default)]
    pub runs: u32,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// How that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// When that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_until: Option<Timestamp>,
    /// When no trigger fired any more, or something else was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_at: Option<Timestamp>,
    /// The samples that led there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Plot>,
}

/// What was decided, when, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// By which watcher.
    pub by: String,
    /// What, and why.
    pub decision: Decision,
}

/// The samples of one trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plot {
    /// The trigger.
    pub trigger: String,
    /// Its rule.
    pub rule: Rule,
    /// The oldest first.
    pub points: Vec<Point>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Whether it was bad; `None` if nobody knows.
    pub bad: Option<bool>,
    /// The number that the rule is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

impl Plot {
    pub(crate) fn new(trigger: &str, rule: Rule, points: Vec<Point>) -> Self {
        Self { trigger: trigger.to_owned(), rule, points }
    }
}

impl Point {
    pub(crate) fn new(at: Timestamp, bad: Option<bool>, value: Option<f64>) -> Self {
        Self { at, bad, value }
    }
}

impl Incident {
    /// What was decided last.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.decisions.last().map(|decided| &decided.decision.verdict)
    }

    /// Adds what was decided. The same as before is not added again.
    pub(crate) fn decide(&mut self, decided: Decided) {
        let same = |last: &Decided| last.decision.answers == decided.decision.answers;
        if self.decisions.last().is_some_and(same) {
            return;
        }
        self.decisions.push(decided);
        let surplus = self.decisions.len().saturating_sub(DECISIONS);
        self.decisions.drain(..surplus);
    }

    /// How many rollbacks it stands for: one that was begun counts, whatever came of it.
    #[must_use]
    pub fn rollbacks(&self) -> u32 {
        self.runs.max(u32::from(self.acted_at.is_some()))
    }

    /// Writes down how a run ended.
    pub(crate) fn ran(&mut self, run: RunId, state: State, at: Timestamp) {
        self.runs = self.runs.saturating_add(1);
        self.run = Some(run);
        self.state = Some(state);
        self.acted_until = Some(at);
    }

    /// In a line, for the reason of a rollback: `P0 outage since 03:12:40Z: HTTP 503`.
    #[must_use]
    pub fn describe(&self) -> String {
        let since = self.since.strftime("%H:%M:%SZ");
        let text = format!("{} {} since {since}: {}", self.severity, self.triggers.join(", "), self.detail);
        one_line(&text)
    }
}

/// A text that came from outside, as a reason of a run may be: one line, and not a long one.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// Where incidents are kept. Everybody who shares the store sees the same.
#[derive(Debug, Clone)]
pub struct Incidents {
    records: Records,
}

impl Incidents {
    /// Those in `records`.
    #[must_use]
    pub fn new(records: Records) -> Self {
        Self { records }
    }

    fn prefix(target: &TargetId) -> Result<KeyPrefix> {
        let segment = Digest::of_bytes(target.as_str().as_bytes()).short();
        KeyPrefix::new(&format!("incidents/{segment}"))
    }

    /// Two watchers that see the same deploy must meet in one record: the token moves with each deploy, and with nothing else.
    fn key(target: &TargetId, token: &Token) -> Result<Key> {
        let token = Digest::of(token)?.short();
        Self::prefix(target)?.key(token)
    }

    /// Begins an incident, or takes up the one that is there. What it is then.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn open(&self, token: &Token, new: Incident) -> Result<Incident> {
        let key = Self::key(&new.target, token)?;
        if let Written::Stored(_) = self.records.put(&key, &new, &Condition::Absent).await? {
            return Ok(new);
        }
        Ok(self.records.get(&key).await?.map_or(new, |record| record.value))
    }

    /// Changes an incident that is there. Whether it is.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn change(
        &self,
        target: &TargetId,
        token: &Token,
        change: impl Fn(&mut Incident) + Send,
    ) -> Result<bool> {
        self.records.modify(&Self::key(target, token)?, change).await
    }

    /// Writes down that an incident is over. Whether it was still there.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn over(&self, incident: &Incident, at: Timestamp) -> Result<bool> {
        for key in self.records.keys(&Self::prefix(&incident.target)?).await? {
            let Some(record) = self.records.get::<Incident>(&key).await? else { continue };
            if record.value.fired_at == incident.fired_at {
                let over = |incident: &mut Incident| {
                    incident.over_at.get_or_insert(at);
                };
                return self.records.modify(&key, over).await;
            }
        }
        Ok(false)
    }

    /// The incidents of a target, the newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn of(&self, target: &TargetId) -> Result<Vec<Incident>> {
        self.under(&Self::prefix(target)?).await
    }

    /// All incidents, the newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn all(&self) -> Result<Vec<Incident>> {
        self.under(&KeyPrefix::new("incidents")?).await
    }

    async fn under(&self, prefix: &KeyPrefix) -> Result<Vec<Incident>> {
        let keys = self.records.keys(prefix).await?;
        let found = self.records.get_all::<Incident>(&keys).await?;
        let mut found: Vec<_> = found.into_iter().flatten().map(|record| record.value).collect();
        found.sort_by_key(|incident| std::cmp::Reverse(incident.fired_at));
        Ok(found)
    }

    /// Completes the incident that this run was begun for, where the watcher that began it did not live to.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn complete(&self, target: &TargetId, run: RunId, state: State, at: Timestamp) -> Result<bool> {
        for key in self.records.keys(&Self::prefix(target)?).await? {
            let Some(record) = self.records.get::<Incident>(&key).await? else { continue };
            if record.value.acted_at.is_some() && record.value.state.is_none() {
                let ended = |incident: &mut Incident| {
                    incident.ran(run, state, at);
                    // Whoever watched it did not live to see that.
                    incident.over_at = incident.over_at.or(state.is_success().then_some(at));
                };
                return self.records.modify(&key, ended).await;
            }
        }
        Ok(false)
    }

    /// Removes what fired before `oldest`; with `dry_run` it only counts. How many.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn clean(&self, oldest: Timestamp, dry_run: bool) -> Result<usize> {
        let mut removed = 0;
        for key in self.records.keys(&KeyPrefix::new("incidents")?).await? {
            let Some(record) = self.records.get::<Incident>(&key).await? else { continue };
            if record.value.fired_at < oldest {
                let gone = dry_run || self.records.delete(&key, &record.version).await?;
                removed += usize::from(gone);
            }
        }
        Ok(removed)
    }
}
