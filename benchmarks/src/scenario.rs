//! Rollbacks of instant targets, through the engine and without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::{
    ActionContext, Approval, ComponentName, Destination, DynTarget, Engine, EnvironmentName, Goal,
    IdempotencyKey, Plan, Planned, Request, RunId, State, Store,
};
use tokio::runtime::Runtime;

use crate::Result;
use crate::instant::Instant;
use crate::measure::timed;

/// How many components, and how many actions for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) components: u32,
    pub(crate) actions: u32,
}

impl Shape {
    pub(crate) const fn new(components: u32, actions: u32) -> Self {
        Self { components, actions }
    }

    pub(crate) fn all_actions(self) -> u32 {
        self.components * self.actions
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        let (c, a) = (self.components, self.actions);
        write!(f, "{c} component{} × {a} action{}", plural(c), plural(a))
    }
}

type Targets = BTreeMap<ComponentName, Arc<dyn DynTarget>>;

/// Targets on a release that is to be left, and the plan to leave it.
pub(crate) struct Scenario {
    targets: Targets,
    engine: Engine,
    plan: Box<Plan>,
}

/// A runtime with this many workers; none = everything on the calling thread.
pub(crate) fn runtime(workers: usize) -> Result<Runtime> {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    Ok(builder.enable_all().build()?)
}

/// The component with this number.
pub(crate) fn component(number: u32) -> Result<ComponentName> {
    Ok(ComponentName::new(format!("component-{number:05}"))?)
}

/// What is asked for: each component back to its previous release.
pub(crate) fn request(components: u32) -> Result<Request> {
    let mut request = Request::new(EnvironmentName::new("default")?).reason("a benchmark");
    for number in 0..components {
        request = request.component(component(number)?, Some(Destination::Previous));
    }
    Ok(request)
}

fn targets(shape: Shape) -> Result<Targets> {
    (0..shape.components)
        .map(|number| {
            let name = component(number)?;
            let target = Instant::target(name.as_str(), shape.actions)?;
            Ok((name, target))
        })
        .collect()
}

impl Scenario {
    /// Fresh targets and a plan, which is not part of what is measured.
    pub(crate) fn prepare(runtime: &Runtime, store: Arc<dyn Store>, shape: Shape) -> Result<Self> {
        let targets = targets(shape)?;
        let mut builder = Engine::builder(store);
        for (name, target) in &targets {
            builder = builder.component(name.clone(), Arc::clone(target));
        }
        let engine = builder.build();
        let request = request(shape.components)?;
        match runtime.block_on(engine.plan(&request))? {
            Planned::Ready(plan) => Ok(Self { targets, engine, plan }),
            Planned::Undecided(_) => Err("no destination was found".into()),
        }
    }

    /// How long the engine takes from the plan to the report.
    pub(crate) fn run(&self, runtime: &Runtime) -> Result<Duration> {
        let (took, report) =
            timed(|| Ok(runtime.block_on(self.engine.apply(&self.plan, &Approval::yes()))?))?;
        match report.state {
            State::Restored => Ok(took),
            state => Err(format!("the run ended as {state}").into()),
        }
    }

    /// How long the same calls of the targets take when nobody stands between: no journal, no lease, no layers.
    pub(crate) fn direct(&self, runtime: &Runtime) -> Result<Duration> {
        let contexts = self.contexts()?;
        let (took, ()) = timed(|| runtime.block_on(self.call_directly(&contexts)))?;
        Ok(took)
    }

    fn contexts(&self) -> Result<Vec<ActionContext>> {
        let mut contexts = Vec::new();
        let run: RunId = "01900000-0000-7000-8000-000000000000".parse()?;
        for (name, planned) in &self.plan.components {
            let (_, proposal) = planned.proposals().next().ok_or("no proposal")?;
            for step in &proposal.steps {
                let key = IdempotencyKey::new(format!("{run}-{}", step.id))?;
                contexts.push(ActionContext::new(run, name.clone(), step.id.clone(), key));
            }
        }
        Ok(contexts)
    }

    async fn call_directly(&self, contexts: &[ActionContext]) -> Result<()> {
        let mut contexts = contexts.iter();
        for (name, planned) in &self.plan.components {
            let target = &self.targets[name];
            target.info().await?;
            target.observe(None).await?;
            target.inspect(planned.from.known(), &planned.to).await?;
            let (_, proposal) = planned.proposals().next().ok_or("no proposal")?;
            for (step, cx) in proposal.steps.iter().zip(contexts.by_ref()) {
                target.apply(cx, &step.action).await?;
            }
            target.observe(None).await?;
            let goal = Goal::runs(planned.to.clone());
            let evidence = target.prove(&goal).await?;
            if !evidence.judge(planned.to.info.identity, &goal).is_proven() {
                return Err("the calls did not lead to the goal".into());
            }
        }
        Ok(())
    }
}
