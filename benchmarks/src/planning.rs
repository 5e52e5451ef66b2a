//! Planning many components: time, memory and the size of the plan. Each size is planned in a process of its own.

use std::process::Command;
use std::sync::Arc;

use rollback_core::store::MemoryStore;
use rollback_core::{Engine, Plan, Planned};
use serde::{Deserialize, Serialize};

use crate::instant::Instant;
use crate::measure::{MICROS, Samples, number, timed};
use crate::report::{Section, Table};
use crate::scenario::{component, request, runtime};
use crate::{Result, Scale, memory};

/// The argument that makes this program plan once and tell what it took.
pub(crate) const CHILD: &str = "plan-once";

/// What a child tells.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Once {
    plan_s: f64,
    write_s: f64,
    read_s: f64,
    json_bytes: usize,
    before_kib: u64,
    planned_kib: u64,
    read_kib: u64,
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let sizes: &[u32] = if scale.smoke { &[10, 100] } else { &[100, 1_000, 10_000] };
    let mut found: Vec<Vec<Once>> = vec![Vec::new(); sizes.len()];
    for _ in 0..scale.few() {
        for (size, found) in sizes.iter().zip(&mut found) {
            found.push(child(*size)?);
        }
    }
    let mut head = vec!["components".to_owned()];
    head.extend(sizes.iter().map(u32::to_string));
    let mut table = Table::new(head);
    let mut row = |name: &str, show: &dyn Fn(u32, &[Once]) -> String| {
        let cells = sizes.iter().zip(&found).map(|(size, found)| show(*size, found));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    };
    let each = |size: u32, found: &[Once], seconds: fn(&Once) -> f64| {
        all(found, |once| seconds(once) / f64::from(size)).show(MICROS)
    };
    row("planning, s", &|_, found| all(found, |once| once.plan_s).show(1.0));
    row("planning each, µs", &|size, found| each(size, found, |once| once.plan_s));
    row("writing each as JSON, µs", &|size, found| each(size, found, |once| once.write_s));
    row("reading and verifying each, µs", &|size, found| each(size, found, |once| once.read_s));
    row("saved plan, MiB", &|_, found| number(all(found, |once| once.json_bytes as f64).median() / MIB));
    row("saved plan, bytes each", &|size, found| {
        number(all(found, |once| once.json_bytes as f64).median() / f64::from(size))
    });
    let kib = |found: &[Once], value: fn(&Once) -> u64| {
        number(all(found, |once| value(once) as f64).median() / 1024.0)
    };
    row("peak memory before, MiB", &|_, found| kib(found, |once| once.before_kib));
    row("peak memory after planning, MiB", &|_, found| kib(found, |once| once.planned_kib));
    row("peak memory after reading it back, MiB", &|_, found| kib(found, |once| once.read_kib));
    table.note(format!("Medians of {} processes with quartiles.", scale.few()));
    Ok(Section { name: "planning", tables: vec![table] })
}

const MIB: f64 = 1024.0 * 1024.0;

fn all(found: &[Once], value: impl Fn(&Once) -> f64) -> Samples {
    let mut samples = Samples::default();
    found.iter().for_each(|once| samples.add(value(once)));
    samples
}

fn child(size: u32) -> Result<Once> {
    let output = Command::new(std::env::current_exe()?).arg(CHILD).arg(size.to_string()).output()?;
    if !output.status.success() {
        return Err(format!("planning {size}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Plans once, in this process, and prints what it took.
pub(crate) fn once(size: u32) -> Result<()> {
    let runtime = runtime(2)?;
    let mut builder = Engine::builder(Arc::new(MemoryStore::new()));
    for number in 0..size {
        let name = component(number)?;
        builder = builder.component(name.clone(), Instant::target(name.as_str(), 3)?);
        for first in waits_for(number) {
            builder = builder.after(name.clone(), component(first)?);
        }
    }
    let (engine, request) = (builder.build(), request(size)?);
    let before_kib = memory::peak_kib()?;
    let (planned_in, planned) = timed(|| Ok(runtime.block_on(engine.plan(&request))?))?;
    let Planned::Ready(plan) = planned else { return Err("no destination was found".into()) };
    let planned_kib = memory::peak_kib()?;
    let (written_in, text) = timed(|| Ok(plan.to_json()?.to_string()))?;
    let (read_in, read) = timed(|| Ok(Plan::from_json(&text)?))?;
    if read.digest() != plan.digest() {
        return Err("the plan was not read as it was written".into());
    }
    let once = Once {
        plan_s: planned_in.as_secs_f64(),
        write_s: written_in.as_secs_f64(),
        read_s: read_in.as_secs_f64(),
        json_bytes: text.len(),
        before_kib,
        planned_kib,
        read_kib: memory::peak_kib()?,
    };
    println!("{}", serde_json::to_string(&once)?);
    Ok(())
}

/// Groups of ten: in each the first comes first, and each of the others after the one before it.
fn waits_for(number: u32) -> impl Iterator<Item = u32> {
    let first = number / 10 * 10;
    [first, number.saturating_sub(1)].into_iter().take((number - first).min(2) as usize)
}
