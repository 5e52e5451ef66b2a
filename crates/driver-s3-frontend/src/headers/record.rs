//! Which headers are written down with a state, and who is asked for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::{Error, Occasion, Result};

use super::{ASKED, AT_A_TIME, Recorded};
use crate::client::readable;
use crate::manifest::{Entry, Manifest};
use crate::object::Listed;
use crate::site::Site;

/// How many objects are asked for their headers when a deployment is recorded: of more, only so many entry points. S3 answers 5,500 such
/// requests a second below one prefix.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>
const MOST: usize = 20_000;
/// How often whoever is too busy is asked, once more after all the others.
const ROUNDS: u32 = 3;

/// What is written down of each object, in their order.
pub(crate) type All = Vec<Option<Arc<Recorded>>>;

impl Site {
    /// The headers of these objects. Those of a version that an earlier manifest names are taken from there.
    pub(crate) async fn headers_to_record(
        &self,
        objects: &[Entry],
        before: Option<&Manifest>,
        occasion: Occasion,
    ) -> Result<All> {
        let mut all: All =
            objects.iter().map(|entry| before.and_then(|before| before.known(entry))).collect();
        let unknown = all.iter().zip(0..).filter(|(known, _)| known.is_none()).map(|(_, at)| at);
        let unknown: Vec<usize> = unknown.collect();
        let everything = occasion == Occasion::Recorded && unknown.len() <= MOST;
        let mut asked = if everything { unknown.clone() } else { self.shallowest(objects, &unknown) };
        if occasion == Occasion::Recorded && !everything {
            tracing::warn!(
                objects = unknown.len() - asked.len(),
                most = MOST,
                "a manifest without the headers of so many objects: only those of entry points are in it"
            );
        }
        let mut unread = 0;
        for round in 1..=ROUNDS {
            let answers =
                stream::iter(asked).map(|at| async move { (at, self.recorded(&objects[at].listed()).await) });
            let mut answers = answers.buffer_unordered(AT_A_TIME);
            let mut again = Vec::new();
            while let Some((at, answer)) = answers.next().await {
                match answer {
                    Ok(recorded) => all[at] = recorded.map(Arc::new),
                    Err(error) if error.is_transient() && round < ROUNDS => again.push(at),
                    Err(error) => {
                        unread += 1;
                        tracing::debug!(%error, "headers that could not be read");
                    }
                }
            }
            asked = again;
        }
        if unread > 0 {
            tracing::warn!(
                objects = unread,
                "a manifest without the headers of objects that could not be read"
            );
        }
        Ok(all)
    }

    /// So many entry points among these that are kept as versions: nothing else is gone back to by what is written down in a hurry.
    fn shallowest(&self, objects: &[Entry], unknown: &[usize]) -> Vec<usize> {
        let mut found = BTreeSet::new();
        for at in unknown {
            let listed = objects[*at].listed();
            if listed.version.is_some() && self.order.is_entry_point(&listed.key) {
                found.insert((listed.key.as_str().matches('/').count(), *at));
                if found.len() > ASKED {
                    found.pop_last();
                }
            }
        }
        found.into_iter().map(|(_, at)| at).collect()
    }

    /// The headers and tags of an object, if it is still that one and may be read.
    async fn recorded(&self, listed: &Listed) -> Result<Option<Recorded>> {
        let Some(head) = self.head_of(listed).await? else { return Ok(None) };
        if head.content.etag != listed.content.etag {
            return Ok(None);
        }
        let tags = if head.tagged {
            let tags = self.client.tags(&self.full(&listed.key), listed.version.as_ref()).await;
            readable::<BTreeMap<_, _>>(tags)?.ok()
        } else {
            Some(BTreeMap::new())
        };
        Ok::<_, Error>(Some(Recorded::of(&head.headers, tags)))
    }
}
