//! `kill -9` at any moment, then `rollback resume`.

use std::sync::Mutex;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::{Binaries, Random, Release, Result, Running, Site, pause};

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run --to revision=v1 --yes";
const THREADS: usize = 4;

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after it was started.
    After(Duration),
    /// So long after it said so many lines.
    Line(u64, Duration),
}

/// A run from its beginning to its end: how long it takes and how many lines it says.
struct Measured {
    takes: Duration,
    lines: u64,
}

fn measure(make: fn() -> Result<Site>) -> Result<Measured> {
    let site = make()?;
    let began = SystemClock.monotonic();
    let ran = site.run(RUN)?.expect(0);
    Ok(Measured { takes: SystemClock.monotonic() - began, lines: ran.err.lines().count() as u64 })
}

impl Measured {
    fn moment(&self, random: &mut Random) -> Moment {
        let micros = |limit: u64, random: &mut Random| Duration::from_micros(random.below(limit));
        let takes = u64::try_from(self.takes.as_micros()).unwrap_or(u64::MAX);
        if random.below(2) == 0 {
            Moment::After(micros(takes, random))
        } else {
            Moment::Line(1 + random.below(self.lines), micros(takes / self.lines, random))
        }
    }
}

fn kill_at(running: &mut Running, moment: Moment) -> Result<()> {
    let wait = match moment {
        Moment::After(wait) => wait,
        Moment::Line(count, wait) => {
            for _ in 0..count {
                if running.line().is_none() {
                    break;
                }
            }
            wait
        }
    };
    if !wait.is_zero() {
        pause(wait);
    }
    running.kill()?;
    Ok(())
}

/// What a kill met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    NoRun,
    Unfinished,
    Ended,
}

/// Kills a run, then so many times what takes it up again, then checks what the last one says.
fn one(site: &Site, moment: Moment, again: &[Moment]) -> Result<Met> {
    let watch = site.watch();
    kill_at(&mut site.start(RUN)?, moment)?;
    for moment in again {
        kill_at(&mut site.start("resume")?, *moment)?;
    }
    let before = site.current();
    let runs = site.runs()?;
    let resumed = site.run("resume --output json --quiet")?;
    let document = resumed.json();
    let met = match runs.as_slice() {
        [] => Met::NoRun,
        [run] if run["state"].is_null() => Met::Unfinished,
        [_] => Met::Ended,
        _ => return Err(format!("one run makes several: {runs:?}").into()),
    };
    if met == Met::Unfinished {
        assert_eq!((resumed.code, document["state"].as_str()), (Some(0), Some("restored")), "{resumed}");
        assert_eq!(document["exit"], 0, "{resumed}");
        site.assert_current("v1");
    } else {
        assert_eq!(resumed.code, Some(1), "there is nothing to resume: {resumed}");
        assert!(resumed.err.contains("no run is unfinished"), "{resumed}");
        let wanted = if met == Met::NoRun { "v2" } else { "v1" };
        site.assert_current(wanted);
        assert_eq!(site.current(), before, "resume must not change anything");
    }
    let seen = watch.seen()?;
    let [v1, v2] = ["v1", "v2"].map(|name| Release::At(name.to_owned()));
    assert!(seen == [v2.clone()] || seen == [v2, v1], "a reader saw {seen:?}");
    Ok(met)
}

/// When a run is killed, and when what takes it up again is: each third one is killed once or twice more.
fn moments(measured: &Measured, count: usize, random: &mut Random) -> Vec<(Moment, Vec<Moment>)> {
    let all = (0..count).map(|number| {
        let more = if number % 3 == 0 { 1 + random.below(2) } else { 0 };
        let again = (0..more).map(|_| measured.moment(random)).collect();
        (measured.moment(random), again)
    });
    all.collect()
}

/// Kills `count` runs, several at a time, and checks the world after each with `check` too.
fn kill_many(
    what: &str,
    count: usize,
    make: fn() -> Result<Site>,
    check: fn(&Site, Met) -> Result<()>,
) -> Result<()> {
    let mut random = Random::from_surroundings(what);
    let measured = measure(make)?;
    let queue = Mutex::new(moments(&measured, count, &mut random).into_iter());
    let work = || -> Result<Vec<Met>> {
        let mut met = Vec::new();
        loop {
            let next = queue.lock().map_err(|_| "another thread failed")?.next();
            let Some((moment, again)) = next else { return Ok(met) };
            let site = make()?;
            let found =
                one(&site, moment, &again).map_err(|error| format!("{moment:?} {again:?}: {error}"))?;
            check(&site, found)?;
            met.push(found);
        }
    };
    let met = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let ended =
            threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked, see above")?);
        ended.collect::<Result<Vec<_>>>()
    })?
    .concat();
    let of = |wanted| met.iter().filter(|found| **found == wanted).count();
    let (none, cut, ended) = (of(Met::NoRun), of(Met::Unfinished), of(Met::Ended));
    println!("{what}: no run yet {none}, cut off {cut}, ended {ended}, of {:?}", measured.takes);
    assert_eq!(met.len(), count);
    assert!(cut * 5 >= count, "too few of the runs were killed in the middle: {cut} of {count}");
    Ok(())
}

#[test]
fn a_killed_run_of_a_static_site_is_brought_to_its_end() -> Result<()> {
    kill_many("static site", 110, || Site::plain(BINARIES), |_, _| Ok(()))
}

#[test]
fn a_killed_run_of_two_components_is_brought_to_its_end() -> Result<()> {
    kill_many(
        "two components",
        40,
        || Site::pair(BINARIES),
        |site, met| {
            let wanted = if met == Met::NoRun { "v2" } else { "v1" };
            assert_eq!(site.current_of_db(), Release::At(wanted.to_owned()));
            Ok(())
        },
    )
}

#[test]
fn a_killed_run_of_a_service_is_brought_to_its_end() -> Result<()> {
    kill_many(
        "service",
        70,
        || Site::served(BINARIES),
        |site, met| {
            let wanted = if met == Met::NoRun { "v2 bad" } else { "v1 good" };
            assert_eq!(site.served_page()?, wanted);
            Ok(())
        },
    )
}
