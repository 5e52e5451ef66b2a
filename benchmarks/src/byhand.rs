//! A whole rollback of a local site, beside the two commands of a runbook.

use std::path::Path;

use crate::measure::{Contender, MILLIS, interleaved, timed};
use crate::report::{Section, Table};
use crate::site::Site;
use crate::{Result, Scale};

/// Points `current` at the older release in one step, without asking or remembering anything.
const BY_HAND: &str = "ln -s releases/v1 new && mv -T new current";

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let site = Site::new(scale)?;
    let request = ["web", "--to", "revision=v1", "--reason", "a benchmark", "--no-quarantine"];
    let plan = [&["plan"][..], &request].concat();
    let run = [&["run", "--yes"][..], &request].concat();
    let shell = Path::new("/bin/sh");
    let contender = |program, arguments: Vec<&'static str>| -> Contender<'_> {
        let site = &site;
        Box::new(move || {
            site.deploy()?;
            Ok(timed(|| site.run(program, &arguments))?.0)
        })
    };
    let contenders = vec![
        contender(&site.binary, run),
        contender(&site.binary, plan),
        contender(shell, vec!["-c", BY_HAND]),
    ];
    let taken = interleaved(scale.rounds, contenders)?;
    let mut table = Table::new(["a local site", "ms"]);
    table.row(["rollback run: planned, journalled, proven, remembered".to_owned(), taken[0].show(MILLIS)]);
    table.row(["rollback plan: the dry run".to_owned(), taken[1].show(MILLIS)]);
    table.row(["the symlink switched by a shell".to_owned(), taken[2].show(MILLIS)]);
    table.note(format!("Whole processes, {} rounds, medians with quartiles.", scale.rounds));
    Ok(Section { name: "by-hand", tables: vec![table] })
}
