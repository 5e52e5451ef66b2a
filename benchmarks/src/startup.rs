//! How long it takes to start, to look at one component, and to be done; beside commands that operators know.

use std::path::{Path, PathBuf};

use crate::measure::{Contender, MILLIS, interleaved, number, timed};
use crate::report::{Section, Table};
use crate::site::Site;
use crate::{Result, Scale, tools};

/// A command that is started over and over.
struct Started {
    title: String,
    program: PathBuf,
    arguments: &'static [&'static str],
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let site = Site::new(scale)?;
    let (started, missing) = commands(&site.binary);
    let contenders = started
        .iter()
        .map(|one| -> Contender<'_> { Box::new(|| Ok(timed(|| site.run(&one.program, one.arguments))?.0)) });
    let taken = interleaved(scale.rounds, contenders.collect())?;
    let mut table = Table::new(["command", "ms", "rollback status takes", "million instructions"]);
    for (one, samples) in started.iter().zip(&taken) {
        let ratio = format!("{} of it", taken[0].over(samples).show(1.0));
        let counted = if scale.smoke { None } else { instructions(one, &site) };
        let instructions = counted.map_or("-".to_owned(), |count| number(count / 1e6));
        table.row([one.title.clone(), samples.show(MILLIS), ratio, instructions]);
    }
    for title in missing {
        table.row([title.as_str(), "not installed", "", ""]);
    }
    table.note(format!(
        "Processes started {} times each, in turn; medians with quartiles. The target is at most 0.1 of kubectl's. \
         Instructions in user space, counted by callgrind in one run; - where it was not or could not be.",
        scale.rounds
    ));
    Ok(Section { name: "startup", tables: vec![table] })
}

fn commands(rollback: &Path) -> (Vec<Started>, Vec<String>) {
    let rollback =
        |title: &str, arguments| Started { title: title.to_owned(), program: rollback.to_owned(), arguments };
    let mut started =
        vec![rollback("rollback status", &["status"]), rollback("rollback --version", &["--version"])];
    let mut missing = Vec::new();
    let others: [(&str, &'static [&'static str]); 4] = [
        ("true", &[]),
        ("git", &["--version"]),
        ("kubectl", &["version", "--client"]),
        ("aws", &["--version"]),
    ];
    for (name, arguments) in others {
        let title = std::iter::once(&name).chain(arguments).copied().collect::<Vec<_>>().join(" ");
        match tools::find(name) {
            Some(program) => {
                let version = tools::version(&program, arguments).map(|version| format!(" ({version})"));
                let title = title + &version.unwrap_or_default();
                started.push(Started { title, program, arguments });
            }
            None => missing.push(title),
        }
    }
    (started, missing)
}

/// How many instructions a command executes.
fn instructions(one: &Started, site: &Site) -> Option<f64> {
    let valgrind = tools::find("valgrind")?;
    let program = one.program.to_string_lossy();
    let mut words = vec!["--tool=callgrind", "--callgrind-out-file=/dev/null", &program];
    words.extend(one.arguments);
    let output = site.command(&valgrind, &words).output().ok().filter(|output| output.status.success())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = told.split_once("Collected :")?;
    count.split_whitespace().next()?.parse().ok()
}
