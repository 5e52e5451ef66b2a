//! Output that is kept in part, and input that is fed.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::command::Secret;

/// The most of a standard output that is kept.
const HEAD: usize = 1024 * 1024;
/// The most of a standard error that is kept.
const TAIL: usize = 64 * 1024;

/// The beginning of what comes, and whether there was more. Reads to the end: a writer that nobody reads from would stop.
pub(crate) async fn head(from: Option<impl AsyncRead + Unpin>) -> io::Result<(Vec<u8>, bool)> {
    let (mut kept, mut cut) = (Vec::new(), false);
    each_chunk(from, |chunk| {
        let taken = chunk.len().min(HEAD - kept.len());
        kept.extend_from_slice(&chunk[..taken]);
        cut |= taken < chunk.len();
    })
    .await?;
    Ok((kept, cut))
}

/// The end of what comes.
pub(crate) async fn tail(from: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = VecDeque::new();
    each_chunk(from, |chunk| {
        kept.extend(chunk);
        kept.drain(..kept.len().saturating_sub(TAIL));
    })
    .await?;
    Ok(kept.into())
}

async fn each_chunk(from: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match from.read(&mut chunk).await? {
            0 => return Ok(()),
            count => take(&chunk[..count]),
        }
    }
}

/// Writes the bytes and closes. A command that does not read all of its input is no error.
pub(crate) async fn feed(to: Option<impl AsyncWrite + Unpin>, bytes: Option<&Secret>) {
    if let (Some(mut to), Some(bytes)) = (to, bytes) {
        let _ = to.write_all(bytes.expose()).await;
        let _ = to.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn heads_and_tails_are_bounded_and_whole_where_they_fit() {
        let long: Vec<u8> = (0..3 * HEAD).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (kept, cut) = head(Some(&long[..])).await.unwrap();
        assert!(cut && kept == long[..HEAD]);
        assert_eq!(tail(Some(&long[..])).await.unwrap(), long[long.len() - TAIL..]);
        assert_eq!(head(Some(&long[..HEAD])).await.unwrap(), (long[..HEAD].to_vec(), false));
        assert_eq!(tail(Some(&b"short"[..])).await.unwrap(), b"short");
    }
}
