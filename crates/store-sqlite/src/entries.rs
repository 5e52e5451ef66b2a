//! The four methods of a store as statements.

use rollback_core::Result;
use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, StoreVersion, Versioned};
use rusqlite::{Connection, OptionalExtension};

use crate::session::{Finish, Session};

pub(crate) const LIST: &str = "SELECT key FROM entries WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";

pub(crate) fn get(session: &Session, operation: &str, key: &Key) -> Result<Option<Versioned>> {
    session.read(operation, |connection| {
        let mut select = connection.prepare_cached("SELECT value, version FROM entries WHERE key = ?1")?;
        select
            .query_row([key.as_str()], |row| {
                Ok(Versioned { value: row.get(0)?, version: version(row.get(1)?) })
            })
            .optional()
    })
}

// One statement each, which is its own transaction: it waits for the only right to write before it looks. Several in a
// transaction around them would come to the same and cost their parsing, which is most of a write on a fast disk.
// Versions are random: these repeat less often than disks lie, and unlike a counter they cost no page of their own.
const CREATE: &str = "INSERT INTO entries (key, version, value) VALUES (?1, random(), ?2) \
     ON CONFLICT (key) DO NOTHING RETURNING version";
const REPLACE: &str = "UPDATE entries SET version = random(), value = ?2 WHERE key = ?1 AND version = ?3 \
     RETURNING version";
const OVERWRITE: &str = "INSERT INTO entries (key, version, value) VALUES (?1, random(), ?2) \
     ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value RETURNING version";

pub(crate) fn put(
    session: &Session,
    operation: &str,
    key: &Key,
    value: &[u8],
    condition: &Condition,
) -> Result<Put> {
    let key = key.as_str();
    let written = match condition {
        Condition::Absent => session.change(operation, CREATE, (key, value))?,
        Condition::Any => session.change(operation, OVERWRITE, (key, value))?,
        Condition::Version(wanted) => match number(wanted) {
            Some(wanted) => session.change(operation, REPLACE, (key, value, wanted))?,
            // No write of ours ever had it.
            None => None,
        },
    };
    Ok(written.map_or(Put::Conflict, |number| Put::Stored(version(number))))
}

pub(crate) fn list(
    session: &Session,
    operation: &str,
    prefix: &KeyPrefix,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Key>> {
    let first = prefix.as_str();
    // No key is equal to a prefix, so "greater" takes in all of its keys; and "0" is the byte after the "/" that
    // ends the prefix.
    let from = after.map_or(first, |after| after.as_str().max(first));
    let end = format!("{}0", first.trim_end_matches('/'));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let texts = session.read(operation, |connection| {
        let mut select = connection.prepare_cached(LIST)?;
        let rows = select.query_map((from, &end, limit), |row| row.get::<_, String>(0))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    texts.into_iter().map(Key::new).collect()
}

pub(crate) fn delete(
    session: &mut Session,
    operation: &str,
    key: &Key,
    wanted: &StoreVersion,
) -> Result<Delete> {
    session.write(operation, |transaction| match current(transaction, key)? {
        None => Ok((Finish::RollBack, Delete::Gone)),
        Some(found) if found != *wanted => Ok((Finish::RollBack, Delete::Conflict)),
        Some(_) => {
            transaction.prepare_cached("DELETE FROM entries WHERE key = ?1")?.execute([key.as_str()])?;
            Ok((Finish::Commit, Delete::Gone))
        }
    })
}

fn current(connection: &Connection, key: &Key) -> rusqlite::Result<Option<StoreVersion>> {
    let mut select = connection.prepare_cached("SELECT version FROM entries WHERE key = ?1")?;
    Ok(select.query_row([key.as_str()], |row| row.get(0)).optional()?.map(version))
}

fn version(number: i64) -> StoreVersion {
    StoreVersion::new(number.to_string())
}

/// The number that a version was made of. "+7" and "007" are numbers as well, and no versions.
fn number(wanted: &StoreVersion) -> Option<i64> {
    wanted.as_str().parse().ok().filter(|number| version(*number) == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_was_given_out_is_one() {
        for given in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(number(&version(given)), Some(given));
        }
        for text in ["", "+7", "007", "-0", "7 ", " 7", "-07", "9223372036854775808", "seven"] {
            assert_eq!(number(&StoreVersion::new(text)), None, "{text:?}");
        }
    }
}
