//! `rollback merge`.

use std::path::Path;

use rollback_core::{Engine, Error, ErrorKind, Result};

use super::SEARCHED_RUNS;
use crate::outcome::Outcome;
use crate::session::Session;
use crate::stores;

pub(crate) async fn run(session: &Session<'_>) -> Result<Outcome> {
    let file = stores::break_glass_file(session.config.folder());
    if !file.exists() {
        return Outcome::done("there are no break-glass runs to merge\n").with("copied", &0);
    }
    let home = session.reader().await?;
    let local = stores::break_glass(session.config.folder()).await?;
    let copied = home.merge_break_glass(local.clone()).await?;
    // A run without an end may still be writing into it.
    let unfinished =
        Engine::builder(local).build().runs(SEARCHED_RUNS).await?.iter().any(|run| run.state.is_none());
    let mut text = format!("{} merged into the store\n", crate::render::count(copied, "record"));
    if unfinished {
        text += "a break-glass run is unfinished: the local journal stays; resume the run with --break-glass, then \
                 merge again\n";
    } else {
        put_away(&file)?;
        text += &format!("the local journal was put away beside {}\n", file.display());
    }
    Outcome::done(text).with("copied", &copied)?.with("unfinished", &unfinished)
}

/// Renames the journal with its companions, under the first free number.
fn put_away(file: &Path) -> Result<()> {
    let named = |number: u32, end: &str| file.with_file_name(format!("break-glass.merged-{number}.db{end}"));
    let number = (1..).find(|number| !named(*number, "").exists()).unwrap_or(u32::MAX);
    for end in ["-wal", "-shm", ""] {
        let mut from = file.as_os_str().to_owned();
        from.push(end);
        match std::fs::rename(&from, named(number, end)) {
            Err(error) if !end.is_empty() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let operation = format!("put {} away", file.display());
                return Err(Error::new(ErrorKind::Other, operation, error.to_string())
                    .next("everything is merged: move the file away by hand"));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}
