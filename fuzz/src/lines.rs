//! Inputs that fill a store: a record in each line, as its key, a space, and its value.

use rollback_core::store::Key;

/// One record.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) key: Key,
    pub(crate) value: &'a [u8],
}

/// The records of an input. Lines that begin with no key are left out.
pub(crate) fn read(data: &[u8]) -> Vec<Line<'_>> {
    data.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Line<'_>> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let key = Key::new(std::str::from_utf8(&line[..space]).ok()?).ok()?;
    Some(Line { key, value: &line[space + 1..] })
}

/// Records as an input.
pub(crate) fn write(records: &[(Key, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}
