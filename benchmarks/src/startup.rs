//! How long it takes to start, to look at one component, and to be done; beside commands that operators know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{Contender, MILLIS, interleaved, number, timed};
use crate::report::{Section, Table};
use crate::{Result, Scale, machine, tools};

/// A command that is started over and over.
struct Started {
    title: String,
    program: PathBuf,
    arguments: &'static [&'static str],
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let binary = binary()?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    let site = folder.path();
    set_up(&binary, site)?;
    let (started, missing) = commands(&binary);
    let contenders = started
        .iter()
        .map(|one| -> Contender<'_> { Box::new(|| Ok(timed(|| run(&one.program, one.arguments, site))?.0)) });
    let taken = interleaved(scale.rounds, contenders.collect())?;
    let mut table = Table::new(["command", "ms", "rollback status takes", "million instructions"]);
    for (one, samples) in started.iter().zip(&taken) {
        let ratio = format!("{} of it", taken[0].over(samples).show(1.0));
        let instructions = instructions(one, site).map_or("-".to_owned(), |count| number(count / 1e6));
        table.row([one.title.clone(), samples.show(MILLIS), ratio, instructions]);
    }
    for title in missing {
        table.row([title.as_str(), "not installed", "", ""]);
    }
    table.note(format!(
        "Processes started {} times each, in turn; medians with quartiles. The target is at most 0.1 of kubectl's. \
         Instructions in user space, counted by callgrind in one run; - where it cannot run the program.",
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
                started.push(Started { title: title + &version.unwrap_or_default(), program, arguments });
            }
            None => missing.push(title),
        }
    }
    (started, missing)
}

/// The command as it is shipped, built now.
pub(crate) fn binary() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "-p", "rollback-cli"]).current_dir(machine::workspace());
    if machine::is_release() {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("the command could not be built".into());
    }
    Ok(machine::target_folder()?.join("rollback"))
}

/// A site with two releases, of which one is recorded as good.
fn set_up(binary: &Path, site: &Path) -> Result<()> {
    for release in ["v1", "v2"] {
        fs::create_dir_all(site.join("releases").join(release))?;
        fs::write(site.join("releases").join(release).join("index.html"), release)?;
    }
    std::os::unix::fs::symlink("releases/v2", site.join("current"))?;
    let folder = serde_json::Value::from(site.join("releases").to_string_lossy());
    fs::write(
        site.join("rollback.toml"),
        format!("[components.web]\ndriver = \"local\"\nreleases = {folder}\n"),
    )?;
    run(binary, &["record", "web", "--good"], site)
}

fn command(program: &Path, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_remove("ROLLBACK_CONFIG").stdin(Stdio::null());
    command
}

fn run(program: &Path, arguments: &[&str], folder: &Path) -> Result<()> {
    let output = command(program, arguments, folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} {}: {told}", program.display(), arguments.join(" ")).into())
}

/// How many instructions a command executes.
fn instructions(one: &Started, site: &Path) -> Option<f64> {
    let valgrind = tools::find("valgrind")?;
    let program = one.program.to_string_lossy();
    let mut words = vec!["--tool=callgrind", "--callgrind-out-file=/dev/null", &program];
    words.extend(one.arguments);
    let output = command(&valgrind, &words, site).output().ok().filter(|output| output.status.success())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = told.split_once("Collected :")?;
    count.split_whitespace().next()?.parse().ok()
}
