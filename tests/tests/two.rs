//! Two processes at once on the same component, and holders that were killed.

use rollback_tests::{Binaries, Ran, Result, Running, Site};

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run web --to revision=v1 --yes";
const RUN_JSON: &str = "run web --to revision=v1 --yes --output json";

/// How often the journals of all runs say that something was about to be sent.
fn sent(site: &Site, step: &str) -> Result<usize> {
    let mut count = 0;
    for run in site.runs()? {
        let id = run["run"].as_str().ok_or("a run without an id")?.to_owned();
        let lines = site.journal(&id)?;
        count +=
            lines.iter().filter(|(_, text)| text.starts_with(step) && text.contains("to be sent")).count();
    }
    Ok(count)
}

#[test]
fn a_living_holder_is_named_and_left_in_peace() -> Result<()> {
    let site = Site::plain(BINARIES)?.lease("6s")?;
    let first = site.held(1, RUN)?;
    let second = site.run(RUN)?.expect(3);
    let who = format!("(process {})", first.pid());
    assert!(second.out.contains(&who) || second.err.contains(&who), "the holder is not named: {second}");
    assert!(second.out.contains('@') || second.err.contains('@'), "no user and host: {second}");
    site.assert_current("v2");
    site.let_go()?;
    first.end()?.expect(0);
    site.assert_current("v1");
    assert_eq!(sent(&site, "switch")?, 1);
    Ok(())
}

#[test]
fn a_killed_holder_is_taken_over_at_once() -> Result<()> {
    let site = Site::plain(BINARIES)?;
    let mut first = site.held(1, RUN)?;
    first.kill()?;
    // Without the proof that it is dead, a whole lease would be waited for instead.
    let second =
        site.run(&format!("{RUN} -v"))?.expect(0).says("the holder of the lease is dead; taking over");
    assert!(second.err.contains("restored"), "{second}");
    site.assert_current("v1");
    Ok(())
}

#[test]
fn a_killed_holder_of_the_second_request_is_taken_over() -> Result<()> {
    let site = Site::served(BINARIES)?;
    let before = site.restarts();
    let mut first = site.held(2, RUN)?;
    first.kill()?;
    site.assert_current("v1");
    assert_eq!(site.served_page()?, "v2 bad", "it was not restarted yet");
    let second = site.run(RUN_JSON)?.expect(0);
    assert_eq!(second.json()["state"], "restored", "{second}");
    assert_eq!(site.served_page()?, "v1 good");
    assert_eq!(site.restarts(), before + 1);
    Ok(())
}

/// What a run says of itself.
fn state(ran: &Ran) -> String {
    ran.json()["state"].as_str().unwrap_or("refused").to_owned()
}

#[test]
fn of_two_at_once_one_acts() -> Result<()> {
    for round in 0..6 {
        let site = Site::served(BINARIES)?;
        let before = site.restarts();
        let watch = site.watch();
        let both = [site.start(RUN_JSON)?, site.start(RUN_JSON)?];
        let [first, second] = both.map(Running::end);
        let (first, second) = (first?, second?);
        let mut states = [state(&first), state(&second)];
        states.sort();
        let [other, one] = &states;
        let told = format!("round {round}: {first}\n{second}");
        assert_eq!(one, "restored", "{told}");
        assert!(other == "refused" || other == "already-there", "{told}");
        for ran in [&first, &second] {
            let wanted = if state(ran) == "refused" { 3 } else { 0 };
            assert_eq!(ran.code, Some(wanted), "{told}");
        }
        assert_eq!(site.served_page()?, "v1 good", "{told}");
        assert_eq!(site.restarts(), before + 1, "one restart: {told}");
        assert_eq!(sent(&site, "switch")?, 1, "{told}");
        assert_eq!(watch.seen()?.len(), 2, "v2, then v1: {told}");
    }
    Ok(())
}
