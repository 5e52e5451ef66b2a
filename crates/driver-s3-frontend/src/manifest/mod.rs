//! Manifests: which objects made a state, with the versions that they were. Written once, beside what is served, and never changed.
//!
//! A state lies at `manifests/<site>/<identity>/<digest>.json` below `state`. Site and identity are digests, and the last name is the
//! digest of the file itself: no key of the site is ever a part of a name, and a file that was altered is not what it is called.

mod copies;
mod find;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};
use serde::{Deserialize, Serialize};

pub(crate) use self::find::Gone;
use crate::headers::{All, Recorded, Shared};
use crate::json;
use crate::names::{Bucket, Key, Prefix};
use crate::object::{Content, ETag, Listed, StorageClass, VersionId};
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::sum::Sum;

const SCHEMA: &str = "s3-manifest/3";
/// Those that are read. The first one held no headers, and the second one those of a few entry points, by key.
const SCHEMAS: [&str; 3] = ["s3-manifest/1", "s3-manifest/2", SCHEMA];
/// How many objects a manifest holds: some twenty megabytes.
const MOST: usize = 100_000;
/// How large one is that is read or written: more comes only of others than us, or of keys of a kilobyte each.
const LARGEST: usize = 64 * 1024 * 1024;

/// One object: its key, size and tag, when it was written, and, where they are known or not as usual: its version, its storage class,
/// the tag of what it was copied from, which then stands for its content, and which of the sets of headers goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry(
    Key,
    u64,
    ETag,
    Timestamp,
    Option<VersionId>,
    Option<StorageClass>,
    Option<ETag>,
    #[serde(default)] Option<u32>,
);

impl Entry {
    fn of(listed: &Listed, copied_from: Option<&ETag>) -> Option<Self> {
        let etag = listed.content.etag.clone()?;
        let class = (listed.class != StorageClass::default()).then(|| listed.class.clone());
        let (key, size, modified) = (listed.key.clone(), listed.content.size, listed.modified);
        Some(Self(key, size, etag, modified, listed.version.clone(), class, copied_from.cloned(), None))
    }

    /// As a listing showed it.
    pub(crate) fn listed(&self) -> Listed {
        let Self(key, size, etag, modified, version, ..) = self;
        let listed = Listed::new(key.clone(), Content::listed(*size, etag.clone()), *modified);
        Listed { version: version.clone(), ..listed }
    }

    /// As it counts for the identity of the state.
    fn counted(&self) -> Listed {
        let Self(key, size, etag, modified, _, _, copied_from, _) = self;
        let tag = copied_from.as_ref().unwrap_or(etag).clone();
        Listed::new(key.clone(), Content::listed(*size, tag), *modified)
    }

    /// Whether that is the very version.
    fn is(&self, listed: &Listed) -> bool {
        self.4.is_some() && self.4 == listed.version
    }

    /// Where it was stored.
    fn class(&self) -> StorageClass {
        self.5.clone().unwrap_or_default()
    }

    /// Whether that is the same object, whatever was read of its headers.
    fn repeats(&self, other: &Self) -> bool {
        (&self.0, self.1, &self.2, self.3, &self.4, &self.5, &self.6)
            == (&other.0, other.1, &other.2, other.3, &other.4, &other.5, &other.6)
    }

    /// Whether that has the same bytes.
    fn equals(&self, listed: &Listed) -> bool {
        listed.content.size == self.1 && listed.content.etag.as_ref() == Some(&self.2)
    }
}

/// What goes with the objects. Of whatever is not here, nobody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Sets {
    /// Each set once: thousands of objects have a handful of them.
    Table(Vec<Shared>),
    /// As older manifests have them.
    ByKey(BTreeMap<Key, Shared>),
}

impl Default for Sets {
    fn default() -> Self {
        Self::Table(Vec::new())
    }
}

impl Sets {
    fn is_empty(&self) -> bool {
        match self {
            Self::Table(sets) => sets.is_empty(),
            Self::ByKey(sets) => sets.is_empty(),
        }
    }

    /// Whether each object finds its own.
    fn fits(&self, objects: &[Entry]) -> bool {
        let count = match self {
            Self::Table(sets) => sets.len(),
            Self::ByKey(_) => 0,
        };
        objects.iter().filter_map(|entry| entry.7).all(|at| (at as usize) < count)
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
    #[serde(default, skip_serializing_if = "Sets::is_empty")]
    headers: Sets,
    objects: Vec<Entry>,
}

impl Manifest {
    fn new(
        (bucket, live): (&Bucket, &Prefix),
        identity: Identity,
        objects: Vec<Entry>,
        headers: All,
    ) -> Self {
        let (bucket, live) = (bucket.clone(), live.clone());
        let (objects, headers) = with_headers(objects, headers);
        Self { schema: SCHEMA.to_owned(), bucket, live, identity, headers, objects }
    }

