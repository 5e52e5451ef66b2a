//! What the engine costs on SQLite with every write durable, against the bare commits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::store::{Condition, Key, Store};
use rollback_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::counting::{Counting, Counts};
use crate::measure::{Contender, MILLIS, MICROS, interleaved, number, timed};
use crate::report::{Section, Table};
use crate::scenario::{Scenario, Shape, runtime};
use crate::{Result, Scale};

type Writes = Vec<(String, usize)>;

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let runtime = runtime(2)?;
    Ok(Section { name: "durable", tables: vec![counted(&runtime)?, compared(scale, &runtime)?] })
}

/// Runs a shape on a fresh database. How long it took, and what was asked of the store.
fn run(runtime: &Runtime, folder: &Path, shape: Shape) -> Result<(Duration, Counts)> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = SqliteStore::open(folder.path().join("state.db"))?;
    // Creating the file is not what is measured.
    runtime.block_on(store.put(&Key::new("warm/up")?, b"x", &Condition::Any))?;
    let store = Counting::new(Arc::new(store));
    let scenario = Scenario::prepare(runtime, Arc::clone(&store) as Arc<dyn Store>, shape)?;
    store.take();
    let took = scenario.run(runtime)?;
    Ok((took, store.take()))
}

/// The same commits without a store around them: one statement each, into a table of keys and values.
fn raw(folder: &Path, writes: &Writes) -> Result<Duration> {
    let folder = tempfile::tempdir_in(folder)?;
    let connection = Connection::open(folder.path().join("raw.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "extra")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.execute_batch("CREATE TABLE entries (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT")?;
    let sql = "INSERT INTO entries VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let mut insert = connection.prepare(sql)?;
    insert.execute(("warm/up", b"x"))?;
    let values: Vec<Vec<u8>> = writes.iter().map(|(_, size)| vec![b'x'; *size]).collect();
    let (took, ()) = timed(|| {
        for ((key, _), value) in writes.iter().zip(&values) {
            insert.execute((key, value))?;
        }
        Ok(())
    })?;
    Ok(took)
}

/// Commits by what they are for: for one more action, for one more component, and for a run.
fn counted(runtime: &Runtime) -> Result<Table> {
    let folder = tempfile::tempdir()?;
    let writes = |components, actions| -> Result<BTreeMap<String, f64>> {
        let (_, counts) = run(runtime, folder.path(), Shape::new(components, actions))?;
        Ok(by_kind(&counts.writes))
    };
    let (one, long, two) = (writes(1, 1)?, writes(1, 11)?, writes(2, 1)?);
    let mut table = Table::new(["commits", "one more action", "one more component", "a run"]);
    let mut sums = [0.0; 3];
    for (kind, count) in &one {
        let action = (long[kind] - count) / 10.0;
        let component = two[kind] - count - action;
        let cells = [action, component, count - component - action];
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
        table.row(std::iter::once(kind.clone()).chain(cells.map(whole)));
    }
    table.row(std::iter::once("all".to_owned()).chain(sums.map(whole)));
    table.note("Counted, not timed. The target is at most four commits per action.");
    Ok(table)
}

fn whole(count: f64) -> String {
    if count.fract() == 0.0 { format!("{count:.0}") } else { number(count) }
}

fn by_kind(writes: &Writes) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    for (key, _) in writes {
        let kind = key.split('/').next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_insert(0.0) += 1.0;
    }
    kinds
}

/// Times, against the same commits made directly.
fn compared(scale: &Scale, runtime: &Runtime) -> Result<Table> {
    let sizes: &[u32] = if scale.smoke { &[1, 10] } else { &[1, 10, 100] };
    let folder = scale.folder();
    let mut writes = Vec::new();
    for actions in sizes {
        writes.push(run(runtime, folder, Shape::new(1, *actions))?.1.writes);
    }
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    for (actions, writes) in sizes.iter().zip(&writes) {
        contenders.push(Box::new(move || Ok(run(runtime, folder, Shape::new(1, *actions))?.0)));
        contenders.push(Box::new(move || raw(folder, writes)));
    }
    let taken = interleaved(scale.rounds, contenders)?;
    let mut table = Table::new(["on SQLite", "commits", "engine, ms", "bare commits, ms", "ratio"]);
    for ((actions, writes), pair) in sizes.iter().zip(&writes).zip(taken.chunks(2)) {
        let shape = Shape::new(1, *actions).to_string();
        let (engine, bare) = (pair[0].show(MILLIS), pair[1].show(MILLIS));
        table.row([shape, writes.len().to_string(), engine, bare, pair[0].over(&pair[1]).show(1.0)]);
    }
    let last = taken.len() - 2;
    let more = f64::from(sizes[sizes.len() - 1] - 1);
    let engine = taken[last].with(&taken[0], |long, short| (long - short) / more);
    let bare = taken[last + 1].with(&taken[1], |long, short| (long - short) / more);
    let commits = (writes[writes.len() - 1].len() - writes[0].len()) as f64 / more;
    table.row([
        "one more action".to_owned(),
        whole(commits),
        engine.show(MILLIS),
        bare.show(MILLIS),
        engine.over(&bare).show(1.0),
    ]);
    let commit = taken[last + 1].map(|all| all / writes[writes.len() - 1].len() as f64);
    table.note(format!(
        "One bare commit took {} µs here. The ratios are taken round by round; the target is at most 1.3 for an action.",
        commit.show(MICROS)
    ));
    Ok(table)
}
