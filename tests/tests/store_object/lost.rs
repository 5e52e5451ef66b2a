//! Lost answers: a write that landed is found, one that did not is repeated, and nobody conflicts with himself.

use std::time::Duration;

use rollback_core::store::{Condition, Store as _, Written};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use tokio::task::JoinSet;

use crate::support::{Lab, Place, key, port, put, records};

const BRIEF: Duration = Duration::from_millis(700);

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .case("a_lost_answer_to_a_create_is_found", true, || one(Fault::ResetAfter, "reset after"))
        .case("a_closed_connection_is_found", true, || one(Fault::EofAfter, "eof after"))
        .case("a_silent_server_that_wrote_is_found", true, || one(Fault::HangAfter, "hang after"))
        .case("a_request_that_never_arrived_is_repeated", true, || one(Fault::ResetBefore, "reset before"))
        .case("a_silent_server_that_did_not_write_is_asked_again", true, || one(Fault::Hang, "hang"))
        .case("a_failing_server_is_asked_again", true, || one(Fault::Answer(Answer::s3(500)), "answer 500"))
        .case("a_slow_server_is_asked_again", true, || one(Fault::Answer(Answer::s3(503)), "answer 503"))
        .case("a_read_that_was_cut_is_repeated", true, cut_read)
        .case("a_lost_answer_to_a_delete_is_settled", true, lost_delete)
        .case("no_two_winners_and_no_false_conflict_over_a_bad_network", true, storm)
        .case("a_chain_of_versions_survives_a_bad_network", true, chain)
}

/// The first write of a create, then of an update, meets the fault; both are told as written.
async fn one(fault: Fault, counted: &'static str) -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    let (records, name) = (records(lab.store.clone()), key("heads/web")?);
    let once = || Faults::none().rule(Rule::new(fault.clone()).method("PUT").path("*/heads/*").first(1));
    lab.proxy.faults(once());
    let Written::Stored(version) = records.put(&name, &"first", &Condition::Absent).await? else {
        return Err(Failure::new("a create conflicts with nobody"));
    };
    lab.proxy.faults(once());
    let Written::Stored(version) = records.put(&name, &"second", &Condition::Version(version)).await? else {
        return Err(Failure::new("an update conflicts with nobody"));
    };
    equal("how often it went wrong", &lab.proxy.counts().get(counted).copied(), &Some(2))?;
    let found = lab.direct.get(&name).await?.ok_or_else(|| Failure::new("nothing is there"))?;
    equal("the version that was told", &version, &found.version)?;
    ensure(String::from_utf8_lossy(&found.value).contains("second"), "another value is there")
}

async fn cut_read() -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    let (records, name) = (records(lab.store.clone()), key("heads/web")?);
    records.put(&name, &"a value that is cut in half", &Condition::Absent).await?;
    for fault in [Fault::CutBody, Fault::ResetAfter, Fault::Answer(Answer::s3(500))] {
        lab.proxy.faults(Faults::none().rule(Rule::new(fault).method("GET").first(2)));
        let found = records.get::<String>(&name).await?.map(|record| record.value);
        equal("what is read", &found.as_deref(), &Some("a value that is cut in half"))?;
        equal(
            "what is listed",
            &records.keys(&rollback_core::store::KeyPrefix::new("heads")?).await?,
            &vec![name.clone()],
        )?;
    }
    Ok(())
}

async fn lost_delete() -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    let (records, name) = (records(lab.store.clone()), key("quarantine/1")?);
    for fault in [Fault::ResetAfter, Fault::ResetBefore, Fault::HangAfter, Fault::Answer(Answer::s3(500))] {
        let Written::Stored(version) = records.put(&name, &1, &Condition::Absent).await? else {
            return Err(Failure::new("a conflict with nobody"));
        };
        lab.proxy.faults(Faults::none().rule(Rule::new(fault).method("PUT").first(1)));
        ensure(records.delete(&name, &version).await?, "the delete is told as a conflict")?;
        equal("what is left", &lab.direct.get(&name).await?, &None)?;
    }
    Ok(())
}

