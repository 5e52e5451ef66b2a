//! Could this be rolled back right now? Asked before it is needed.

use jiff::Timestamp;
use serde::Serialize;

use super::guards::unshared;
use super::{Context, Engine};
use crate::error::Result;
use crate::lease::held_by;
use crate::ledger::Ledger;
use crate::name::ComponentName;
use crate::plan::{ComponentPlan, Planned, Planner};
use crate::request::{Destination, Request};
use crate::snapshot::SnapshotInfo;
use crate::target::{Finding, Severity, TargetInfo};
use crate::time::Lasting;

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckRequest {
    /// Where to. `None` = the last good state; if that is what runs, or there is none, the previous one.
    pub to: Option<Destination>,
    /// An artifact that disappears within this time is a warning; one that stays longer is only told.
    pub warn_within: Lasting,
}

impl Default for CheckRequest {
    fn default() -> Self {
        Self { to: None, warn_within: Lasting::from_secs(7 * 86_400) }
    }
}

impl CheckRequest {
    /// Asks for the way to this destination.
    #[must_use]
    pub fn to(mut self, to: Destination) -> Self {
        self.to = Some(to);
        self
    }

    /// Sets from when on an artifact that disappears is a warning; seven days unless told otherwise.
    #[must_use]
    pub fn warn_within(mut self, within: Lasting) -> Self {
        self.warn_within = within;
        self
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// In one word.
    pub verdict: Verdict,
    /// The driver.
    pub driver: String,
    /// Who and what the target is.
    pub target: TargetInfo,
    /// What would be left, where it is known.
    pub from: Option<SnapshotInfo>,
    /// Where it would go; `None` when there is nothing to go to.
    pub to: Option<SnapshotInfo>,
    /// Why there.
    pub because: Option<String>,
    /// Whether the destination runs already, proven.
    pub already_there: bool,
    /// The strategy that would be used.
    pub strategy: Option<String>,
    /// How long it should take until it is proven.
    pub expected: Option<Lasting>,
    /// How long users would be without service.
    pub downtime: Option<Lasting>,
    /// When the first artifact of the destination disappears, as far as it is known.
    pub until: Option<Timestamp>,
    /// What is in the way, and what should be known.
    pub findings: Vec<Finding>,
}

/// Whether a component could be rolled back right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Yes.
    Ready,
    /// Yes, and something should be looked at.
    Warned,
    /// No.
    Blocked,
}

impl Verdict {
    fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Blocker) => Self::Blocked,
            Some(Severity::Warning) => Self::Warned,
            Some(Severity::Info) | None => Self::Ready,
        }
    }
}

impl Engine {
    /// Whether a component could be rolled back right now: the plan that would be made, and everything that would keep
    /// it from being applied. Reads only, and saves nothing.
    ///
    /// # Errors
    ///
    /// What could not be read, or a destination that does not exist.
    pub async fn check(&self, component: &ComponentName, request: &CheckRequest) -> Result<Check> {
        let context = &*self.context;
        let target = context.target(component)?;
        let info = context.info(component).await?;
        let (to, remark) = match &request.to {
            Some(to) => (to.clone(), None),
            None => self.usual(component, &info).await?,
        };
        let asked = Request::new(context.environment.name.clone()).component(component.clone(), Some(to));
        let mut check = match (Planner { context }).plan(&asked).await? {
            Planned::Ready(plan) => match plan.components.get(component) {
                Some(planned) => of_plan(planned, request, context.clock.now()),
                None => nothing(component, target.driver(), &info, "the plan leaves it out"),
            },
            Planned::Undecided(why) => nothing(
                component,
                target.driver(),
                &info,
                why.get(component).map_or("", |undecided| &undecided.why),
            ),
        };
        check.findings.extend(remark);
        check.findings.extend(engine_findings(context, component, &info).await?);
        check.verdict = Verdict::of(&check.findings);
        Ok(check)
    }

    /// Where a rollback would go without being told, and what is to be said about that.
    async fn usual(
        &self,
        component: &ComponentName,
        info: &TargetInfo,
    ) -> Result<(Destination, Option<Finding>)> {
        let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
        let Some(good) = ledger.last_good().await? else {
            let finding = Finding::warning(
                "no-last-good",
                "no version has earned being called good: a rollback must be told where to go",
            );
            let next =
                format!("once what runs has shown that it is good: rollback record {component} --good");
            return Ok((Destination::Previous, Some(finding.next(next))));
        };
        let observed = self.context.target(component)?.observe(None).await?;
        let leaving = observed.heading.as_ref().or(observed.settled.known());
        if leaving.is_some_and(|leaving| leaving.info.identity == good.snapshot.info.identity) {
            let told = "the last good version runs: this is about the way to the one before it";
            return Ok((Destination::Previous, Some(Finding::info("last-good-runs", told))));
        }
        Ok((Destination::LastGood, None))
    }
}

fn of_plan(plan: &ComponentPlan, request: &CheckRequest, now: Timestamp) -> Check {
    let chosen = plan.proposals().next();
    let far = plan.restorable_until.is_some_and(|until| until > request.warn_within.after(now));
    let mut findings = plan.findings.clone();
    for finding in findings.iter_mut().filter(|finding| far && finding.code == "artifact-expires") {
        finding.severity = Severity::Info;
    }
    Check {
        verdict: Verdict::Ready,
        driver: plan.driver.clone(),
        target: plan.target.clone(),
        from: plan.leaving.clone(),
        to: Some(plan.to.info.clone()),
        because: Some(plan.because.clone()),
        already_there: plan.already_there,
        strategy: chosen.map(|(strategy, _)| strategy.to_owned()),
        expected: chosen.map(|(_, proposal)| proposal.expected),
        downtime: chosen.map(|(_, proposal)| proposal.downtime),
        until: plan.restorable_until,
        findings,
    }
}

fn nothing(component: &ComponentName, driver: &str, info: &TargetInfo, why: &str) -> Check {
    Check {
        verdict: Verdict::Blocked,
        driver: driver.to_owned(),
        target: info.clone(),
        from: None,
        to: None,
        because: None,
        already_there: false,
        strategy: None,
        expected: None,
        downtime: None,
        until: None,
        findings: vec![
            Finding::blocker("no-destination", why)
                .next(format!("see what there is: rollback history {component}")),
        ],
    }
}

/// What would keep the engine from beginning, or make it wait.
async fn engine_findings(
    context: &Context,
    component: &ComponentName,
    info: &TargetInfo,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some((why, next)) = unshared(context, &context.environment) {
        findings.push(Finding::blocker("store-not-shared", why).next(next));
    }
    let Some(head) = held_by(&context.records, &info.id).await? else { return Ok(findings) };
    if let Some(holder) = &head.holder {
        let message = format!("{holder} holds the lease for run {}", head.run);
        findings.push(
            Finding::warning("held", message)
                .next(format!("talk to them; if that process is gone: rollback unlock {component}")),
        );
    } else if let Some(open) = head.open.first() {
        let message =
            format!("run {} left something open here: it is looked at before anything is sent", open.run);
        findings.push(Finding::warning("left-open", message).next(format!("rollback resume {}", open.run)));
    }
    Ok(findings)
}
