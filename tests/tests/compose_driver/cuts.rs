//! The way to a host, or the command itself, is cut at random moments.

use std::collections::BTreeMap;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_testkit::sim::Random;
use rollback_tests::hosts::{BAD, GOOD, Host, Setup};

use super::{Shop, neighbour};

/// How many moments a usual run tries. `ROLLBACK_CUTS=50` tries more.
const FEW: u64 = 4;
/// About how long a rollback takes here.
const RUN: u64 = 3_500;
/// For how long the way may stay cut: longer than a connection is waited for by some, shorter than what is given up after.
const AWAY: u64 = 3_000;

/// What is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Every connection; the next one comes about.
    Links,
    /// The way, for a while: connections are reset.
    Way(Duration),
    /// The cable, for a while: nobody hears of it.
    Cable(Duration),
    /// The command.
    Command,
}

impl Cut {
    fn draw(random: &mut Random) -> Self {
        match random.within(0..4) {
            0 => Self::Links,
            1 => Self::Way(random.millis(1..AWAY)),
            2 => Self::Cable(random.millis(1..AWAY)),
            _ => Self::Command,
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn rounds() -> u64 {
    number("ROLLBACK_CUTS").unwrap_or(FEW)
}

/// How long a case may take here: the usual two minutes, and more for more cuts.
pub(super) fn limit() -> Duration {
    Duration::from_secs(120 + rounds().saturating_sub(FEW).saturating_mul(30))
}

pub(super) async fn at_random_moments() -> CaseResult {
    let seed = number("ROLLBACK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let (rounds, mut random) = (rounds(), Random::new(seed));
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..rounds {
        let (cut, moment) = (Cut::draw(&mut random), random.millis(1..RUN));
        let told = format!("seed {seed}, round {round}: {cut:?} after {moment:?}");
        let end = one(&shop, cut, moment).await.inspect_err(|_| println!("{told}"))?;
        *ends.entry(end).or_default() += 1;
    }
    println!("seed {seed}: {rounds} cuts, {ends:#?}");
    Ok(())
}

/// One rollback that is cut. How it ended, before and after it was taken up.
async fn one(shop: &Shop, cut: Cut, moment: Duration) -> Result<String, Failure> {
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    let mut running = shop.site.start("run web --to last-good --yes --no-quarantine")?;
    SystemClock.sleep(moment).await;
    match cut {
        Cut::Links => host.front().cut(),
        Cut::Way(away) => {
            host.front().down();
            SystemClock.sleep(away).await;
            host.front().up();
        }
        Cut::Cable(away) => {
            host.front().freeze();
            SystemClock.sleep(away).await;
            host.front().thaw();
        }
        Cut::Command => drop(running.kill()?),
    }
    let ran = running.end()?;
    let resumed = match unfinished(shop)? {
        true => Some(shop.site.run("resume")?),
        false => None,
    };
    ensure(!unfinished(shop)?, format!("it cannot be finished: {resumed:?} after {ran}"))?;
    let last = resumed.as_ref().unwrap_or(&ran);
    let (status, version) = at_rest(host)?;
    ensure(last.code != Some(0) || version == GOOD, format!("called restored at {version}: {last}"))?;
    shop.answers(status, &version)?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    let what = match cut {
        Cut::Links => "links",
        Cut::Way(_) => "way",
        Cut::Cable(_) => "cable",
        Cut::Command => "command",
    };
    let end = format!("{what}: {:?}, then {:?}, {version}", ran.code, resumed.and_then(|ran| ran.code));
    host.deploy(BAD)?;
    host.until_answers(500, BAD)?;
    Ok(end)
}

/// Whether a run has no end yet.
fn unfinished(shop: &Shop) -> Result<bool, Failure> {
    Ok(shop.site.runs()?.iter().any(|run| run["state"].is_null()))
}

/// What it answers once all its containers run and are well or not: the good version or the origin, nothing in between.
fn at_rest(host: &Host) -> Result<(u16, String), Failure> {
    let answer = rollback_tests::until("an answer", || host.answer())?;
    let known =
        [(200, GOOD), (500, BAD)].iter().any(|(code, version)| answer == (*code, (*version).to_owned()));
    ensure(known, format!("it answers {answer:?}"))?;
    Ok(answer)
}
