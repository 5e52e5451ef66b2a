//! Snapshots and actions in their envelopes: the local driver's and the toy's.

use rollback_core::{Document, Envelope, Snapshot, SnapshotRecord};
use rollback_driver_local::{LocalAction, LocalRelease};
use rollback_testkit::sim::{ToyAction, ToySnapshot};
use serde_json::Value;

use crate::promises::refused;

/// The input is an envelope, or a snapshot record that holds one.
pub(crate) fn check(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if let Ok(envelope) = serde_json::from_value::<Envelope>(value.clone()) {
        document::<LocalAction>(&envelope);
        document::<ToyAction>(&envelope);
        snapshot::<LocalRelease>(&envelope);
        snapshot::<ToySnapshot>(&envelope);
    }
    if let Ok(record) = serde_json::from_value::<SnapshotRecord>(value) {
        opened::<LocalRelease>(&record);
        opened::<ToySnapshot>(&record);
    }
}

/// What is accepted says the same once it was written again.
fn document<T: Document>(envelope: &Envelope) -> Option<T> {
    match envelope.open::<T>() {
        Err(error) => {
            refused(&error);
            None
        }
        Ok(document) => {
            let sealed = Envelope::seal(&document).expect("a document is JSON");
            let again: T = sealed.open().expect("what was just written can be read");
            let twice = Envelope::seal(&again).expect("a document is JSON");
            assert_eq!(sealed, twice, "{envelope:?} changes by being read");
            Some(document)
        }
    }
}

fn snapshot<S: Snapshot>(envelope: &Envelope) {
    let Some(snapshot) = document::<S>(envelope) else { return };
    let record = SnapshotRecord::seal(&snapshot).expect("a snapshot is JSON");
    let again: S = record.open().expect("what was just recorded can be opened");
    assert_eq!(
        again.info(),
        record.info,
        "what a snapshot says about itself depends on more than its content"
    );
}

/// A record is opened only if it says of its document what the document says of itself.
fn opened<S: Snapshot>(record: &SnapshotRecord) {
    match record.open::<S>() {
        Err(error) => refused(&error),
        Ok(snapshot) => {
            let info = snapshot.info();
            let same = info.identity == record.info.identity && info.revision == record.info.revision;
            assert!(same, "{:?} is not what its record says", record.info.revision);
        }
    }
}
