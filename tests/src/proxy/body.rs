//! Half of a body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::wire::End;

/// Gives some bytes, lets them be written, and has the connection reset.
#[derive(Debug)]
pub(super) struct Half {
    bytes: Option<Bytes>,
    flushed: bool,
    end: End,
}

impl Half {
    pub(super) fn of(whole: &Bytes, end: End) -> Self {
        Self { bytes: Some(whole.slice(..whole.len() / 2)), flushed: false, end }
    }
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.flushed {
            self.end.reset();
        } else {
            // Nothing more for now: what there is gets written before we are asked again.
            self.flushed = true;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
