//! Manifests: which objects made a state, with the versions that they were. Written once, beside what is served, and never changed.
//!
//! A state lies at `manifests/<site>/<identity>/<digest>.json` below `state`. Site and identity are digests, and the last name is the
//! digest of the file itself: no key of the site is ever a part of a name, and a file that was altered is not what it is called.

mod find;
mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};
use serde::{Deserialize, Serialize};

pub(crate) use self::find::Gone;
use crate::headers::Recorded;
use crate::json;
use crate::names::{Bucket, Key, Prefix};
use crate::object::{Content, ETag, Listed, StorageClass, VersionId};
use crate::site::Site;
use crate::sum::Sum;

const SCHEMA: &str = "s3-manifest/2";
/// Those that are read. The first one held no headers.
const SCHEMAS: [&str; 2] = ["s3-manifest/1", SCHEMA];

/// One object: its key, size and tag, when it was written, and, where they are known or not as usual: its version, its storage class,
/// and the tag of what it was copied from, which then stands for its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry(Key, u64, ETag, Timestamp, Option<VersionId>, Option<StorageClass>, Option<ETag>);

impl Entry {
    fn of(listed: &Listed, copied_from: Option<&ETag>) -> Option<Self> {
        let etag = listed.content.etag.clone()?;
        let class = (listed.class != StorageClass::default()).then(|| listed.class.clone());
        let (key, size, modified) = (listed.key.clone(), listed.content.size, listed.modified);
        Some(Self(key, size, etag, modified, listed.version.clone(), class, copied_from.cloned()))
    }

    /// As a listing showed it.
    fn listed(&self) -> Listed {
        let Self(key, size, etag, modified, version, ..) = self;
        let listed = Listed::new(key.clone(), Content::listed(*size, etag.clone()), *modified);
        Listed { version: version.clone(), ..listed }
    }

    /// As it counts for the identity of the state.
    fn counted(&self) -> Listed {
        let Self(key, size, etag, modified, .., copied_from) = self;
        let tag = copied_from.as_ref().unwrap_or(etag).clone();
        Listed::new(key.clone(), Content::listed(*size, tag), *modified)
    }

    /// Whether that is the very version.
    fn is(&self, listed: &Listed) -> bool {
        self.4.is_some() && self.4 == listed.version
    }

    /// Whether that has the same bytes.
    fn equals(&self, listed: &Listed) -> bool {
        listed.content.size == self.1 && listed.content.etag.as_ref() == Some(&self.2)
    }
}

/// The objects of one state, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    schema: String,
    bucket: Bucket,
    live: Prefix,
    identity: Identity,
    objects: Vec<Entry>,
    /// What goes with some of them: of whatever is not here, nobody looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<Key, Recorded>,
}

impl Manifest {
    fn new(site: &Site, identity: Identity, objects: Vec<Entry>, headers: BTreeMap<Key, Recorded>) -> Self {
        let (bucket, live) = (site.client.bucket().clone(), site.live.clone());
        Self { schema: SCHEMA.to_owned(), bucket, live, identity, objects, headers }
    }

    /// As it is written, with its name.
    fn sealed(&self) -> Result<(Vec<u8>, Digest)> {
        let body = json::written("write a manifest", self)?;
        let digest = Digest::of_bytes(&body);
        Ok((body, digest))
    }

    /// Reads one that must be of this state of the site, and be what it is called.
    fn opened(site: &Site, identity: Identity, digest: Digest, body: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::Corrupt, "read a manifest", why.to_owned());
        if Digest::of_bytes(body) != digest {
            return Err(wrong("it is not what it is called"));
        }
        let read: Self = serde_json::from_slice(body).map_err(|_| wrong("it is none of ours"))?;
        let here = (&read.bucket, &read.live) == (site.client.bucket(), &site.live);
        if !SCHEMAS.contains(&read.schema.as_str()) || !here || identity_of(&read.objects)? != identity {
            return Err(wrong("it is of something else"));
        }
        Ok(read)
    }

    fn by_key(&self) -> BTreeMap<&Key, &Entry> {
        self.objects.iter().map(|entry| (&entry.0, entry)).collect()
    }
}

/// What these objects make.
fn identity_of(objects: &[Entry]) -> Result<Identity> {
    let mut sum = Sum::default();
    objects.iter().try_for_each(|entry| sum.add(&entry.counted()))?;
    Ok(sum.identity())
}

impl Site {
    /// Where the manifests of a state are.
    fn manifests_of(&self, identity: Identity) -> Result<Prefix> {
        Prefix::new(format!("{}manifests/{}/{}/", self.state, self.name(), identity.0.hex()))
    }
}

#[cfg(test)]
mod tests;
