//! Thousands of components watched by one process: what that takes of a processor and of memory, and whether every probe has its turn.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::measure::{Samples, number};
use crate::report::{Section, Table};
use crate::scenario::runtime;
use crate::{Result, Scale, site};

/// The pause between two samples of a probe.
const EVERY: Duration = Duration::from_secs(10);
/// Of so many services one takes connections and never answers.
const ONE_IN_HANGS: usize = 100;
/// What the issue asks for.
const MOST_OF_A_CORE: f64 = 0.25;
const MOST_MB: f64 = 300.0;

/// When each service was asked, by its number.
type Asked = Arc<Mutex<BTreeMap<usize, Vec<Duration>>>>;

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let (components, lasting) = if scale.smoke { (50, 25) } else { (2_000, 90) };
    let lasting = Duration::from_secs(lasting);
    let runtime = runtime(1)?;
    let asked = Asked::default();
    let port = runtime.block_on(serve(Arc::clone(&asked)))?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    prepare(folder.path(), components, port)?;
    let told = std::fs::File::create(folder.path().join("told"))?;
    let mut command = Command::new(site::binary()?);
    command.args(["watch", "--quiet"]).current_dir(folder.path()).env_remove("ROLLBACK_CONFIG");
    command.stdin(Stdio::null()).stdout(told.try_clone()?).stderr(told);
    let began = SystemClock.monotonic();
    let mut child = command.spawn()?;
    // Each has been asked twice by then: connecting and the first look are over.
    rollback_tests::pause(2 * EVERY);
    let before = ticks(child.id()).ok_or("the watch ended at once")?;
    let from = SystemClock.monotonic();
    rollback_tests::pause(lasting);
    let after = ticks(child.id()).ok_or("the watch ended")?;
    let took = SystemClock.monotonic().saturating_sub(from);
    let peak = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak: f64 = peak
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .ok_or("no VmHWM")?;
    rollback_tests::signal(child.id(), "TERM")?;
    let well = child.wait()?.success();
    if !well {
        return Err(std::fs::read_to_string(folder.path().join("told"))?.into());
    }
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // In clock ticks of a hundredth of a second.
    let share = (after - before) as f64 / 100.0 / took.as_secs_f64();
    Ok(Section {
        name: "watching",
        tables: vec![shown(components, lasting, share, peak / 1024.0, &asked, began)],
    })
}

fn prepare(folder: &Path, components: usize, port: u16) -> Result<()> {
    let mut text = "[environments.prod]\nautomatic = \"act\"\nrequire_reason = false\n".to_owned();
    for number in 0..components {
        let name = format!("web-{number:04}");
        let releases = folder.join(&name).join("releases");
        std::fs::create_dir_all(releases.join("v1"))?;
        std::fs::write(releases.join("v1/index.html"), &name)?;
        symlink("releases/v1", folder.join(&name).join("current"))?;
        write!(
            text,
            "[components.{name}]\ndriver = \"local\"\nreleases = {releases:?}\n\
             [[triggers]]\nname = \"outage\"\ncomponent = \"{name}\"\n\
             probe = {{ kind = \"http\", url = \"http://127.0.0.1:{port}/{number}\" }}\n\
             [[triggers]]\nname = \"deploy\"\ncomponent = \"{name}\"\n"
        )?;
    }
    Ok(std::fs::write(folder.join("rollback.toml"), text)?)
}

/// The time that a process has had on processors, in clock ticks.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state is the third field, the two times are the 14th and the 15th.
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Answers for every service, and notes when each was asked.
async fn serve(asked: Asked) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&asked)));
        }
    });
    Ok(port)
}

async fn answer(mut stream: TcpStream, asked: Asked) {
    let mut head = [0; 2048];
    let Ok(read) = stream.read(&mut head).await else { return };
    let text = String::from_utf8_lossy(&head[..read]).into_owned();
    let path = text.split(' ').nth(1).and_then(|path| path.strip_prefix('/')?.parse().ok());
    let Some(number) = path else { return };
    let now = SystemClock.monotonic();
    asked.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default().push(now);
    if number % ONE_IN_HANGS == ONE_IN_HANGS - 1 {
        SystemClock.sleep(6 * EVERY).await;
        return;
    }
    // Whoever went away is none of our business.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
}

fn shown(
    components: usize,
    lasting: Duration,
    share: f64,
    peak: f64,
    asked: &BTreeMap<usize, Vec<Duration>>,
    began: Duration,
) -> Table {
    let mut gaps = Samples::default();
    let mut worst = Duration::ZERO;
    let hangs = |number: &usize| number % ONE_IN_HANGS == ONE_IN_HANGS - 1;
    for (_, times) in asked.iter().filter(|(number, _)| !hangs(number)) {
        for pair in times.windows(2) {
            let gap = pair[1].saturating_sub(pair[0]);
            gaps.add(gap.as_secs_f64());
            worst = worst.max(gap);
        }
    }
    let first = asked.values().filter_map(|times| times.first()).max();
    let first = first.map_or(0.0, |last| last.saturating_sub(began).as_secs_f64());
    let mut table = Table::new([format!("{components} components, each asked every 10 s").as_str(), ""]);
    table.row(["of one core".to_owned(), number(share)]);
    table.row(["peak memory, MiB".to_owned(), number(peak)]);
    table.row(["components that were asked".to_owned(), asked.len().to_string()]);
    table.row(["all had been asked once after, s".to_owned(), number(first)]);
    table.row(["between two samples of one, s".to_owned(), gaps.show(1.0)]);
    table.row(["the longest of all, s".to_owned(), number(worst.as_secs_f64())]);
    table.note(format!(
        "One process for {} s, with 1 % of the services taking connections and never answering. The targets are at most \
         {MOST_OF_A_CORE} of a core and {MOST_MB} MB, and no probe that does not have its turn.",
        lasting.as_secs()
    ));
    table
}
