//! What the engine costs on SQLite with every write durable, against the bare commits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rollback_core::store::{Condition, Key, Store};
use rollback_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::counting::{Counting, Counts, Twin};
use crate::measure::{MICROS, MILLIS, Samples, number};
use crate::report::{Section, Table};
use crate::scenario::{Scenario, Shape, runtime};
use crate::{Result, Scale};

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let runtime = runtime(2)?;
    Ok(Section { name: "durable", tables: vec![counted(&runtime)?, compared(scale, &runtime)?] })
}

/// The same commits without a store around them: one statement each, into a table of keys and values, on a connection
/// with the settings of the store.
#[derive(Debug)]
struct Bare(Mutex<Connection>);

impl Bare {
    const SQL: &str =
        "INSERT INTO entries VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

    fn open(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "extra")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.execute_batch(
            "CREATE TABLE entries (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT",
        )?;
        let bare = Self(Mutex::new(connection));
        bare.write("warm/up", b"x");
        Ok(bare)
    }
}

impl Twin for Bare {
    fn write(&self, key: &str, value: &[u8]) {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = connection.prepare_cached(Self::SQL).and_then(|mut sql| sql.execute((key, value)));
        written.expect("a bare commit");
    }
}

/// A run on a fresh database.
struct Ran {
    counts: Counts,
    /// Without what the twin took.
    engine: f64,
    bare: f64,
}

fn run(runtime: &Runtime, folder: &Path, shape: Shape) -> Result<Ran> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = SqliteStore::open(folder.path().join("state.db"))?;
    // Creating the file is not what is measured.
    runtime.block_on(store.put(&Key::new("warm/up")?, b"x", &Condition::Any))?;
    let store = Counting::beside(Arc::new(store), Bare::open(&folder.path().join("bare.db"))?);
    let scenario = Scenario::prepare(runtime, Arc::clone(&store) as Arc<dyn Store>, shape)?;
    store.take();
    let took = scenario.run(runtime)?;
    let counts = store.take();
    let bare = counts.twin.as_secs_f64();
    Ok(Ran { counts, engine: took.as_secs_f64() - bare, bare })
}

/// Commits by what they are for: for one more action, for one more component, and for a run.
fn counted(runtime: &Runtime) -> Result<Table> {
    let folder = tempfile::tempdir()?;
    let writes = |components, actions| -> Result<BTreeMap<String, f64>> {
        let ran = run(runtime, folder.path(), Shape::new(components, actions))?;
        Ok(by_kind(&ran.counts.writes))
    };
    let (one, long, two) = (writes(1, 1)?, writes(1, 11)?, writes(2, 1)?);
    let mut table = Table::new(["commits", "an action", "a component", "a run"]);
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

fn by_kind(writes: &[(String, usize)]) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    for (key, _) in writes {
        let kind = key.split('/').next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_insert(0.0) += 1.0;
    }
    kinds
}

/// The times of one shape: the engine's, those of its bare commits, and how many of these there are.
type Taken = (Samples, Samples, usize);

fn taken(scale: &Scale, runtime: &Runtime, folder: &Path, sizes: &[u32]) -> Result<Vec<Taken>> {
    let mut taken = vec![(Samples::default(), Samples::default(), 0); sizes.len()];
    for _ in 0..scale.rounds {
        for (actions, (engine, bare, commits)) in sizes.iter().zip(&mut taken) {
            let ran = run(runtime, folder, Shape::new(1, *actions))?;
            engine.add(ran.engine);
            bare.add(ran.bare);
            *commits = ran.counts.writes.len();
        }
    }
    Ok(taken)
}

/// What one more action takes: the longest shape against the shortest.
fn one_more(sizes: &[u32], taken: &[Taken]) -> Taken {
    let (long, short) = (&taken[taken.len() - 1], &taken[0]);
    let more = sizes[sizes.len() - 1] - sizes[0];
    let each =
        |long: &Samples, short: &Samples| long.with(short, |long, short| (long - short) / f64::from(more));
    (each(&long.0, &short.0), each(&long.1, &short.1), (long.2 - short.2) / more as usize)
}

/// Where a sync costs nothing.
const IN_MEMORY: &str = "/dev/shm";

/// Times, against the same commits made directly.
fn compared(scale: &Scale, runtime: &Runtime) -> Result<Table> {
    let sizes: &[u32] = if scale.smoke { &[1, 10] } else { &[1, 10, 100] };
    let mut table = Table::new(["on SQLite", "commits", "engine, ms", "bare commits, ms", "ratio"]);
    let mut row = |title: String, (engine, bare, commits): &Taken| {
        let ratio = engine.over(bare).show(1.0);
        table.row([title, commits.to_string(), engine.show(MILLIS), bare.show(MILLIS), ratio]);
    };
    let on_disk = taken(scale, runtime, scale.folder(), sizes)?;
    for (actions, taken) in sizes.iter().zip(&on_disk) {
        row(Shape::new(1, *actions).to_string(), taken);
    }
    row("one more action".to_owned(), &one_more(sizes, &on_disk));
    let (_, bare, commits) = &on_disk[on_disk.len() - 1];
    let mut notes = vec![format!(
        "One bare commit took {} µs. Each is made right before or after the store's own of the same key and value, so \
         that both meet the same moods of the disk; ratios are taken round by round. The target is at most 1.3 for \
         an action.",
        bare.map(|all| all / *commits as f64).show(MICROS)
    )];
    let ends = [sizes[0], sizes[sizes.len() - 1]];
    if Path::new(IN_MEMORY).is_dir() {
        let in_memory = one_more(&ends, &taken(scale, runtime, Path::new(IN_MEMORY), &ends)?);
        row("one more action, files in memory".to_owned(), &in_memory);
        let beside = in_memory.0.with(&in_memory.1, |engine, bare| engine - bare);
        notes.push(format!(
            "In the last line a sync costs nothing: what is left beside the commits, {} µs, is work of the processor.",
            beside.show(MICROS)
        ));
    }
    notes.into_iter().for_each(|note| table.note(note));
    Ok(table)
}
