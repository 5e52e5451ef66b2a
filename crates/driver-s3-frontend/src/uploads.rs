//! Which uploads in parts are ours: each is noted before its first part is copied, and struck out once it is over. Until then its parts are
//! stored and paid for, and no listing shows them: whoever was cut off in between, the next rollback gives them up.
//!
//! No other upload is ever touched: a deploy may be under way.

use rollback_core::{Digest, Result};
use serde::{Deserialize, Serialize};

use crate::client::Upload;
use crate::json;
use crate::names::Prefix;
use crate::object::ETag;
use crate::site::Site;

const SCHEMA: &str = "s3-upload/1";
/// How often one is given up that S3 still knows: parts that were on their way may have come in after it was.
const TRIES: u32 = 3;

/// One upload, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    schema: String,
    /// The full key of what it will be.
    key: String,
    /// What S3 calls it.
    upload: String,
}

/// An upload that is noted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) upload: Upload,
    /// Where, and which tag that has.
    note: (String, ETag),
}

impl Site {
    /// Where the notes are: in a folder for each site of the bucket.
    fn uploads(&self) -> Result<Prefix> {
        Prefix::new(self.note_at(".uploads/"))
    }

    /// Notes an upload that has begun. One that cannot be noted is given up.
    pub(crate) async fn note(&self, upload: Upload) -> Result<Noted> {
        let written = async {
            let Upload { full: key, id } = upload.clone();
            let name = Digest::of_bytes(format!("{}:{key}{id}", key.len()).as_bytes()).short();
            let at = format!("{}{name}.json", self.uploads()?);
            let note = Note { schema: SCHEMA.to_owned(), key, upload: id };
            let body = json::written("note a copy in parts", &note)
                .map_err(|error| error.next("copy the object by hand, with `aws s3 cp`, then plan again"))?;
            let tag = self.write_ours(&at, body, None).await?;
            Ok((at, tag))
        };
        match written.await {
            Ok(note) => Ok(Noted { upload, note }),
            Err(error) => {
                if let Err(unaborted) = self.client.abort(&upload).await {
                    tracing::warn!(key = upload.full, %unaborted, "an upload without parts stays");
                }
                Err(error)
            }
        }
    }

    /// It is over. A note that stays costs two requests of the next rollback.
    pub(crate) async fn strike_out(&self, noted: &Noted) {
        let (key, tag) = &noted.note;
        if let Err(error) = self.delete_ours(key, tag).await {
            tracing::warn!(key, %error, "the note of a copy in parts stays");
        }
    }

    /// Gives one up, with everything that was copied for it.
    pub(crate) async fn give_up(&self, noted: &Noted) -> Result<()> {
        for _ in 0..TRIES {
            if !self.client.abort(&noted.upload).await? {
                self.strike_out(noted).await;
                return Ok(());
            }
        }
        tracing::warn!(
            key = noted.upload.full,
            "S3 still knows a copy that was given up: the next rollback sees to it"
        );
        Ok(())
    }

    /// Gives up what earlier rollbacks left. Nothing of it is served, and nothing waits for it: what cannot be given up is told, and no
    /// reason to stop.
    pub(crate) async fn give_up_leftovers(&self) {
        match self.cut_off_uploads().await {
            Ok(found) => {
                for noted in found {
                    if let Err(error) = self.give_up(&noted).await {
                        tracing::warn!(key = noted.upload.full, %error, "the parts of a copy that was cut off stay");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "nobody knows whether copies in parts were cut off"),
        }
    }

    async fn cut_off_uploads(&self) -> Result<Vec<Noted>> {
        let (notes, mut found) = (self.uploads()?, Vec::new());
        let listed = match self.known_below(&notes) {
            Some(listed) => listed,
            None => self.client.page(&notes, None).await?.objects,
        };
        for listed in listed {
            let at = notes.join(&listed.key);
            let Some((body, tag)) = self.client.get(&at).await? else { continue };
            match serde_json::from_slice::<Note>(&body).ok().filter(|note| note.schema == SCHEMA) {
                Some(Note { key, upload, .. }) if self.live.strip(&key).is_some() => {
                    found.push(Noted { upload: Upload { full: key, id: upload }, note: (at, tag) });
                }
                _ => tracing::warn!(key = at, "no note of ours, and not looked at"),
            }
        }
        Ok(found)
    }
}
