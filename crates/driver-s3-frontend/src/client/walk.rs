//! A listing from its first key to its last, page by page.

use std::collections::VecDeque;

use futures_util::stream::{self, Stream};
use rollback_core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;

use super::Client;
use super::list::{BEHIND, Page};
use crate::names::Prefix;
use crate::object::Listed;

/// What a walk over a part of the bucket leaves out: releases in the archive, and what is ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reserved(Vec<Prefix>);

impl Reserved {
    /// Of these, those that are inside `walked`.
    pub(crate) fn inside(walked: &Prefix, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self(
            prefixes
                .into_iter()
                .filter(|prefix| walked.holds(prefix) && !prefix.as_str().is_empty())
                .collect(),
        )
    }

    pub(super) fn of(&self, full: &str) -> Option<&Prefix> {
        self.0.iter().find(|prefix| full.starts_with(prefix.as_str()))
    }
}

struct Walk {
    client: Client,
    prefix: Prefix,
    reserved: Reserved,
    ready: VecDeque<Listed>,
    /// The page that is on its way: asked for while the one before is worked on.
    coming: Option<JoinHandle<Result<Page>>>,
}

impl Walk {
    fn ask(&mut self, after: Option<String>) {
        let (client, prefix) = (self.client.clone(), self.prefix.clone());
        self.coming = Some(tokio::spawn(async move { client.page(&prefix, after.as_deref()).await }));
    }

    async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            if let Some(listed) = self.ready.pop_front() {
                return Ok(Some(listed));
            }
            let Some(coming) = self.coming.take() else { return Ok(None) };
            let broken = |_| Error::new(ErrorKind::Other, "list the bucket", "the listing was broken off");
            let page = coming.await.map_err(broken)??;
            // Whatever may be in there, it is not walked: the next page begins behind it.
            if let Some(next) = page.next {
                let behind = self.reserved.of(&next).map(|prefix| format!("{prefix}{BEHIND}"));
                self.ask(Some(behind.unwrap_or(next)));
            }
            let ours = |listed: &Listed| self.reserved.of(&self.prefix.join(&listed.key)).is_none();
            self.ready.extend(page.objects.into_iter().filter(ours));
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        if let Some(coming) = &self.coming {
            coming.abort();
        }
    }
}

impl Client {
    /// Every object below `prefix`, in the order of the bytes of their keys.
    pub(crate) fn walk(
        &self,
        prefix: &Prefix,
        reserved: Reserved,
    ) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
        let mut walk = Walk {
            client: self.clone(),
            prefix: prefix.clone(),
            reserved,
            ready: VecDeque::new(),
            coming: None,
        };
        walk.ask(None);
        Box::pin(stream::unfold(Some(walk), |walk| async {
            let mut walk = walk?;
            match walk.next().await {
                Ok(listed) => listed.map(|listed| (Ok(listed), Some(walk))),
                // A list that broke off is not a short one: nothing comes after the error.
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}
