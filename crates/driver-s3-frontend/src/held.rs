//! Lists that are held whole: short ones in memory, long ones in a file without a name.
//!
//! A list of a million objects takes some forty megabytes, and to list them again takes a thousand requests. The file lies in the folder for
//! temporary files, only its owner may open it, no folder names it, and it is gone with the process at the latest. What is written to it goes
//! to the cache of the system, and what is read comes from there: nobody waits for a disk.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, Stream, StreamExt as _};
use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::OwnedSemaphorePermit;

use crate::object::{Listed, StorageClass};
use crate::packed::{Packed, Unpacked};

/// How many objects a piece has: what of a file is in memory at a time.
const PIECE: usize = 4_096;

/// A list that is held whole. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct List(Arc<Held>);

#[derive(Debug)]
struct Held {
    pieces: Vec<Piece>,
    file: Option<Mutex<File>>,
    /// What it takes of what may be held.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Piece {
    Packed(Arc<Packed>),
    Written { at: u64, length: usize, count: usize, classes: Vec<StorageClass> },
}

impl List {
    /// As if it were listed again.
    pub(crate) fn walk(&self) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
        // Its room is taken for as long as anybody reads.
        let walking = Walking { held: Arc::clone(&self.0), next: 0, open: None };
        stream::iter(walking).fuse()
    }

    /// Whether it lies in a file.
    pub(crate) fn is_written(&self) -> bool {
        self.0.file.is_some()
    }
}

/// What is left of a list that somebody reads.
struct Walking {
    held: Arc<Held>,
    next: usize,
    /// The piece that is read, and how many objects of it are left.
    open: Option<(Unpacked, usize)>,
}

impl Iterator for Walking {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((objects, left)) = &mut self.open {
                match (objects.next(), *left) {
                    (Some(listed), 1..) => {
                        *left -= 1;
                        return Some(Ok(listed));
                    }
                    (None, 0) => self.open = None,
                    // What cannot be read on is no shorter list.
                    _ => return Some(Err(self.broken("it is not what was written"))),
                }
            }
            let piece = self.held.pieces.get(self.next)?;
            self.next += 1;
            match self.held.read(piece) {
                Ok((packed, count)) => self.open = Some((packed.into(), count)),
                Err(error) => return Some(Err(self.broken(&error.to_string()))),
            }
        }
    }
}

impl Walking {
    /// Nothing comes after that.
    fn broken(&mut self, why: &str) -> Error {
        (self.open, self.next) = (None, usize::MAX);
        Error::new(ErrorKind::Unavailable, "read a list that was held in a file", why.to_owned())
            .next("see what is wrong with the folder for temporary files, or set TMPDIR to another one, and run it again")
    }
}

impl Held {
    fn read(&self, piece: &Piece) -> std::io::Result<(Arc<Packed>, usize)> {
        match (piece, &self.file) {
            (Piece::Packed(packed), _) => Ok((Arc::clone(packed), packed.len())),
            (Piece::Written { at, length, count, classes }, Some(file)) => {
                let mut bytes = vec![0; *length];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(*at))?;
                file.read_exact(&mut bytes)?;
                Ok((Arc::new(Packed::of(bytes, classes.clone())), *count))
            }
            (Piece::Written { .. }, None) => Err(std::io::Error::other("there is no file")),
        }
    }
}

/// A list that is being put together, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    done: Vec<Piece>,
    open: Packed,
    file: Option<(File, u64)>,
    count: usize,
    size: usize,
}

impl Pieces {
    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What they take, nearly, wherever they are.
    pub(crate) fn size(&self) -> usize {
        self.size + self.open.size()
    }

    pub(crate) fn is_written(&self) -> bool {
        self.file.is_some()
    }

    /// Adds an object behind the others.
    ///
    /// # Errors
    ///
    /// Those of the file, if there is one: the list is not whole then.
    pub(crate) fn push(&mut self, listed: &Listed) -> std::io::Result<()> {
        self.count += 1;
        self.open.push(listed);
        if self.open.len() < PIECE { Ok(()) } else { self.close() }
    }

