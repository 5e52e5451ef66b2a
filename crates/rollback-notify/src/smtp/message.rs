//! A notice as a message.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::error::Error;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};

use crate::notice::{Kind, Notice};
use crate::webhook::header_text;

/// Says that nobody need answer it: <https://www.rfc-editor.org/rfc/rfc3834#section-5>.
const AUTOMATIC: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Everything of one run is one thread, and the same notice is the same message each time.
pub(super) fn of(notice: &Notice, from: &Mailbox, to: &[Mailbox], now: Timestamp) -> Result<Message, Error> {
    let id = |name: &str| format!("<{}.rollback@{}>", header_text(name), from.email.domain());
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(notice.title())
        .message_id(Some(id(&notice.id)))
        .date(SystemTime::from(now))
        .raw_header(HeaderValue::new(AUTOMATIC, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN);
    if let Some(run) = notice.run.filter(|_| notice.kind != Kind::Started) {
        let first = id(&format!("{run}-started"));
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    builder = to.iter().fold(builder, |builder, to| builder.to(to.clone()));
    builder.body(notice.text())
}
