//! Stored forms: snapshots and actions that went through a file and back.

use rollback_core::{Digest, Effect, Envelope, Error, Goal, Identity, Result, SnapshotRecord};
use serde_json::Value;

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, case, keep};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "snapshots-survive-storage",
            "a snapshot that was written and read back is the same and is accepted",
            "check that serde writes and reads every field, and that `info` depends on those fields alone",
            Needs::Nothing,
            snapshots_survive_storage
        ),
        case!(
            "altered-identity-is-refused",
            "a snapshot record whose identity was edited is refused",
            "compute the identity in `Snapshot::info` from the content, and erase the target with `Bound`, which compares it",
            Needs::Nothing,
            altered_identity_is_refused
        ),
        case!(
            "altered-document-is-refused",
            "a snapshot record whose document was exchanged or cut is refused",
            "compute the identity in `Snapshot::info` from the content, and give no field a serde default that hides that it is missing",
            Needs::Nothing,
            altered_document_is_refused
        ),
        case!(
            "unknown-schemas-are-refused",
            "snapshots and actions of an unknown schema are refused without effect",
            "end `Document::decode` with `decode_exact`, which refuses every schema that you do not name",
            Needs::Nothing,
            unknown_schemas_are_refused
        ),
        case!(
            "older-schemas-are-read",
            "snapshots that older releases of the driver wrote are still read",
            "go on reading the older schema in `Document::decode`: plans and records outlive releases",
            Needs::Nothing,
            older_schemas_are_read
        ),
    ]
}

async fn snapshots_survive_storage(bench: &Bench) -> Result<Verdict> {
    let json = |error: serde_json::Error| {
        Error::new(rollback_core::ErrorKind::Corrupt, "store it", error.to_string())
    };
    let text = serde_json::to_string(&bench.one).map_err(json)?;
    let back: SnapshotRecord = serde_json::from_str(&text).map_err(json)?;
    keep!(back == bench.one, "it was {:?} and came back as {back:?}", bench.one);
    if let Err(error) = bench.target.inspect(Some(&bench.two), &back).await {
        return Ok(Verdict::Broken(format!("its own snapshot is refused: {}", error.message())));
    }
    bench.target.prove(&Goal::runs(back.clone())).await?;
    keep!(!bench.proposals(&back).await?.is_empty(), "no strategy proposes a way to the stored snapshot");
    Ok(Verdict::Kept)
}

/// Whether every call that takes a snapshot refuses this one; else the name of one that does not.
async fn accepted_by(bench: &Bench, altered: &SnapshotRecord) -> Result<Option<&'static str>> {
    let view = bench.view(&bench.one).await?;
    let mut view = view;
    view.goal = altered.clone();
    Ok(if bench.target.inspect(Some(&bench.two), altered).await.is_ok() {
        Some("inspect")
    } else if bench.target.prove(&Goal::runs(altered.clone())).await.is_ok() {
        Some("prove")
    } else if bench.target.propose(&view).is_ok() {
        Some("propose")
    } else {
        None
    })
}

async fn altered_identity_is_refused(bench: &Bench) -> Result<Verdict> {
    let mut altered = bench.one.clone();
    altered.info.identity = Identity(Digest::of_bytes(b"somebody else"));
    let accepted = accepted_by(bench, &altered).await?;
    keep!(accepted.is_none(), "{} accepts a record with another identity", accepted.unwrap_or_default());
    Ok(Verdict::Kept)
}

async fn altered_document_is_refused(bench: &Bench) -> Result<Verdict> {
    let exchanged = SnapshotRecord { document: bench.two.document.clone(), ..bench.one.clone() };
    let accepted = accepted_by(bench, &exchanged).await?;
    keep!(accepted.is_none(), "{} accepts the document of another snapshot", accepted.unwrap_or_default());
    let mut cut = bench.one.clone();
    cut.document.body = Value::Null;
    let accepted = accepted_by(bench, &cut).await?;
    keep!(accepted.is_none(), "{} accepts an empty document", accepted.unwrap_or_default());
    Ok(Verdict::Kept)
}

async fn unknown_schemas_are_refused(bench: &Bench) -> Result<Verdict> {
    let schema = "of-no-driver-at-all/9".to_owned();
    let mut foreign = bench.one.clone();
    foreign.document.schema.clone_from(&schema);
    let accepted = accepted_by(bench, &foreign).await?;
    keep!(accepted.is_none(), "{} accepts a snapshot of an unknown schema", accepted.unwrap_or_default());

    let before = bench.print().await?;
    let attempt = bench.first(&bench.one).await?;
    let action = Envelope { schema, body: attempt.step.action.body.clone() };
    let Err(error) = bench.target.apply(&attempt.cx, &action).await else {
        return Ok(Verdict::Broken("apply accepts an action of an unknown schema".to_owned()));
    };
    keep!(error.effect() == Effect::None, "apply refuses it with the effect {:?}", error.effect());
    keep!(
        bench.target.probe(&attempt.cx, &action).await.is_err(),
        "probe accepts an action of an unknown schema"
    );
    let after = bench.print().await?;
    keep!(before == after, "refusing it changed the world: {}", before.changed(&after));
    Ok(Verdict::Kept)
}

async fn older_schemas_are_read(bench: &Bench) -> Result<Verdict> {
    let older = bench.fixture.older_snapshots().await?;
    if older.is_empty() {
        return Ok(Verdict::Ignored("the fixture has no snapshots of older schemas".to_owned()));
    }
    for snapshot in older {
        if let Err(error) = bench.target.inspect(None, &snapshot).await {
            return Ok(Verdict::Broken(format!("{:?} is refused: {error}", snapshot.document.schema)));
        }
    }
    Ok(Verdict::Kept)
}
