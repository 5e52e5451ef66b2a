//! What must hold for every refusal.

use rollback_core::{Error, ErrorKind};

/// Nobody reads a longer error in an outage, and a hostile input must not fill a terminal or a journal with it.
const LONGEST: usize = 16_384;

/// A refusal of what was read: it says that the input is at fault, in bounded text.
pub(crate) fn refused(error: &Error) {
    let fits = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupt | ErrorKind::Unsupported);
    assert!(fits, "a refused input is invalid, corrupt or unsupported, not {}: {error}", error.kind());
    bounded(error);
}

/// Any error's text is bounded.
pub(crate) fn bounded(error: &Error) {
    let record = error.to_record();
    let next = record.next.as_ref().map_or(0, String::len);
    let length = record.operation.len() + record.message.len() + next;
    assert!(length <= LONGEST, "an error of {length} bytes: {}", &error.to_string()[..200]);
}
