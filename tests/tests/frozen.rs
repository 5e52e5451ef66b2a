//! Holders that are frozen at any moment, and wake when somebody else has taken over.

use std::time::Duration;

use jiff::Timestamp;
use rollback_tests::{Binaries, Ran, Random, Release, Result, Running, Site, pause};
use serde_json::Value;

const BINARIES: Binaries = rollback_tests::binaries!();
/// Shorter than usual, so that a frozen holder is soon taken for dead; long enough for a busy machine.
const LEASE: &str = "6s";
const FIRST: &str = "run web --to revision=v1 --yes --output json";
const SECOND: &str = "run web --to revision=v0 --yes --output json";

fn state(ran: &Ran) -> Value {
    ran.json()["state"].clone()
}

/// The first is frozen when it has authorised a request and not sent it; the second takes over.
fn frozen_before_sending(site: &Site, number: u32, second: &str) -> Result<(Ran, Ran)> {
    let mut first = site.held(number, FIRST)?;
    assert!(first.freeze()?);
    // From here on it neither beats nor sends. What it waits for is there once it wakes.
    site.let_go()?;
    let second = site.run(second)?;
    let after = (site.current(), site.restarts());
    first.signal("CONT")?;
    let first = first.end()?;
    println!("woke: {first}");
    assert_eq!(site.current(), after.0, "the switch comes too late, and the driver sees it: {first}");
    assert!(site.restarts() <= after.1 + 1, "at most the one request that was authorised: {first}");
    Ok((first, second))
}

#[test]
fn a_switch_that_was_authorised_and_not_sent() -> Result<()> {
    let site = Site::plain(BINARIES)?.lease(LEASE)?;
    let (first, second) = frozen_before_sending(&site, 1, SECOND)?;
    let second = second.expect(0);
    assert_eq!(state(&second), "restored", "{second}");
    let first = first.expect(7);
    assert_eq!(state(&first), "superseded", "{first}");
    site.assert_current("v0");
    Ok(())
}

#[test]
fn a_restart_that_was_authorised_and_not_sent() -> Result<()> {
    let site = Site::served(BINARIES)?.lease(LEASE)?;
    let (first, second) = frozen_before_sending(&site, 2, SECOND)?;
    let second = second.expect(0);
    assert_eq!(state(&second), "restored", "{second}");
    let first = first.expect(7);
    assert_eq!(state(&first), "superseded", "{first}");
    site.assert_current("v0");
    assert_eq!(site.served_page()?, "v0 good");
    Ok(())
}

#[test]
fn the_same_destination_is_finished_by_the_second() -> Result<()> {
    let site = Site::served(BINARIES)?.lease(LEASE)?;
    let (first, second) = frozen_before_sending(&site, 1, FIRST)?;
    let second = second.expect(0);
    assert_eq!(state(&second), "restored", "{second}");
    let first = first.expect(7);
    assert_eq!(state(&first), "superseded", "{first}");
    site.assert_current("v1");
    assert_eq!(site.served_page()?, "v1 good");
    Ok(())
}

/// The first has switched and has not begun to restart: when it wakes there is nothing that was authorised, and it must
/// not send anything at all.
fn between_two_requests(second: &str, release: &str) -> Result<()> {
    let site = Site::served(BINARIES)?.lease(LEASE)?;
    let mut first = site.held_answer(1, FIRST)?;
    site.assert_current("v1");
    assert!(first.freeze()?);
    site.let_go()?;
    let second = site.run(second)?.expect(0);
    assert_eq!(state(&second), "restored", "{second}");
    let restarts = site.restarts();
    first.signal("CONT")?;
    let first = first.end()?.expect(7);
    assert_eq!(state(&first), "superseded", "{first}");
    assert_eq!(site.restarts(), restarts, "it was not authorised: {first}");
    site.assert_current(release);
    assert_eq!(site.served_page()?, format!("{release} good"));
    Ok(())
}

#[test]
fn between_two_requests_nothing_is_sent_late() -> Result<()> {
    between_two_requests(SECOND, "v0")
}

/// Here the driver cannot see that somebody else was there: only the lost lease tells.
#[test]
fn between_two_requests_the_lease_alone_tells() -> Result<()> {
    between_two_requests(FIRST, "v1")
}

