//! Planning a site of a million objects: calls, time beside a list that is read page by page, and memory.

mod names;
mod stub;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use hyper::Method;
use rollback_core::time::{Clock as _, SystemClock};

use self::names::{Names, ONE_IN, Side};
use self::stub::{BUCKET, LATENCY, PAGE, Stub};
use crate::measure::{Samples, number, timed};
use crate::report::{Section, Table};
use crate::s3::{Ask, S3};
use crate::scenario::runtime;
use crate::{Result, Scale, memory, site};

/// How many pages tell how long one takes.
const SAMPLE: usize = 50;
/// What the issue asks for.
const MOST_MIB: f64 = 64.0;
const LEAST_PACE: f64 = 8.0;

/// What planning once came to.
struct Once {
    took: Duration,
    peak_kib: u64,
    asked: BTreeMap<&'static str, usize>,
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let objects = match std::env::var("BENCHMARK_OBJECTS") {
        Ok(text) => text.parse()?,
        // More than is remembered from one look to the next.
        Err(_) if scale.smoke => 12_000,
        Err(_) => 1_000_000,
    };
    let runtime = runtime(2)?;
    let stub = runtime.block_on(Stub::start(Names::new(objects)))?;
    // A page at a time over one connection, and nothing of it read but its bytes.
    let pages = |side| stub.names().count(side).div_ceil(PAGE);
    let needed = pages(Side::Good) + pages(Side::Bad);
    let serial = runtime.block_on(serially(&stub, needed.min(SAMPLE)))?;
    let rounds = if scale.smoke { 1 } else { scale.few().min(3) };
    let all = (0..rounds).map(|_| plan(&stub, scale)).collect::<Result<Vec<_>>>()?;
    Ok(Section { name: "s3-million", tables: vec![shown(objects, needed, serial, &all)] })
}

/// How long a page takes that is asked for after the one before.
async fn serially(stub: &Stub, pages: usize) -> Result<Duration> {
    let s3 = S3::anonymous(stub.port);
    let mut asks = vec![Ask::new(Method::GET, format!("/{BUCKET}?list-type=2&prefix=live/"))];
    let keys = stub.names().after(Side::Bad, "").step_by(PAGE).skip(1).take(pages.saturating_sub(1));
    asks.extend(keys.map(|(_, key)| {
        Ask::new(Method::GET, format!("/{BUCKET}?list-type=2&prefix=live/&start-after=live/{key}"))
    }));
    let (sent, began) = (asks.len(), SystemClock.monotonic());
    s3.all(asks, 1).await?;
    let took = SystemClock.monotonic().saturating_sub(began);
    stub.asked();
    Ok(took.div_f64(sent as f64))
}

/// The command plans to put the release back, in a process of its own.
fn plan(stub: &Stub, scale: &Scale) -> Result<Once> {
    let folder = tempfile::tempdir_in(scale.folder())?;
    let settings = format!(
        "[components.web]\ndriver = \"s3-frontend\"\nbucket = {BUCKET:?}\nlive = \"live/\"\npath_style = true\n"
    );
    std::fs::write(folder.path().join("rollback.toml"), settings)?;
    let told = folder.path().join("told");
    let file = std::fs::File::create(&told)?;
    let mut command = Command::new(site::binary()?);
    command.args(["plan", "web", "--to", "version=v1", "--reason", "slow"]).current_dir(folder.path());
    command.env_remove("ROLLBACK_CONFIG").env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
    command.envs([
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", stub.port).as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let (took, (peak_kib, well)) = timed(|| memory::watched(command.spawn()?, || {}))?;
    let told = std::fs::read_to_string(&told)?;
    let copies = format!("{} objects are copied", stub.names().copies());
    if !well || !told.contains(&copies) {
        return Err(format!("not the plan that was to come ({copies}): {told}").into());
    }
    Ok(Once { took, peak_kib, asked: stub.asked() })
}

fn shown(objects: usize, needed: usize, serial: Duration, all: &[Once]) -> Table {
    let mut took = Samples::default();
    all.iter().for_each(|once| took.add(once.took.as_secs_f64()));
    let last = all.last().map(|once| once.asked.clone()).unwrap_or_default();
    let read: usize = last.iter().filter(|(what, _)| what.starts_with("pages")).map(|(_, count)| count).sum();
    let peak = all.iter().map(|once| once.peak_kib).max().unwrap_or_default() as f64 / 1024.0;
    let serially = serial.as_secs_f64() * needed as f64;
    let pace = took.map(|one| serially / one);
    let title = format!("twice {objects} objects, one in {ONE_IN} differs");
    let mut table = Table::new([title.as_str(), ""]);
    table.row(["pages that the two lists have".to_owned(), needed.to_string()]);
    for (what, count) in &last {
        table.row([format!("calls: {what}"), count.to_string()]);
    }
    table.row(["planning, s".to_owned(), took.show(1.0)]);
    table.row(["pages listed in a second".to_owned(), took.map(|one| read as f64 / one).show(1.0)]);
    table.row(["one page after the other, ms each".to_owned(), number(serial.as_secs_f64() * 1e3)]);
    table.row(["both lists once, one page after the other, s".to_owned(), number(serially)]);
    table.row(["which is so often the time of planning".to_owned(), pace.show(1.0)]);
    table.row(["peak memory of the command, MiB".to_owned(), number(peak)]);
    table.note(format!(
        "{} processes, medians with quartiles, the largest peak; {} ms for each request. The targets are at most {MOST_MIB} MB, and at \
         least {LEAST_PACE} times the pace.",
        all.len(),
        LATENCY.as_millis()
    ));
    table
}
