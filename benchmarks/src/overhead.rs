//! What the engine costs per action when targets and store answer at once.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::name::SystemEntropy;
use rollback_core::store::{Condition, Key, MemoryStore, Records, Store};
use rollback_core::time::SystemClock;
use tokio::runtime::Runtime;

use crate::counting::Counting;
use crate::measure::{Contender, MICROS, Samples, interleaved, number, timed};
use crate::report::{Section, Table};
use crate::scenario::{Scenario, Shape, runtime};
use crate::{Result, Scale};

const SHAPES: [Shape; 6] = [
    Shape::new(1, 1),
    Shape::new(1, 10),
    Shape::new(1, 100),
    Shape::new(1, 1_000),
    Shape::new(100, 1),
    Shape::new(100, 10),
];

/// The shape that stands for all where one is enough.
const USUAL: Shape = Shape::new(1, 100);
const ONE: Shape = Shape::new(1, 1);

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let runtime = runtime(2)?;
    let shapes: Vec<Shape> =
        SHAPES.into_iter().filter(|shape| !scale.smoke || shape.all_actions() <= 100).collect();
    let samples = compare(scale, &runtime, &shapes)?;
    let mut table = Table::new(["shape", "engine, ms", "calls alone, ms", "overhead per action, µs"]);
    for (shape, pair) in shapes.iter().zip(samples.chunks(2)) {
        let per_action =
            pair[0].with(&pair[1], |run, direct| (run - direct) / f64::from(shape.all_actions()));
        table.row([shape.to_string(), pair[0].show(1e3), pair[1].show(1e3), per_action.show(MICROS)]);
    }
    table.note(format!(
        "Medians of {} rounds with quartiles. The calls alone are what a program without the engine would do: the \
         same calls of the same targets.",
        scale.rounds
    ));
    Ok(Section { name: "overhead", tables: vec![table, marginal(scale)?] })
}

fn compare(scale: &Scale, runtime: &Runtime, shapes: &[Shape]) -> Result<Vec<Samples>> {
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for shape in shapes {
        contenders.push(Box::new(|| prepare(runtime, *shape)?.run(runtime)));
        contenders.push(Box::new(|| prepare(runtime, *shape)?.direct(runtime)));
    }
    interleaved(scale.rounds, contenders)
}

fn prepare(runtime: &Runtime, shape: Shape) -> Result<Scenario> {
    Scenario::prepare(runtime, Arc::new(MemoryStore::new()), shape)
}

/// What one more action costs, and of what that is made.
fn marginal(scale: &Scale) -> Result<Table> {
    let (many, one) = (runtime(2)?, runtime(0)?);
    let mut stored = Vec::new();
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for runtime in [&many, &one] {
        for shape in [USUAL, ONE] {
            contenders.push(Box::new(move || prepare(runtime, shape)?.run(runtime)));
            contenders.push(Box::new(move || prepare(runtime, shape)?.direct(runtime)));
        }
    }
    contenders.push(Box::new(|| {
        let took = waited(&many, USUAL)? - waited(&many, ONE)?;
        stored.push(took);
        Ok(took)
    }));
    contenders.push(Box::new(|| writes(&many)));
    contenders.push(Box::new(|| hand_over(&many)));
    let taken = interleaved(scale.rounds, contenders)?;
    let more = f64::from(USUAL.actions - ONE.actions);
    let extra = |at: usize| {
        let long = taken[at].with(&taken[at + 1], |run, direct| run - direct);
        let short = taken[at + 2].with(&taken[at + 3], |run, direct| run - direct);
        long.with(&short, |long, short| (long - short) / more)
    };
    let mut table = Table::new(["one more action of one component", "µs"]);
    table.row(["overhead, two worker threads (as the command runs)".to_owned(), extra(0).show(MICROS)]);
    table.row(["overhead, one thread".to_owned(), extra(4).show(MICROS)]);
    table.row(["of it inside the store".to_owned(), taken[8].map(|all| all / more).show(MICROS)]);
    table.row([
        "three records written, with nonce and JSON".to_owned(),
        taken[9].map(|all| all / f64::from(REPEATED)).show(MICROS),
    ]);
    table.row([
        "one task handed to a worker and awaited".to_owned(),
        taken[10].map(|all| all / f64::from(REPEATED)).show(MICROS),
    ]);
    table.note(format!(
        "The first two: 100 actions against one, divided by {}; the target is at most 50 µs. The last three are \
         measured alone and are parts of the first.",
        number(more)
    ));
    Ok(table)
}

/// How often the parts are repeated for one sample.
const REPEATED: u32 = 100;

/// How long a run waits for its store.
fn waited(runtime: &Runtime, shape: Shape) -> Result<Duration> {
    let store = Counting::new(Arc::new(MemoryStore::new()));
    let scenario = Scenario::prepare(runtime, Arc::clone(&store) as Arc<dyn Store>, shape)?;
    store.take();
    scenario.run(runtime)?;
    Ok(store.take().waited)
}

/// Writes as many records as an action needs, about as large as they are.
fn writes(runtime: &Runtime) -> Result<Duration> {
    let records = Records::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock), Arc::new(SystemEntropy));
    let body = "x".repeat(250);
    let (took, ()) = timed(|| {
        runtime.block_on(async {
            for number in 0..REPEATED * 3 {
                let key = Key::new(format!("journal/benchmark/{number:06}"))?;
                records.put(&key, &body, &Condition::Absent).await?;
            }
            Ok(())
        })
    })?;
    Ok(took)
}

fn hand_over(runtime: &Runtime) -> Result<Duration> {
    let (took, ()) = timed(|| {
        runtime.block_on(async {
            for _ in 0..REPEATED {
                tokio::spawn(async {}).await?;
            }
            Ok(())
        })
    })?;
    Ok(took)
}
