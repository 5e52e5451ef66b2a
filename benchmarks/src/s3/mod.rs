//! Putting a static site back, beside what people use today: the same server, with 30 ms on the way of each request.

mod bucket;
mod calls;
mod release;
mod show;
mod store;
mod verdict;
mod ways;

use rollback_tests::servers::StartError;

use self::bucket::{Bed, Bucket};
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
    let bed = match Bed::start() {
        Ok(bed) => bed,
        Err(error @ StartError::Failed(_)) => return Err(error.to_string().into()),
        Err(missing) => {
            let mut table = Table::new(["a static site", "s in all"]);
            table.note(format!("Not measured: {missing}"));
            return Ok(Section { name: "s3", tables: vec![table] });
        }
    };
    let (known, missing) = known()?;
    let mut tables = Vec::new();
    let mut measured = Vec::new();
    for one_in in [few, 1] {
        let releases = Releases::new(objects, one_in);
        let times = rounds_of(&bed, &releases, &known, rounds, scale)?;
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
fn rounds_of(
    bed: &Bed,
    releases: &Releases,
    known: &[Way],
    rounds: usize,
    scale: &Scale,
) -> Result<Vec<Times>> {
    let mut times: Vec<_> = known.iter().map(|way| Times::new(*way)).collect();
    let mut prefix = bed.furnished(releases, "live/")?;
    let mut whole = bed.furnished(releases, "")?;
    for round in 0..rounds {
        for turn in 0..times.len() {
            let place = (turn + round) % times.len();
            let one = &mut times[place];
            let (took, verdict) = match one.way.place() {
                Place::Prefix => there_and_back(one.way, bed, &mut prefix, releases, scale)?,
                Place::Whole => there_and_back(one.way, bed, &mut whole, releases, scale)?,
                // Versions are never taken back: each time has a bucket of its own.
                Place::Versioned => {
                    go(one.way, bed, &bed.versioned(releases)?, releases, scale).map(drop_seen)?
                }
            };
            one.add(took, verdict);
        }
    }
    Ok(times)
}

/// Once, and then the bucket is as it was.
fn there_and_back(
    way: Way,
    bed: &Bed,
    bucket: &mut Bucket<'_>,
    releases: &Releases,
    scale: &Scale,
) -> Result<(Took, Verdict)> {
    let (took, verdict, seen) = go(way, bed, bucket, releases, scale)?;
    bucket.reset(&seen, releases)?;
    Ok((took, verdict))
}

fn go(
    way: Way,
    bed: &Bed,
    bucket: &Bucket<'_>,
    releases: &Releases,
    scale: &Scale,
) -> Result<(Took, Verdict, verdict::Seen)> {
    let took = way.go(bed, bucket, releases, scale)?;
    let seen = bucket.look()?;
    let mut verdict = seen.judge(&releases.good, bucket.archive_lost(&seen));
    verdict.code = took.code;
    Ok((took, verdict, seen))
}

fn drop_seen((took, verdict, _): (Took, Verdict, verdict::Seen)) -> (Took, Verdict) {
    (took, verdict)
}
