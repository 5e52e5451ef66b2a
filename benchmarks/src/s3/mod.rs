//! Putting a static site back, beside what people use today: the same server, with 30 ms on the way of each request.

mod bucket;
mod calls;
mod release;
mod show;
mod store;
mod verdict;
mod ways;

use rollback_tests::servers::StartError;

use self::bucket::Bed;
use self::calls::Calls;
use self::release::Releases;
pub(crate) use self::store::{Ask, S3};
use self::verdict::Verdict;
use self::ways::{Place, Took, WAYS, Way};
use crate::measure::Samples;
use crate::report::{Section, Table};
use crate::{Result, Scale};

/// All times of one way with one pair of releases.
#[derive(Debug)]
struct Times {
    way: Way,
    all: Samples,
    /// Until the first copy was answered, and the last.
    begun: Samples,
    copied: Samples,
    /// Of the last round.
    calls: Calls,
    /// Each different one of the rounds.
    verdicts: Vec<Verdict>,
}

impl Times {
    fn new(way: Way) -> Self {
        let (all, begun, copied) = Default::default();
        Self { way, all, begun, copied, calls: Calls::default(), verdicts: Vec::new() }
    }

    fn add(&mut self, took: Took, verdict: Verdict) {
        self.all.add(took.all.as_secs_f64());
        let (first, last) = took.copied.unwrap_or_default();
        self.begun.add(first.as_secs_f64());
        self.copied.add(last.as_secs_f64());
        self.calls = took.calls;
        if !self.verdicts.contains(&verdict) {
            self.verdicts.push(verdict);
        }
    }

    /// Whether the site was right after each round.
    fn is_right(&self) -> bool {
        self.verdicts.iter().all(Verdict::is_right)
    }
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let (objects, rounds) = if scale.smoke { (40, 1) } else { (5_000, scale.few().min(3)) };
    let few = if scale.smoke { 10 } else { 100 };
    match Bed::start() {
        // One is there; each way starts its own.
        Ok(_) => {}
        Err(error @ StartError::Failed(_)) => return Err(error.to_string().into()),
        Err(missing) => {
            let mut table = Table::new(["a static site", "s in all"]);
            table.note(format!("Not measured: {missing}"));
            return Ok(Section { name: "s3", tables: vec![table] });
        }
    }
    let (known, missing) = known()?;
    let mut tables = Vec::new();
    let mut measured = Vec::new();
    for one_in in [few, 1] {
        let releases = Releases::new(objects, one_in);
        let times = rounds_of(&releases, &known, rounds, scale)?;
        tables.push(show::side_by_side(&releases, &times, &missing));
        tables.push(show::asked(&times));
        measured.push((releases, times));
    }
    tables.push(show::targets(&measured, rounds));
    Ok(Section { name: "s3", tables })
}

/// The ways whose programs are here, and the others.
fn known() -> Result<(Vec<Way>, Vec<Way>)> {
    let (mut known, mut missing) = (Vec::new(), Vec::new());
    for way in WAYS {
        if way.program()?.is_some() { known.push(way) } else { missing.push(way) }
    }
    Ok((known, missing))
}

/// Every way in each round; who begins moves on by one, as in the other parts. There is no round to warm up: each takes minutes.
fn rounds_of(releases: &Releases, known: &[Way], rounds: usize, scale: &Scale) -> Result<Vec<Times>> {
    let mut times: Vec<_> = known.iter().map(|way| Times::new(*way)).collect();
    for round in 0..rounds {
        for turn in 0..times.len() {
            let place = (turn + round) % times.len();
            let one = &mut times[place];
            let (took, verdict) = go(one.way, releases, scale)?;
            one.add(took, verdict);
        }
    }
    Ok(times)
}

/// Once, with a server of its own: it answers the slower the more it holds, and nobody is to pay for who came before.
fn go(way: Way, releases: &Releases, scale: &Scale) -> Result<(Took, Verdict)> {
    let bed = Bed::start().map_err(|error| error.to_string())?;
    let bucket = match way.place() {
        Place::Prefix => bed.furnished(releases, "live/")?,
        Place::Whole => bed.furnished(releases, "")?,
        Place::Versioned => bed.versioned(releases)?,
    };
    let took = way.go(&bed, &bucket, releases, scale)?;
    let seen = bucket.look()?;
    let mut verdict = seen.judge(&releases.good, bucket.archive_lost(&seen));
    verdict.code = took.code;
    Ok((took, verdict))
}
