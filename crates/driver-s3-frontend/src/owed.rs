//! What CloudFront has to be told. It is noted before anything is written, and struck out once it was: whoever was cut off in between, the
//! next rollback tells it for both.

use rollback_core::{ErrorKind, Result};
use serde_json::json;

use crate::client::Expected;
use crate::site::Site;

const SCHEMA: &str = "s3-owed/1";

impl Site {
    /// Where the note is: one for each site of the bucket.
    fn owed_key(&self) -> String {
        self.note_at(".owed.json")
    }

    /// Whether caches may hold what a rollback that was cut off had replaced.
    pub(crate) async fn is_owed(&self) -> Result<bool> {
        if self.front.cloudfront.is_none() {
            return Ok(false);
        }
        Ok(self.client.get(&self.owed_key()).await?.is_some())
    }

    /// Notes that caches will hold what is replaced now. Whether they may hold more already.
    pub(crate) async fn owe(&self) -> Result<bool> {
        if self.front.cloudfront.is_none() {
            return Ok(false);
        }
        let body = json!({ "schema": SCHEMA }).to_string().into_bytes();
        match self.write_ours(&self.owed_key(), body, Some(&Expected::Absent)).await {
            Ok(_) => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Conflict) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// CloudFront was told. A note that stays costs one invalidation more.
    pub(crate) async fn is_told(&self) {
        let key = self.owed_key();
        let struck = match self.client.get(&key).await {
            Ok(Some((_, etag))) => self.delete_ours(&key, &etag).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = struck {
            tracing::warn!(key, %error, "the note that CloudFront is to be told stays");
        }
    }
}
