//! Many handles, one winner each time.

use rollback_core::store::{Condition, Delete, Put, Store as _, StoreVersion};
use rollback_store_object::BucketStore;
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use tokio::task::JoinSet;

use crate::support::{Place, key};

const HANDLES: usize = 32;
const ROUNDS: usize = 200;

pub(crate) fn add(suite: Suite) -> Suite {
    suite.case("of_32_writers_one_wins_in_each_of_200_rounds", true, rounds).case(
        "a_tombstone_is_revived_once",
        true,
        revivals,
    )
}

/// All handles write at the same time; who won, with the version.
async fn contend(
    stores: &[BucketStore],
    name: &str,
    condition: &Condition,
) -> Result<(usize, StoreVersion), Failure> {
    let key = key(name)?;
    let mut writers = JoinSet::new();
    for (number, store) in stores.iter().cloned().enumerate() {
        let (key, condition) = (key.clone(), condition.clone());
        writers.spawn(async move {
            let put = loop {
                // S3 may answer that another conditional write was under way: nothing was written then.
                match store.put(&key, number.to_string().as_bytes(), &condition).await {
                    Err(error) if error.kind() == rollback_core::ErrorKind::Conflict => {}
                    put => break put,
                }
            };
            (number, put)
        });
    }
    let mut winners = Vec::new();
    for (number, put) in writers.join_all().await {
        if let Put::Stored(version) = put? {
            winners.push((number, version));
        }
    }
    let [winner] = winners.as_slice() else {
        return Err(Failure::new(format!("{name}: {} winners: {winners:?}", winners.len())));
    };
    let found =
        stores[0].get(&key).await?.ok_or_else(|| Failure::new(format!("{name}: nothing is there")))?;
    equal("what the winner wrote", &found.value.as_slice(), &winner.0.to_string().as_bytes())?;
    equal("the winner's version", &found.version, &winner.1)?;
    Ok(winner.clone())
}

fn handles() -> Result<Vec<BucketStore>, Failure> {
    let place = Place::made()?;
    Ok((0..HANDLES).map(|_| place.open()).collect::<Result<_, _>>()?)
}

async fn rounds() -> CaseResult {
    let stores = handles()?;
    let mut winners = std::collections::BTreeSet::new();
    for round in 0..ROUNDS / 2 {
        let name = format!("heads/{round}");
        let (first, version) = contend(&stores, &name, &Condition::Absent).await?;
        let (second, _) = contend(&stores, &name, &Condition::Version(version)).await?;
        winners.extend([first, second]);
    }
    ensure(winners.len() > 1, "always the same one wins: this was no race")
}

async fn revivals() -> CaseResult {
    let stores = handles()?;
    let key = key("heads/again")?;
    for _ in 0..20 {
        let (winner, version) = contend(&stores, "heads/again", &Condition::Absent).await?;
        equal("a delete by the winner", &stores[winner].delete(&key, &version).await?, &Delete::Gone)?;
        equal("what is left", &stores[0].get(&key).await?, &None)?;
    }
    Ok(())
}