    /// From now on it lies in a file, with what there is already.
    ///
    /// # Errors
    ///
    /// There is no place for a file, or no room in it.
    pub(crate) fn write(&mut self) -> std::io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        self.file = Some((tempfile::tempfile()?, 0));
        for piece in std::mem::take(&mut self.done) {
            let piece = match piece {
                Piece::Packed(packed) => self.written(Arc::unwrap_or_clone(packed))?,
                piece => piece,
            };
            self.done.push(piece);
        }
        Ok(())
    }

    fn close(&mut self) -> std::io::Result<()> {
        let mut packed = std::mem::take(&mut self.open);
        packed.finish();
        self.size += packed.size();
        let piece = match self.file {
            Some(_) => self.written(packed)?,
            None => Piece::Packed(Arc::new(packed)),
        };
        self.done.push(piece);
        Ok(())
    }

    fn written(&mut self, packed: Packed) -> std::io::Result<Piece> {
        let Some((file, end)) = &mut self.file else { return Ok(Piece::Packed(Arc::new(packed))) };
        let count = packed.len();
        // No listing of S3 has any.
        let (bytes, classes) = packed.plain().ok_or_else(|| std::io::Error::other("it is no plain list"))?;
        file.write_all(&bytes)?;
        let (at, length) = (*end, bytes.len());
        *end += length as u64;
        Ok(Piece::Written { at, length, count, classes })
    }

    /// The whole list.
    ///
    /// # Errors
    ///
    /// Those of the file, if there is one.
    pub(crate) fn whole(mut self, room: Option<OwnedSemaphorePermit>) -> std::io::Result<List> {
        if self.open.len() > 0 {
            self.close()?;
        }
        let file = self.file.map(|(file, _)| Mutex::new(file));
        Ok(List(Arc::new(Held { pieces: self.done, file, _room: room })))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, TryStreamExt as _};

    use super::*;
    use crate::names::Key;
    use crate::object::{Content, ETag, VersionId};

    fn object(number: usize) -> Listed {
        let content = Content::listed(number as u64, ETag::new(format!("{number:032x}")).unwrap());
        let key = Key::new(format!("assets/{number:06}.js")).unwrap();
        let listed = Listed::new(key, content, "2026-11-22T03:00:00Z".parse().unwrap());
        if number.is_multiple_of(3) {
            listed.stored(StorageClass::new("GLACIER_IR").unwrap())
        } else {
            listed
        }
    }

    /// So many objects, of which those after some lie in a file.
    fn list(many: usize, written_after: Option<usize>) -> List {
        let mut pieces = Pieces::default();
        for number in 0..many {
            if written_after == Some(number) {
                pieces.write().unwrap();
            }
            pieces.push(&object(number)).unwrap();
        }
        assert_eq!(pieces.len(), many);
        pieces.whole(None).unwrap()
    }

    fn walked(list: &List) -> Result<Vec<Listed>> {
        list.walk().try_collect().now_or_never().unwrap()
    }

    #[test]
    fn a_list_comes_back_as_it_was_wherever_it_lies() {
        for many in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7] {
            let all: Vec<Listed> = (0..many).map(object).collect();
            for after in [None, Some(0), Some(5), Some(PIECE), Some(PIECE + 9)] {
                let list = list(many, after);
                assert_eq!(list.is_written(), after.is_some_and(|after| after < many), "{many}, {after:?}");
                assert!(walked(&list).unwrap() == all, "{many} objects, written after {after:?}");
                assert!(walked(&list).unwrap() == all, "a second time");
            }
        }
    }

    #[test]
    fn two_may_read_a_file_at_a_time() {
        let list = list(3 * PIECE, Some(0));
        let (mut one, mut other) = (list.walk(), list.walk());
        for number in 0..3 * PIECE {
            let both = (one.try_next().now_or_never(), other.try_next().now_or_never());
            let expected = || Some(object(number));
            assert_eq!((both.0.unwrap().unwrap(), both.1.unwrap().unwrap()), (expected(), expected()));
        }
    }

    #[test]
    fn a_file_that_is_cut_off_or_altered_is_no_shorter_list() {
        let cut = list(2 * PIECE, Some(0));
        let file = cut.0.file.as_ref().unwrap();
        file.lock().unwrap().set_len(1_000).unwrap();
        let mut walk = cut.walk();
        let error = walk.try_next().now_or_never().unwrap().unwrap_err();
        assert!(error.next_step().is_some_and(|next| next.contains("TMPDIR")), "{error:?}");
        assert!(walk.try_next().now_or_never().unwrap().unwrap().is_none(), "and nothing comes after it");
        let altered = list(PIECE, Some(0));
        {
            let mut file = altered.0.file.as_ref().unwrap().lock().unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&[0xff; 4_000]).unwrap();
        }
        assert!(walked(&altered).is_err());
    }

    #[test]
    fn what_is_no_plain_list_is_not_written() {
        let mut pieces = Pieces::default();
        pieces.push(&object(1).with_version(VersionId::new("v").unwrap())).unwrap();
        pieces.write().unwrap();
        assert!(pieces.whole(None).is_err());
    }
}
