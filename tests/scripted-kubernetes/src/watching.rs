//! Answers that go on.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::World;
use crate::store::Event;

/// Somebody who is told of what happens to objects of one kind in one namespace.
pub(crate) struct Watcher {
    plural: String,
    namespace: String,
    sender: mpsc::UnboundedSender<Bytes>,
}

impl Watcher {
    /// The last thing that it is told.
    fn end(self, line: String) {
        // It may have gone.
        let _ = self.sender.send(Bytes::from(line));
    }

    /// Whether it still listens.
    pub(crate) fn tell(&self, event: &Event) -> bool {
        let meant = event.plural == self.plural && event.namespace == self.namespace;
        if meant { self.sender.send(Bytes::from(event.line.clone())).is_ok() } else { self.is_open() }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// An answer that goes on: a line for each object that there is, and for each that changes.
pub(crate) struct Events(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|told| told.map(|line| Ok(http_body::Frame::data(line))))
    }
}

impl World {
    pub(crate) fn events(&mut self, plural: &str, namespace: &str) -> Events {
        // What happened before is not told twice.
        self.tell_watchers();
        let (sender, receiver) = mpsc::unbounded_channel();
        let (plural, namespace) = (plural.to_owned(), namespace.to_owned());
        let watcher = Watcher { plural, namespace, sender };
        for object in self.store.list(&watcher.plural, &watcher.namespace) {
            watcher.tell(&Event::new("ADDED", &watcher.plural, &watcher.namespace, &object));
        }
        match self.watches_end.clone() {
            Some(line) => watcher.end(line),
            None => self.watchers.push(watcher),
        }
        Events(receiver)
    }
}

impl World {
    /// Ends all watches that are open, with an event or without a word.
    pub(crate) fn end_watches(&mut self, line: &str) {
        for watcher in std::mem::take(&mut self.watchers) {
            watcher.end(line.to_owned());
        }
    }
}