/// Freezes a run after so many lines and a moment more, lets a second one go elsewhere, and wakes the first.
fn frozen_at(lines: u64, more: Duration) -> Result<String> {
    // Each restart leaves a line, so that effects can be counted.
    let site = Site::restarted_by(BINARIES, "echo restarted >> restarts")?.lease(LEASE)?;
    let mut first = site.start(FIRST)?;
    for _ in 0..lines {
        if first.line().is_none() {
            break;
        }
    }
    pause(more);
    if !first.freeze()? {
        return Ok("ended before".to_owned());
    }
    let second = site.run(SECOND)?;
    let (world, restarts) = (site.current(), site.restarts());
    first.signal("CONT")?;
    let first = first.end()?;
    judge(&site, &first, &second, &world, restarts)?;
    Ok(format!("first {:?}, second {:?}", first.code, second.code))
}

fn judge(site: &Site, first: &Ran, second: &Ran, world: &Release, restarts: usize) -> Result<()> {
    let told = format!("first: {first}\nsecond: {second}\nworld: {world:?}");
    if second.code == Some(1) {
        // Frozen in the middle of a write, it keeps the database locked: nothing can be authorised by anybody.
        assert!(second.err.contains("keeps the database locked") && second.err.contains("next: "), "{told}");
        assert_eq!((first.code, site.current()), (Some(0), Release::At("v1".to_owned())), "{told}");
        return Ok(());
    }
    assert_eq!(second.code, Some(0), "nobody else is awake: {told}");
    assert_eq!(*world, Release::At("v0".to_owned()), "{told}");
    if first.code == Some(0) && at(site, first, "began")? > at(site, second, "ended")? {
        // It was frozen before it had planned: what it did is a run of its own, and the last one.
        assert_eq!(site.current(), Release::At("v1".to_owned()), "{told}");
        return Ok(());
    }
    let sent_late = site.restarts() - restarts + usize::from(site.current() != *world);
    assert!(sent_late <= 1, "{sent_late} late requests: {told}");
    match first.code {
        // It had proven its own destination before somebody went elsewhere, or it is there.
        Some(0) => {
            let before = at(site, first, "proven on")? < at(site, second, "began")?;
            assert!(before || site.current() == Release::At("v1".to_owned()), "not true: {told}");
        }
        // It had done nothing, and noticed that its plan is stale; or it was superseded on the way.
        Some(3 | 7) => {}
        code => return Err(format!("unexpected {code:?}: {told}").into()),
    }
    Ok(())
}

/// When a run first journalled something.
fn at(site: &Site, ran: &Ran, text: &str) -> Result<Timestamp> {
    let document = ran.json();
    let run = document["report"]["run"].as_str().ok_or("no run")?;
    let journal = site.journal(run)?;
    let found = journal.iter().find(|(_, line)| line.contains(text));
    Ok(found.ok_or_else(|| format!("no {text:?} in {journal:?}"))?.0.parse()?)
}

#[test]
fn frozen_anywhere_the_reports_are_true() -> Result<()> {
    let mut random = Random::from_surroundings("frozen");
    let lines =
        Site::restarted_by(BINARIES, "echo restarted >> restarts")?.run(FIRST)?.expect(0).err.lines().count();
    let cases: Vec<_> =
        (0..26).map(|number| (number % lines as u64, Duration::from_micros(random.below(12_000)))).collect();
    let ends = std::thread::scope(|scope| {
        let start = |(lines, more)| {
            let run = move || frozen_at(lines, more).map_err(|error| format!("{lines} {more:?}: {error}"));
            (lines, more, scope.spawn(run))
        };
        let running: Vec<_> = cases.into_iter().map(start).collect();
        let end = |(lines, more, thread): (u64, Duration, std::thread::ScopedJoinHandle<'_, _>)| {
            let end: Result<String, String> =
                thread.join().map_err(|_| format!("{lines} {more:?} panicked"))?;
            end.map(|end| (lines, more, end))
        };
        running.into_iter().map(end).collect::<Result<Vec<_>, _>>()
    })?;
    let frozen = ends.iter().filter(|(_, _, end)| end != "ended before").count();
    println!("{ends:#?}");
    assert!(frozen >= 20, "only {frozen} were frozen in time");
    let taken = ends.iter().filter(|(_, _, end)| end.ends_with("second Some(0)")).count();
    assert!(taken >= 5, "only {taken} were taken over");
    Ok(())
}

#[test]
fn a_frozen_process_is_really_frozen() -> Result<()> {
    let site = Site::plain(BINARIES)?.lease(LEASE)?;
    let mut first: Running = site.held(1, FIRST)?;
    assert!(first.freeze()?);
    site.let_go()?;
    assert!(!first.has_ended());
    site.assert_current("v2");
    first.signal("CONT")?;
    assert_eq!(state(&first.end()?.expect(0)), "restored");
    site.assert_current("v1");
    Ok(())
}
