//! Whether the server honours conditions. Some that speak the protocol of S3 take a conditional write, ignore the
//! condition and answer "done": over those, every lease is held by everybody.

use object_store::path::Path;
use object_store::{Error as Cause, PutMode, UpdateVersion};
use rollback_core::{Effect, ErrorKind, Result};

use crate::error::Failing;
use crate::store::Shared;
use crate::watch::watched;

/// The object that is written on a condition to find out. Its name begins with a dot, so it is no key.
const MARKER: &str = ".rollback-store.json";
/// Longer than a tombstone, so that a rule which removes those leaves it alone.
const TEXT: &str =
    r#"{"format":"rollback-store/1","about":"This folder is the store of rollback. Leave it to the tool."}"#;

/// Tries both conditions on the marker; makes it when there is none. Called before the first write of a process.
///
/// Nothing else is written, so an error has no effect on what the caller wanted to write.
pub(crate) async fn check(shared: &Shared, failing: Failing<'_>) -> Result<()> {
    check_conditions(shared, failing).await.map_err(|error| error.with_effect(Effect::None))
}

async fn check_conditions(shared: &Shared, failing: Failing<'_>) -> Result<()> {
    let path = Path::from(shared.bucket.inside(MARKER));
    // The first of these may make it. The second one must be refused then.
    let made = is_written(shared, &path, PutMode::Create, failing).await?;
    if made && is_written(shared, &path, PutMode::Create, failing).await? {
        return Err(inexact(failing, "creates an object that is there already (If-None-Match)"));
    }
    // No write ever has these: the digest of nothing, and a generation before the first.
    let never = UpdateVersion {
        e_tag: Some("\"d41d8cd98f00b204e9800998ecf8427e\"".to_owned()),
        version: Some("1".to_owned()),
    };
    if is_written(shared, &path, PutMode::Update(never), failing).await? {
        return Err(inexact(failing, "replaces an object that has another version (If-Match)"));
    }
    Ok(())
}

/// Whether a conditional write of the marker was carried out.
async fn is_written(shared: &Shared, path: &Path, mode: PutMode, failing: Failing<'_>) -> Result<bool> {
    let put = shared.objects.put_opts(path, TEXT.into(), mode.into());
    match watched(put).await {
        (Ok(_), _) => Ok(true),
        // Also that a bucket or an object is not there is told as a condition that does not hold.
        (Err(Cause::AlreadyExists { .. } | Cause::Precondition { .. }), seen)
            if seen.answer().is_none_or(|answer| matches!(answer.status, 409 | 412)) =>
        {
            Ok(false)
        }
        (Err(cause), seen) => Err(failing.call(&cause, &seen)),
    }
}

fn inexact(failing: Failing<'_>, what: &str) -> rollback_core::Error {
    failing
        .error(ErrorKind::Unsupported, format!("the server does not keep conditions: it {what}"))
        .next("use another bucket: over this one two people could roll back at once, each with a lease")
}