    /// What was written down of the headers of an object.
    fn recorded(&self, entry: &Entry) -> Option<&Arc<Recorded>> {
        let set = match &self.headers {
            Sets::Table(sets) => sets.get(entry.7? as usize)?,
            Sets::ByKey(sets) => sets.get(&entry.0)?,
        };
        Some(&set.0)
    }

    /// What was written down of an object under that key.
    fn entry(&self, key: &Key) -> Option<&Entry> {
        let at = self.objects.binary_search_by(|entry| entry.0.cmp(key)).ok()?;
        self.objects.get(at)
    }

    /// The headers of this very version, if they were written down.
    pub(crate) fn of_version(&self, listed: &Listed) -> Option<&Arc<Recorded>> {
        let entry = self.entry(&listed.key).filter(|entry| entry.is(listed))?;
        self.recorded(entry)
    }

    /// The headers of this object, where nobody need ask for them again: a version keeps those that it was written with. Its tags can be
    /// changed all the same: what has any is asked again, and what had none and got some since is not noticed. The version `null` is
    /// written over like any object of a bucket without versions, within one second perhaps.
    pub(crate) fn known(&self, entry: &Entry) -> Option<Arc<Recorded>> {
        let version = entry.4.as_ref().filter(|version| version.as_str() != "null")?;
        let before = self.entry(&entry.0)?;
        if before.4.as_ref() != Some(version) || before.2 != entry.2 {
            return None;
        }
        self.recorded(before).filter(|recorded| recorded.is_untagged()).cloned()
    }

    /// Whether it is of this state, and these are its objects.
    fn is_of(&self, snapshot: &SiteSnapshot, objects: &[Entry]) -> bool {
        self.identity == snapshot.identity
            && self.objects.len() == objects.len()
            && self.objects.iter().zip(objects).all(|(one, other)| one.repeats(other))
    }

    /// As it is written, with its name.
    fn sealed(&self) -> Result<(Vec<u8>, Digest)> {
        let body = json::written("write a manifest", self)?;
        if body.len() > LARGEST {
            let found = format!("it has {} bytes, and none of more than {LARGEST} is read", body.len());
            return Err(Error::new(ErrorKind::Unsupported, "write a manifest", found)
                .next("keep a copy of each release in the archive"));
        }
        let digest = Digest::of_bytes(&body);
        Ok((body, digest))
    }

    /// Reads one that must be of this state of the site, and be what it is called.
    fn opened(site: (&Bucket, &Prefix), identity: Identity, digest: Digest, body: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::Corrupt, "read a manifest", why.to_owned());
        if body.len() > LARGEST || Digest::of_bytes(body) != digest {
            return Err(wrong("it is not what it is called"));
        }
        let read: Self = serde_json::from_slice(body).map_err(|_| wrong("it is none of ours"))?;
        let here = (&read.bucket, &read.live) == site;
        if !SCHEMAS.contains(&read.schema.as_str()) || !here || identity_of(&read.objects)? != identity {
            return Err(wrong("it is of something else"));
        }
        if read.objects.len() > MOST || !read.headers.fits(&read.objects) {
            return Err(wrong(
                "it has more objects than we write down, or none of the headers that they are to have",
            ));
        }
        Ok(read)
    }

    fn by_key(&self) -> BTreeMap<&Key, &Entry> {
        self.objects.iter().map(|entry| (&entry.0, entry)).collect()
    }
}

/// Each set of headers once, and the objects with the places of theirs.
fn with_headers(mut objects: Vec<Entry>, headers: All) -> (Vec<Entry>, Sets) {
    let (mut places, mut sets) = (HashMap::new(), Vec::new());
    for (entry, recorded) in objects.iter_mut().zip(headers) {
        entry.7 = recorded.and_then(|recorded| {
            let shared = Shared(recorded);
            let place = *places.entry(shared.clone()).or_insert_with(|| {
                sets.push(shared);
                sets.len() - 1
            });
            u32::try_from(place).ok()
        });
    }
    (objects, Sets::Table(sets))
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
        Prefix::new(format!("{}{}/", self.all_manifests()?, identity.0.hex()))
    }

    /// Where those of all states are.
    fn all_manifests(&self) -> Result<Prefix> {
        Prefix::new(format!("{}manifests/{}/", self.state, self.name()))
    }
}

#[cfg(test)]
mod tests;
