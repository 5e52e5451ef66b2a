//! What was appended to a file since the last look, through renames.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::sync::Mutex;

use super::MAX_READ;
use super::count::{Count, Counter};
use crate::settings::root_cause;

/// Up to where a file was counted.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The file, which stays open, so that it can be read to its end after it was renamed. `None` where there was none yet.
    file: Option<Arc<File>>,
    /// The beginning of the first line that was not counted.
    offset: u64,
    /// What was in its place before, and up to where that was read: whoever writes may not have changed over yet. It is read once
    /// more, and not kept for longer: a file that was removed takes its room for as long as it is open.
    before: Option<(Arc<File>, u64)>,
    /// When that was.
    at: Duration,
}

/// What a look found.
struct Look {
    /// Where the next one begins.
    place: Place,
    counted: Result<(Count, Duration), String>,
}

/// Counts what came since the last time, and how long ago that was; or says why nobody knows.
pub(super) async fn count(
    path: PathBuf,
    pattern: Regex,
    place: &Arc<Mutex<Option<Place>>>,
    now: Duration,
) -> Result<(Count, Duration), String> {
    let Ok(held) = Arc::clone(place).try_lock_owned() else {
        return Err("the last look at it has not ended yet: see whether its file system answers".to_owned());
    };
    let looking = tokio::task::spawn_blocking(move || {
        let look = look(&path, &pattern, held.as_ref(), now);
        (held, look)
    });
    let (mut held, look) = looking.await.map_err(|error| error.to_string())?;
    // Only now: what a look counted that nobody waited for any more is counted again.
    let Look { place, counted } = look.map_err(|error| root_cause(&error))?;
    *held = Some(place);
    counted
}

/// One look. An error leaves everything as it was, for the next one.
fn look(path: &Path, pattern: &Regex, last: Option<&Place>, now: Duration) -> io::Result<Look> {
    let file = match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && last.is_none() => {
            // Whatever is there next time was written since.
            let place = Place { file: None, offset: 0, before: None, at: now };
            return Ok(Look { place, counted: Err(root_cause(&error)) });
        }
        file => Arc::new(file?),
    };
    let Some(last) = last else { return from_the_end(file, now, "counting begins now, at its end") };
    let mut parts: Vec<_> =
        last.before.iter().map(|(file, from)| Part::of(file, *from)).collect::<Result<_, _>>()?;
    let renamed = match &last.file {
        Some(old) => {
            parts.push(Part::of(old, last.offset)?);
            !is_same(old, &file)?
        }
        None => true,
    };
    if renamed {
        parts.push(Part::of(&file, 0)?);
    }
    if parts.iter().any(|part| part.length < part.from) {
        return from_the_end(file, now, "it was cut short, and what was written just before is gone");
    }
    if parts.iter().map(|part| part.length - part.from).sum::<u64>() > MAX_READ {
        let why = "more than 64 MiB came since the last sample, and are not read: lower `every`";
        return from_the_end(file, now, why);
    }
    let mut counter = Counter::new(pattern);
    let (mut offset, mut before) = (0, None);
    let newest = parts.len() - 1;
    for (index, part) in parts.iter().enumerate() {
        offset = part.read(&mut counter)?;
        if index < newest {
            counter.finish();
            before = Some((Arc::clone(part.file), offset)).filter(|_| renamed);
        }
    }
    let offset = offset - counter.without_end();
    let place = Place { file: Some(Arc::clone(parts[newest].file)), offset, before, at: now };
    Ok(Look { place, counted: Ok((counter.count(), now.saturating_sub(last.at))) })
}

/// A piece of a file that is to be counted.
struct Part<'a> {
    file: &'a Arc<File>,
    from: u64,
    /// How long the file is: what comes meanwhile is for the next look.
    length: u64,
}

impl<'a> Part<'a> {
    fn of(file: &'a Arc<File>, from: u64) -> io::Result<Self> {
        Ok(Self { file, from, length: file.metadata()?.len() })
    }

    /// Reads it to its end, and says where that was.
    fn read(&self, counter: &mut Counter<'_>) -> io::Result<u64> {
        let mut file: &File = self.file;
        let mut end = file.seek(SeekFrom::Start(self.from))?;
        let mut reader = file.take(self.length - self.from);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(end),
                Ok(count) => {
                    counter.take(&buffer[..count]);
                    end += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Begins anew, with what comes from now on.
fn from_the_end(file: Arc<File>, now: Duration, why: &str) -> io::Result<Look> {
    let offset = file.metadata()?.len();
    Ok(Look {
        place: Place { file: Some(file), offset, before: None, at: now },
        counted: Err(why.to_owned()),
    })
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    File::open(path)
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