fn bad_network(seed: u64) -> Faults {
    let chance = |fault, probability| Rule::new(fault).chance(probability);
    Faults::seeded(seed)
        .rule(chance(Fault::Delay { least: Duration::ZERO, most: Duration::from_millis(20) }, 0.3))
        .rule(chance(Fault::ResetAfter, 0.08))
        .rule(chance(Fault::EofAfter, 0.04))
        .rule(chance(Fault::ResetBefore, 0.05))
        .rule(chance(Fault::HangAfter, 0.01))
        .rule(chance(Fault::Answer(Answer::s3(500)), 0.04))
        .rule(chance(Fault::Answer(Answer::s3(503)), 0.04))
        .rule(chance(Fault::CutBody, 0.03))
}

/// Eight handles through a bad network create the same key, again and again.
async fn storm() -> CaseResult {
    let place = Place::made()?;
    let proxy = rollback_tests::proxy::Proxy::http(("127.0.0.1", port(&place.account)?))?;
    let mut writers = Vec::new();
    for _ in 0..8 {
        let store = place.behind(&proxy).patient(BRIEF)?;
        put(&store, "warm/up", b"", Condition::Any).await?;
        writers.push(records(store));
    }
    let direct = records(place.open()?);
    proxy.faults(bad_network(1));
    let mut told = 0;
    for round in 0..40 {
        let name = key(format!("heads/{round}"))?;
        let mut racers = JoinSet::new();
        for (number, records) in writers.iter().cloned().enumerate() {
            let name = name.clone();
            racers.spawn(async move { (number, records.put(&name, &number, &Condition::Absent).await) });
        }
        let (mut winners, mut unsure) = (Vec::new(), Vec::new());
        for (number, written) in racers.join_all().await {
            match written {
                Ok(Written::Stored(_)) => winners.push(number),
                Ok(Written::Conflict) => {}
                // Six tries were not enough: it does not know, and says so.
                Err(_) => unsure.push(number),
            }
        }
        let there = direct.get::<usize>(&name).await?.map(|record| record.value);
        let of_the_winner = winners.iter().all(|winner| there == Some(*winner));
        let explained =
            winners.len() == 1 || winners.is_empty() && there.is_none_or(|one| unsure.contains(&one));
        ensure(
            of_the_winner && explained,
            format!("round {round}: winners {winners:?}, unsure {unsure:?}, there {there:?}"),
        )?;
        told += winners.len();
    }
    let counts = proxy.counts();
    ensure(told > 30, format!("only {told} of 40 rounds had a winner: {counts:?}"))?;
    ensure(counts.get("reset after").is_some_and(|count| *count > 20), format!("too quiet: {counts:?}"))
}

/// One writer, nobody else: whatever the network does, it never conflicts.
async fn chain() -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    let (records, name) = (records(lab.store.clone()), key("heads/web")?);
    let mut condition = Condition::Absent;
    lab.proxy.faults(bad_network(2));
    for number in 0..150_u32 {
        let mut tries = 0;
        let version = loop {
            match records.put(&name, &number, &condition).await {
                Ok(Written::Stored(version)) => break version,
                Ok(Written::Conflict) => {
                    return Err(Failure::new(format!("write {number} conflicts with nobody")));
                }
                Err(error) => {
                    // Not known after six tries: look what is there, as the holder of a lease does.
                    tries += 1;
                    ensure(tries < 20, format!("write {number}: {error}"))?;
                    let found = lab.direct.get(&name).await?;
                    condition = found.map_or(Condition::Absent, |found| Condition::Version(found.version));
                }
            }
        };
        condition = Condition::Version(version);
    }
    let last = records.get::<u32>(&name).await?.map(|record| record.value);
    equal("the last value", &last, &Some(149))
}
